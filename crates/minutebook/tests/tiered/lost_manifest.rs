//! The list of a series' segments is lost, and numbers of segments are given again.

use minutebook::{ErrorKind, ScanQuery, Tiered, TimeSeriesRepository};

use crate::{btc, entry, numbers, on_disk, run};

async fn all(tiered: &Tiered) -> (Vec<i64>, bool) {
    let stream = tiered.scan(&btc(), &ScanQuery::new()).await.unwrap();
    let (batch, report) = stream.concat().await.unwrap();
    let mut numbers: Vec<i64> = {
        use arrow_array::cast::AsArray;
        let column = batch.column_by_name("n").unwrap();
        column
            .as_primitive::<arrow_array::types::Int64Type>()
            .values()
            .to_vec()
    };
    numbers.sort_unstable();
    (numbers, report.is_clean())
}

#[test]
fn a_number_that_is_given_again_hides_no_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, _, tiered) = on_disk(dir.path());
    run(async {
        // Segment 1 is refused, segment 2 is moved away.
        let plain = dir.path().join("ticks/btcusd_timeseries.jsonl");
        std::fs::write(plain, format!("{}\nnot json\n", entry(0))).unwrap();
        hot.rotate(&btc()).await.unwrap().unwrap();
        hot.append_entries(&btc(), &[entry(1)]).await.unwrap();
        hot.rotate(&btc()).await.unwrap().unwrap();
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert_eq!((done.moved.len(), done.refused.len()), (1, 1));
        let before = hot.segments(&btc()).await.unwrap();
        let manifest = dir.path().join("ticks/btcusd~sealed/manifest.json");
        // Twice: the second time with segments of two ids.
        for round in 0..2 {
            std::fs::remove_file(&manifest).unwrap();
            assert_eq!(all(&tiered).await.0, (0..2 + round).collect::<Vec<_>>());
            let next = usize::try_from(2 + round).unwrap();
            hot.append_entries(&btc(), &[entry(next)]).await.unwrap();
            assert_eq!(all(&tiered).await.0, (0..3 + round).collect::<Vec<_>>());
            let sealed = hot.rotate(&btc()).await.unwrap().unwrap();
            assert_eq!(sealed.number, 2, "the number of the one that was moved");
            assert_ne!(sealed.log_id, before[0].log_id);
            for _ in 0..2 {
                assert_eq!(all(&tiered).await.0, (0..3 + round).collect::<Vec<_>>());
                tiered.compact(&btc(), false).await.unwrap();
            }
            assert_eq!(all(&tiered).await.0, (0..3 + round).collect::<Vec<_>>());
            assert_eq!(
                tiered.summary(&btc()).await.unwrap().unwrap().rows,
                u64::try_from(3 + round).unwrap()
            );
        }
        // The refused one is still known by the id under which it was sealed.
        let left = hot.segments(&btc()).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].log_id, before[0].log_id);
    });
}

#[test]
fn a_snapshot_leaves_out_what_was_sealed_and_moved_since() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, cold, tiered) = on_disk(dir.path());
    run(async {
        hot.append_entries(&btc(), &[entry(0)]).await.unwrap();
        let without_id = hot.snapshot(&btc()).await.unwrap().unwrap();
        hot.rotate(&btc()).await.unwrap().unwrap();
        // It cannot tell what was moved of what it has open.
        let moved = without_id.without(|_, _| false).await.unwrap_err();
        assert_eq!(moved.kind(), ErrorKind::Unavailable);
        hot.append_entries(&btc(), &[entry(1)]).await.unwrap();
        let snapshot = hot.snapshot(&btc()).await.unwrap().unwrap();
        let version = snapshot.summary().await.unwrap().version;
        hot.rotate(&btc()).await.unwrap().unwrap();
        tiered.compact(&btc(), false).await.unwrap();
        let absorbed = cold.absorbed(&btc()).await.unwrap().unwrap().absorbed;
        let left = snapshot
            .without(|id, number| absorbed.has(id, number))
            .await
            .unwrap();
        let summary = left.summary().await.unwrap();
        assert_eq!((summary.rows, summary.version), (0, version));
        assert_eq!(numbers(&tiered, &ScanQuery::new()).await.unwrap(), [0, 1]);
    });
}

#[test]
fn tick_files_older_than_the_parquet_files_lose_no_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, _, tiered) = on_disk(dir.path());
    run(async {
        hot.append_entries(&btc(), &[entry(0)]).await.unwrap();
        hot.rotate(&btc()).await.unwrap().unwrap();
        let manifest = dir.path().join("ticks/btcusd~sealed/manifest.json");
        let older = std::fs::read(&manifest).unwrap();
        for n in 1..3 {
            hot.append_entries(&btc(), &[entry(n)]).await.unwrap();
            hot.rotate(&btc()).await.unwrap().unwrap();
        }
        tiered.compact(&btc(), false).await.unwrap();
        // As an old copy of the directory would bring it back.
        std::fs::remove_dir_all(dir.path().join("ticks/btcusd~sealed")).unwrap();
        std::fs::create_dir(dir.path().join("ticks/btcusd~sealed")).unwrap();
        let emptied = String::from_utf8(older).unwrap();
        let inner = emptied.split_once("\"manifest\":").unwrap().1.trim_end();
        let mut inner: serde_json::Value = serde_json::from_str(&inner[..inner.len() - 1]).unwrap();
        inner["segments"] = serde_json::json!([]);
        let inner = inner.to_string();
        let digest = blake3::hash(inner.as_bytes()).to_hex();
        std::fs::write(
            &manifest,
            format!("{{\"blake3\":\"{digest}\",\"manifest\":{inner}}}"),
        )
        .unwrap();
        for n in 3..5 {
            hot.append_entries(&btc(), &[entry(n)]).await.unwrap();
            hot.rotate(&btc()).await.unwrap().unwrap();
        }
        // Numbers 2 and 3 under the same id, with other lines than those that Parquet has.
        let plan = tiered.compact(&btc(), true).await.unwrap();
        let done = tiered.compact(&btc(), false).await.unwrap();
        for report in [plan, done] {
            assert_eq!((report.moved.len(), report.resumed.len()), (0, 0));
            let kinds: Vec<_> = report.refused.iter().map(|r| r.error.kind()).collect();
            assert_eq!(kinds, [ErrorKind::Conflict, ErrorKind::Conflict]);
        }
        assert_eq!(hot.segments(&btc()).await.unwrap().len(), 2);
    });
}
