//! Scans: order, range, columns, cuts, batches, snapshots.

use std::sync::Arc;

use arrow_array::{Int64Array, StringArray};
use futures_util::StreamExt;
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::time::parse_timestamp;
use minutebook_core::{
    Capability, ErrorKind, OnConflict, ScanQuery, SeriesId, Take, TimeRange, WriteMode,
};

use super::support::{
    BASE, Numbered, Repo, Store, all, append, at, batch, drain, numbered, numbers, ordered, range,
    read, rows, series, times,
};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, refused};

pub(super) async fn rows_come_in_order(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@ticks")?;
    let mut written = Vec::new();
    // Many ties, within a write and across writes; the number says when a row was written.
    for write in 0..8 {
        let rows: Vec<Numbered> = (0..40)
            .map(|k| ((write * 13 + k * 7) % 11, write * 40 + k))
            .collect();
        append(&repo, &id, &rows).await?;
        written.extend(rows);
    }
    ensure_eq!(
        all(&repo, &id).await?,
        ordered(&repo, &written),
        "ascending times, ties in the order written"
    );
    let some = numbers(
        &repo,
        &id,
        &ScanQuery::new().range(range(3, 5)?).batch_size(7),
    )
    .await?;
    let expected: Vec<_> = ordered(&repo, &written)
        .into_iter()
        .filter(|(time, _)| (3..5).contains(time))
        .collect();
    ensure_eq!(some, expected, "the same order within a range");
    Ok(())
}

pub(super) async fn times_at_the_edges_come_in_order(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("@edges")?;
    let nanos = [
        0,
        i64::MAX,
        -1,
        i64::MIN,
        1,
        BASE + 123_456_789,
        i64::MIN + 1,
        BASE,
        i64::MAX - 1,
        -86_400_000_000_000,
    ];
    let n: Vec<i64> = (0..).take(nanos.len()).collect();
    let given = batch(vec![
        (TIMESTAMP, times(nanos.to_vec())),
        ("n", Arc::new(Int64Array::from(n))),
    ])?;
    repo.write(&id, given, WriteMode::Append).await?;
    let mut expected: Vec<i64> = nanos.to_vec();
    if repo.capabilities().has(Capability::TimeOrdered) {
        expected.sort_unstable();
    }
    let found = read(&repo, &id, &ScanQuery::new()).await?;
    let found = minutebook_core::series::batch::timestamps(&found)?
        .values()
        .to_vec();
    ensure_eq!(
        found,
        expected,
        "instants from the first to the last that nanoseconds reach"
    );
    let summary = repo.summary(&id).await?;
    let from = minutebook_core::time::from_nanos;
    ensure_eq!(
        summary.map(|summary| (summary.first, summary.last)),
        Some((Some(from(i64::MIN)), Some(from(i64::MAX)))),
        "the first and the last instant"
    );
    let before_1970 = TimeRange::before(parse_timestamp("1970-01-01")?);
    let found = read(&repo, &id, &ScanQuery::new().range(before_1970)).await?;
    ensure_eq!(found.num_rows(), 4, "how many lie before 1970");
    // Bounds beyond what nanoseconds hold are no bounds.
    let wide = TimeRange::new(
        parse_timestamp("1500-01-01")?,
        parse_timestamp("2900-01-01")?,
    )?;
    let found = read(&repo, &id, &ScanQuery::new().range(wide)).await?;
    ensure_eq!(
        found.num_rows(),
        nanos.len(),
        "how many lie between 1500 and 2900"
    );
    Ok(())
}

/// A series whose rows were written out of order, with its rows as a scan gives them.
async fn sample(repo: &Repo, name: &str) -> Outcome<(SeriesId, Vec<Numbered>)> {
    let id = series(name)?;
    let mut written = Vec::new();
    for write in [
        vec![(30, 0), (10, 1), (20, 2)],
        vec![(20, 3), (40, 4)],
        vec![(15, 5), (50, 6), (20, 7), (60, 8)],
    ] {
        append(repo, &id, &write).await?;
        written.extend(write);
    }
    Ok((id, ordered(repo, &written)))
}

pub(super) async fn ranges_are_half_open(store: Store) -> Outcome {
    let repo = store.open().await?;
    let (id, rows) = sample(&repo, "BTCUSD@1m").await?;
    let ranges = [
        TimeRange::all(),
        range(20, 40)?,
        range(20, 41)?,
        range(21, 40)?,
        range(10, 11)?,
        range(20, 20)?,
        range(0, 10)?,
        range(61, 100)?,
        range(-100, 1_000)?,
        TimeRange::since(at(40)),
        TimeRange::since(at(61)),
        TimeRange::before(at(20)),
        TimeRange::before(at(10)),
        TimeRange::inclusive(at(20), at(40))?,
        TimeRange::inclusive(at(60), at(60))?,
    ];
    for range in ranges {
        let expected: Vec<_> = rows
            .iter()
            .copied()
            .filter(|(time, _)| range.contains(at(*time)))
            .collect();
        let found = numbers(&repo, &id, &ScanQuery::new().range(range)).await?;
        ensure_eq!(found, expected, "the rows in {range}");
    }
    Ok(())
}

