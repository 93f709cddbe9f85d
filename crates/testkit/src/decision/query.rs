//! Queries: conditions, order, limit, pages.

use std::collections::BTreeSet;

use minutebook_core::time::parse_timestamp;
use minutebook_core::{
    Action, DecisionFilter, DecisionPage, DecisionQuery, ErrorKind, FieldMatch, Order, SaveMode,
    Symbol, TimeRange,
};

use super::support::{Repo, Store, decision, document, id, ids, matching, names, save_all, state};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

pub(super) const ORDERS: [Order; 3] = [Order::Newest, Order::Oldest, Order::RecentlyWritten];

/// Decisions that differ in what filters look at.
pub(super) const SAMPLE: [&str; 8] = [
    r#"{"id":"a1","timestamp":"2025-01-01T00:00:00Z","asset_pair":"BTCUSD","action":"BUY","confidence":0.5,"ok":true,"deep":{"n":[1,2.0]}}"#,
    r#"{"id":"a2","timestamp":"2025-01-02T00:00:00Z","asset_pair":"btcusd","action":"buy","confidence":0.9,"ok":false}"#,
    r#"{"id":"b1","timestamp":"2025-01-02T00:00:00.000000001Z","asset_pair":"ETHUSD","action":"SELL","confidence":80,"ok":true}"#,
    r#"{"id":"b2","timestamp":"2025-01-03T02:00:00+02:00","asset_pair":"BTC/USD","action":"HOLD","ok":"true"}"#,
    r#"{"id":"c1","timestamp":"1969-12-31T23:59:59Z","asset_pair":"BTCUSDT","action":"SHORT_PUT","confidence":-1,"deep":{"n":[1.0]}}"#,
    r#"{"id":"c2","asset_pair":"BTCUSD","action":null,"confidence":"0.9"}"#,
    r#"{"id":"d","timestamp":"2025-01-03T00:00:00.000","action":"SELL","confidence":0.9}"#,
    r#"{"id":"A1","timestamp":"2025-01-04","asset_pair":"BTCUSD","action":"SELL","confidence":0.50,"ok":true}"#,
];

fn time(start: &str, end: &str) -> Outcome<DecisionFilter> {
    let range = TimeRange::new(parse_timestamp(start)?, parse_timestamp(end)?)?;
    Ok(DecisionFilter::new().time(range))
}

fn pair(symbol: &str) -> Outcome<DecisionFilter> {
    Ok(DecisionFilter::new().asset_pair(Symbol::new(symbol)?))
}

fn field(pointer: &str, value: impl Into<serde_json::Value>) -> DecisionFilter {
    DecisionFilter::new().field(FieldMatch::new(pointer, value))
}

pub(super) async fn each_condition_filters(store: Store) -> Outcome {
    let repo = store.open().await?;
    save_all(&repo, &SAMPLE).await?;
    let new = DecisionFilter::new;
    let expected: Vec<(DecisionFilter, &[&str])> = vec![
        (new(), &["A1", "a1", "a2", "b1", "b2", "c1", "c2", "d"]),
        (pair("BTCUSD")?, &["A1", "a1", "a2", "c2"]),
        (pair("BTC/USD")?, &["b2"]),
        (pair("BTC")?, &[]),
        (new().action(Action::Buy), &["a1", "a2"]),
        (new().action(Action::Sell), &["A1", "b1", "d"]),
        (new().action(Action::Other("SHORT_PUT".into())), &["c1"]),
        (new().action(Action::Other("short_put".into())), &[]),
        (new().min_confidence(0.5), &["A1", "a1", "a2", "b1", "d"]),
        (new().min_confidence(0.900_000_1), &["b1"]),
        (
            new().min_confidence(-1.0),
            &["A1", "a1", "a2", "b1", "c1", "d"],
        ),
        (new().id_prefix("a"), &["a1", "a2"]),
        (new().id_prefix("1"), &[]),
        (
            new().id_prefix(""),
            &["A1", "a1", "a2", "b1", "b2", "c1", "c2", "d"],
        ),
        (field("/ok", true), &["A1", "a1", "b1"]),
        (field("/ok", "true"), &["b2"]),
        (field("/confidence", 0.5), &["A1", "a1"]),
        (field("/deep/n/0", 1), &["a1", "c1"]),
        (field("/deep/n/1", 2), &["a1"]),
        (field("/action", serde_json::Value::Null), &["c2"]),
        (field("/nope", serde_json::Value::Null), &[]),
    ];
    for (filter, expected) in expected {
        ensure_eq!(
            matching(&repo, &filter).await?,
            expected,
            "what matches {filter:?}"
        );
    }
    Ok(())
}

