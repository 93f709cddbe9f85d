//! What an operation asks of the store does not grow with the number of segments.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::shaky::Shaky;
use common::{batch, rows, series, threaded};
use minutebook_core::{ScanQuery, TimeSeriesRepository, WriteMode};
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};

/// Every append of a row is a segment of its own.
fn config() -> ParquetConfig {
    let mut config = ParquetConfig::default();
    config.target_segment_rows = 1;
    config
}

/// Requests of: opening and reading the summary, the latest row of a fresh handle, the latest row again, an append.
async fn counts(store: &Arc<Shaky>, next: i64) -> [u64; 4] {
    let open = || ParquetTimeSeriesRepository::with_store(Arc::clone(store) as _, config());
    let asked = || store.requests.swap(0, Ordering::SeqCst);
    let latest = async |repo: &ParquetTimeSeriesRepository| {
        let stream = repo.scan(&series(), &ScanQuery::new().last(1)).await;
        let (batches, _) = stream.unwrap().collect().await.unwrap();
        let found: Vec<_> = batches.iter().flat_map(rows).collect();
        assert_eq!(found, [(next - 1, next - 1)]);
    };
    asked();
    let repo = open();
    let summary = repo.summary(&series()).await.unwrap().unwrap();
    assert_eq!(i64::try_from(summary.rows).unwrap(), next);
    let opening = asked();
    let repo = open();
    latest(&repo).await;
    let cold = asked();
    latest(&repo).await;
    let warm = asked();
    repo.write(&series(), batch(&[(next, next)]), WriteMode::Append)
        .await
        .unwrap();
    asked();
    // The first write of a handle asks whether the store keeps its promise.
    repo.write(&series(), batch(&[(next + 1, next + 1)]), WriteMode::Append)
        .await
        .unwrap();
    [opening, cold, warm, asked()]
}

#[test]
fn do_not_grow_with_the_number_of_segments() {
    let store = Arc::new(Shaky::default());
    threaded(async {
        let repo = ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config());
        let mut at = 0;
        let mut grow = async |to: i64| {
            while at < to {
                repo.write(&series(), batch(&[(at, at)]), WriteMode::Append)
                    .await
                    .unwrap();
                at += 1;
            }
        };
        // The same distance from the last hint to the newest version, which is looked for from there.
        grow(64 + 10).await;
        let few = counts(&store, 74).await;
        let mut other = 76;
        while other < 960 + 10 {
            repo.write(&series(), batch(&[(other, other)]), WriteMode::Append)
                .await
                .unwrap();
            other += 1;
        }
        let many = counts(&store, 970).await;
        assert_eq!(few, many, "opening, latest, latest again, append");
        assert!(few.iter().all(|count| (1..25).contains(count)), "{few:?}");
    });
}
