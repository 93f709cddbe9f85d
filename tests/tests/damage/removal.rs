//! The removal of a dataset with its data, stopped before each of its steps, by a kill and by a power cut: both are there, or the entry
//! tells what is gone, or both are gone.

use std::path::Path;

use minutebook::check::VerifyOptions;
use minutebook::{
    Bar, DatasetEntry, DatasetName, FindingKind, Minutebook, Result, SaveMode, SeriesId, TimeRange,
    TimeSeriesRepositoryExt,
};
use minutebook_fs::crash::{self, Crashed, Options};
use minutebook_fs::{Durability, SimFs, read, replace};

use super::crash::{STORE, open};
use super::{runtime, sample};

const FILE: &str = "data/dataset.jsonl";
const LINE: &str = "{\"timestamp\": \"2025-02-01T00:00:00\", \"price\": 1.5}";

#[derive(Clone, Copy)]
enum Data {
    File,
    Ticks,
    Bars,
}

impl Data {
    fn id(self) -> SeriesId {
        match self {
            Self::File | Self::Ticks => "BTCUSD@ticks",
            Self::Bars => "BTCUSD@1h",
        }
        .parse()
        .unwrap()
    }

    async fn make(self, disk: &SimFs) -> Result<()> {
        let book = open(disk)?;
        let name = dataset();
        match self {
            Self::File => {
                minutebook_fs::create_dir_all(
                    disk,
                    &Path::new(STORE).join("data"),
                    Durability::Synced,
                )
                .unwrap();
                let path = Path::new(STORE).join(FILE);
                replace(disk, &path, LINE.as_bytes(), Durability::Synced).unwrap();
                let mut entry = DatasetEntry::new(name.clone(), "X", FILE);
                entry.row_count = Some(1);
                book.catalog().register(&entry, SaveMode::Create).await?;
            }
            Self::Ticks => {
                let log = book.tick_log()?.unwrap();
                log.append_entries(&self.id(), &[LINE]).await?;
                log.rotate(&self.id()).await?;
                log.append_entries(&self.id(), &[LINE]).await?;
                book.register_series(&name, &self.id()).await?;
            }
            Self::Bars => {
                let bars: Vec<Bar> = sample::bars(0, 3);
                book.series().append_bars(&self.id(), &bars).await?;
                book.series()
                    .append_bars(&self.id(), &sample::bars(3, 5))
                    .await?;
                book.register_series(&name, &self.id()).await?;
            }
        }
        let other = DatasetEntry::new("other".parse()?, "X", "data/not/yet.jsonl");
        book.catalog().register(&other, SaveMode::Create).await?;
        Ok(())
    }

    /// How much of the data there is: `None` without any.
    async fn rows(self, disk: &SimFs, book: &Minutebook) -> Result<Option<u64>> {
        if matches!(self, Self::File) {
            let found = read(disk, &Path::new(STORE).join(FILE), 1 << 20).unwrap();
            return Ok(found.map(|bytes| u64::from(bytes == LINE.as_bytes())));
        }
        let id = self.id();
        let rows = match self {
            Self::Bars => book.series().bars(&id, TimeRange::all()).await?.len(),
            _ => book.ticks().ticks(&id, TimeRange::all()).await?.len(),
        };
        Ok((rows > 0).then_some(rows as u64))
    }

    fn whole(self) -> u64 {
        match self {
            Self::File => 1,
            Self::Ticks => 2,
            Self::Bars => 5,
        }
    }

    async fn look(
        self,
        crashed: &Crashed<'_, Result<()>>,
    ) -> Result<std::result::Result<(), String>> {
        let book = open(&crashed.disk)?;
        let entry = book.catalog().get(&dataset()).await?.is_some();
        let other = book.catalog().get(&"other".parse()?).await?.is_some();
        let rows = self.rows(&crashed.disk, &book).await?;
        let report = book.verify(&VerifyOptions::new()).await?;
        let told = report.findings.iter().any(|finding| {
            let kinds = [FindingKind::EntryDangling, FindingKind::EntryDrifted];
            kinds.contains(&finding.kind)
        });
        let right = other
            && match (entry, rows) {
                _ if crashed.out.is_ok() => !entry && rows.is_none(),
                (true, Some(rows)) => rows == self.whole() || told,
                (true, None) => told,
                (false, rows) => rows.is_none(),
            };
        if !right {
            let found = &report.findings;
            return Ok(Err(format!(
                "entry: {entry}, other: {other}, rows: {rows:?}, {found:?}"
            )));
        }
        // It can be called again.
        if entry {
            book.remove_with_data(&dataset()).await?;
        }
        let left = self.rows(&crashed.disk, &book).await?;
        let gone = left.is_none() && book.catalog().get(&dataset()).await?.is_none();
        Ok(gone
            .then_some(())
            .ok_or_else(|| "the second call left something".to_owned()))
    }

    fn stop_anywhere(self) {
        let told = |error: minutebook::Error| format!("{error:?}");
        let report = crash::enumerate(
            &Options::default(),
            |disk| runtime().block_on(self.make(disk)).map_err(told),
            |disk| {
                runtime()
                    .block_on(async { open(disk)?.remove_with_data(&dataset()).await.map(drop) })
            },
            |crashed| {
                runtime()
                    .block_on(self.look(crashed))
                    .map_err(told)
                    .flatten()
            },
        )
        .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.steps > 4 && report.states > 10, "{report:?}");
    }
}

fn dataset() -> DatasetName {
    "dataset".parse().unwrap()
}

#[test]
fn the_removal_of_a_file_can_be_stopped_anywhere() {
    Data::File.stop_anywhere();
}

#[test]
fn the_removal_of_ticks_can_be_stopped_anywhere() {
    Data::Ticks.stop_anywhere();
}

#[test]
fn the_removal_of_bars_can_be_stopped_anywhere() {
    Data::Bars.stop_anywhere();
}
