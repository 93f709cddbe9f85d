//! Many writers at once lose nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::sync::Arc;

use common::{Row, all, batch, range, series, threaded};
use minutebook_core::{OnConflict, TimeSeriesRepository, WriteMode};
use minutebook_fs::SimFs;
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository, Retention, VacuumOptions};
use object_store::memory::InMemory;

const WRITERS: i64 = 8;
const ROUNDS: i64 = 12;

/// Every writer has a handle of its own, as processes do: nothing but the store arbitrates.
fn race(open: impl Fn() -> ParquetTimeSeriesRepository) {
    threaded(async {
        let tasks = (0..WRITERS).map(|writer| {
            let repo = open();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let at = writer * 1_000 + round;
                    match round % 4 {
                        0 | 1 => drop(
                            repo.write(&series(), batch(&[(at, at), (at, -at)]), WriteMode::Append)
                                .await
                                .unwrap(),
                        ),
                        2 => {
                            let mode = WriteMode::Upsert {
                                on_conflict: OnConflict::Replace,
                            };
                            repo.write(&series(), batch(&[(at - 1, 5), (at, at)]), mode)
                                .await
                                .unwrap();
                        }
                        _ => {
                            repo.delete(&series(), Some(range(at - 3, at - 2)))
                                .await
                                .unwrap();
                            let mode = WriteMode::ReplaceRange(range(at, at + 1));
                            repo.write(&series(), batch(&[(at, at)]), mode)
                                .await
                                .unwrap();
                        }
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let mut expected: Vec<Row> = Vec::new();
        for writer in 0..WRITERS {
            for round in (0..ROUNDS).step_by(4) {
                let at = writer * 1_000 + round;
                expected.extend([(at + 1, 5), (at + 2, at + 2), (at + 3, at + 3)]);
            }
        }
        let repo = open();
        assert_eq!(all(&repo).await.unwrap(), Some(expected));
        let versions = repo.versions(&series()).await.unwrap();
        let commits = WRITERS * ROUNDS / 4 * 5;
        assert_eq!(
            i64::try_from(versions.len()).unwrap(),
            commits,
            "one version for each change"
        );
        // What lost a race was removed: every file that is there is named.
        let dry = VacuumOptions::default()
            .retention(Retention::all())
            .dry_run();
        let report = repo.vacuum(&series(), &dry).await.unwrap();
        assert_eq!((report.files.len(), report.spared), (0, 0), "{report:?}");
        assert_eq!(repo.verify(&series()).await.unwrap().problems.total(), 0);
    });
}

#[test]
fn in_memory() {
    let store = Arc::new(InMemory::new());
    race(|| {
        ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, ParquetConfig::default())
    });
}

#[test]
fn on_a_simulated_disk() {
    let disk = SimFs::new();
    race(|| {
        let config = ParquetConfig::default().fs(Arc::new(disk.new_process()));
        ParquetTimeSeriesRepository::open("/series", config).unwrap()
    });
}

#[test]
fn in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    race(|| ParquetTimeSeriesRepository::open(dir.path(), ParquetConfig::default()).unwrap());
}

#[test]
fn within_one_handle() {
    let dir = tempfile::tempdir().unwrap();
    let repo = ParquetTimeSeriesRepository::open(dir.path(), ParquetConfig::default()).unwrap();
    race(|| repo.clone());
}

/// Writers go on while old versions are removed and readers read.
#[test]
fn vacuum_beside_writers_and_readers() {
    let dir = tempfile::tempdir().unwrap();
    let grace = std::time::Duration::from_secs(4);
    let open = || {
        let config = ParquetConfig::default().orphan_grace(grace);
        ParquetTimeSeriesRepository::open(dir.path(), config).unwrap()
    };
    threaded(async {
        open()
            .write(&series(), batch(&[(-1, -1)]), WriteMode::Append)
            .await
            .unwrap();
        let writers: Vec<_> = (0..3_i64)
            .map(|writer| {
                let repo = open();
                tokio::spawn(async move {
                    let mut written: Vec<Row> = Vec::new();
                    // Until versions old enough to be removed have been there for a while.
                    let began = std::time::Instant::now();
                    while began.elapsed() < grace * 2 {
                        let at = writer * 1_000_000 + i64::try_from(written.len()).unwrap();
                        repo.write(&series(), batch(&[(at, at)]), WriteMode::Append)
                            .await
                            .unwrap();
                        written.push((at, at));
                    }
                    written
                })
            })
            .collect();
        let (vacuum, reader) = (open(), open());
        let (mut seen, mut removed) = (0, 0);
        while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
            let options = VacuumOptions::default().retention(Retention::versions(3));
            removed += vacuum
                .vacuum(&series(), &options)
                .await
                .unwrap()
                .versions
                .len();
            // A version that goes while it is read is a conflict, never damage and never fewer rows.
            match all(&reader).await {
                Ok(rows) => {
                    let rows = rows.unwrap().len();
                    assert!(rows >= seen, "{rows} rows after {seen}");
                    seen = rows;
                }
                Err(error) => assert_eq!(
                    error.kind(),
                    minutebook_core::ErrorKind::Conflict,
                    "{error:?}"
                ),
            }
        }
        let mut expected: Vec<Row> = vec![(-1, -1)];
        for writer in writers {
            expected.extend(writer.await.unwrap());
        }
        assert_eq!(all(&open()).await.unwrap(), Some(expected));
        assert!(removed > 0, "nothing was old enough to be removed");
        assert_eq!(open().verify(&series()).await.unwrap().problems.total(), 0);
    });
}

