//! Segments that come into a directory after its list was put together from those that were there, as a copy that is still going on brings them: they are taken in, and
//! no rotation removes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test program")]

mod common;

use std::sync::Arc;

use common::*;
use minutebook_core::check::{FindingKind, Mend};
use minutebook_core::{ErrorKind, TimeSeriesRepository};
use minutebook_fs::crash::{self, Options};
use minutebook_fs::{Durability, Fs as _, SimFs};
use minutebook_jsonl::{EntryQuery, JsonlConfig, JsonlTimeSeriesRepository};

const MANIFEST: &str = "btcusd~sealed/manifest.json";

fn sealed(number: u64) -> String {
    format!("btcusd~sealed/{number:08}.jsonl.zst")
}

fn raw(number: u64) -> String {
    format!("btcusd~sealed/{number:08}.jsonl")
}

/// Five segments of ten entries each and a plain file, copied with the manifest of the first two and without the segments 3 and 4, which come when the list was put together
/// from the others.
async fn copied_in_part() -> (Place, Vec<(u64, Vec<u8>)>) {
    let place = Place::new();
    let mut older = Vec::new();
    for part in 0..6 {
        let entries = entries(part * 10..part * 10 + 10);
        place.repo.append_entries(&btc(), &entries).await.unwrap();
        if part == 2 {
            older = place.bytes(MANIFEST);
        }
        if part < 5 {
            place.repo.rotate(&btc()).await.unwrap().unwrap();
        }
    }
    place.put(MANIFEST, older);
    let late = [3, 4].map(|number| (number, place.bytes(&sealed(number))));
    for (number, _) in &late {
        std::fs::remove_file(place.file(&sealed(*number))).unwrap();
    }
    let repo = fresh(&place);
    assert_eq!(repo.rotate(&btc()).await.unwrap().unwrap().number, 6);
    (place, late.into())
}

#[test]
fn a_segment_that_comes_late_is_taken_in_by_the_next_rotation() {
    run(async {
        let (place, late) = copied_in_part().await;
        assert_eq!(
            all(&place).await,
            [entries(0..20), entries(40..60)].concat()
        );
        for (number, bytes) in &late {
            place.put(&sealed(*number), bytes);
        }
        let unfinished = (FindingKind::SealingUnfinished, Mend::Backend);
        assert_eq!(findings(&place), [unfinished.clone(), unfinished]);
        let repo = fresh(&place);
        assert_eq!(repo.rotate(&btc()).await.unwrap(), None);
        for (number, bytes) in &late {
            assert!(place.bytes(&sealed(*number)) == *bytes, "{number}");
        }
        assert_eq!(all(&place).await, entries(0..60));
        assert_eq!(findings(&place), []);
        // What is moved away from then on does not come back.
        let mut held = repo.hand_over(&btc()).await.unwrap().unwrap();
        assert!(held.remove(&[3]).await.unwrap() > 0);
        drop(held);
        assert_eq!(
            all(&place).await,
            [entries(0..20), entries(30..60)].concat()
        );
    });
}

#[test]
fn so_is_one_that_is_not_compressed() {
    run(async {
        let (place, _) = copied_in_part().await;
        let lines = |range| entries(range).join("\n") + "\n";
        place.put(&raw(3), lines(20..25));
        // And one beyond the next number.
        place.put(&raw(9), lines(60..70));
        let unfinished = (FindingKind::SealingUnfinished, Mend::Backend);
        let both = [unfinished.clone(), unfinished];
        assert_eq!(findings(&place), both);
        // As long as they were written to a moment ago, more of them may be on its way.
        let repo = fresh(&place);
        repo.mend_segments(&btc(), &[]).await.unwrap();
        assert_eq!(repo.rotate(&btc()).await.unwrap(), None);
        assert_eq!(findings(&place), both);
        assert_eq!(
            all(&place).await,
            [entries(0..20), entries(40..60)].concat()
        );
        place.put_before(&raw(3), lines(20..30));
        place.age(&raw(9));
        repo.mend_segments(&btc(), &[]).await.unwrap();
        assert_eq!(
            all(&place).await,
            [entries(0..30), entries(40..70)].concat()
        );
        assert_eq!(findings(&place), []);
        repo.append_entries(&btc(), &entries(70..71)).await.unwrap();
        assert_eq!(repo.rotate(&btc()).await.unwrap().unwrap().number, 10);
    });
}

#[test]
fn what_is_damaged_or_of_another_number_is_left_alone() {
    run(async {
        let (place, late) = copied_in_part().await;
        let mut damaged = late[0].1.clone();
        damaged[20] ^= 1;
        place.put(&sealed(3), &damaged);
        place.put(&sealed(4), &late[0].1);
        let repo = fresh(&place);
        repo.rotate(&btc()).await.unwrap();
        assert_eq!(
            all(&place).await,
            [entries(0..20), entries(40..60)].concat()
        );
        assert!(place.bytes(&sealed(3)) == damaged && place.bytes(&sealed(4)) == late[0].1);
        let orphaned = (FindingKind::SealedSegmentOrphaned, Mend::MoveAway);
        assert_eq!(findings(&place), [orphaned.clone(), orphaned]);
    });
}

