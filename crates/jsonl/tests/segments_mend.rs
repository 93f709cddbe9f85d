//! Segments that are mended: what can still be read is kept, and the mending can be stopped anywhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test program")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::*;
use minutebook_core::TimeSeriesRepository;
use minutebook_fs::crash::{self, Crashed, Options};
use minutebook_fs::{Durability, Fs, OpenMode, SimFs};
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

const FIRST: &str = "00000001.jsonl.zst";

/// Enough lines for four frames, written so that zstd cannot make them few bytes.
fn long(n: usize) -> String {
    let noise = blake3::hash(&n.to_le_bytes()).to_hex();
    entry(n % 3_600).replace('}', &format!(",\"noise\":\"{noise}\"}}"))
}

#[test]
fn whole_lines_of_whole_frames_are_kept() {
    let place = Place::new();
    let all: Vec<_> = (0..9_000).map(long).collect();
    run(async {
        place.repo.append_entries(&btc(), &all).await.unwrap();
        let sealed = place.repo.rotate(&btc()).await.unwrap().unwrap();
        let before = place.repo.summary(&btc()).await.unwrap().unwrap();
        let path = place.file("btcusd~sealed").join(FIRST);
        let good = std::fs::read(&path).unwrap();
        // In each of the frames, and in the table at the end.
        for share in [1, 3, 5, 7] {
            let mut bad = good.clone();
            bad[good.len() * share / 8] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            let files = [FIRST.to_owned()];
            place.repo.mend_segments(&btc(), &files).await.unwrap();
            let (found, report) = texts(&fresh(&place), &btc(), &EntryQuery::new())
                .await
                .unwrap();
            assert!(report.is_clean(), "{report:?}");
            // Only lines that were there, in order; and no more than those of one frame are missing.
            let mut left = all.iter();
            assert!(found.iter().all(|line| left.any(|known| known == line)));
            let lost: usize = all.iter().map(|line| line.len() + 1).sum::<usize>()
                - found.iter().map(|line| line.len() + 1).sum::<usize>();
            assert!(
                lost > 0 && lost < (262_144 + 1_000),
                "{share}: {lost} bytes"
            );
            let segments = place.repo.segments(&btc()).await.unwrap();
            assert_eq!((segments.len(), segments[0].number), (1, 1));
            let after = place.repo.summary(&btc()).await.unwrap().unwrap();
            assert_eq!(
                (after.version, after.rows),
                (before.version, found.len() as u64)
            );
            // As it was, for the next round.
            std::fs::write(&path, &good).unwrap();
            std::fs::remove_file(place.file("btcusd~sealed/manifest.json")).unwrap();
            place.repo.mend_segments(&btc(), &[]).await.unwrap();
            let again = place.repo.segments(&btc()).await.unwrap();
            assert_eq!(again[0].digest, sealed.digest);
        }
        // Without its end nothing tells where the frames are, but for each after the one before.
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        place
            .repo
            .mend_segments(&btc(), &[FIRST.to_owned()])
            .await
            .unwrap();
        assert_eq!(
            texts(&place.repo, &btc(), &EntryQuery::new())
                .await
                .unwrap()
                .0,
            all
        );
    });
}

fn open(disk: &SimFs) -> minutebook_core::Result<JsonlTimeSeriesRepository> {
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .durability(Durability::Synced)
        .read_ahead(std::num::NonZeroUsize::MIN);
    JsonlTimeSeriesRepository::open("/ticks", config)
}

async fn found(repo: &JsonlTimeSeriesRepository) -> Result<Vec<String>, String> {
    let read = texts(repo, &btc(), &EntryQuery::new()).await;
    read.map(|(found, _)| found).map_err(|e| e.to_string())
}

fn check<T>(crashed: &Crashed<'_, T>) -> Result<(), String> {
    run(async {
        let repo = open(&crashed.disk).map_err(|e| e.to_string())?;
        // The other segment and the plain file are there at every moment, in order.
        let last = texts(&repo, &btc(), &EntryQuery::new().last(2)).await;
        let last = last.map_err(|e| e.to_string())?.0;
        if last != entries(4..6) {
            return Err(format!("{last:?}"));
        }
        let files = [FIRST.to_owned()];
        let done = repo.mend_segments(&btc(), &files).await;
        done.map_err(|e| e.to_string())?;
        let all = found(&repo).await?;
        if all != entries(0..6) && all != entries(2..6) {
            return Err(format!("{all:?}"));
        }
        Ok(())
    })
}

#[test]
fn mending_can_be_stopped_anywhere() {
    // The index of a segment is damaged, and then all of it.
    for (in_index, left) in [(true, entries(0..6)), (false, entries(2..6))] {
        let report = crash::enumerate(
            &Options::default(),
            |disk| {
                let repo = open(disk).map_err(|e| e.to_string())?;
                run(async {
                    for part in 0..3 {
                        let lines = entries(part * 2..part * 2 + 2);
                        let done = repo.append_entries(&btc(), &lines).await;
                        done.map_err(|e| e.to_string())?;
                        if part < 2 {
                            repo.rotate(&btc()).await.map_err(|e| e.to_string())?;
                        }
                    }
                    Ok::<_, String>(())
                })?;
                let path = Path::new("/ticks/btcusd~sealed").join(FIRST);
                let read = minutebook_fs::read(disk, &path, 1 << 20);
                let mut bytes = read.map_err(|e| e.to_string())?.unwrap();
                let at = if in_index { bytes.len() - 100 } else { 20 };
                bytes[at] ^= 1;
                disk.remove_file(&path).map_err(|e| e.to_string())?;
                let file = disk
                    .open(&path, OpenMode::CreateNew)
                    .map_err(|e| e.to_string())?;
                file.write_all(&bytes).map_err(|e| e.to_string())?;
                file.sync_all().map_err(|e| e.to_string())?;
                disk.sync_dir(Path::new("/ticks/btcusd~sealed"))
                    .map_err(|e| e.to_string())
            },
            |disk| {
                let repo = open(disk).ok()?;
                run(repo.mend_segments(&btc(), &[FIRST.to_owned()])).ok()?;
                if let Ok(now) = run(found(&repo)) {
                    assert_eq!(now, left);
                }
                Some(())
            },
            check,
        )
        .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.steps > 5 && report.states > 10, "{report:?}");
    }
}
