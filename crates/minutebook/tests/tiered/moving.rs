//! What moving segments to Parquet does to rows, columns and answers.

use arrow_array::StringArray;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use minutebook::config::{Config, Environment};
use minutebook::jsonl::LINE_COLUMN;
use minutebook::{ErrorKind, Minutebook, ScanQuery, SeriesFilter, TimeSeriesRepository};

use crate::{btc, entry, numbers, on_disk, run};

#[test]
fn rows_are_moved_and_no_read_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, cold, tiered) = on_disk(dir.path());
    run(async {
        for part in 0..5 {
            // Two equal trades stay two.
            let entries: Vec<_> = (part * 20..part * 20 + 20)
                .flat_map(|n| [entry(n), entry(n)])
                .collect();
            hot.append_entries(&btc(), &entries).await.unwrap();
            if part < 4 {
                hot.rotate(&btc()).await.unwrap().unwrap();
            }
        }
        let all: Vec<i64> = (0..100).flat_map(|n| [n, n]).collect();
        let before = tiered.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(numbers(&tiered, &ScanQuery::new()).await.unwrap(), all);
        let plan = tiered.compact(&btc(), true).await.unwrap();
        assert_eq!(
            (plan.moved.len(), plan.resumed.len(), plan.refused.len()),
            (4, 0, 0)
        );
        assert!(cold.summary(&btc()).await.unwrap().is_none());
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert_eq!(
            (done.moved.len(), done.resumed.len(), done.refused.len()),
            (4, 0, 0)
        );
        assert!(done.freed_bytes > 0);
        assert_eq!(cold.summary(&btc()).await.unwrap().unwrap().rows, 160);
        assert_eq!(hot.summary(&btc()).await.unwrap().unwrap().rows, 40);
        assert!(hot.segments(&btc()).await.unwrap().is_empty());
        let after = tiered.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(
            (after.rows, after.first, after.last, after.version),
            (before.rows, before.first, before.last, before.version)
        );
        for n in [0, 1, 39, 40, 41, 160, 170, 200, 500] {
            let last = numbers(&tiered, &ScanQuery::new().last(n).batch_size(7))
                .await
                .unwrap();
            assert_eq!(last, all[200 - n.min(200)..]);
            let first = numbers(&tiered, &ScanQuery::new().first(n).batch_size(7))
                .await
                .unwrap();
            assert_eq!(first, all[..n.min(200)]);
        }
        let again = tiered.compact(&btc(), false).await.unwrap();
        assert!(again.moved.is_empty() && again.resumed.is_empty());
        assert_eq!(tiered.delete(&btc(), None).await.unwrap(), 200);
        assert!(tiered.summary(&btc()).await.unwrap().is_none());
        assert!(cold.summary(&btc()).await.unwrap().is_none());
    });
}

