//! What a compaction has written is read back before the segment goes. Here the disk gives back another file, which is sound by itself and of the same length.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minutebook::{ErrorKind, ScanQuery, TimeSeriesRepository};
use minutebook_fs::{OpKind, SimFs};

use crate::{btc, numbers, on, run};

fn is_data(path: &Path) -> bool {
    path.starts_with("/series")
        && path
            .extension()
            .is_some_and(|extension| extension == "parquet")
}

/// The two pages of values, with their checksums, end before this offset of the file; indexes and footer, whose digest the log has, begin behind it.
const PAGES: usize = 100;

/// One sealed segment of eight rows.
async fn sealed(
    first: usize,
) -> (
    SimFs,
    minutebook::jsonl::JsonlTimeSeriesRepository,
    minutebook::Tiered,
) {
    let disk = SimFs::new();
    let (hot, tiered) = on(&disk).unwrap();
    let entry = |n: usize| {
        format!(
            "{{\"timestamp\":\"2025-01-01T00:00:0{}\",\"n\":{}}}",
            n,
            n + first
        )
    };
    let entries: Vec<String> = (0..8).map(entry).collect();
    hot.append_entries(&btc(), &entries).await.unwrap();
    hot.rotate(&btc()).await.unwrap().unwrap();
    (disk, hot, tiered)
}

#[test]
fn rows_that_read_back_as_others_take_nothing_away() {
    run(async {
        let (other, _, tiered) = sealed(30).await;
        assert_eq!(tiered.compact(&btc(), false).await.unwrap().moved.len(), 1);
        let mut files = other.tree().into_iter();
        let other = files
            .find_map(|(path, bytes)| bytes.filter(|_| is_data(&path)))
            .unwrap();

        let (disk, hot, tiered) = sealed(20).await;
        let process = disk.new_process();
        let replaced = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&replaced);
        disk.on_op(move |event| {
            let here = process.get(&event.path).filter(|_| is_data(&event.path));
            if event.kind == OpKind::Open
                && let Some(here) = here.filter(|here| here.len() == other.len())
            {
                let other = [&other[..PAGES], &here[PAGES..]].concat();
                process.put(&event.path, &other).unwrap();
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert!(replaced.load(Ordering::Relaxed) > 0);
        assert_eq!((done.moved.len(), done.refused.len()), (0, 1));
        let error = &done.refused[0].error;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("read back"), "{error}");
        disk.clear_hook();

        let all: Vec<i64> = (20..28).collect();
        assert_eq!(hot.segments(&btc()).await.unwrap().len(), 1);
        let (_, tiered) = on(&disk).unwrap();
        assert_eq!(numbers(&tiered, &ScanQuery::new()).await.unwrap(), all);
        assert_eq!(tiered.compact(&btc(), false).await.unwrap().moved.len(), 1);
        assert_eq!(numbers(&tiered, &ScanQuery::new()).await.unwrap(), all);
        assert_eq!(tiered.summary(&btc()).await.unwrap().unwrap().rows, 8);
    });
}
