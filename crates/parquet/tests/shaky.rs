//! A store that fails, fails after it did the work, sends twice, and delays; and one that breaks its promise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::shaky::{Fate, Shaky};
use common::{all, batch, range, series, threaded};
use futures_util::StreamExt;
use minutebook_core::{
    ErrorKind, ScanQuery, SeriesFilter, Snapshot, TimeSeriesRepository, WriteMode,
};
use minutebook_parquet::{
    Metadata, ParquetConfig, ParquetTimeSeriesRepository, Retention, VacuumOptions,
};
use object_store::ObjectStore;

fn over(store: &Arc<Shaky>) -> ParquetTimeSeriesRepository {
    ParquetTimeSeriesRepository::with_store(Arc::clone(store) as _, ParquetConfig::default())
}

#[test]
fn what_was_acknowledged_is_there_once_and_the_rest_at_most_once() {
    let mut failures = 0;
    for seed in 1..=12 {
        let store = Arc::new(Shaky::new(seed * 7_919));
        threaded(async {
            let writers: Vec<_> = (0..4_i64)
                .map(|writer| {
                    let repo = over(&store);
                    tokio::spawn(async move {
                        let mut acknowledged = Vec::new();
                        for i in 0..15 {
                            let at = writer * 100 + i;
                            match repo
                                .write(&series(), batch(&[(at, at)]), WriteMode::Append)
                                .await
                            {
                                Ok(_) => acknowledged.push(at),
                                Err(error) => {
                                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                                }
                            }
                        }
                        acknowledged
                    })
                })
                .collect();
            let mut acknowledged = Vec::new();
            for writer in writers {
                acknowledged.extend(writer.await.unwrap());
            }
            failures += 60 - acknowledged.len();
            store.state.store(0, Ordering::SeqCst);
            let found = all(&over(&store)).await.unwrap().unwrap();
            for at in 0..400 {
                let count = found.iter().filter(|row| row.0 == at).count();
                let least = usize::from(acknowledged.contains(&at));
                assert!(
                    (least..=1).contains(&count),
                    "seed {seed}: row {at} is there {count} times"
                );
            }
            assert_eq!(
                over(&store)
                    .verify(&series())
                    .await
                    .unwrap()
                    .problems
                    .total(),
                0
            );
        });
    }
    assert!(
        failures > 20,
        "the store was too steady: {failures} failures"
    );
}

/// The connection breaks between a commit and its answer: the commit stands once, and the writer knows it.
#[test]
fn a_commit_whose_answer_is_lost_is_found() {
    let store = Arc::new(Shaky::default());
    threaded(async {
        let repo = over(&store);
        for at in 0..5 {
            store.deaf.store(1, Ordering::SeqCst);
            let receipt = repo
                .write(&series(), batch(&[(at, at)]), WriteMode::Append)
                .await
                .unwrap();
            assert_eq!(i64::try_from(receipt.version.0).unwrap(), at + 1);
            assert_eq!(store.deaf.load(Ordering::SeqCst), 0, "no answer was lost");
        }
        let expected = (0..5).map(|at| (at, at)).collect();
        assert_eq!(all(&over(&store)).await.unwrap(), Some(expected));
    });
}

/// The commit is made, its answer is lost, and nothing can be asked: the outcome is unknown, so nothing that it may name is removed.
#[test]
fn what_a_lost_commit_may_name_stays() {
    let upsert = WriteMode::Upsert {
        on_conflict: minutebook_core::OnConflict::Replace,
    };
    for operation in 0..6 {
        let store = Arc::new(Shaky::default());
        threaded(async {
            let repo = over(&store);
            let rows: Vec<_> = (0..2_000).map(|at| (at, at)).collect();
            repo.write(&series(), batch(&rows), WriteMode::Append)
                .await
                .unwrap();
            repo.delete(&series(), Some(range(0, 900))).await.unwrap();
            let before = all(&repo).await.unwrap();
            store.deaf.store(1, Ordering::SeqCst);
            store.blind.store(1, Ordering::SeqCst);
            let one = || batch(&[(1_000, -1)]);
            let first = minutebook_core::Snapshot::Version(minutebook_core::Version(1));
            let failed = match operation {
                0 => repo.write(&series(), one(), WriteMode::Append).await.err(),
                1 => repo.write(&series(), one(), upsert).await.err(),
                2 => repo
                    .delete(&series(), Some(range(1_000, 1_100)))
                    .await
                    .err(),
                3 => repo.compact(&series()).await.err(),
                4 => {
                    let note = minutebook_parquet::Metadata::new();
                    repo.restore(&series(), first, &note).await.err()
                }
                _ => {
                    let within = WriteMode::ReplaceRange(range(1_000, 1_100));
                    repo.write(&series(), one(), within).await.err()
                }
            };
            assert_eq!(
                failed.unwrap().kind(),
                ErrorKind::Unavailable,
                "{operation}"
            );
            let again = over(&store);
            let after = all(&again).await.unwrap();
            assert_eq!(after == before, operation == 3, "{operation}");
            let verified = again.verify(&series()).await.unwrap();
            assert!(verified.problems.is_clean(), "{operation}: {verified:?}");
            assert_eq!(
                again.summary(&series()).await.unwrap().unwrap().version.0,
                3
            );
        });
    }
}

