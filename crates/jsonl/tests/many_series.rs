//! 5,000 series in one process, with the settings as they are by default: appended, read and followed at the same time by several tasks, with few files open.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::time::Duration;

use common::*;
use futures_util::StreamExt;
use minutebook_core::{ScanQuery, SeriesId};
use minutebook_fs::Durability;
use minutebook_jsonl::{
    AppenderOptions, Follow, FollowFrom, FollowQuery, JsonlConfig, JsonlTimeSeriesRepository,
};

const SERIES: usize = 5_000;
const TASKS: usize = 4;

/// What the process has open, where it says so.
fn handles() -> usize {
    if cfg!(target_os = "linux") {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    } else {
        0
    }
}

/// Two for appending and one for following of each series that is kept open, and some for what is at work.
fn most() -> usize {
    JsonlConfig::default().max_open_series.get() * 3 + 64
}

fn follow(repo: &JsonlTimeSeriesRepository, series: &SeriesId) -> Follow {
    let query = FollowQuery::new().from(FollowFrom::Start);
    repo.follow(series, &query.poll_interval(Duration::from_millis(5)))
}

async fn work(repo: JsonlTimeSeriesRepository, series: Vec<SeriesId>) -> Vec<(SeriesId, Follow)> {
    let mut follows = Vec::new();
    for series in series {
        repo.append_entries(&series, &entries(0..2)).await.unwrap();
        let (rows, _) = scan(&repo, &series, &ScanQuery::new()).await.unwrap();
        assert_eq!(rows.num_rows(), 2);
        let mut follow = follow(&repo, &series);
        for n in 0..2 {
            assert_eq!(follow.next().await.unwrap().unwrap().text(), entry(n));
        }
        follows.push((series, follow));
        assert!(handles() < most(), "{} handles are open", handles());
    }
    follows
}

#[test]
fn five_thousand_series_are_appended_read_and_followed() {
    let place = Place::with(JsonlConfig::default().durability(Durability::Buffered));
    let all: Vec<_> = (0..SERIES).map(|n| id(&format!("S{n}@ticks"))).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(TASKS)
        .max_blocking_threads(TASKS)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = all
            .chunks(SERIES / TASKS)
            .map(|some| tokio::spawn(work(place.repo.clone(), some.to_vec())))
            .collect();
        let mut follows = Vec::new();
        for task in tasks {
            follows.extend(task.await.unwrap());
        }
        assert_eq!(follows.len(), SERIES);
        assert!(handles() < most(), "{} handles are open", handles());
        // All of them go on, whether their file was kept open or not.
        let appender = place.repo.appender(AppenderOptions::new()).unwrap();
        for series in &all {
            appender.push(series, &entry(2)).await.unwrap();
        }
        appender.flush().await.unwrap();
        for (series, follow) in &mut follows {
            let entry_of = follow.next().await.unwrap().unwrap();
            assert_eq!(entry_of.text(), entry(2), "{series}");
        }
        assert!(handles() < most(), "{} handles are open", handles());
        appender.close().await.unwrap();
    });
}
