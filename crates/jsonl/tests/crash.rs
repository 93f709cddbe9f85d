//! Every place where an append or a deletion can be stopped, and every state of the disk that this may leave.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::sync::Arc;

use arrow_array::Float64Array;
use common::{BASE, batch, btc, places, run};
use minutebook_core::{
    ErrorKind, ProblemKind, ScanQuery, SeriesFilter, TimeSeriesRepository, WriteMode,
};
use minutebook_fs::crash::{self, Crashed, Kind, Options};
use minutebook_fs::{Durability, Fault, OpKind, SimFs};
use minutebook_jsonl::{EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, TimeField};

fn open(
    disk: &SimFs,
    durability: Durability,
) -> minutebook_core::Result<JsonlTimeSeriesRepository> {
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .durability(durability)
        .read_ahead(std::num::NonZeroUsize::MIN);
    JsonlTimeSeriesRepository::open("/ticks", config)
}

fn entry(n: usize) -> String {
    format!(
        "{{\"timestamp\":\"2025-01-01T00:00:{:02}\",\"n\":{n},\"pad\":\"{}\"}}",
        n % 60,
        "x".repeat(n * 7 % 40)
    )
}

/// The entries of a crashed disk, and after one more append: no line glued to another, none lost, none twice, none partial.
fn check(
    crashed: &Crashed<'_, usize>,
    start: usize,
    total: usize,
    durable: bool,
) -> Result<(), String> {
    let repo = open(&crashed.disk, Durability::Synced).map_err(|e| e.to_string())?;
    let expected: Vec<String> = (0..total).map(entry).collect();
    run(async {
        let read = || async {
            match repo.entries(&btc(), &EntryQuery::new()).await {
                Ok(stream) => stream.collect().await.map_err(|e| e.to_string()),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Default::default()),
                Err(error) => Err(error.to_string()),
            }
        };
        let (found, report) = read().await?;
        let found: Vec<_> = found
            .into_iter()
            .map(minutebook_jsonl::Entry::into_text)
            .collect();
        let acknowledged = if durable || crashed.kind == Kind::Process {
            start + *crashed.out
        } else {
            start
        };
        if found.get(..acknowledged) != Some(&expected[..acknowledged]) {
            return Err(format!(
                "not all {acknowledged} acknowledged entries are there: {found:?}"
            ));
        }
        // Of what was not acknowledged any part may be there, but each entry whole, once, and in order.
        let mut rest = expected.iter();
        if !found.iter().all(|entry| rest.any(|next| next == entry)) {
            return Err(format!("not in the order of the appends: {found:?}"));
        }
        let torn = |kind| matches!(kind, ProblemKind::TornTail | ProblemKind::Malformed);
        if places(&report).iter().any(|(kind, ..)| !torn(*kind)) {
            return Err(format!("unexpected problems: {report:?}"));
        }
        repo.append_entries(&btc(), &["{\"timestamp\":\"2025-01-02\"}"])
            .await
            .map_err(|e| e.to_string())?;
        let (after, damage) = read().await?;
        let after: Vec<_> = after
            .into_iter()
            .map(minutebook_jsonl::Entry::into_text)
            .collect();
        // An entry of which only the newline was lost is whole again when the next append closes its line.
        let healed = report.total() - damage.total();
        let kept = found.len() + usize::try_from(healed).unwrap_or(usize::MAX);
        let healed_well = after
            .get(found.len()..kept)
            .is_some_and(|healed| healed.iter().all(|entry| rest.any(|next| next == entry)));
        if healed > 1 || !healed_well || after.len() != kept + 1 || after[..found.len()] != found {
            return Err(format!(
                "the append after the crash disturbed the entries: {after:?}"
            ));
        }
        if places(&damage)
            .iter()
            .any(|(kind, ..)| *kind != ProblemKind::Malformed)
        {
            return Err(format!(
                "a torn tail did not become a damaged line: {damage:?}"
            ));
        }
        let rows = repo
            .scan(&btc(), &ScanQuery::new())
            .await
            .map_err(|e| e.to_string())?;
        let (rows, _) = rows.concat().await.map_err(|e| e.to_string())?;
        if rows.num_rows() != after.len() {
            return Err(format!(
                "{} rows of {} entries",
                rows.num_rows(),
                after.len()
            ));
        }
        Ok(())
    })
}

/// Appends single entries and batches, and says how many were acknowledged.
fn work(disk: &SimFs, durability: Durability, start: usize) -> usize {
    let Ok(repo) = open(disk, durability) else {
        return 0;
    };
    run(async {
        let mut done = 0;
        for count in [1, 3, 1] {
            let from = start + done;
            let entries: Vec<_> = (from..from + count).map(entry).collect();
            if repo.append_entries(&btc(), &entries).await.is_err() {
                break;
            }
            done += count;
        }
        done
    })
}

