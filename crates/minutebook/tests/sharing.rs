//! What one handle writes, every other sees with its next call.
#![cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::path::Path;

use minutebook::config::Environment;
use minutebook::{
    Bar, CatalogExt, DatasetEntry, Decision, DecisionRepository, DecisionRepositoryExt, ErrorKind,
    Minutebook, SeriesId, Tick, TimeRange, TimeSeriesRepository, TimeSeriesRepositoryExt,
    Timeframe, time::from_nanos,
};

fn open(path: &Path) -> Minutebook {
    Minutebook::options()
        .environment(Environment::empty())
        .open(path)
        .unwrap()
}

fn bar(n: i64) -> Bar {
    Bar {
        timestamp: from_nanos(n * 3_600_000_000_000),
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 0.0,
    }
}

fn tick(n: i64) -> Tick {
    Tick {
        timestamp: from_nanos(n),
        price: 1.0,
        size: None,
        side: None,
    }
}

#[tokio::test]
async fn two_handles_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    // Both look before anything is there, so that neither can rest on what it saw.
    let (a, b) = (open(dir.path()), open(dir.path()));
    let hours = SeriesId::bars("BTCUSD".parse().unwrap(), Timeframe::HOUR);
    let ticks = SeriesId::ticks("BTCUSD".parse().unwrap());
    for book in [&a, &b] {
        assert!(book.decisions().recent(10, None).await.unwrap().is_empty());
        assert!(
            book.series()
                .bars(&hours, TimeRange::all())
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            book.ticks()
                .ticks(&ticks, TimeRange::all())
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            book.catalog()
                .names(&minutebook::DatasetFilter::new())
                .await
                .unwrap()
                .is_empty()
        );
    }
    for (n, (writer, reader)) in [(&a, &b), (&b, &a), (&a, &b)].into_iter().enumerate() {
        let i = i64::try_from(n).unwrap();
        let id = format!("d-{n}").parse().unwrap();
        writer.decisions().create(&Decision::new(id)).await.unwrap();
        writer
            .series()
            .append_bars(&hours, &[bar(i)])
            .await
            .unwrap();
        writer
            .ticks()
            .append_ticks(&ticks, &[tick(i)])
            .await
            .unwrap();
        let entry = DatasetEntry::new(format!("set-{n}").parse().unwrap(), "BTCUSD", "x");
        writer.catalog().upsert(&entry).await.unwrap();

        assert_eq!(
            reader.decisions().recent(10, None).await.unwrap().len(),
            n + 1
        );
        assert_eq!(
            reader
                .series()
                .bars(&hours, TimeRange::all())
                .await
                .unwrap()
                .len(),
            n + 1
        );
        assert_eq!(
            reader
                .ticks()
                .ticks(&ticks, TimeRange::all())
                .await
                .unwrap()
                .len(),
            n + 1
        );
        let names = reader
            .catalog()
            .names(&minutebook::DatasetFilter::new())
            .await
            .unwrap();
        assert_eq!(names.len(), n + 1);
    }
}

#[tokio::test]
async fn an_update_over_a_state_that_another_handle_changed_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (open(dir.path()), open(dir.path()));
    let id: minutebook::DecisionId = "d".parse().unwrap();
    a.decisions()
        .create(&Decision::new(id.clone()))
        .await
        .unwrap();
    let mut seen_by_a = a.decisions().require(&id).await.unwrap();
    let mut seen_by_b = b.decisions().require(&id).await.unwrap();
    seen_by_b.decision.set("by", &"b").unwrap();
    b.decisions()
        .update_from(&seen_by_b.decision, &seen_by_b.revision)
        .await
        .unwrap();
    seen_by_a.decision.set("by", &"a").unwrap();
    let error = a
        .decisions()
        .update_from(&seen_by_a.decision, &seen_by_a.revision)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        a.decisions().require(&id).await.unwrap().decision,
        seen_by_b.decision
    );
}

#[tokio::test]
async fn clones_of_a_handle_and_tasks_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let book = open(dir.path());
    // Eight tasks make the parts of the store at the same moment.
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let book = book.clone();
            tokio::spawn(async move {
                let hours = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
                book.decisions()
                    .create(&Decision::new(book.new_id()))
                    .await?;
                book.series().append_bars(&hours, &[bar(n)]).await?;
                book.ticks()
                    .append_ticks(&SeriesId::ticks("BTCUSD".parse()?), &[tick(n)])
                    .await?;
                Ok::<_, minutebook::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        book.decisions()
            .count(&minutebook::DecisionFilter::new())
            .await
            .unwrap(),
        8
    );
    let hours = SeriesId::bars("BTCUSD".parse().unwrap(), Timeframe::HOUR);
    assert_eq!(
        book.series().summary(&hours).await.unwrap().unwrap().rows,
        8
    );
    let ticks = SeriesId::ticks("BTCUSD".parse().unwrap());
    assert_eq!(book.ticks().summary(&ticks).await.unwrap().unwrap().rows, 8);
}
