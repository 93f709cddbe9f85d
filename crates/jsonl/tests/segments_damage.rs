//! Segments that are damaged, a manifest that is lost, and names that are none of ours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test program"
)]

mod common;

use common::*;
use minutebook_core::{ErrorKind, ProblemKind, ScanQuery, TimeSeriesRepository};
use minutebook_jsonl::EntryQuery;

#[test]
fn a_range_reads_no_other_segment_and_damage_is_named() {
    let place = Place::new();
    run(async {
        four(&place).await;
        let path = place.file("btcusd~sealed/00000002.jsonl.zst");
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"gone").unwrap();
        let outside = range("2025-01-01T00:00:00", "2025-01-01T00:00:10");
        let (rows, _) = scan(&fresh(&place), &btc(), &ScanQuery::new().range(outside))
            .await
            .unwrap();
        assert_eq!(rows.num_rows(), 10);
        assert_eq!(
            fresh(&place).summary(&btc()).await.unwrap().unwrap().rows,
            40
        );
        assert_eq!(
            scan(&fresh(&place), &btc(), &ScanQuery::new().last(25))
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::Corrupt
        );
        // Every single bit.
        for bit in (0..good.len()).map(|byte| byte * 8 + byte % 8) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            let repo = fresh(&place);
            match scan(&repo, &btc(), &ScanQuery::new()).await {
                Ok((rows, _)) => {
                    assert_eq!(rows.num_rows(), 40, "bit {bit}");
                    let (found, _) = texts(&repo, &btc(), &EntryQuery::new()).await.unwrap();
                    assert_eq!(found, (0..40).map(entry).collect::<Vec<_>>(), "bit {bit}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}");
                    assert!(error.to_string().contains("00000002.jsonl.zst"), "{error}");
                }
            }
        }
        for len in (0..good.len()).step_by(7) {
            std::fs::write(&path, &good[..len]).unwrap();
            let error = scan(&fresh(&place), &btc(), &ScanQuery::new())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{len} bytes");
        }
    });
}

#[test]
fn a_manifest_that_is_lost_or_damaged_is_put_together_again() {
    let place = Place::new();
    run(async {
        four(&place).await;
        let path = place.file("btcusd~sealed/manifest.json");
        let good = std::fs::read(&path).unwrap();
        let damaged = String::from_utf8(good.clone())
            .unwrap()
            .replace("\"rows\":10", "\"rows\":11");
        for state in [
            None,
            Some(damaged.into_bytes()),
            Some(Vec::new()),
            Some(b"{}".to_vec()),
        ] {
            match state {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            for repo in [place.repo.clone(), fresh(&place)] {
                let (rows, report) = scan(&repo, &btc(), &ScanQuery::new()).await.unwrap();
                assert_eq!(rows.num_rows(), 40);
                assert_eq!(places(&report), [(ProblemKind::DigestMismatch, None, None)]);
            }
            // Nothing to seal but the ten entries of the plain file the first time; the manifest is written anew.
            place.repo.rotate(&btc()).await.unwrap();
            let (rows, report) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
            assert_eq!((rows.num_rows(), report.is_clean()), (40, true));
        }
        let newer = String::from_utf8(good)
            .unwrap()
            .replace("\"version\":1", "\"version\":9");
        let inner = newer.split_once("\"manifest\":").unwrap().1.trim_end();
        let inner = &inner[..inner.len() - 1];
        let text = format!(
            "{{\"blake3\":\"{}\",\"manifest\":{inner}}}",
            blake3::hash(inner.as_bytes()).to_hex()
        );
        std::fs::write(&path, text).unwrap();
        let error = scan(&place.repo, &btc(), &ScanQuery::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("newer release"), "{error}");
    });
}

#[test]
fn numbers_from_which_nothing_can_be_counted_on_are_none_of_ours() {
    let place = Place::new();
    run(async {
        four(&place).await;
        let sealed = place.file("btcusd~sealed");
        let copy = |name: String| {
            std::fs::copy(sealed.join("00000003.jsonl.zst"), sealed.join(name)).unwrap();
        };
        for number in [u64::MAX, u64::MAX / 2, u64::MAX / 2 + 1] {
            copy(format!("{number}.jsonl.zst"));
            std::fs::write(sealed.join(format!("{number}.jsonl")), entry(99)).unwrap();
        }
        copy("99999999999999999999999.jsonl.zst".to_owned());
        // Whether there is a manifest or not.
        for lost in [false, true] {
            if lost {
                std::fs::remove_file(sealed.join("manifest.json")).unwrap();
            }
            let (rows, _) = scan(&fresh(&place), &btc(), &ScanQuery::new())
                .await
                .unwrap();
            assert_eq!(rows.num_rows(), 40);
            fresh(&place).rotate(&btc()).await.unwrap();
            place.repo.rotate(&btc()).await.unwrap();
            let (rows, _) = scan(&place.repo, &btc(), &ScanQuery::new()).await.unwrap();
            assert_eq!(rows.num_rows(), 40);
        }
    });
}

#[test]
fn who_follows_goes_on_when_the_manifest_is_lost() {
    use futures_util::StreamExt;
    use minutebook_jsonl::{FollowFrom, FollowQuery};

    let place = Place::new();
    run(async {
        four(&place).await;
        let query = FollowQuery::new()
            .from(FollowFrom::Start)
            .poll_interval(std::time::Duration::from_millis(1));
        let mut follow = place.repo.follow(&btc(), &query);
        let mut found = Vec::new();
        while found.len() < 35 {
            found.push(follow.next().await.unwrap().unwrap().into_text());
        }
        std::fs::remove_file(place.file("btcusd~sealed/manifest.json")).unwrap();
        for n in 40..44 {
            place
                .repo
                .append_entries(&btc(), &[entry(n)])
                .await
                .unwrap();
            place.repo.rotate(&btc()).await.unwrap().unwrap();
        }
        while found.len() < 44 {
            found.push(follow.next().await.unwrap().unwrap().into_text());
        }
        assert_eq!(found, entries(0..44));
    });
}