#[test]
fn what_columns_cannot_hold_goes_with_its_line_or_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, cold, tiered) = on_disk(dir.path());
    run(async {
        let lines = [
            "{\"timestamp\":\"2025-01-01\",\"price\":1.5,\"venue\":\"x\"}",
            "{\"timestamp\":\"2025-01-02\",\"price\":2,\"venue\":{\"name\":[1,2]}}",
            "{\"timestamp\":\"2025-01-03\",\"price\":0.1234567890123456789,\"venue\":null}",
        ];
        hot.append_entries(&btc(), &lines).await.unwrap();
        let read = async || {
            let stream = tiered.scan(&btc(), &ScanQuery::new()).await.unwrap();
            stream.concat().await.unwrap().0
        };
        let before = read().await;
        hot.rotate(&btc()).await.unwrap();
        tiered.compact(&btc(), false).await.unwrap();
        let after = read().await;
        assert_eq!(before.columns(), after.columns());
        let stored = cold
            .scan(&btc(), &ScanQuery::new())
            .await
            .unwrap()
            .concat()
            .await
            .unwrap()
            .0;
        let texts: &StringArray = stored.column_by_name(LINE_COLUMN).unwrap().as_string();
        assert_eq!(
            texts.iter().collect::<Vec<_>>(),
            [None, Some(lines[1]), Some(lines[2])]
        );
        // A line that is no row keeps its segment where it is, and the next one is moved nevertheless.
        std::fs::write(
            dir.path().join("ticks/btcusd_timeseries.jsonl"),
            "{\"timestamp\":\"2025-01-04\",\"price\":1.0}\nnot json\n",
        )
        .unwrap();
        hot.rotate(&btc()).await.unwrap();
        hot.append_entries(&btc(), &["{\"timestamp\":\"2025-01-05\",\"price\":3.0}"])
            .await
            .unwrap();
        hot.rotate(&btc()).await.unwrap();
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert_eq!((done.moved.len(), done.refused.len()), (1, 1));
        assert_eq!(done.refused[0].segment.number, 2);
        assert_eq!(read().await.num_rows(), 5);
        // Another type than the column has there.
        hot.append_entries(
            &btc(),
            &["{\"timestamp\":\"2025-01-06\",\"price\":\"free\"}"],
        )
        .await
        .unwrap();
        hot.rotate(&btc()).await.unwrap();
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert_eq!((done.moved.len(), done.refused.len()), (0, 2));
        assert!(
            done.refused[1].error.to_string().contains("\"price\""),
            "{}",
            done.refused[1].error
        );
        assert_eq!(read().await.num_rows(), 6);
    });
}

#[test]
fn integers_and_floats_of_one_column_are_read_as_floats() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, _, tiered) = on_disk(dir.path());
    run(async {
        hot.append_entries(&btc(), &["{\"timestamp\":\"2025-01-01\",\"size\":1}"])
            .await
            .unwrap();
        hot.rotate(&btc()).await.unwrap();
        tiered.compact(&btc(), false).await.unwrap();
        hot.append_entries(
            &btc(),
            &["{\"timestamp\":\"2025-01-02\",\"size\":2.5,\"new\":true}"],
        )
        .await
        .unwrap();
        let (rows, _) = tiered
            .scan(&btc(), &ScanQuery::new())
            .await
            .unwrap()
            .concat()
            .await
            .unwrap();
        let sizes = rows
            .column_by_name("size")
            .unwrap()
            .as_primitive::<Float64Type>();
        assert_eq!(sizes.values().as_ref(), [1.0, 2.5]);
        let (rows, _) = tiered
            .scan(&btc(), &ScanQuery::new().columns(["new"]))
            .await
            .unwrap()
            .concat()
            .await
            .unwrap();
        let new = rows.column(1).as_boolean();
        assert_eq!(new.iter().collect::<Vec<_>>(), [None, Some(true)]);
    });
}

#[test]
fn a_store_opens_its_ticks_as_tiered_where_the_settings_say_so() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let open = |tiered: bool| {
            Minutebook::options()
                .environment(Environment::empty())
                .config(Config::new().tiered(tiered))
                .create(dir.path())
                .unwrap()
        };
        let book = open(true);
        let log = book.tick_log().unwrap().unwrap();
        log.append_entries(&btc(), &[entry(0), entry(1)])
            .await
            .unwrap();
        log.rotate(&btc()).await.unwrap();
        log.append_entries(&btc(), &[entry(2)]).await.unwrap();
        let plain = open(false);
        let error = plain
            .compact_ticks(&SeriesFilter::new(), false)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let done = book
            .compact_ticks(&SeriesFilter::new(), false)
            .await
            .unwrap();
        assert_eq!(done[0].moved.len(), 1);
        assert_eq!(
            numbers(&**open(true).ticks(), &ScanQuery::new())
                .await
                .unwrap(),
            [0, 1, 2]
        );
        assert_eq!(
            book.ticks().list(&SeriesFilter::new()).await.unwrap(),
            [btc()]
        );
    });
}
