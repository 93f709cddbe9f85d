//! Summaries, lists, deletions.

use std::collections::BTreeSet;

use minutebook_core::series::batch::bounds;
use minutebook_core::{
    Capability, ErrorKind, ScanQuery, SeriesFilter, SeriesId, Symbol, TimeRange, Timeframe,
};

use super::support::{Repo, Store, all, append, at, ordered, range, read, series, state};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, refused};
use crate::data::nasty_symbols;

pub(super) async fn the_summary_of_a_missing_series_is_none(store: Store) -> Outcome {
    let repo = store.open().await?;
    ensure_eq!(
        repo.summary(&series("BTCUSD@1h")?).await?,
        None,
        "the summary in an empty store"
    );
    append(&repo, &series("BTCUSD@1h")?, &[(1, 1)]).await?;
    for id in ["BTCUSD@1d", "BTCUSD@ticks", "BTC@1h", "USD@1h", "@btcusd"] {
        ensure_eq!(
            repo.summary(&series(id)?).await?,
            None,
            "the summary of {id}, which is not there"
        );
    }
    Ok(())
}

async fn agrees(repo: &Repo, id: &SeriesId) -> Outcome {
    let content = read(repo, id, &ScanQuery::new()).await?;
    let summary = repo.summary(id).await?;
    let summary = summary.ok_or_else(|| Failure::new(format!("{id} has rows but no summary")))?;
    ensure_eq!(
        summary.rows,
        content.num_rows() as u64,
        "the number of rows of {id}"
    );
    let bounds = bounds(&content)?;
    ensure_eq!(
        (summary.first, summary.last),
        (bounds.map(|b| b.0), bounds.map(|b| b.1)),
        "the first and the last timestamp of {id}"
    );
    let names = |schema: &arrow_schema::Schema| -> Vec<String> {
        schema
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name(), field.data_type()))
            .collect()
    };
    ensure_eq!(
        names(&summary.schema),
        names(content.schema_ref()),
        "the columns of {id}"
    );
    Ok(())
}

pub(super) async fn the_summary_agrees_with_a_scan(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@1m")?;
    for rows in [
        vec![(30, 1)],
        vec![(10, 2), (50, 3)],
        vec![(20, 4), (20, 5)],
        vec![(-100, 6)],
        vec![(1_000_000_007, 7)],
    ] {
        append(&repo, &id, &rows).await?;
        agrees(&repo, &id).await?;
    }
    if repo.capabilities().has(Capability::DeleteRange) {
        for doomed in [
            range(1_000, 2_000_000_000)?,
            range(-200, 15)?,
            range(20, 21)?,
        ] {
            repo.delete(&id, Some(doomed)).await?;
            agrees(&repo, &id).await?;
        }
    }
    if repo.capabilities().has(Capability::ReplaceRange) {
        let mode = minutebook_core::WriteMode::ReplaceRange(range(50, 100)?);
        repo.write(&id, super::support::numbered(&[(99, 1), (98, 2)])?, mode)
            .await?;
        agrees(&repo, &id).await?;
    }
    Ok(())
}

pub(super) async fn series_are_listed_in_order_and_filtered(store: Store) -> Outcome {
    let repo = store.open().await?;
    let texts = [
        "BTCUSD@ticks",
        "BTCUSD@1d",
        "ETHUSD@1h",
        "@vix daily",
        "BTCUSD@1h",
        "BTC@1h",
        "BTCUSDT@1h",
        "BTCUSD@60s",
        "@btcusd",
        "ETHUSD@ticks",
        "BTCUSD@1mo",
        "BTCUSD@7d",
        "BTCUSD@1w",
    ];
    let mut ids = Vec::new();
    for text in texts {
        append(&repo, &series(text)?, &[(1, 1)]).await?;
        ids.push(series(text)?);
    }
    ids.sort();
    let btc = Symbol::new("btcusd")?;
    let filters = [
        SeriesFilter::new(),
        SeriesFilter::new().symbol(btc.clone()),
        SeriesFilter::new().symbol(Symbol::new("NOPE")?),
        SeriesFilter::new().timeframe(Timeframe::HOUR),
        SeriesFilter::new().timeframe(Timeframe::MINUTE),
        SeriesFilter::new().timeframe("7d".parse()?),
        SeriesFilter::new().prefix("BTC"),
        SeriesFilter::new().prefix("BTCUSD@1"),
        SeriesFilter::new().prefix("@"),
        SeriesFilter::new().prefix(""),
        SeriesFilter::new().prefix("USD"),
        SeriesFilter::new()
            .symbol(btc.clone())
            .timeframe(Timeframe::HOUR),
        SeriesFilter::new().symbol(btc.clone()).prefix("BTCUSD@t"),
        SeriesFilter::new()
            .symbol(btc)
            .timeframe(Timeframe::HOUR)
            .prefix("ETH"),
    ];
    for filter in filters {
        let expected: Vec<_> = ids
            .iter()
            .filter(|id| filter.matches(id))
            .cloned()
            .collect();
        ensure_eq!(
            repo.list(&filter).await?,
            expected,
            "what {filter:?} lists, in ascending order"
        );
    }
    Ok(())
}