#[test]
fn acknowledged_entries_survive_every_crash() {
    for (durability, durable) in [(Durability::Synced, true), (Durability::Buffered, false)] {
        for start in [0, 2] {
            let report = crash::enumerate(
                &Options::default(),
                |disk| {
                    let repo = open(disk, Durability::Synced).map_err(|e| e.to_string())?;
                    let entries: Vec<_> = (0..start).map(entry).collect();
                    run(repo.append_entries(&btc(), &entries))
                        .map(drop)
                        .map_err(|e| e.to_string())
                },
                |disk| work(disk, durability, start),
                |crashed| check(crashed, start, start + 5, durable),
            )
            .unwrap();
            assert!(report.states > 50, "{report:?}");
        }
    }
}

#[test]
fn a_known_bad_writer_is_caught() {
    // Without the sync, what was acknowledged is lost: the check must see it.
    let failure = crash::enumerate(
        &Options::default(),
        |disk| {
            open(disk, Durability::Synced)
                .map(drop)
                .map_err(|e| e.to_string())
        },
        |disk| work(disk, Durability::Buffered, 0),
        |crashed| check(crashed, 0, 5, true),
    )
    .unwrap_err();
    assert!(
        failure.message.contains("acknowledged entries"),
        "{failure}"
    );
}

#[test]
fn batches_with_types_survive_every_crash() {
    let nulls = |offset| {
        let sizes = Float64Array::from(vec![None, None]);
        let prices = Float64Array::from(vec![1.5, 2.0]);
        batch(
            &[offset, offset + 1],
            vec![("price", Arc::new(prices)), ("size", Arc::new(sizes))],
        )
    };
    crash::enumerate(
        &Options::default(),
        |_| Ok(()),
        |disk| {
            let Ok(repo) = open(disk, Durability::Synced) else {
                return 0;
            };
            run(async {
                let mut rows = 0;
                for offset in [10, 20] {
                    if repo
                        .write(&btc(), nulls(offset), WriteMode::Append)
                        .await
                        .is_err()
                    {
                        break;
                    }
                    rows += 2;
                }
                rows
            })
        },
        |crashed| {
            let repo = open(&crashed.disk, Durability::Synced).map_err(|e| e.to_string())?;
            run(async {
                let (rows, schema) = match repo.scan(&btc(), &ScanQuery::new()).await {
                    Ok(stream) => {
                        let schema = Arc::clone(stream.schema());
                        let (rows, _) = stream.concat().await.map_err(|e| e.to_string())?;
                        (common::nanos(&rows), Some(schema))
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), None),
                    Err(error) => return Err(error.to_string()),
                };
                let expected = [10, 11, 20, 21].map(|offset| BASE + offset);
                if rows != expected[..rows.len()] || rows.len() < *crashed.out {
                    return Err(format!("{rows:?}, acknowledged {}", crashed.out));
                }
                if *crashed.out > 0 {
                    let size = schema.and_then(|s| {
                        s.field_with_name("size")
                            .map(|f| f.data_type().clone())
                            .ok()
                    });
                    if size != Some(arrow_schema::DataType::Float64) {
                        return Err(format!("the type of a column of nulls is {size:?}"));
                    }
                }
                // Whatever is left over, the series takes the same rows again.
                repo.write(&btc(), nulls(30), WriteMode::Append)
                    .await
                    .map(drop)
                    .map_err(|e| e.to_string())
            })
        },
    )
    .unwrap();
}

#[test]
fn a_deletion_is_whole_or_not_at_all() {
    let millis = TimeField::timestamp().epoch(EpochUnit::Milliseconds);
    let number = |n: u32| format!("{{\"timestamp\":173568960000{n}}}");
    crash::enumerate(
        &Options::default(),
        |disk| {
            let repo = open(disk, Durability::Synced).map_err(|e| e.to_string())?;
            let entries = [number(1), number(2)];
            run(repo.append_entries_at(&btc(), &entries, &millis))
                .map(drop)
                .map_err(|e| e.to_string())
        },
        |disk| {
            let Ok(repo) = open(disk, Durability::Synced) else {
                return None;
            };
            run(repo.delete(&btc(), None)).ok()
        },
        |crashed| {
            let repo = open(&crashed.disk, Durability::Synced).map_err(|e| e.to_string())?;
            run(async {
                let listed = repo
                    .list(&SeriesFilter::new())
                    .await
                    .map_err(|e| e.to_string())?;
                let summary = repo.summary(&btc()).await.map_err(|e| e.to_string())?;
                let rows = summary.map(|summary| summary.rows);
                match (crashed.out, rows) {
                    (Some(2), None) | (None, None | Some(2)) => {}
                    other => return Err(format!("deleted, rows: {other:?}")),
                }
                if listed.is_empty() != rows.is_none() {
                    return Err(format!("{rows:?} rows, but listed: {listed:?}"));
                }
                if rows.is_none() {
                    // A new series does not inherit the unit of the old one.
                    let seconds = TimeField::timestamp().epoch(EpochUnit::Seconds);
                    let entries = ["{\"timestamp\":1735689600}"];
                    repo.append_entries_at(&btc(), &entries, &seconds)
                        .await
                        .map_err(|e| e.to_string())?;
                    let summary = repo.summary(&btc()).await.map_err(|e| e.to_string())?;
                    let first = summary
                        .and_then(|s| s.first)
                        .map(|t| t.timestamp_nanos_opt());
                    if first != Some(Some(BASE)) {
                        return Err(format!("the new series begins at {first:?}"));
                    }
                }
                Ok(())
            })
        },
    )
    .unwrap();
}

