//! The catalog and the series together.
#![cfg(all(
    feature = "json",
    feature = "jsonl",
    feature = "parquet",
    feature = "memory"
))]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use async_trait::async_trait;
use minutebook::config::Environment;
use minutebook::memory::{MemoryCatalog, MemoryTimeSeriesRepository};
use minutebook::{
    Bar, Capabilities, Catalog, CatalogExt, DatasetChange, DatasetEntry, DatasetFilter,
    DatasetName, ErrorKind, Minutebook, Result, Revision, Row, SaveMode, SeriesId, Statistics,
    StoredEntry, Tick, TimeSeriesRepository, TimeSeriesRepositoryExt, Timeframe,
    time::parse_timestamp,
};

fn bars(dates: &[&str]) -> Vec<Bar> {
    dates
        .iter()
        .map(|date| Bar {
            timestamp: parse_timestamp(date).unwrap(),
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 0.0,
        })
        .collect()
}

fn days() -> SeriesId {
    SeriesId::bars("btc/usd".parse().unwrap(), Timeframe::DAY)
}

fn name(text: &str) -> DatasetName {
    text.parse().unwrap()
}

fn statistics(rows: u64, first: &str, last: &str) -> Statistics {
    Statistics {
        rows,
        first: Some(parse_timestamp(first).unwrap()),
        last: Some(parse_timestamp(last).unwrap()),
    }
}

fn stored(entry: &DatasetEntry) -> Statistics {
    Statistics {
        rows: entry.row_count.unwrap(),
        first: entry
            .start_date
            .as_ref()
            .and_then(minutebook::time::WrittenTime::instant),
        last: entry
            .end_date
            .as_ref()
            .and_then(minutebook::time::WrittenTime::instant),
    }
}