/// Writes a row of its own into each series, and wants each to hold that row only.
async fn never_share(repo: &Repo, ids: &BTreeSet<SeriesId>) -> Outcome {
    for (n, id) in (1..).zip(ids) {
        let written = append(repo, id, &[(n, n)]).await;
        written.map_err(|failure| failure.context(format!("writing to the valid series {id}")))?;
    }
    for (n, id) in (1..).zip(ids) {
        ensure_eq!(all(repo, id).await?, [(n, n)], "the rows of {id}");
    }
    let listed = repo.list(&SeriesFilter::new()).await?;
    ensure_eq!(
        listed,
        ids.iter().cloned().collect::<Vec<_>>(),
        "the series listed"
    );
    // Every other one goes; the rest stays as it is.
    for (n, id) in (1..).zip(ids) {
        if n % 2 == 0 {
            ensure_eq!(
                repo.delete(id, None).await?,
                1,
                "the rows deleted with {id}"
            );
        }
    }
    for (n, id) in (1..).zip(ids) {
        if n % 2 == 0 {
            ensure_eq!(
                repo.summary(id).await?,
                None,
                "the summary of the deleted {id}"
            );
        } else {
            ensure_eq!(
                all(repo, id).await?,
                [(n, n)],
                "the rows of {id} after its neighbours are gone"
            );
        }
    }
    Ok(())
}

pub(super) async fn series_of_any_name_never_share_data(store: Store) -> Outcome {
    let repo = store.open().await?;
    let mut ids = BTreeSet::new();
    for name in nasty_symbols() {
        ids.insert(SeriesId::ticks(Symbol::new(&name)?));
        ids.insert(SeriesId::named(name.parse()?));
    }
    never_share(&repo, &ids).await
}

pub(super) async fn series_ids_differ_by_kind_and_timeframe(store: Store) -> Outcome {
    let repo = store.open().await?;
    let mut ids = BTreeSet::new();
    for timeframe in ["1s", "1m", "15m", "1h", "1d", "7d", "1w", "1mo", "12mo"] {
        ids.insert(SeriesId::bars(Symbol::new("BTCUSD")?, timeframe.parse()?));
        ids.insert(SeriesId::named(format!("btcusd@{timeframe}").parse()?));
        ids.insert(SeriesId::named(format!("btcusd_{timeframe}").parse()?));
        ids.insert(SeriesId::ticks(Symbol::new(format!("BTCUSD_{timeframe}"))?));
    }
    for text in [
        "BTCUSD@ticks",
        "@btcusd@ticks",
        "@btcusd",
        "@ticks",
        "TICKS@ticks",
        "@bars",
        "@named",
    ] {
        ids.insert(series(text)?);
    }
    never_share(&repo, &ids).await
}

pub(super) async fn a_deleted_series_is_gone(store: Store) -> Outcome {
    let repo = store.open().await?;
    let id = series("BTCUSD@1m")?;
    ensure_eq!(
        repo.delete(&id, None).await?,
        0,
        "deleting a series that was never there"
    );
    for round in 0..3 {
        append(&repo, &id, &[(1, round), (2, round)]).await?;
        append(&repo, &id, &[(3, round)]).await?;
        ensure_eq!(
            all(&repo, &id).await?,
            [(1, round), (2, round), (3, round)],
            "nothing of an earlier life is left"
        );
        ensure_eq!(
            repo.delete(&id, None).await?,
            3,
            "how many rows went with the series"
        );
        ensure_eq!(
            repo.summary(&id).await?,
            None,
            "the summary of a deleted series"
        );
        ensure_eq!(
            repo.list(&SeriesFilter::new()).await?,
            [],
            "the list without the deleted series"
        );
        refused(
            repo.scan(&id, &ScanQuery::new()).await,
            ErrorKind::NotFound,
            "scanning a deleted series",
        )?;
        ensure_eq!(repo.delete(&id, None).await?, 0, "deleting it again");
    }
    Ok(())
}

pub(super) async fn deleting_a_series_leaves_the_others(store: Store) -> Outcome {
    let repo = store.open().await?;
    let ids = [
        "BTCUSD@1m",
        "BTCUSD@1h",
        "BTCUSD@ticks",
        "BTC@1m",
        "@btcusd",
    ];
    for (n, id) in (1..).zip(ids) {
        append(&repo, &series(id)?, &[(n, n), (n + 1, n)]).await?;
    }
    ensure_eq!(
        repo.delete(&series("BTCUSD@1m")?, None).await?,
        2,
        "how many rows went with the series"
    );
    for (n, id) in (1..).zip(ids).skip(1) {
        ensure_eq!(
            all(&repo, &series(id)?).await?,
            [(n, n), (n + 1, n)],
            "the rows of {id}"
        );
    }
    Ok(())
}

/// Written out of order, with a tie.
const STORED: [(i64, i64); 6] = [(30, 0), (10, 1), (20, 2), (20, 3), (40, 4), (50, 5)];