/// A writer that began before a deletion must not find a number free: the entries stay for a while, and cannot be read.
#[test]
fn a_deletion_keeps_its_numbers_taken() {
    let store = Arc::new(InMemory::new());
    let open = |grace| {
        let config = ParquetConfig::default().orphan_grace(grace);
        ParquetTimeSeriesRepository::with_store(Arc::clone(&store) as _, config)
    };
    threaded(async {
        let day = std::time::Duration::from_hours(24);
        for i in 0..5 {
            open(day)
                .write(&series(), batch(&[(i, i)]), WriteMode::Append)
                .await
                .unwrap();
        }
        open(day).delete(&series(), None).await.unwrap();
        // The deletion leaves the numbers before it taken.
        let kept = open(day).versions(&series()).await.unwrap();
        assert_eq!(kept.len(), 6);
        let error = open(day)
            .scan(&series(), &minutebook_core::ScanQuery::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), minutebook_core::ErrorKind::NotFound);
        open(day)
            .write(&series(), batch(&[(9, 9)]), WriteMode::Append)
            .await
            .unwrap();
        let before = minutebook_core::Snapshot::Version(minutebook_core::Version(3));
        let query = minutebook_core::ScanQuery::new().as_of(before);
        let error = open(day).scan(&series(), &query).await.unwrap_err();
        assert_eq!(
            error.kind(),
            minutebook_core::ErrorKind::NotFound,
            "{error}"
        );
        // With nobody writing, all of it may go.
        let report = open(std::time::Duration::ZERO)
            .vacuum(&series(), &VacuumOptions::default())
            .await
            .unwrap();
        assert_eq!(report.versions, [1, 2, 3, 4, 5, 6]);
        assert_eq!(all(&open(day)).await.unwrap(), Some(vec![(9, 9)]));
    });
}

/// A writer in a process of its own: it says what was acknowledged.
#[test]
#[ignore = "run by processes_that_write_and_are_killed"]
fn child_writes_rows() {
    let Some(dir) = std::env::var_os("MINUTEBOOK_RACE") else {
        return;
    };
    let writer: i64 = std::env::var("MINUTEBOOK_WRITER").unwrap().parse().unwrap();
    let repo = ParquetTimeSeriesRepository::open(dir, ParquetConfig::default()).unwrap();
    threaded(async {
        for i in 0..ROUNDS {
            let at = writer * 1_000 + i;
            let upsert = WriteMode::Upsert {
                on_conflict: OnConflict::Fail,
            };
            let mode = if i % 2 == 0 {
                WriteMode::Append
            } else {
                upsert
            };
            repo.write(&series(), batch(&[(at, at)]), mode)
                .await
                .unwrap();
            println!("acknowledged {at}");
        }
    });
}

#[test]
fn processes_that_write_and_are_killed() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["child_writes_rows", "--exact", "--ignored", "--nocapture"])
                .env("MINUTEBOOK_RACE", dir.path())
                .env("MINUTEBOOK_WRITER", writer.to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            std::thread::spawn(move || {
                let mut acknowledged: Vec<i64> = Vec::new();
                let lines = BufReader::new(child.stdout.take().unwrap()).lines();
                for line in lines.map_while(Result::ok) {
                    let Some((_, at)) = line.rsplit_once("acknowledged ") else {
                        continue;
                    };
                    acknowledged.push(at.parse().unwrap());
                    // Three of them die in the middle of what they are doing.
                    if writer < 3 && i64::try_from(acknowledged.len()).unwrap() == 3 + writer {
                        child.kill().unwrap();
                    }
                }
                let died = !child.wait().unwrap().success();
                assert_eq!(died, writer < 3, "writer {writer}");
                acknowledged
            })
        })
        .collect();
    let acknowledged: Vec<Vec<i64>> = children.into_iter().map(|t| t.join().unwrap()).collect();
    for finished in &acknowledged[3..] {
        assert_eq!(i64::try_from(finished.len()).unwrap(), ROUNDS);
    }
    threaded(async {
        let repo = ParquetTimeSeriesRepository::open(dir.path(), ParquetConfig::default()).unwrap();
        let found = all(&repo).await.unwrap().unwrap();
        for writer in 0..WRITERS {
            for i in 0..ROUNDS {
                let at = writer * 1_000 + i;
                let count = found.iter().filter(|row| **row == (at, at)).count();
                let known = acknowledged.iter().flatten().any(|known| *known == at);
                assert!(
                    (usize::from(known)..=1).contains(&count),
                    "row {at} is there {count} times"
                );
            }
        }
        assert_eq!(repo.verify(&series()).await.unwrap().problems.total(), 0);
        repo.write(&series(), batch(&[(-1, -1)]), WriteMode::Append)
            .await
            .unwrap();
        assert_eq!(all(&repo).await.unwrap().unwrap().len(), found.len() + 1);
    });
}
