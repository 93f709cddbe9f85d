//! Segments with the names of others, as somebody copies and renames them: no line is read twice, nothing is removed, and each is told of.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test program")]

mod common;

use common::*;
use minutebook_core::check::{FindingKind, Mend};
use minutebook_core::{ErrorKind, ProblemKind, ScanQuery, TimeSeriesRepository};
use minutebook_jsonl::{EntryQuery, JsonlConfig};

const MANIFEST: &str = "btcusd~sealed/manifest.json";

fn sealed(number: u64) -> String {
    format!("btcusd~sealed/{number:08}.jsonl.zst")
}

fn copy(place: &Place, from: u64, to: u64) {
    place.put(&sealed(to), place.bytes(&sealed(from)));
}

/// All 40 entries, once, by every way of reading.
async fn reads_all(place: &Place) {
    for repo in [place.repo.clone(), fresh(place)] {
        let (found, _) = texts(&repo, &btc(), &EntryQuery::new()).await.unwrap();
        assert_eq!(found, entries(0..40));
        let (rows, _) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
        assert_eq!(rows.num_rows(), 40);
        assert_eq!(repo.summary(&btc()).await.unwrap().unwrap().rows, 40);
    }
}

#[test]
fn a_copy_under_a_number_to_come_is_left_out_and_told_of() {
    for to in [4, 5, 9] {
        run(async {
            let place = Place::new();
            four(&place).await;
            copy(&place, 2, to);
            let before = place.bytes(&sealed(to));
            reads_all(&place).await;
            let (found, counted) = check(&place, &JsonlConfig::default());
            let orphaned = (FindingKind::SealedSegmentOrphaned, Mend::MoveAway);
            assert_eq!((kinds(&found), counted), (vec![orphaned], 40));
            assert_eq!(found[0].path, place.file(&sealed(to)));
            assert!(found[0].cause.contains("segment 2"), "{}", found[0].cause);
            // The manifest is not taken for an older one.
            let (_, report) = scan(&fresh(&place), &btc(), &ScanQuery::new())
                .await
                .unwrap();
            assert!(report.is_clean(), "{report:?}");
            assert!(place.bytes(&sealed(to)) == before);
        });
    }
}

#[test]
fn a_list_that_is_put_together_again_leaves_a_copy_out() {
    for to in [4, 9] {
        run(async {
            let place = Place::new();
            four(&place).await;
            copy(&place, 2, to);
            let before = place.bytes(&sealed(to));
            std::fs::remove_file(place.file(MANIFEST)).unwrap();
            reads_all(&place).await;
            let (_, report) = scan(&fresh(&place), &btc(), &ScanQuery::new())
                .await
                .unwrap();
            assert_eq!(places(&report), [(ProblemKind::DigestMismatch, None, None)]);
            let says = &report.problems()[0].message;
            let name = format!("without {to:08}.jsonl.zst, which says that it is segment 2");
            assert!(says.contains(&name), "{says}");
            let (found, counted) = check(&place, &JsonlConfig::default());
            assert_eq!(
                kinds(&found),
                [
                    (FindingKind::SealedManifestDamaged, Mend::Backend),
                    (FindingKind::SealedSegmentOrphaned, Mend::MoveAway),
                ]
            );
            assert_eq!(counted, 40);
            // The list is written again, and nothing is written over: the rotation that comes to the number is refused until the copy is out of the way.
            let repo = fresh(&place);
            let rotated = repo.rotate(&btc()).await;
            if to == 4 {
                let error = rotated.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                assert!(error.to_string().contains("segment 2"), "{error}");
            } else {
                assert_eq!(rotated.unwrap().unwrap().number, 4);
            }
            assert!(place.bytes(&sealed(to)) == before, "it was written over");
            reads_all(&place).await;
            std::fs::remove_file(place.file(&sealed(to))).unwrap();
            repo.rotate(&btc()).await.unwrap();
            reads_all(&place).await;
            assert_eq!(check(&place, &JsonlConfig::default()), (Vec::new(), 40));
        });
    }
}

#[test]
fn another_way_to_write_a_number_is_no_name_of_a_segment() {
    run(async {
        let place = Place::new();
        four(&place).await;
        let name = "btcusd~sealed/000000002.jsonl.zst";
        place.put(name, place.bytes(&sealed(2)));
        std::fs::remove_file(place.file(MANIFEST)).unwrap();
        reads_all(&place).await;
        fresh(&place).rotate(&btc()).await.unwrap();
        reads_all(&place).await;
        let (found, counted) = check(&place, &JsonlConfig::default());
        let foreign = (FindingKind::ForeignFile, Mend::Leave);
        assert_eq!((kinds(&found), counted), (vec![foreign], 40));
    });
}

#[test]
fn one_in_the_place_of_another_is_not_read_for_it() {
    run(async {
        let place = Place::new();
        four(&place).await;
        copy(&place, 1, 2);
        for max_line_bytes in [64 << 20, 1 << 20] {
            let config = JsonlConfig::default().max_line_bytes(max_line_bytes);
            let repo = minutebook_jsonl::JsonlTimeSeriesRepository::open(place.dir.path(), config);
            let repo = repo.unwrap();
            let error = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains("00000002.jsonl.zst"), "{error}");
            let error = texts(&repo, &btc(), &EntryQuery::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        let (found, counted) = check(&place, &JsonlConfig::default());
        let damaged = (FindingKind::SealedSegmentDamaged, Mend::Backend);
        assert_eq!((kinds(&found), counted), (vec![damaged], 30));
    });
}

#[test]
fn one_that_was_renamed_is_known_again() {
    run(async {
        let place = Place::new();
        four(&place).await;
        std::fs::rename(place.file(&sealed(2)), place.file(&sealed(9))).unwrap();
        scan(&fresh(&place), &btc(), &ScanQuery::new())
            .await
            .unwrap_err();
        let (found, _) = check(&place, &JsonlConfig::default());
        let rename = Mend::Rename(place.file(&sealed(2)));
        assert_eq!(kinds(&found), [(FindingKind::SealedSegmentMissing, rename)]);
        assert_eq!(found[0].path, place.file(&sealed(9)));
        assert!(!found[0].lost);
        // A copy beside the right one is only told of.
        copy(&place, 9, 2);
        let (found, _) = check(&place, &JsonlConfig::default());
        let orphaned = (FindingKind::SealedSegmentOrphaned, Mend::MoveAway);
        assert_eq!(kinds(&found), [orphaned]);
    });
}