pub(super) async fn columns_come_in_the_order_asked_for(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("@wide")?;
    let column = |k: i64| Arc::new(Int64Array::from(vec![k, k + 1]));
    let given = batch(vec![
        (TIMESTAMP, times(vec![1, 2])),
        ("a", column(10)),
        ("b", Arc::new(StringArray::from(vec!["x", "y"]))),
        ("c", column(30)),
        ("odd name, \"quoted\"", column(40)),
    ])?;
    repo.write(&id, given.clone(), WriteMode::Append).await?;
    let asked: [(&[&str], &[usize]); 6] = [
        (&["c", "a"], &[0, 3, 1]),
        (&["b"], &[0, 2]),
        (&[], &[0]),
        (&["timestamp", "a"], &[0, 1]),
        (&["a", "timestamp"], &[0, 1]),
        (&["odd name, \"quoted\"", "c", "b", "a"], &[0, 4, 3, 2, 1]),
    ];
    for (columns, places) in asked {
        let expected = given
            .project(places)
            .map_err(|error| Failure::new(error.to_string()))?;
        let found = read(
            &repo,
            &id,
            &ScanQuery::new().columns(columns.iter().copied()),
        )
        .await?;
        super::support::same_columns(&found, &expected)
            .map_err(|failure| failure.context(format!("the columns {columns:?}")))?;
        let found = read(
            &repo,
            &id,
            &ScanQuery::new().columns(columns.iter().copied()).last(1),
        )
        .await?;
        super::support::same_columns(&found, &expected.slice(1, 1))
            .map_err(|failure| failure.context(format!("the last row of {columns:?}")))?;
    }
    Ok(())
}

pub(super) async fn unknown_columns_are_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    let (id, rows) = sample(&repo, "BTCUSD@1m").await?;
    for columns in [
        vec!["nope"],
        vec!["n", "nope"],
        vec!["N"],
        vec![""],
        vec!["timestamp", "n "],
    ] {
        let result = repo
            .scan(&id, &ScanQuery::new().columns(columns.clone()))
            .await;
        refused(
            result,
            ErrorKind::InvalidInput,
            &format!("a scan of the columns {columns:?}"),
        )?;
    }
    ensure_eq!(all(&repo, &id).await?, rows, "the rows are still there");
    Ok(())
}

pub(super) async fn first_and_last_cut_after_range_and_order(store: Store) -> Outcome {
    let repo = store.open().await?;
    let (id, rows) = sample(&repo, "BTCUSD@1m").await?;
    for range in [
        TimeRange::all(),
        range(20, 60)?,
        range(20, 21)?,
        range(100, 200)?,
    ] {
        let inside: Vec<_> = rows
            .iter()
            .copied()
            .filter(|(time, _)| range.contains(at(*time)))
            .collect();
        for n in [0, 1, 2, 3, 5, 8, 9, 10, 1_000_000] {
            let query = ScanQuery::new().range(range);
            let cut = n.min(inside.len());
            let found = numbers(&repo, &id, &query.clone().first(n)).await?;
            ensure_eq!(found, inside[..cut], "the first {n} rows in {range}");
            let found = numbers(&repo, &id, &query.clone().last(n)).await?;
            ensure_eq!(
                found,
                inside[inside.len() - cut..],
                "the last {n} rows in {range}"
            );
            let found = numbers(&repo, &id, &query.last(n).batch_size(2)).await?;
            ensure_eq!(
                found,
                inside[inside.len() - cut..],
                "the last {n} rows in {range} in batches of two"
            );
        }
    }
    Ok(())
}

pub(super) async fn batches_keep_to_their_size(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@ticks")?;
    let mut written = Vec::new();
    for size in [1, 10, 3, 25, 1, 60] {
        let rows: Vec<_> = (0..size).map(|k| (k, size * 100 + k)).collect();
        append(&repo, &id, &rows).await?;
        written.extend(rows);
    }
    let expected = ordered(&repo, &written);
    for size in [1, 2, 3, 7, 50, 99, 100, 101, 10_000] {
        // `read` checks the size of every batch.
        let found = numbers(&repo, &id, &ScanQuery::new().batch_size(size)).await?;
        ensure_eq!(found, expected, "the rows in batches of {size}");
    }
    Ok(())
}

pub(super) async fn a_scan_without_rows_has_a_schema(store: Store) -> Outcome {
    let repo = store.open().await?;
    let (id, _) = sample(&repo, "BTCUSD@1m").await?;
    let queries = [
        ScanQuery::new().range(range(1_000, 2_000)?),
        ScanQuery::new().range(range(20, 20)?),
        ScanQuery::new().first(0),
        ScanQuery::new().last(0),
        ScanQuery::new().range(range(0, 5)?).columns(["n"]),
    ];
    for query in queries {
        let mut stream = repo.scan(&id, &query).await?;
        let names: Vec<_> = stream
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        ensure_eq!(names, ["timestamp", "n"], "the schema of {query:?}");
        ensure!(stream.next().await.is_none(), "{query:?} gives a batch");
    }
    Ok(())
}

