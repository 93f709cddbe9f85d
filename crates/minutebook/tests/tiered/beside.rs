//! Writers, rotations, compactions and readers at the same time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use minutebook::{ScanQuery, TimeSeriesRepository};

use crate::{btc, entry, numbers, on_disk, run};

#[test]
fn two_compactors_at_a_time_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, cold, _) = on_disk(dir.path());
    run(async {
        for part in 0..6 {
            let entries: Vec<_> = (part * 10..part * 10 + 10).map(entry).collect();
            hot.append_entries(&btc(), &entries).await.unwrap();
            hot.rotate(&btc()).await.unwrap().unwrap();
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (_, _, tiered) = on_disk(dir.path());
            scope.spawn(move || run(tiered.compact(&btc(), false)).unwrap());
        }
    });
    let summary = run(cold.summary(&btc())).unwrap().unwrap();
    assert_eq!(summary.rows, 60);
}

#[test]
fn every_acknowledged_row_is_read_once_while_others_write_rotate_and_compact() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = AtomicUsize::new(0);
    let moved = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (writer, mover, reader) = (
            on_disk(dir.path()),
            on_disk(dir.path()),
            on_disk(dir.path()),
        );
        let (acknowledged, moved, done) = (&acknowledged, &moved, &done);
        scope.spawn(move || {
            run(async {
                let mut n = 0;
                // Times ascend with the numbers, so that the order of time is that of the numbers.
                while n < 60 || moved.load(Ordering::SeqCst) < 4 {
                    let time = 1_735_689_600_000 + n;
                    let text = minutebook::time::format_timestamp(
                        chrono::DateTime::from_timestamp_millis(time).unwrap(),
                    );
                    let line = format!("{{\"timestamp\":\"{text}\",\"n\":{n}}}");
                    writer.0.append_entries(&btc(), &[line]).await.unwrap();
                    n += 1;
                    acknowledged.store(usize::try_from(n).unwrap(), Ordering::SeqCst);
                }
                done.store(true, Ordering::SeqCst);
            });
        });
        scope.spawn(move || {
            run(async {
                while !done.load(Ordering::SeqCst) {
                    if acknowledged.load(Ordering::SeqCst) > 0 {
                        mover.0.rotate(&btc()).await.unwrap();
                        let report = mover.2.compact(&btc(), false).await.unwrap();
                        assert!(report.refused.is_empty(), "{report:?}");
                        moved.fetch_add(report.moved.len(), Ordering::SeqCst);
                    }
                }
            });
        });
        scope.spawn(move || {
            run(async {
                loop {
                    let last = done.load(Ordering::SeqCst);
                    let least = acknowledged.load(Ordering::SeqCst);
                    if least > 0 {
                        let found = numbers(&reader.2, &ScanQuery::new()).await.unwrap();
                        assert!(found.len() >= least, "{} of {least}", found.len());
                        let all: Vec<i64> = (0..i64::try_from(found.len()).unwrap()).collect();
                        assert_eq!(found, all);
                    }
                    if last {
                        break;
                    }
                }
            });
        });
    });
}
