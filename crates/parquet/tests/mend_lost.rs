//! What a repair that loses rows says of them from then on: which ticks are here, which times are known to have none, and which files were adopted.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::sync::Arc;

use common::shaky::Shaky;
use common::{Row, all, batch, range, series, threaded};
use futures_util::{TryStreamExt, stream};
use minutebook_core::{OnConflict, TimeRange, TimeSeriesRepository, Version, WriteMode};
use minutebook_parquet::{
    AbsorbedSegment, LoadParquet, Metadata, ParquetConfig, ParquetTimeSeriesRepository,
    SaveParquet, load_parquet, save_parquet,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

fn over(store: &Arc<Shaky>) -> ParquetTimeSeriesRepository {
    let mut config = ParquetConfig::default()
        .target_segment_rows(4_096)
        .merge_floor_rows(0);
    config.row_group_rows = 512;
    ParquetTimeSeriesRepository::with_store(Arc::clone(store) as _, config)
}

fn many(from: i64, to: i64) -> Vec<Row> {
    (from..to).map(|n| (n * 10, n)).collect()
}

async fn names(store: &Shaky, dir: &str) -> Vec<Path> {
    let dir = Path::from(format!("btcusd/1m/{dir}"));
    let listed = store.inner.list(Some(&dir));
    let mut names: Vec<Path> = listed.map_ok(|it| it.location).try_collect().await.unwrap();
    names.sort();
    names
}

fn named(paths: &[Path]) -> Vec<String> {
    let names = paths.iter().map(|path| path.filename().unwrap().to_owned());
    names.collect()
}

/// The last file, with a bit of it turned over.
async fn damage_last(store: &Shaky) -> String {
    let path = names(store, "data").await.pop().unwrap();
    let bytes = store.inner.get(&path).await.unwrap().bytes().await.unwrap();
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 4;
    store.inner.put(&path, bytes.into()).await.unwrap();
    path.filename().unwrap().to_owned()
}

async fn lose_all(store: &Shaky) -> Vec<String> {
    let paths = names(store, "data").await;
    for path in &paths {
        store.inner.delete(path).await.unwrap();
    }
    named(&paths)
}

async fn write(repo: &ParquetTimeSeriesRepository, rows: &[Row]) {
    repo.write(&series(), batch(rows), WriteMode::Append)
        .await
        .unwrap();
}

fn segment(number: u64) -> AbsorbedSegment {
    AbsorbedSegment::new("log", number, format!("digest {number}"))
}

async fn absorb(repo: &ParquetTimeSeriesRepository, number: u64, rows: &[Row]) -> bool {
    let batches = stream::iter([Ok(batch(rows))]);
    let done = repo.absorb(&series(), &segment(number), batches).await;
    !done.unwrap().already
}

#[test]
fn a_series_without_a_row_has_no_segment_of_the_ticks() {
    threaded(async {
        let store = Arc::new(Shaky::default());
        let repo = over(&store);
        for number in 1..=9 {
            let at = i64::try_from(number).unwrap() * 5_000;
            assert!(absorb(&repo, number, &many(at, at + 5_000)).await);
        }
        let files = lose_all(&store).await;
        let repo = over(&store);
        let left = repo.leave_out(&series(), &files).await.unwrap();
        assert_eq!((left.saved_rows, left.lost_rows), (0, 45_000));
        let state = repo.absorbed(&series()).await.unwrap().unwrap();
        assert!((1..=9).all(|number| !state.absorbed.has("log", number)));
        // A version of a tiered series goes on: what was moved was no change of it.
        assert_eq!(state.own_commits, 1);
        // Where the log has one again, it is moved again.
        assert!(absorb(&repo, 5, &many(25_000, 30_000)).await);
        assert_eq!(all(&repo).await.unwrap().unwrap(), many(25_000, 30_000));
    });
}

#[test]
fn a_first_segment_that_its_log_still_has_leaves_a_series_without_rows() {
    threaded(async {
        let store = Arc::new(Shaky::default());
        let repo = over(&store);
        assert!(absorb(&repo, 1, &many(0, 4_000)).await);
        let said = [("source".to_owned(), Some("feed".to_owned()))];
        repo.describe(&series(), &said).await.unwrap();
        // Most of it could be read, and none of it is needed.
        let file = damage_last(&store).await;
        let repo = over(&store);
        let left = repo
            .leave_out_beside(&series(), &[file], &[segment(1)])
            .await
            .unwrap();
        assert_eq!((left.lost_rows, left.went_back_to), (0, None));
        assert_eq!(all(&repo).await.unwrap().unwrap(), []);
        let state = repo.absorbed(&series()).await.unwrap().unwrap();
        assert!(!state.absorbed.has("log", 1));
        let said = repo.metadata(&series()).await.unwrap();
        assert_eq!(said.get("source").map(String::as_str), Some("feed"));
        assert!(absorb(&repo, 1, &many(0, 4_000)).await);
        assert_eq!(all(&repo).await.unwrap().unwrap(), many(0, 4_000));
    });
}

#[test]
fn a_version_without_rows_is_one_to_go_back_to() {
    threaded(async {
        let store = Arc::new(Shaky::default());
        let repo = over(&store);
        write(&repo, &many(0, 5_000)).await;
        repo.delete(&series(), Some(TimeRange::all()))
            .await
            .unwrap();
        let deleted = names(&store, "data").await;
        // Moved, and not yet removed where it was.
        assert!(absorb(&repo, 1, &many(5_000, 9_000)).await);
        let file = named(&names(&store, "data").await)
            .into_iter()
            .find(|name| !named(&deleted).contains(name))
            .unwrap();
        let path = Path::from(format!("btcusd/1m/data/{file}"));
        let bytes = store.inner.get(&path).await.unwrap().bytes().await.unwrap();
        store.inner.delete(&path).await.unwrap();
        let repo = over(&store);
        let left = repo
            .leave_out_beside(&series(), std::slice::from_ref(&file), &[segment(1)])
            .await
            .unwrap();
        assert_eq!((left.lost_rows, left.went_back_to), (0, Some(Version(2))));
        assert_eq!(all(&repo).await.unwrap().unwrap(), []);
        let state = repo.absorbed(&series()).await.unwrap().unwrap();
        assert!(!state.absorbed.has("log", 1));

        // Of ticks that nobody has any more the rows are lost; what was deleted does not come in their place.
        store.inner.put(&path, bytes.into()).await.unwrap();
        repo.restore(
            &series(),
            minutebook_core::Snapshot::Version(Version(3)),
            &Metadata::new(),
        )
        .await
        .unwrap();
        store.inner.delete(&path).await.unwrap();
        let repo = over(&store);
        let left = repo.leave_out(&series(), &[file]).await.unwrap();
        assert_eq!(left.lost_rows, 4_000);
        assert_eq!(all(&repo).await.unwrap().unwrap(), []);
    });
}

#[test]
fn what_is_lost_is_not_known_to_be_empty() {
    threaded(async {
        let store = Arc::new(Shaky::default());
        let repo = over(&store);
        write(&repo, &many(0, 4_000)).await;
        write(&repo, &many(10_000, 14_000)).await;
        let known = range(-1_000, 1_000_000);
        repo.mark_complete(&series(), known, true).await.unwrap();

        // Some rows of the second file.
        let file = damage_last(&store).await;
        let repo = over(&store);
        let left = repo.leave_out(&series(), &[file]).await.unwrap();
        assert!(
            left.lost_rows > 0 && left.saved_rows > 4_000 / 2,
            "{left:?}"
        );
        let there = all(&repo).await.unwrap().unwrap();
        let complete = repo.complete_ranges(&series()).await.unwrap();
        let lost: Vec<Row> = many(0, 14_000)
            .into_iter()
            .filter(|(time, _)| *time < 40_000 || *time >= 100_000)
            .filter(|row| there.binary_search(row).is_err())
            .collect();
        assert_eq!(lost.len() as u64, left.lost_rows);
        let known = |time: i64| {
            let time = minutebook_core::time::from_nanos(time);
            complete.iter().any(|range| range.contains(time))
        };
        assert!(lost.iter().all(|(time, _)| !known(*time)), "{complete:?}");
        // All else is known as it was.
        let kept = there.iter().filter(|(time, _)| known(*time)).count();
        assert!(
            kept > there.len() - 8,
            "{kept} of {}: {complete:?}",
            there.len()
        );
        assert!(
            [-1_000, 40_000, 99_999, 140_000, 999_999]
                .into_iter()
                .all(known)
        );

        // All rows of a file, and with them its times.
        let first = names(&store, "data").await.remove(0);
        store.inner.delete(&first).await.unwrap();
        let repo = over(&store);
        let left = repo.leave_out(&series(), &named(&[first])).await.unwrap();
        assert_eq!((left.saved_rows, left.lost_rows), (0, 4_000));
        let complete = repo.complete_ranges(&series()).await.unwrap();
        let known = |time: i64| {
            let time = minutebook_core::time::from_nanos(time);
            complete.iter().any(|range| range.contains(time))
        };
        assert!(many(0, 4_000).iter().all(|(time, _)| !known(*time)));
        assert!(
            [-1_000, -1, 39_991, 99_999, 999_999].into_iter().all(known),
            "{complete:?}"
        );
    });
}

fn known_in(ranges: &[TimeRange], time: i64) -> bool {
    let time = minutebook_core::time::from_nanos(time);
    ranges.iter().any(|range| range.contains(time))
}

#[test]
fn an_earlier_version_that_comes_back_knows_nothing_of_what_came_after_it() {
    threaded(async {
        let store = Arc::new(Shaky::default());
        let config = ParquetConfig::default().merge_floor_rows(100_000);
        let open =
            || ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config.clone());
        let repo = open();
        let early: Vec<Row> = vec![(10, 1), (20, 2), (90, 9)];
        write(&repo, &early).await;
        let before = named(&names(&store, "data").await);
        let known = TimeRange::all();
        repo.mark_complete(&series(), known, true).await.unwrap();
        write(&repo, &[(50, 5)]).await;
        // Somebody learns that something is missing after all.
        let missing = range(5_000, 6_000);
        repo.mark_complete(&series(), missing, false).await.unwrap();
        // All rows are in one file now, and the first file is still that of the earlier versions.
        let file = named(&names(&store, "data").await)
            .into_iter()
            .find(|name| !before.contains(name))
            .unwrap();
        let path = Path::from(format!("btcusd/1m/data/{file}"));
        store.inner.delete(&path).await.unwrap();
        let repo = open();
        // Other files are named with it, which the newest version has not.
        let files = [file.clone(), "none-of-it.parquet".to_owned()];
        let left = repo.leave_out(&series(), &files).await.unwrap();
        assert_eq!(left.went_back_to, Some(Version(2)));
        assert_eq!(all(&repo).await.unwrap().unwrap(), early);
        let complete = repo.complete_ranges(&series()).await.unwrap();
        assert!(!known_in(&complete, 50), "{complete:?}");
        assert!([5_000, 5_999].iter().all(|t| !known_in(&complete, *t)));
        assert!(
            [5, 91, 4_999, 6_000]
                .iter()
                .all(|t| known_in(&complete, *t))
        );
        assert_eq!(left.lost_in, [file].into(), "only what lost rows");
    });
}

