//! A plain segment beside the compressed one of its number: whoever rotates next removes it only where it says no more, and writes no whole segment over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test program")]

mod common;

use std::sync::Arc;

use common::*;
use minutebook_core::check::{FindingKind, Mend};
use minutebook_fs::crash::{self, Options};
use minutebook_fs::{Fs, OpenMode, SimFs};
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

const PLAIN: &str = "btcusd~sealed/00000002.jsonl";
const SEALED: &str = "btcusd~sealed/00000002.jsonl.zst";

async fn finish(place: &Place) {
    fresh(place).mend_segments(&btc(), &[]).await.unwrap();
}

fn lines(range: std::ops::Range<usize>) -> String {
    entries(range).join("\n") + "\n"
}

#[test]
fn a_shorter_one_takes_no_line_away() {
    run(async {
        let place = Place::new();
        four(&place).await;
        let whole = place.bytes(SEALED);
        let unfinished = (FindingKind::SealingUnfinished, Mend::Backend);
        for part in [0, 1, lines(10..14).len() + 3, lines(10..19).len()] {
            let beginning = lines(10..20).into_bytes()[..part].to_vec();
            // As a copy that is going on brings it, and as one that broke off has left it.
            place.put(PLAIN, &beginning);
            finish(&place).await;
            assert!(place.bytes(PLAIN) == beginning && place.bytes(SEALED) == whole);
            assert_eq!(findings(&place), std::slice::from_ref(&unfinished));
            place.age(PLAIN);
            finish(&place).await;
            assert!(!place.file(PLAIN).exists() && place.bytes(SEALED) == whole);
            assert_eq!(findings(&place), []);
            assert_eq!(all(&place).await, entries(0..40));
        }
    });
}

#[test]
fn one_with_other_lines_is_left_alone_and_told() {
    run(async {
        for other in [lines(20..30), lines(20..24), lines(20..40)] {
            let place = Place::new();
            four(&place).await;
            let whole = place.bytes(SEALED);
            place.put_before(PLAIN, &other);
            finish(&place).await;
            assert!(place.bytes(PLAIN) == other.as_bytes() && place.bytes(SEALED) == whole);
            let orphaned = (FindingKind::SealedSegmentOrphaned, Mend::MoveAway);
            assert_eq!(findings(&place), [orphaned]);
            assert_eq!(all(&place).await, entries(0..40));
            // It is in nobody's way.
            assert_eq!(
                fresh(&place).rotate(&btc()).await.unwrap().unwrap().number,
                4
            );
        }
    });
}

#[test]
fn one_that_has_more_is_compressed_and_one_with_as_much_mends() {
    run(async {
        let place = Place::new();
        four(&place).await;
        place.put(PLAIN, lines(10..20));
        finish(&place).await;
        assert!(!place.file(PLAIN).exists());
        place.put(PLAIN, lines(10..20) + &lines(50..51));
        finish(&place).await;
        let grown = [entries(0..20), entries(50..51), entries(20..40)].concat();
        assert_eq!(
            (all(&place).await, findings(&place)),
            (grown.clone(), vec![])
        );
        // The compressed one is damaged, or gone: what is left of the plain one is all there is.
        let mut damaged = place.bytes(SEALED);
        damaged[20] ^= 1;
        place.put(SEALED, &damaged);
        place.put(PLAIN, lines(10..20) + &lines(50..51));
        finish(&place).await;
        assert_eq!(
            (all(&place).await, findings(&place)),
            (grown.clone(), vec![])
        );
        std::fs::remove_file(place.file(SEALED)).unwrap();
        place.put(PLAIN, lines(10..20) + &lines(50..51));
        finish(&place).await;
        assert_eq!((all(&place).await, findings(&place)), (grown, vec![]));
    });
}

fn open(disk: &SimFs) -> minutebook_core::Result<JsonlTimeSeriesRepository> {
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .read_ahead(std::num::NonZeroUsize::MIN);
    JsonlTimeSeriesRepository::open("/ticks", config)
}

/// Wherever a rotation is stopped that meets one, no line is lost and none is there twice.
#[test]
fn what_becomes_of_it_can_be_stopped_anywhere() {
    for (plain, more) in [(lines(2..3), 0), (lines(2..4), 0), (lines(2..5), 1)] {
        let expected = |added: usize| {
            let between = &entries(4..5)[..added];
            [entries(0..4), between.to_vec(), entries(4..6)].concat()
        };
        let report = crash::enumerate(
            &Options::default(),
            |disk| {
                run(async {
                    let repo = open(disk).unwrap();
                    for part in 0..3 {
                        let two = entries(part * 2..part * 2 + 2);
                        repo.append_entries(&btc(), &two).await.unwrap();
                        repo.rotate(&btc()).await.unwrap().unwrap();
                    }
                });
                let path = std::path::Path::new("/ticks").join(PLAIN);
                let file = disk.open(&path, OpenMode::CreateNew).unwrap();
                file.write_all(plain.as_bytes()).unwrap();
                file.sync_all().unwrap();
                disk.sync_dir(path.parent().unwrap()).unwrap();
                Ok::<_, String>(())
            },
            |disk| run(open(disk).ok()?.rotate(&btc())).ok(),
            |crashed| {
                run(async {
                    let query = EntryQuery::new();
                    let repo = open(&crashed.disk).map_err(|error| error.to_string())?;
                    let now = texts(&repo, &btc(), &query).await;
                    let (now, _) = now.map_err(|error| error.to_string())?;
                    let rotated = repo.rotate(&btc()).await;
                    rotated.map_err(|error| error.to_string())?;
                    let again = open(&crashed.disk).map_err(|error| error.to_string())?;
                    let end = texts(&again, &btc(), &query).await;
                    let (end, _) = end.map_err(|error| error.to_string())?;
                    let fits = now == expected(0) || now == expected(more);
                    if !fits || end != expected(more) {
                        return Err(format!("{now:?}, and then {end:?}"));
                    }
                    Ok(())
                })
            },
        )
        .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.steps > 0 && report.states > 1, "{report:?}");
    }
}