async fn registers_and_refreshes(book: &Minutebook) {
    let error = book.register_series(&name("x"), &days()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);

    book.series()
        .append_bars(&days(), &bars(&["2025-01-02", "2025-01-03"]))
        .await
        .unwrap();
    let dataset = Minutebook::default_name(&days()).unwrap();
    assert_eq!(dataset.as_str(), "btc/usd_1d");
    book.register_series(&dataset, &days()).await.unwrap();
    let entry = book.catalog().require(&dataset).await.unwrap().entry;
    assert_eq!(entry.instrument, "BTC/USD");
    assert_eq!(entry.tenor.as_deref(), Some("1d"));
    assert_eq!(entry.file_path, "series:BTC/USD@1d");
    assert_eq!(stored(&entry), statistics(2, "2025-01-02", "2025-01-03"));

    book.catalog()
        .update(&dataset, &DatasetChange::new().metadata("source", "test"))
        .await
        .unwrap();
    book.series()
        .append_bars(&days(), &bars(&["2025-01-01"]))
        .await
        .unwrap();
    book.refresh(&dataset).await.unwrap();
    let entry = book.catalog().require(&dataset).await.unwrap().entry;
    assert_eq!(stored(&entry), statistics(3, "2025-01-01", "2025-01-03"));

    book.series()
        .append_bars(&days(), &bars(&["2025-01-04"]))
        .await
        .unwrap();
    book.register_series(&dataset, &days()).await.unwrap();
    let entry = book.catalog().require(&dataset).await.unwrap().entry;
    assert_eq!(stored(&entry), statistics(4, "2025-01-01", "2025-01-04"));
    assert_eq!(entry.metadata["source"], "test");

    let other = SeriesId::ticks("BTC/USD".parse().unwrap());
    let at = parse_timestamp("2025-01-01T10:00:00Z").unwrap();
    let tick = Tick {
        timestamp: at,
        price: 1.0,
        size: None,
        side: None,
    };
    book.ticks().append_ticks(&other, &[tick]).await.unwrap();
    let error = book.register_series(&dataset, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let dataset = Minutebook::default_name(&other).unwrap();
    book.register_series(&dataset, &other).await.unwrap();
    let entry = book.catalog().require(&dataset).await.unwrap().entry;
    assert_eq!(
        (entry.file_path.as_str(), entry.row_count),
        ("ticks:BTC/USD@ticks", Some(1))
    );
    assert_eq!(
        book.refresh(&name("nope")).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn series_are_registered_and_refreshed_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let book = Minutebook::options()
        .environment(Environment::empty())
        .open(dir.path())
        .unwrap();
    registers_and_refreshes(&book).await;
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn series_are_registered_and_refreshed_in_memory() {
    registers_and_refreshes(&Minutebook::in_memory()).await;
}

#[tokio::test]
async fn statistics_of_files_come_from_the_footer() {
    let dir = tempfile::tempdir().unwrap();
    let book = Minutebook::options()
        .environment(Environment::empty())
        .create(dir.path())
        .unwrap();
    let batch = Bar::to_batch(&bars(&["2025-01-02", "2025-01-05"])).unwrap();
    let path = dir.path().join("data/bars.parquet");
    minutebook::parquet::save_parquet(
        &[batch],
        &path,
        &minutebook::parquet::SaveParquet::default(),
    )
    .unwrap();

    let expected = Some(statistics(2, "2025-01-02", "2025-01-05"));
    assert_eq!(book.stats_of("data/bars.parquet").await.unwrap(), expected);
    assert_eq!(
        book.stats_of(path.to_str().unwrap()).await.unwrap(),
        expected
    );
    assert_eq!(book.stats_of("data/other.parquet").await.unwrap(), None);
    assert_eq!(book.stats_of("series:AAPL@1d").await.unwrap(), None);
    assert_eq!(
        book.stats_of("series:AAPL@soon").await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        book.stats_of("../outside.parquet")
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );

    let entry = DatasetEntry::new(name("bars"), "AAPL", "data/bars.parquet");
    book.catalog()
        .register(&entry, SaveMode::Create)
        .await
        .unwrap();
    book.refresh(&name("bars")).await.unwrap();
    assert_eq!(
        Some(stored(
            &book.catalog().require(&name("bars")).await.unwrap().entry
        )),
        expected
    );

    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(
        book.stats_of("data/bars.parquet").await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(
        book.refresh(&name("bars")).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    std::fs::write(dir.path().join("notes.csv"), "a,b\n1,2\n").unwrap();
    assert_eq!(
        book.stats_of("notes.csv").await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

/// A catalog in which somebody registers an entry anew right before it is removed.
#[derive(Debug)]
struct Busy(MemoryCatalog);

impl Busy {
    async fn register_anew(&self, name: &DatasetName) -> Result<()> {
        let mut entry = self.0.require(name).await?.entry;
        entry.instrument = "registered anew".into();
        self.0.upsert(&entry).await.map(drop)
    }
}

#[async_trait]
impl Catalog for Busy {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
        self.0.register(entry, mode).await
    }

    async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
        self.0.get(name).await
    }

    async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        self.0.list(filter).await
    }

    async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision> {
        self.0.update(name, change).await
    }

    async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        self.0.rename(name, to).await
    }

    async fn remove(&self, name: &DatasetName) -> Result<bool> {
        self.register_anew(name).await?;
        self.0.remove(name).await
    }

    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        self.register_anew(name).await?;
        self.0.remove_seen(name, seen).await
    }
}

#[tokio::test]
async fn an_entry_that_was_registered_anew_is_not_removed_with_its_data() {
    let book = Minutebook::builder()
        .series(MemoryTimeSeriesRepository::new())
        .catalog(Busy(MemoryCatalog::new()))
        .build()
        .unwrap();
    let dataset = name("days");
    let written = bars(&["2025-01-02"]);
    book.series().append_bars(&days(), &written).await.unwrap();
    book.register_series(&dataset, &days()).await.unwrap();
    let error = book.remove_with_data(&dataset).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let left = book.catalog().require(&dataset).await.unwrap().entry;
    assert_eq!(left.instrument, "registered anew");
    assert_eq!(book.series().summary(&days()).await.unwrap(), None);
}