pub(super) async fn time_ranges_are_half_open(store: Store) -> Outcome {
    let repo = store.open().await?;
    save_all(&repo, &SAMPLE).await?;
    // Recorded in 2025 at the latest of the sample: far from every range below.
    repo.delete(&id("c2")?).await?;
    let at = parse_timestamp("2025-01-02")?;
    let expected: Vec<(DecisionFilter, &[&str])> = vec![
        (time("2025-01-01", "2025-01-02")?, &["a1"]),
        (
            time("2025-01-02", "2025-01-02T00:00:00.000000001Z")?,
            &["a2"],
        ),
        (
            time("2025-01-02T00:00:00.000000001Z", "2025-01-03")?,
            &["b1"],
        ),
        (time("2025-01-02", "2025-01-03")?, &["a2", "b1"]),
        (time("2025-01-03", "2025-01-04")?, &["b2", "d"]),
        (time("2025-01-02", "2025-01-02")?, &[]),
        (time("1969-12-31", "1970-01-01")?, &["c1"]),
        (
            DecisionFilter::new().time(TimeRange::before(at)),
            &["a1", "c1"],
        ),
        (
            DecisionFilter::new().time(TimeRange::since(at)),
            &["A1", "a2", "b1", "b2", "d"],
        ),
        (
            DecisionFilter::new().time(TimeRange::inclusive(at, at)?),
            &["a2"],
        ),
    ];
    for (filter, expected) in expected {
        ensure_eq!(
            matching(&repo, &filter).await?,
            expected,
            "what lies in {}",
            filter.time
        );
    }
    Ok(())
}

pub(super) async fn conditions_hold_together(store: Store) -> Outcome {
    let repo = store.open().await?;
    save_all(&repo, &SAMPLE).await?;
    let base = pair("BTCUSD")?.action(Action::Buy);
    let expected: Vec<(DecisionFilter, &[&str])> = vec![
        (base.clone(), &["a1", "a2"]),
        (base.clone().min_confidence(0.6), &["a2"]),
        (base.clone().id_prefix("a1"), &["a1"]),
        (base.clone().field(FieldMatch::new("/ok", false)), &["a2"]),
        (
            base.clone()
                .time(TimeRange::since(parse_timestamp("2025-01-02")?)),
            &["a2"],
        ),
        (
            base.clone()
                .min_confidence(0.6)
                .field(FieldMatch::new("/ok", true)),
            &[],
        ),
        (
            base.field(FieldMatch::new("/ok", true))
                .field(FieldMatch::new("/deep/n/1", 2.0)),
            &["a1"],
        ),
    ];
    for (filter, expected) in expected {
        ensure_eq!(
            matching(&repo, &filter).await?,
            expected,
            "what matches {filter:?}"
        );
        // A limit and an order change nothing in what a filter lets through.
        let query = DecisionQuery::new()
            .filter(filter.clone())
            .order(Order::RecentlyWritten)
            .limit(100);
        let found: BTreeSet<_> = ids(&repo, &query).await?.into_iter().collect();
        ensure_eq!(
            found.into_iter().collect::<Vec<_>>(),
            expected,
            "what matches {filter:?} in another order"
        );
    }
    Ok(())
}

/// The whole store in an order, worked out by the case itself.
async fn sorted(repo: &Repo, order: Order) -> Outcome<Vec<String>> {
    let mut all = repo.query(&DecisionQuery::new()).await?.decisions;
    let key = |stored: &minutebook_core::StoredDecision| {
        let time = match order {
            Order::RecentlyWritten => stored.recorded_at,
            _ => stored.decision.timestamp().unwrap_or(stored.recorded_at),
        };
        (time, stored.decision.id().as_str().to_owned())
    };
    all.sort_by_key(key);
    if order != Order::Oldest {
        all.reverse();
    }
    Ok(names(&all))
}

pub(super) async fn orders_are_kept(store: Store) -> Outcome {
    let repo = store.open().await?;
    for text in SAMPLE {
        store.step();
        save_all(&repo, &[text]).await?;
    }
    let newest = ["c2", "A1", "d", "b2", "b1", "a2", "a1", "c1"];
    let by_time = |reverse: bool| {
        let mut order: Vec<String> = newest.iter().map(|id| (*id).to_owned()).collect();
        if reverse {
            order.reverse();
        }
        order
    };
    // The store's clock stands later than every timestamp of the sample, and so does the system's.
    ensure_eq!(
        ids(&repo, &DecisionQuery::new()).await?,
        by_time(false),
        "the default order, the newest first"
    );
    ensure_eq!(
        ids(&repo, &DecisionQuery::new().order(Order::Oldest)).await?,
        by_time(true),
        "the oldest first"
    );
    for order in ORDERS {
        let found = ids(&repo, &DecisionQuery::new().order(order)).await?;
        ensure_eq!(found, sorted(&repo, order).await?, "the order {order:?}");
    }
    Ok(())
}