#[test]
fn a_lost_list_of_files_takes_its_times_with_it() {
    threaded(async {
        let store = Arc::new(Shaky::default());
        let mut config = ParquetConfig::default();
        config.target_segment_rows = 2;
        config.row_group_rows = 2;
        let open =
            || ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config.clone());
        let repo = open();
        write(&repo, &many(0, 300)).await;
        let known = TimeRange::all();
        repo.mark_complete(&series(), known, true).await.unwrap();
        let lists = names(&store, "groups").await;
        store.inner.delete(&lists[0]).await.unwrap();
        let repo = open();
        let left = repo
            .leave_out(&series(), &named(&lists[..1]))
            .await
            .unwrap();
        assert!(left.lost_rows > 0);
        let there = all(&repo).await.unwrap().unwrap();
        let complete = repo.complete_ranges(&series()).await.unwrap();
        for (time, number) in many(0, 300) {
            let at = minutebook_core::time::from_nanos(time);
            let known = complete.iter().any(|range| range.contains(at));
            assert_eq!(known, there.contains(&(time, number)), "{number}");
        }
        assert_eq!(complete.len(), 2, "{complete:?}");
    });
}

#[test]
fn lost_rows_bring_no_adopted_file_over_later_corrections() {
    threaded(async {
        let dir = tempfile::tempdir().unwrap();
        let files = [(0, 4_000), (4_000, 8_000), (8_000, 12_000)].map(|(from, to)| {
            let path = dir.path().join(format!("{from}.parquet"));
            save_parquet(&[batch(&many(from, to))], &path, &SaveParquet::default()).unwrap();
            path
        });
        let store = Arc::new(Shaky::default());
        let repo = over(&store);
        let note = Metadata::new();
        let adopted = repo.adopt(&series(), &files, &note).await.unwrap();
        assert_eq!(adopted.rows, 12_000);
        // The vendor's rows are corrected, some are deleted, and other files are made of all of them.
        let corrected: Vec<Row> = (0..100).map(|n| (n * 10, -n)).collect();
        let upsert = |on_conflict| WriteMode::Upsert { on_conflict };
        repo.write(&series(), batch(&corrected), upsert(OnConflict::Replace))
            .await
            .unwrap();
        repo.delete(&series(), Some(range(50_000, 51_000)))
            .await
            .unwrap();
        repo.compact(&series()).await.unwrap();
        let before = all(&repo).await.unwrap().unwrap();
        // The versions before are vacuumed, as it were.
        let log = names(&store, "log").await;
        for path in &log[..log.len() - 1] {
            store.inner.delete(path).await.unwrap();
        }
        let file = damage_last(&store).await;
        let repo = over(&store);
        let left = repo.leave_out(&series(), &[file]).await.unwrap();
        assert!(left.lost_rows > 0 && left.saved_rows > 0, "{left:?}");
        let saved = all(&repo).await.unwrap().unwrap();
        // Every night the directory is adopted once more.
        let again = repo.adopt(&series(), &files, &note).await.unwrap();
        assert_eq!((again.rows, again.already.len()), (0, 3), "{again:?}");
        assert_eq!(all(&repo).await.unwrap().unwrap(), saved);
        let versions = repo.versions(&series()).await.unwrap();
        let said = &versions.last().unwrap().note["repair"];
        assert!(said.contains("upsert"), "{said}");
        // The way that it names: what is there stays as it is, and what is not comes back as the files have it.
        for path in &files {
            let batch = load_parquet(path, &LoadParquet::default()).unwrap();
            repo.write(&series(), batch, upsert(OnConflict::Keep))
                .await
                .unwrap();
        }
        let mut expected = saved.clone();
        expected.extend(
            many(0, 12_000)
                .into_iter()
                .filter(|(time, _)| saved.binary_search_by_key(time, |(time, _)| *time).is_err()),
        );
        expected.sort_unstable();
        assert!(expected.len() >= before.len());
        assert_eq!(all(&repo).await.unwrap().unwrap(), expected);
    });
}
