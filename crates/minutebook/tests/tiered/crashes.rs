//! A compaction that is stopped at any of its steps.

use minutebook::{ScanQuery, TimeSeriesRepository};
use minutebook_fs::crash::{self, Crashed, Options};

use minutebook_fs::Durability;

use crate::{btc, entry, numbers, on, run, with};

/// All rows are there once, whoever looks: before anybody goes on, while the going on is done again, and after it.
fn check<T>(crashed: &Crashed<'_, T>, rows: i64) -> std::result::Result<(), String> {
    run(async {
        let (hot, tiered) = on(&crashed.disk).map_err(|e| e.to_string())?;
        let all: Vec<i64> = (0..rows).collect();
        for round in 0..2 {
            let found = numbers(&tiered, &ScanQuery::new())
                .await
                .map_err(|e| e.to_string())?;
            if found != all {
                return Err(format!("round {round}: {found:?}"));
            }
            let summary = tiered.summary(&btc()).await.map_err(|e| e.to_string())?;
            if summary.map(|s| s.rows) != Some(all.len() as u64) {
                return Err("the summary counts other rows".to_owned());
            }
            let done = tiered
                .compact(&btc(), false)
                .await
                .map_err(|e| e.to_string())?;
            if !done.refused.is_empty() {
                return Err(format!("{:?}", done.refused));
            }
        }
        if !hot
            .segments(&btc())
            .await
            .map_err(|e| e.to_string())?
            .is_empty()
        {
            return Err("segments are left".to_owned());
        }
        Ok(())
    })
}

#[test]
fn a_compaction_can_be_stopped_anywhere() {
    stopped_anywhere(Durability::Synced);
}

/// Tick files whose rows are durable, and Parquet files of a store that syncs nothing: what is moved stays durable.
#[test]
fn so_can_one_to_a_store_that_syncs_nothing() {
    stopped_anywhere(Durability::Buffered);
}

fn stopped_anywhere(cold: Durability) {
    let report = crash::enumerate(
        &Options::default(),
        |disk| {
            let (hot, _) = on(disk).map_err(|e| e.to_string())?;
            run(async {
                for part in 0..2 {
                    let entries: Vec<_> = (part * 3..part * 3 + 3).map(entry).collect();
                    hot.append_entries(&btc(), &entries)
                        .await
                        .map_err(|e| e.to_string())?;
                    hot.rotate(&btc()).await.map_err(|e| e.to_string())?;
                }
                let last = hot.append_entries(&btc(), &[entry(6)]).await;
                last.map(drop).map_err(|e| e.to_string())
            })
        },
        |disk| {
            let (_, tiered) = with(disk, cold).ok()?;
            run(tiered.compact(&btc(), false)).ok().map(drop)
        },
        |crashed| check(crashed, 7),
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 15 && report.states > 100, "{report:?}");
}