pub(super) async fn ties_are_ordered_by_id(store: Store) -> Outcome {
    let repo = store.open().await?;
    // The same instant in other words, saved in no order; bytes decide, so capitals come first.
    let same = [
        "2025-01-02T00:00:00",
        "2025-01-02",
        "2025-01-02T01:00:00+01:00",
    ];
    for (n, name) in ["m", "b", "Z", "a_", "é", "a", "zz", "z"]
        .iter()
        .enumerate()
    {
        repo.save(&decision(name, same[n % same.len()], 0)?, SaveMode::Create)
            .await?;
    }
    let ascending = ["Z", "a", "a_", "b", "m", "z", "zz", "é"];
    let found = ids(&repo, &DecisionQuery::new().order(Order::Oldest)).await?;
    ensure_eq!(found, ascending, "equal instants, the oldest first");
    let mut found = ids(&repo, &DecisionQuery::new()).await?;
    found.reverse();
    ensure_eq!(
        found,
        ascending,
        "equal instants, the newest first, read backwards"
    );
    let found = ids(&repo, &DecisionQuery::new().order(Order::RecentlyWritten)).await?;
    ensure_eq!(
        found,
        sorted(&repo, Order::RecentlyWritten).await?,
        "decisions written at one instant"
    );
    Ok(())
}

pub(super) async fn recently_written_goes_by_the_last_write(store: Store) -> Outcome {
    let repo = store.open().await?;
    for (n, name) in (0..).zip(["a", "b", "c"]) {
        store.step();
        repo.save(&decision(name, "2025-01-01", n)?, SaveMode::Create)
            .await?;
    }
    store.step();
    repo.save(&decision("a", "1999-01-01", 9)?, SaveMode::Upsert)
        .await?;
    store.step();
    // Nothing is written for an unchanged document, so it does not move up.
    repo.save(&decision("b", "2025-01-01", 1)?, SaveMode::Upsert)
        .await?;
    let found = ids(&repo, &DecisionQuery::new().order(Order::RecentlyWritten)).await?;
    ensure_eq!(
        found,
        sorted(&repo, Order::RecentlyWritten).await?,
        "the order of the last writes"
    );
    if store.now().is_some() {
        ensure_eq!(found, ["a", "c", "b"], "the order of the last writes");
    }
    Ok(())
}

pub(super) async fn limit_cuts_after_the_order(store: Store) -> Outcome {
    let repo = store.open().await?;
    save_all(&repo, &SAMPLE).await?;
    for order in ORDERS {
        let all = sorted(&repo, order).await?;
        for limit in [0, 1, 2, 7, 8, 9, 1_000] {
            let page = repo
                .query(&DecisionQuery::new().order(order).limit(limit))
                .await?;
            let expected = &all[..limit.min(all.len())];
            ensure_eq!(
                names(&page.decisions),
                expected,
                "the first {limit} of {order:?}"
            );
        }
    }
    // The filter comes before the limit.
    let query = DecisionQuery::new()
        .filter(pair("BTCUSD")?.action(Action::Buy))
        .limit(1);
    ensure_eq!(ids(&repo, &query).await?, ["a2"], "the newest that matches");
    Ok(())
}

/// Follows the pages of a query to the end.
async fn follow(repo: &Repo, query: &DecisionQuery, limit: usize) -> Outcome<Vec<String>> {
    let mut visited = Vec::new();
    let mut next = query.clone().limit(limit);
    for _ in 0..100 {
        let page: DecisionPage = repo.query(&next).await?;
        ensure!(
            page.decisions.len() <= limit,
            "a page of {limit} has {} decisions",
            page.decisions.len()
        );
        visited.extend(names(&page.decisions));
        match page.next {
            None => return Ok(visited),
            // Through its text form, as a program would keep it.
            Some(cursor) => next = next.after(cursor.to_string().parse()?),
        }
        ensure!(
            !page.decisions.is_empty(),
            "a page with a next one is empty"
        );
    }
    Err(crate::Failure::new(format!(
        "the pages do not end; visited so far: {visited:?}"
    )))
}