#[test]
fn a_full_disk_leaves_the_series_as_it_was() {
    run(async {
        let disk = SimFs::new();
        let repo = open(&disk, Durability::Synced).unwrap();
        repo.append_entries(&btc(), &[entry(1)]).await.unwrap();
        let before = repo.summary(&btc()).await.unwrap();
        disk.fail_next(OpKind::Append, std::io::ErrorKind::StorageFull);
        let error = repo.append_entries(&btc(), &[entry(2)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(repo.summary(&btc()).await.unwrap(), before);
        disk.fail_next(OpKind::Append, std::io::ErrorKind::StorageFull);
        let nulls = batch(
            &[1],
            vec![("size", Arc::new(Float64Array::from(vec![None])))],
        );
        repo.write(&btc(), nulls, WriteMode::Append)
            .await
            .unwrap_err();
        assert_eq!(repo.summary(&btc()).await.unwrap(), before);
        repo.append_entries(&btc(), &[entry(2)]).await.unwrap();
        assert_eq!(repo.summary(&btc()).await.unwrap().unwrap().rows, 2);
    });
}

#[test]
fn a_failed_sync_is_not_forgotten() {
    run(async {
        let disk = SimFs::new();
        let repo = open(&disk, Durability::Synced).unwrap();
        repo.append_entries(&btc(), &[entry(1)]).await.unwrap();
        disk.fail_next(OpKind::SyncData, std::io::ErrorKind::Other);
        let error = repo.append_entries(&btc(), &[entry(2)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let error = repo.append_entries(&btc(), &[entry(2)]).await.unwrap_err();
        assert!(error.to_string().contains("poisoned"), "{error}");
        assert!(repo.sync().await.is_err());
        // Reading goes on, and a repository that is opened again writes.
        assert!(repo.summary(&btc()).await.unwrap().unwrap().rows >= 1);
        open(&disk, Durability::Synced)
            .unwrap()
            .append_entries(&btc(), &[entry(3)])
            .await
            .unwrap();
    });
}

/// So many entries that several threads check them, and their lines lie in several pieces.
#[test]
fn a_long_batch_is_whole_or_not_at_all() {
    run(async {
        let disk = SimFs::new();
        let repo = open(&disk, Durability::Synced).unwrap();
        repo.append_entries(&btc(), &[entry(1)]).await.unwrap();
        let before = disk.get("/ticks/btcusd_timeseries.jsonl");
        let entries: Vec<_> = (0..6_000).map(entry).collect();
        let one_processor = || std::thread::available_parallelism().is_ok_and(|n| n.get() == 1);
        let mut whole = 0;
        for written in [0, 1, 1_000] {
            for pieces in [0, 1] {
                disk.inject(Fault::on(OpKind::Append).after(pieces).short(written));
                let error = repo.append_entries(&btc(), &entries).await;
                disk.clear_faults();
                if error.is_ok() {
                    // One piece only: a machine with one processor. The first is always written.
                    assert!(pieces > 0 && one_processor(), "{written} {pieces}");
                    whole += 1;
                    continue;
                }
                assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
                if whole == 0 {
                    assert_eq!(disk.get("/ticks/btcusd_timeseries.jsonl"), before);
                }
            }
        }
        repo.append_entries(&btc(), &entries).await.unwrap();
        let read = repo.entries(&btc(), &EntryQuery::new()).await.unwrap();
        let (found, report) = read.collect().await.unwrap();
        assert!(report.is_clean());
        let texts: Vec<_> = found
            .iter()
            .skip(1)
            .map(minutebook_jsonl::Entry::text)
            .collect();
        let expected = std::iter::repeat_n(&entries, whole + 1).flatten();
        assert!(texts.into_iter().eq(expected));
    });
}
