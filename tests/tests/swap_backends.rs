//! One application, written against the traits alone, runs the same on every backend.

#![allow(clippy::expect_used, reason = "a test: what fails here must fail it")]

use std::sync::Arc;

use chrono::TimeDelta;
use minutebook::{
    Action, Bar, Catalog, CatalogExt, Clock, DatasetEntry, DatasetFilter, Decision, DecisionFilter,
    DecisionRepository, DecisionRepositoryExt, ErrorKind, ManualClock, Minutebook, OnConflict,
    Result, Revision, SeriesFilter, SeriesId, Statistics, Tick, TimeRange, TimeSeriesRepository,
    TimeSeriesRepositoryExt, Timeframe, WriteMode, time::parse_timestamp,
};

/// What an application holds: no backend is named here.
struct Bot {
    decisions: Arc<dyn DecisionRepository>,
    ticks: Arc<dyn TimeSeriesRepository>,
    series: Arc<dyn TimeSeriesRepository>,
    catalog: Arc<dyn Catalog>,
}

impl Bot {
    fn on(book: &Minutebook) -> Self {
        Self {
            decisions: Arc::clone(book.decisions()),
            ticks: Arc::clone(book.ticks()),
            series: Arc::clone(book.series()),
            catalog: Arc::clone(book.catalog()),
        }
    }

    /// Trades every bar that closes above the one before, and keeps the record.
    async fn run(&self, bars: &[Bar]) -> Result<Vec<Revision>> {
        let series = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
        let feed = SeriesId::ticks("BTCUSD".parse()?);
        let mut revisions = Vec::new();
        let mut last: Option<Bar> = None;
        for (i, bar) in bars.iter().enumerate() {
            self.series.append_bars(&series, &[*bar]).await?;
            let tick = Tick {
                timestamp: bar.timestamp,
                price: bar.close,
                size: None,
                side: None,
            };
            self.ticks.append_ticks(&feed, &[tick]).await?;
            if last.is_some_and(|last| last.close < bar.close) {
                let known_at = Timeframe::HOUR
                    .close_of(bar.timestamp)
                    .expect("a time in range");
                let decision = Decision::new(format!("d-{i}").parse()?)
                    .with_timestamp(known_at)
                    .with_asset_pair("BTCUSD")
                    .with_action(Action::Buy)
                    .with_confidence(0.5)?;
                revisions.push(self.decisions.create(&decision).await?.revision);
            }
            last = Some(*bar);
        }
        let summary = self
            .series
            .summary(&series)
            .await?
            .expect("a series with bars");
        let entry = DatasetEntry::new("btcusd_1h".parse()?, "BTCUSD", "series:BTCUSD@1h")
            .with_tenor("1h")
            .with_statistics(Statistics {
                rows: summary.rows,
                first: summary.first,
                last: summary.last,
            });
        self.catalog.upsert(&entry).await?;
        Ok(revisions)
    }

    /// What the record says afterwards, in words that do not depend on the backend.
    async fn account(&self) -> Result<String> {
        let series = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
        let feed = SeriesId::ticks("BTCUSD".parse()?);
        let mut lines = Vec::new();
        for stored in self.decisions.recent(10, Some(&"btcusd".parse()?)).await? {
            lines.push(format!(
                "{} at {}",
                stored.decision.to_json(),
                stored.recorded_at
            ));
        }
        let since = parse_timestamp("2024-01-01T02:00:00Z")?;
        lines.push(format!(
            "{:?}",
            self.series.bars(&series, TimeRange::since(since)).await?
        ));
        lines.push(format!(
            "{:?}",
            self.ticks.ticks(&feed, TimeRange::before(since)).await?
        ));
        lines.push(format!(
            "{:?}",
            self.series.list(&SeriesFilter::new()).await?
        ));
        for stored in self.catalog.list(&DatasetFilter::new()).await? {
            lines.push(format!("{} {:?}", stored.entry.name, stored.entry));
        }
        lines.push(
            self.decisions
                .count(&DecisionFilter::new().action(Action::Buy))
                .await?
                .to_string(),
        );
        Ok(lines.join("\n"))
    }
}

fn bars() -> Vec<Bar> {
    let start = parse_timestamp("2024-01-01").expect("a date");
    [100.0, 101.5, 101.0, 103.25, 102.0]
        .into_iter()
        .enumerate()
        .map(|(i, close)| Bar {
            timestamp: start + TimeDelta::hours(i64::try_from(i).expect("a few bars")),
            open: close,
            high: close + 0.5,
            low: close - 0.5,
            close,
            volume: 1.0,
        })
        .collect()
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(
        parse_timestamp("2024-01-02").expect("a date"),
    ))
}

#[tokio::test]
async fn the_account_is_the_same_on_disk_and_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Minutebook::options()
        .clock(clock())
        .create(directory.path().join("book"))
        .unwrap();
    let memory = Minutebook::in_memory_at(clock());
    Bot::on(&disk).run(&bars()).await.unwrap();
    Bot::on(&memory).run(&bars()).await.unwrap();
    let account = Bot::on(&disk).account().await.unwrap();
    assert_eq!(account, Bot::on(&memory).account().await.unwrap());
    assert!(
        account.contains("\"id\":\"d-3\"") && account.ends_with("\n2"),
        "{account}"
    );

    // The directory alone carries the record: another handle reads the same out of it.
    drop(disk);
    let reopened = Minutebook::options()
        .clock(clock())
        .open(directory.path().join("book"))
        .unwrap();
    assert_eq!(Bot::on(&reopened).account().await.unwrap(), account);
}

#[tokio::test]
async fn two_handles_on_one_directory_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let writer = Minutebook::create(directory.path()).unwrap();
    let reader = Minutebook::open(directory.path()).unwrap();
    let receipts = Bot::on(&writer).run(&bars()).await.unwrap();
    let seen = Bot::on(&reader).account().await.unwrap();
    assert_eq!(seen, Bot::on(&writer).account().await.unwrap());

    // And they do not overwrite each other: the second update from one revision is refused.
    let id = "d-1".parse().unwrap();
    let mut decision = reader.decisions().require(&id).await.unwrap().decision;
    decision.set("executed", &true).unwrap();
    reader
        .decisions()
        .update_from(&decision, &receipts[0])
        .await
        .unwrap();
    decision.set("executed", &false).unwrap();
    let error = writer
        .decisions()
        .update_from(&decision, &receipts[0])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);

    let series = SeriesId::bars("BTCUSD".parse().unwrap(), Timeframe::HOUR);
    let restated = [Bar {
        volume: 9.0,
        ..bars()[0]
    }];
    let on_conflict = OnConflict::Replace;
    let batch = <Bar as minutebook::Row>::to_batch(&restated).unwrap();
    writer
        .series()
        .write(&series, batch, WriteMode::Upsert { on_conflict })
        .await
        .unwrap();
    let first = &reader
        .series()
        .bars(&series, TimeRange::all())
        .await
        .unwrap()[0];
    assert_eq!(first.volume.to_string(), "9");
}