#[test]
fn one_that_an_intact_list_gave_away_is_neither_read_nor_removed() {
    run(async {
        let place = Place::with(JsonlConfig::default().durability(Durability::Buffered));
        for part in 0..3 {
            let entries = entries(part * 10..part * 10 + 10);
            place.repo.append_entries(&btc(), &entries).await.unwrap();
            place.repo.rotate(&btc()).await.unwrap().unwrap();
        }
        let first = place.bytes(&sealed(1));
        let mut held = place.repo.hand_over(&btc()).await.unwrap().unwrap();
        assert!(held.remove(&[1]).await.unwrap() > 0);
        drop(held);
        // A later change of the list says that the file is gone.
        place
            .repo
            .append_entries(&btc(), &entries(30..31))
            .await
            .unwrap();
        place.repo.rotate(&btc()).await.unwrap().unwrap();
        place.put(&sealed(1), &first);
        let repo = fresh(&place);
        assert_eq!(repo.rotate(&btc()).await.unwrap(), None);
        assert_eq!(all(&place).await, entries(10..31));
        assert!(place.bytes(&sealed(1)) == first);
        let orphaned = (FindingKind::SealedSegmentOrphaned, Mend::MoveAway);
        assert_eq!(findings(&place), [orphaned]);
    });
}

#[test]
fn a_pair_that_an_interrupted_compression_left_comes_late() {
    run(async {
        // Whole, the plain one with a line that a program without the lock has added; and of the number that the list gives next.
        for (number, grown) in [(3_usize, 30), (4, 40), (4, 41)] {
            let place = Place::new();
            let mut late = Vec::new();
            for part in 0..5 {
                let entries = entries(part * 10..part * 10 + 10);
                place.repo.append_entries(&btc(), &entries).await.unwrap();
                if part < 4 {
                    place.repo.rotate(&btc()).await.unwrap().unwrap();
                }
                if part + 1 == number {
                    late = place.bytes(&sealed(number as u64));
                }
            }
            let number = number as u64;
            std::fs::remove_file(place.file(MANIFEST)).unwrap();
            std::fs::remove_file(place.file(&sealed(number))).unwrap();
            let repo = fresh(&place);
            // The list is put together from the others.
            repo.mend_segments(&btc(), &[]).await.unwrap();
            let from = usize::try_from(number - 1).unwrap() * 10;
            place.put(&sealed(number), &late);
            place.put(&raw(number), entries(from..grown).join("\n") + "\n");
            let repo = fresh(&place);
            repo.mend_segments(&btc(), &[]).await.unwrap();
            let rest = entries(from + 10..50);
            let expected = [entries(0..grown), rest].concat();
            assert_eq!(all(&place).await, expected, "{number} {grown}");
            assert_eq!(findings(&place), [], "{number} {grown}");
            // By the name that it had.
            let named = repo.segments(&btc()).await.unwrap();
            let place_of = named.iter().position(|it| it.number == number);
            let ids: Vec<_> = named.iter().map(|it| it.log_id.clone()).collect();
            assert!(
                ids.iter().all(|id| *id == ids[place_of.unwrap()]),
                "{ids:?}"
            );
            let sealed = repo.rotate(&btc()).await.unwrap().unwrap();
            assert_eq!(sealed.number, 5);
        }
    });
}

fn open(disk: &SimFs) -> minutebook_core::Result<JsonlTimeSeriesRepository> {
    let config = JsonlConfig::default()
        .fs(Arc::new(disk.clone()))
        .read_ahead(std::num::NonZeroUsize::MIN);
    JsonlTimeSeriesRepository::open("/ticks", config)
}

async fn entries_of(disk: &SimFs) -> Result<Vec<String>, String> {
    let repo = open(disk).map_err(|error| error.to_string())?;
    match texts(&repo, &btc(), &EntryQuery::new()).await {
        Ok((found, _)) => Ok(found),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// What a deletion has taken out is not taken for something that came late, wherever it is stopped.
#[test]
fn a_deletion_after_the_list_was_put_together_takes_nothing_back() {
    let report = crash::enumerate(
        &Options::default(),
        |disk| {
            run(async {
                let repo = open(disk).unwrap();
                for part in 0..4 {
                    let lines = entries(part * 2..part * 2 + 2);
                    repo.append_entries(&btc(), &lines).await.unwrap();
                    match part {
                        1 => {
                            repo.rotate(&btc()).await.unwrap();
                            let manifest = std::path::Path::new("/ticks").join(MANIFEST);
                            disk.remove_file(&manifest).unwrap();
                            disk.sync_dir(manifest.parent().unwrap()).unwrap();
                        }
                        3 => {}
                        _ => drop(repo.rotate(&btc()).await.unwrap()),
                    }
                }
            });
            Ok::<_, String>(())
        },
        |disk| run(open(disk).ok()?.delete(&btc(), None)).ok(),
        |crashed| {
            run(async {
                let before = entries_of(&crashed.disk).await?;
                let repo = open(&crashed.disk).map_err(|error| error.to_string())?;
                match repo.rotate(&btc()).await {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(error.to_string());
                    }
                    _ => {}
                }
                let after = entries_of(&crashed.disk).await?;
                let lost = crashed.completed && !after.is_empty();
                if after != before || lost {
                    return Err(format!("{before:?}, and after a rotation {after:?}"));
                }
                Ok(())
            })
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 5 && report.states > 10, "{report:?}");
}