/// Changes a series in every way that the backend claims, such that a scan that looks again must notice.
async fn disturb(repo: &Repo, id: &SeriesId) -> Outcome {
    append(repo, id, &[(0, -1), (25, -1), (1_000, -1)]).await?;
    if repo.capabilities().has(Capability::Upsert) {
        let mode = WriteMode::Upsert {
            on_conflict: OnConflict::Replace,
        };
        repo.write(id, numbered(&[(30, -2), (60, -2), (200, -2)])?, mode)
            .await?;
    }
    if repo.capabilities().has(Capability::ReplaceRange) {
        repo.write(
            id,
            numbered(&[(40, -3)])?,
            WriteMode::ReplaceRange(range(40, 60)?),
        )
        .await?;
    }
    if repo.capabilities().has(Capability::DeleteRange) {
        repo.delete(id, Some(range(15, 45)?)).await?;
    }
    let wider = batch(vec![
        (TIMESTAMP, times(vec![BASE + 70])),
        ("later", Arc::new(StringArray::from(vec!["x"]))),
    ])?;
    repo.write(id, wider, WriteMode::Append).await?;
    // Enough to make a backend that tidies up do so.
    for n in 0..20 {
        append(repo, id, &[(100 + n, -4)]).await?;
    }
    Ok(())
}

pub(super) async fn a_running_scan_keeps_its_state(store: Store) -> Outcome {
    let repo = store.open().await?;
    for (n, polled) in [0, 1, 4].into_iter().enumerate() {
        let (id, expected) = sample(&repo, &format!("S{n}@1m")).await?;
        for query in [
            ScanQuery::new().batch_size(2),
            ScanQuery::new().range(range(15, 60)?).last(6).batch_size(1),
        ] {
            let expected: Vec<_> = if query.take == Take::All {
                expected.clone()
            } else {
                let inside = expected
                    .iter()
                    .copied()
                    .filter(|(time, _)| (15..60).contains(time));
                let inside: Vec<_> = inside.collect();
                inside[inside.len() - 6..].to_vec()
            };
            let mut stream = repo.scan(&id, &query).await?;
            let mut found = Vec::new();
            for _ in 0..polled {
                if let Some(next) = stream.next().await {
                    found.extend(rows(&next?)?);
                }
            }
            disturb(&repo, &id).await?;
            let rest = drain(stream, query.batch_size).await?;
            found.extend(rows(&rest)?);
            ensure_eq!(
                found,
                expected,
                "a scan during which the series changed, after {polled} batches"
            );
            // Begins anew for the second query.
            repo.delete(&id, None).await?;
            sample(&repo, &format!("S{n}@1m")).await?;
        }
    }
    Ok(())
}

pub(super) async fn a_scan_of_a_series_deleted_meanwhile_is_whole_or_fails(
    store: Store,
) -> Outcome {
    let repo = store.open().await?;
    for polled in [0, 1] {
        let (id, expected) = sample(&repo, "BTCUSD@1m").await?;
        let mut stream = repo.scan(&id, &ScanQuery::new().batch_size(2)).await?;
        let mut found = Vec::new();
        for _ in 0..polled {
            if let Some(next) = stream.next().await {
                found.extend(rows(&next?)?);
            }
        }
        repo.delete(&id, None).await?;
        let mut failed = false;
        while let Some(next) = stream.next().await {
            let Ok(next) = next else {
                failed = true;
                break;
            };
            found.extend(rows(&next)?);
        }
        ensure!(
            found.len() <= expected.len() && found[..] == expected[..found.len()],
            "rows that were never there: {found:?}"
        );
        ensure!(
            failed || found == expected,
            "a scan ended without an error but has only {found:?}"
        );
    }
    Ok(())
}

pub(super) async fn newest_first_is_the_reverse(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@ticks")?;
    let mut written = Vec::new();
    for write in 0..6 {
        let rows: Vec<Numbered> = (0..30)
            .map(|k| ((write * 13 + k * 7) % 17, write * 30 + k))
            .collect();
        append(&repo, &id, &rows).await?;
        written.extend(rows);
    }
    let base = ScanQuery::new();
    if !repo.capabilities().has(Capability::NewestFirst) {
        let what = "a scan of the newest rows first, which is not claimed,";
        refused(
            repo.scan(&id, &base.newest_first()).await,
            ErrorKind::Unsupported,
            what,
        )?;
        return Ok(());
    }
    let queries = [
        base.clone(),
        base.clone().range(range(3, 9)?),
        base.clone().first(11),
        base.clone().last(11),
        base.clone().range(range(2, 14)?).last(50).batch_size(7),
    ];
    for query in queries {
        let mut expected = numbers(&repo, &id, &query).await?;
        expected.reverse();
        let turned = numbers(&repo, &id, &query.clone().newest_first()).await?;
        ensure_eq!(turned, expected, "{query:?} the newest first");
    }
    Ok(())
}