#[test]
fn what_a_restoration_left_makes_nothing_readable() {
    let store = Arc::new(Shaky::default());
    threaded(async {
        let repo = over(&store);
        let first = repo
            .write(&series(), batch(&[(1, 1)]), WriteMode::Append)
            .await
            .unwrap();
        let first = Snapshot::Version(first.version);
        repo.delete(&series(), Some(range(0, 10))).await.unwrap();
        store.stuck.store(true, Ordering::SeqCst);
        repo.restore(&series(), first, &Metadata::new())
            .await
            .unwrap();
        store.stuck.store(false, Ordering::SeqCst);
        let left = store.list(Some(&"@snapshots".into())).count().await;
        assert_eq!(left, 1, "the restoration could not take back what it held");
        repo.delete(&series(), None).await.unwrap();
        let query = ScanQuery::new().as_of(first);
        let read = repo.scan(&series(), &query).await;
        assert_eq!(read.err().map(|e| e.kind()), Some(ErrorKind::NotFound));
        repo.write(&series(), batch(&[(2, 2)]), WriteMode::Append)
            .await
            .unwrap();
        let read = repo.scan(&series(), &query).await;
        assert_eq!(read.err().map(|e| e.kind()), Some(ErrorKind::NotFound));
    });
}

/// The request that makes a snapshot reaches the store twice, or is heard and its answer lost: it is ours all the same, and a name
/// that somebody else has stays his.
#[test]
fn a_snapshot_that_was_sent_twice_is_made_once() {
    for fate in [Fate::Twice, Fate::DoneButFailed] {
        let store = Arc::new(Shaky::default());
        *store.writes.lock().unwrap() = Some(("@snapshots", fate));
        threaded(async {
            let repo = over(&store);
            repo.write(&series(), batch(&[(1, 1)]), WriteMode::Append)
                .await
                .unwrap();
            let latest = [(series(), Snapshot::Latest)];
            let none = Metadata::new();
            let made = repo.create_snapshot("one", &latest, &none).await.unwrap();
            assert_eq!(repo.snapshots().await.unwrap(), std::slice::from_ref(&made));
            // The same versions under the same name, at the same time: another snapshot nevertheless.
            for other in [&repo, &over(&store)] {
                let taken = other.create_snapshot("one", &latest, &none).await;
                assert_eq!(taken.unwrap_err().kind(), ErrorKind::AlreadyExists);
            }
            assert_eq!(repo.snapshot("one").await.unwrap(), Some(made));
            // A restoration holds its version the same way.
            repo.delete(&series(), Some(range(0, 10))).await.unwrap();
            let first = Snapshot::Version(minutebook_core::Version(1));
            repo.restore(&series(), first, &none).await.unwrap();
            assert_eq!(all(&repo).await.unwrap(), Some(vec![(1, 1)]));
        });
    }
}

#[test]
fn a_store_that_ignores_the_condition_is_refused() {
    let store = Arc::new(Shaky {
        careless: true,
        ..Shaky::default()
    });
    threaded(async {
        let repo = over(&store);
        let error = repo.probe().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let error = repo
            .write(&series(), batch(&[(1, 1)]), WriteMode::Append)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let left = store.inner.list(None).collect::<Vec<_>>().await;
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn opening_and_reading_writes_nothing() {
    let store = Arc::new(Shaky::default());
    threaded(async {
        let repo = over(&store);
        assert_eq!(all(&repo).await.unwrap(), None);
        assert_eq!(repo.summary(&series()).await.unwrap(), None);
        assert!(repo.list(&SeriesFilter::new()).await.unwrap().is_empty());
        assert_eq!(repo.delete(&series(), None).await.unwrap(), 0);
        assert_eq!(repo.delete(&series(), Some(range(0, 1))).await.unwrap(), 0);
        assert_eq!(store.puts.load(Ordering::SeqCst), 0);
        repo.write(&series(), batch(&[(1, 1)]), WriteMode::Append)
            .await
            .unwrap();
        let puts = store.puts.load(Ordering::SeqCst);
        let repo = over(&store);
        repo.scan(&series(), &ScanQuery::new())
            .await
            .unwrap()
            .collect()
            .await
            .unwrap();
        repo.list(&SeriesFilter::new()).await.unwrap();
        assert_eq!(store.puts.load(Ordering::SeqCst), puts);
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/yet");
    let repo = ParquetTimeSeriesRepository::open(&path, ParquetConfig::default()).unwrap();
    threaded(async {
        assert!(repo.list(&SeriesFilter::new()).await.unwrap().is_empty());
        assert_eq!(all(&repo).await.unwrap(), None);
    });
    assert!(!dir.path().join("not").exists());
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = ParquetTimeSeriesRepository::open(&file, ParquetConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// A writer sleeps so long that the number it is about to take was used and has become free again.
#[test]
fn a_writer_that_slept_too_long_looks_again() {
    let store = Arc::new(Shaky::default());
    threaded(async {
        let open = || {
            let config = ParquetConfig::default().orphan_grace(Duration::ZERO);
            ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config)
        };
        let append = |at| {
            let repo = open();
            async move {
                let batch = batch(&[(at, at)]);
                repo.write(&series(), batch, WriteMode::Append)
                    .await
                    .unwrap()
            }
        };
        append(0).await;
        store.stall.store(true, Ordering::SeqCst);
        let sleeper = tokio::spawn(append(1));
        store.stalled.notified().await;
        for at in 2..6 {
            append(at).await;
        }
        let keep_one = VacuumOptions::default().retention(Retention::versions(1));
        let report = open().vacuum(&series(), &keep_one).await.unwrap();
        assert!(
            report.versions.contains(&2),
            "the number is not free: {report:?}"
        );
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        store.resume.notify_one();
        assert!(sleeper.await.unwrap().version.0 > 5);
        let expected = (0..6).map(|at| (at, at)).collect();
        assert_eq!(all(&open()).await.unwrap(), Some(expected));
    });
}
