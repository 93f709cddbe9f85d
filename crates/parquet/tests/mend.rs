//! Going on without damaged files: beside a vacuum, slowly, and beside a log that still has what was taken over from it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::shaky::Shaky;
use common::{Row, all, batch, series, threaded};
use futures_util::{TryStreamExt, stream};
use minutebook_core::{TimeSeriesRepository, Version, WriteMode};
use minutebook_parquet::{
    AbsorbedSegment, ParquetConfig, ParquetTimeSeriesRepository, Retention, VacuumOptions,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

const GRACE: Duration = Duration::from_millis(400);

fn config() -> ParquetConfig {
    ParquetConfig::default()
        .target_segment_rows(1_024)
        .merge_floor_rows(0)
        .orphan_grace(GRACE)
}

fn over(store: &Arc<Shaky>) -> ParquetTimeSeriesRepository {
    ParquetTimeSeriesRepository::with_store(Arc::clone(store) as _, config())
}

fn many(from: i64, to: i64) -> Vec<Row> {
    (from..to).map(|n| (n * 10, n)).collect()
}

async fn names(store: &dyn ObjectStore) -> Vec<Path> {
    let listed = store.list(Some(&"btcusd/1m/data".into()));
    let mut names: Vec<Path> = listed.map_ok(|it| it.location).try_collect().await.unwrap();
    names.sort();
    names
}

/// A bit of the first page of a file is another.
async fn damage(store: &dyn ObjectStore, path: &Path) -> String {
    let mut bytes = store
        .get(path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 4;
    store.put(path, bytes.into()).await.unwrap();
    path.filename().unwrap().to_owned()
}

const PART: i64 = 550;
const ROWS: i64 = 6 * PART;

/// Six files, too long to be merged by appends, whose times overlap; a compaction made others of them, of which one is damaged.
async fn compacted() -> (InMemory, String) {
    let store = Arc::new(Shaky::default());
    let repo = over(&store);
    for part in 0..6 {
        let rows: Vec<Row> = many(0, ROWS)
            .into_iter()
            .filter(|row| row.1 % 6 == part)
            .collect();
        repo.write(&series(), batch(&rows), WriteMode::Append)
            .await
            .unwrap();
    }
    let before = names(&store.inner).await;
    repo.compact(&series()).await.unwrap();
    let mut made = names(&store.inner).await;
    made.retain(|path| !before.contains(path));
    let file = damage(&store.inner, &made[1]).await;
    (store.inner.fork(), file)
}

#[test]
fn a_vacuum_beside_a_repair_takes_nothing_that_the_repaired_version_names() {
    let (base, file) = threaded(async {
        let made = compacted().await;
        tokio::time::sleep(GRACE * 2).await;
        made
    });
    let (mut back, mut saved) = (0, 0);
    for halt in 1.. {
        let ended = threaded(async {
            let store = Arc::new(Shaky {
                inner: base.fork(),
                halt_at: halt.into(),
                ..Shaky::default()
            });
            let repo = over(&store);
            let files = [file.clone()];
            let mut repair =
                tokio::spawn(async move { repo.leave_out(&series(), &files).await.unwrap() });
            let left = tokio::select! {
                left = &mut repair => left.unwrap(),
                () = store.stalled.notified() => {
                    let kept = VacuumOptions::default().retention(Retention::versions(1));
                    let vacuumed = over(&store).vacuum(&series(), &kept).await;
                    store.resume.notify_one();
                    vacuumed.unwrap();
                    repair.await.unwrap()
                }
            };
            let ended = store.requests.load(Ordering::SeqCst) < halt;
            store.halt_at.store(0, Ordering::SeqCst);
            let repo = over(&store);
            let rows = all(&repo).await.unwrap().unwrap();
            let report = repo.verify(&series()).await.unwrap();
            // The version before still names the damaged file, if it is kept.
            let report = report.problems;
            assert!(report.total() <= 1, "{halt}: {report:?}");
            if left.went_back_to.is_some() {
                assert_eq!(rows, many(0, ROWS), "{halt}");
                back += 1;
            } else {
                let there = rows.len() as u64 + left.lost_rows;
                assert_eq!(there, ROWS.unsigned_abs(), "{halt}: {left:?}");
                saved += 1;
            }
            ended
        });
        if ended {
            break;
        }
    }
    assert!(back > 3 && saved > 3, "{back} {saved}");
}

#[test]
fn a_series_that_takes_long_to_look_at_goes_back_all_the_same() {
    threaded(async {
        let (base, file) = compacted().await;
        let store = Arc::new(Shaky {
            inner: base,
            slow: 220.into(),
            ..Shaky::default()
        });
        let repo = over(&store);
        // Six files of a fifth of a second: longer than an attempt to commit may take.
        let left = repo.leave_out(&series(), &[file]).await.unwrap();
        assert_eq!((left.went_back_to, left.lost_rows), (Some(Version(6)), 0));
        store.slow.store(0, Ordering::SeqCst);
        assert_eq!(all(&repo).await.unwrap().unwrap(), many(0, ROWS));
    });
}

fn segment(number: u64) -> AbsorbedSegment {
    AbsorbedSegment::new("log", number, format!("digest {number}"))
}

async fn absorb(repo: &ParquetTimeSeriesRepository, number: u64, rows: &[Row]) {
    let batches = stream::iter([Ok(batch(rows))]);
    repo.absorb(&series(), &segment(number), batches)
        .await
        .unwrap();
}

#[test]
fn a_segment_that_its_log_still_has_is_read_there_again() {
    threaded(async {
        let store = Arc::new(Shaky::default());
        let repo = over(&store);
        absorb(&repo, 1, &many(0, 700)).await;
        // It is merged with the one before it, which its file has too.
        absorb(&repo, 2, &many(700, 1_400)).await;
        let newest = names(&store.inner).await.pop().unwrap();
        let file = damage(&store.inner, &newest).await;
        let repo = over(&store);
        let left = repo
            .leave_out_beside(&series(), &[file], &[segment(2)])
            .await
            .unwrap();
        assert_eq!(left.went_back_to, Some(Version(1)));
        assert_eq!((left.saved_rows, left.lost_rows), (700, 0));
        assert_eq!(all(&repo).await.unwrap().unwrap(), many(0, 700));
        let state = repo.absorbed(&series()).await.unwrap().unwrap();
        assert!(state.absorbed.has("log", 1) && !state.absorbed.has("log", 2));
        // Only the repair itself is a commit that its readers see.
        assert_eq!(state.own_commits, 1);
        absorb(&repo, 2, &many(700, 1_400)).await;
        assert_eq!(all(&repo).await.unwrap().unwrap(), many(0, 1_400));
    });
}

#[test]
fn the_last_segment_is_not_vouched_for_once_rows_are_lost() {
    threaded(async {
        let store = Arc::new(Shaky::default());
        let repo = over(&store);
        let before = many(10_000, 15_000);
        repo.write(&series(), batch(&before), WriteMode::Append)
            .await
            .unwrap();
        let older = names(&store.inner).await;
        absorb(&repo, 1, &many(0, 700)).await;
        let mut newest = names(&store.inner).await;
        newest.retain(|path| !older.contains(path));
        let file = damage(&store.inner, &newest[0]).await;
        let repo = over(&store);
        // Nobody says that the log still has it.
        let left = repo
            .leave_out(&series(), std::slice::from_ref(&file))
            .await
            .unwrap();
        assert!(left.lost_rows > 0 && left.went_back_to.is_none());
        let state = repo.absorbed(&series()).await.unwrap().unwrap();
        assert!(state.absorbed.has("log", 1));
        assert_ne!(state.absorbed.last, Some(segment(1)));
    });
}

#[test]
fn what_is_not_in_the_series_any_more_is_not_absorbed() {
    threaded(async {
        // The first version of all, and nothing to go back to.
        let store = Arc::new(Shaky::default());
        let repo = over(&store);
        absorb(&repo, 1, &many(0, 700)).await;
        let only = names(&store.inner).await.pop().unwrap();
        store.inner.delete(&only).await.unwrap();
        let file = only.filename().unwrap().to_owned();
        let repo = over(&store);
        let left = repo.leave_out(&series(), &[file]).await.unwrap();
        assert_eq!(left.lost_rows, 700);
        let state = repo.absorbed(&series()).await.unwrap().unwrap();
        assert!(!state.absorbed.has("log", 1));
        absorb(&repo, 1, &many(0, 700)).await;
        assert_eq!(all(&repo).await.unwrap().unwrap(), many(0, 700));
        // The rows of an earlier version come back, and what was absorbed after it is not among them.
        let earlier = names(&store.inner).await;
        let rows = many(10_000, 10_100);
        repo.write(
            &series(),
            batch(&rows),
            WriteMode::Upsert {
                on_conflict: minutebook_core::OnConflict::Replace,
            },
        )
        .await
        .unwrap();
        absorb(&repo, 2, &many(700, 5_000)).await;
        let mut gone = names(&store.inner).await;
        gone.retain(|path| !earlier.contains(path));
        let mut files = Vec::new();
        for path in gone.iter().chain(&earlier) {
            store.inner.delete(path).await.ok();
            files.push(path.filename().unwrap().to_owned());
        }
        let repo = over(&store);
        let left = repo.leave_out(&series(), &files).await.unwrap();
        // The last version of which every file is whole is the first repair's, which has none.
        assert_eq!(left.went_back_to, Some(Version(2)));
        assert!(all(&repo).await.unwrap().unwrap().is_empty());
        let state = repo.absorbed(&series()).await.unwrap().unwrap();
        assert!(!state.absorbed.has("log", 2), "{state:?}");
    });
}