pub(super) async fn pages_visit_every_match_once(store: Store) -> Outcome {
    let repo = store.open().await?;
    for text in SAMPLE {
        store.step();
        save_all(&repo, &[text]).await?;
    }
    // Ties at the border between two pages.
    for name in ["t|1", "t|2", "t 3", "t4", "t5"] {
        repo.save(&decision(name, "2025-01-02", 0)?, SaveMode::Create)
            .await?;
    }
    for order in ORDERS {
        for filter in [
            DecisionFilter::new(),
            pair("BTCUSD")?,
            DecisionFilter::new().id_prefix("t"),
        ] {
            let query = DecisionQuery::new().order(order).filter(filter);
            let all = ids(&repo, &query).await?;
            for limit in [1, 2, 3, all.len(), all.len() + 1] {
                let visited = follow(&repo, &query, limit).await?;
                ensure_eq!(
                    visited,
                    all,
                    "the pages of {limit} in the order {order:?} of {:?}",
                    query.filter
                );
            }
        }
    }
    let page = repo.query(&DecisionQuery::new().limit(13)).await?;
    ensure!(
        page.next.is_none(),
        "a page that holds the last match names a next one"
    );
    Ok(())
}

pub(super) async fn a_cursor_survives_changes(store: Store) -> Outcome {
    let repo = store.open().await?;
    for n in 0..6 {
        repo.save(
            &decision(&format!("d{n}"), &format!("2025-01-0{}", n + 1), n)?,
            SaveMode::Create,
        )
        .await?;
    }
    let query = DecisionQuery::new().order(Order::Oldest);
    let page = repo.query(&query.clone().limit(3)).await?;
    ensure_eq!(names(&page.decisions), ["d0", "d1", "d2"], "the first page");
    let Some(cursor) = page.next else {
        return Err(crate::Failure::new(
            "there are more, but the page names no next one",
        ));
    };
    // What the cursor stands on goes, one comes before it and one after it.
    repo.delete(&id("d2")?).await?;
    repo.save(
        &decision("before", "2025-01-01T12:00:00", 0)?,
        SaveMode::Create,
    )
    .await?;
    repo.save(
        &decision("after", "2025-01-04T12:00:00", 0)?,
        SaveMode::Create,
    )
    .await?;
    let rest = ids(&repo, &query.after(cursor)).await?;
    ensure_eq!(
        rest,
        ["d3", "after", "d4", "d5"],
        "what comes after the cursor"
    );
    Ok(())
}

pub(super) async fn a_cursor_of_another_order_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    save_all(&repo, &SAMPLE).await?;
    let before = state(&repo).await?;
    for given in ORDERS {
        let page = repo
            .query(&DecisionQuery::new().order(given).limit(2))
            .await?;
        let Some(cursor) = page.next else {
            return Err(crate::Failure::new(
                "there are more, but the page names no next one",
            ));
        };
        for asked in ORDERS {
            let query = DecisionQuery::new()
                .order(asked)
                .limit(2)
                .after(cursor.clone());
            let result = repo.query(&query).await;
            if asked == given {
                ensure_eq!(
                    result?.decisions.len(),
                    2,
                    "the second page in its own order {given:?}"
                );
            } else {
                refused(
                    result,
                    ErrorKind::InvalidInput,
                    &format!("a cursor of {given:?} in a query by {asked:?}"),
                )?;
            }
        }
    }
    ensure_eq!(state(&repo).await?, before, "queries change nothing");
    Ok(())
}

pub(super) async fn count_equals_the_query(store: Store) -> Outcome {
    let repo = store.open().await?;
    save_all(&repo, &SAMPLE).await?;
    let filters = [
        DecisionFilter::new(),
        pair("BTCUSD")?,
        pair("NOPE")?,
        DecisionFilter::new()
            .action(Action::Sell)
            .min_confidence(0.6),
        DecisionFilter::new().id_prefix("a"),
        time("2025-01-02", "2025-01-04")?,
        time("2025-01-02", "2025-01-02")?,
        field("/ok", true),
    ];
    for filter in filters {
        let found = matching(&repo, &filter).await?.len() as u64;
        ensure_eq!(repo.count(&filter).await?, found, "the count of {filter:?}");
    }
    repo.save(
        &document(r#"{"id":"a1","asset_pair":"ETHUSD"}"#)?,
        SaveMode::Upsert,
    )
    .await?;
    repo.delete(&id("a2")?).await?;
    ensure_eq!(
        repo.count(&pair("BTCUSD")?).await?,
        2,
        "the count after an update and a deletion"
    );
    Ok(())
}