pub(super) async fn deleting_a_range_deletes_exactly_its_rows(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::DeleteRange) {
        return unsupported(&repo).await;
    }
    let ranges = [
        range(20, 40)?,
        range(20, 41)?,
        range(11, 20)?,
        range(20, 20)?,
        range(-5, 1_000)?,
        range(60, 70)?,
        TimeRange::before(at(20)),
        TimeRange::since(at(20)),
        TimeRange::since(at(51)),
        TimeRange::all(),
    ];
    let other = series("BTCUSD@1h")?;
    append(&repo, &other, &STORED).await?;
    for (n, range) in ranges.into_iter().enumerate() {
        let id = series(&format!("S{n}@1m"))?;
        append(&repo, &id, &STORED).await?;
        let stay: Vec<_> = STORED
            .into_iter()
            .filter(|(time, _)| !range.contains(at(*time)))
            .collect();
        let gone = (STORED.len() - stay.len()) as u64;
        ensure_eq!(
            repo.delete(&id, Some(range)).await?,
            gone,
            "how many rows {range} deleted"
        );
        ensure_eq!(
            all(&repo, &id).await?,
            ordered(&repo, &stay),
            "the rows outside {range}"
        );
        ensure_eq!(
            repo.delete(&id, Some(range)).await?,
            0,
            "deleting {range} again"
        );
        agrees(&repo, &id).await?;
    }
    ensure_eq!(
        all(&repo, &other).await?,
        ordered(&repo, &STORED),
        "the rows of another series"
    );
    let missing = series("NOPE@1m")?;
    ensure_eq!(
        repo.delete(&missing, Some(range(0, 100)?)).await?,
        0,
        "deleting a range of a series that is not there"
    );
    ensure_eq!(repo.summary(&missing).await?, None, "it is still not there");
    Ok(())
}

pub(super) async fn a_series_without_rows_stays(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::DeleteRange) {
        return unsupported(&repo).await;
    }
    let id = series("BTCUSD@1m")?;
    append(&repo, &id, &STORED).await?;
    ensure_eq!(
        repo.delete(&id, Some(TimeRange::all())).await?,
        6,
        "how many rows went"
    );
    ensure_eq!(
        repo.list(&SeriesFilter::new()).await?,
        std::slice::from_ref(&id),
        "the series is still listed"
    );
    let summary = repo.summary(&id).await?;
    ensure_eq!(
        summary.map(|s| (s.rows, s.first, s.last)),
        Some((0, None, None)),
        "the summary of a series without rows"
    );
    let content = read(&repo, &id, &ScanQuery::new()).await?;
    ensure_eq!(
        (content.num_rows(), content.num_columns()),
        (0, 2),
        "its rows and columns"
    );
    append(&repo, &id, &[(7, 7)]).await?;
    ensure_eq!(all(&repo, &id).await?, [(7, 7)], "it takes rows again");
    Ok(())
}

async fn unsupported(repo: &Repo) -> Outcome {
    let id = series("BTCUSD@1m")?;
    append(repo, &id, &STORED).await?;
    let before = state(repo).await?;
    for range in [
        range(20, 40)?,
        range(1_000, 2_000)?,
        TimeRange::before(at(20)),
        TimeRange::all(),
    ] {
        let result = repo.delete(&id, Some(range)).await;
        refused(
            result,
            ErrorKind::Unsupported,
            &format!("deleting {range}, which is not claimed,"),
        )?;
        ensure_eq!(
            state(repo).await?,
            before,
            "the store after an unsupported deletion"
        );
    }
    Ok(())
}

pub(super) async fn deleting_a_range_not_claimed_is_unsupported(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::DeleteRange) {
        return unsupported(&repo).await;
    }
    // What is claimed must not be refused, not even where there is nothing to delete.
    append(&repo, &series("BTCUSD@1m")?, &STORED).await?;
    for range in [range(1_000, 2_000)?, range(20, 20)?] {
        ensure_eq!(
            repo.delete(&series("BTCUSD@1m")?, Some(range)).await?,
            0,
            "deleting {range}, in which nothing is"
        );
    }
    Ok(())
}

pub(super) async fn deleting_a_range_grows_the_version(store: Store) -> Outcome {
    let repo = store.open().await?;
    if !repo.capabilities().has(Capability::DeleteRange) {
        return unsupported(&repo).await;
    }
    let id = series("BTCUSD@1m")?;
    let written = append(&repo, &id, &STORED).await?.version;
    let version =
        async || -> Outcome<_> { Ok(repo.summary(&id).await?.map(|summary| summary.version)) };
    repo.delete(&id, Some(range(1_000, 2_000)?)).await?;
    ensure_eq!(
        version().await?,
        Some(written),
        "the version after nothing was deleted"
    );
    repo.delete(&id, Some(range(20, 21)?)).await?;
    let deleted = version().await?;
    ensure!(
        deleted > Some(written),
        "the version went from {written} to {deleted:?} by a deletion"
    );
    let next = append(&repo, &id, &[(60, 6)]).await?.version;
    ensure!(
        Some(next) > deleted,
        "the version went from {deleted:?} to {next} by an append"
    );
    Ok(())
}
