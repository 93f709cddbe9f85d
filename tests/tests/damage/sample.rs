//! A store made by the library, and everything that it answers.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use minutebook::config::Environment;
use minutebook::parquet::{SaveParquet, save_parquet};
use minutebook::{
    Action, Bar, DatasetEntry, DatasetFilter, Decision, DecisionQuery, DecisionRepositoryExt,
    DocumentFilter, Minutebook, Row, SaveMode, SeriesId, Tick, TimeRange, TimeSeriesRepositoryExt,
    jsonl::EntryQuery, time::parse_timestamp,
};

pub(crate) fn open(root: &Path) -> Minutebook {
    Minutebook::options()
        .environment(Environment::empty())
        .open(root)
        .unwrap()
}

fn at(hours: i64) -> DateTime<Utc> {
    parse_timestamp("2025-01-01T00:00:00Z").unwrap() + TimeDelta::hours(hours)
}

pub(crate) fn bars(from: i64, to: i64) -> Vec<Bar> {
    (from..to)
        .map(|hour| {
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let price = 100.0 + (hour * 37 % 101) as f64 / 8.0;
            Bar {
                timestamp: at(hour),
                open: price,
                high: price + 1.0,
                low: price - 1.0,
                close: price,
                volume: 5.0,
            }
        })
        .collect()
}

fn ticks(count: i64, size: Option<f64>) -> Vec<Tick> {
    (0..count)
        .map(|i| Tick {
            timestamp: at(i),
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            price: 10.0 + i as f64,
            size,
            side: None,
        })
        .collect()
}

fn tick_line(n: i64, price: i64) -> String {
    let (hour, minute, second) = (n / 3_600, n / 60 % 60, n % 60);
    format!(
        "{{\"timestamp\":\"2025-01-01T{hour:02}:{minute:02}:{second:02}Z\",\"price\":{price}.5}}"
    )
}

/// Decisions (one updated, one deleted), ticks of three symbols (one with a file of types, one with sealed segments), two series of several versions and segments, a
/// Parquet file, a catalog of all of them, and two documents.
pub(crate) async fn make(root: &Path) {
    let book = Minutebook::options()
        .environment(Environment::empty())
        .create(root)
        .unwrap();
    for i in 1..=8_i64 {
        let mut decision = Decision::new(format!("d-{i}").parse().unwrap())
            .with_timestamp(at(24 * i))
            .with_asset_pair("BTCUSD")
            .with_action(Action::Buy);
        decision.set("note", &format!("number {i}, é")).unwrap();
        book.decisions().create(&decision).await.unwrap();
        if i == 1 {
            decision.set("executed", &true).unwrap();
            book.decisions()
                .save(&decision, SaveMode::Upsert)
                .await
                .unwrap();
        }
    }
    book.decisions()
        .delete(&"d-8".parse().unwrap())
        .await
        .unwrap();
    book.decision_files()
        .unwrap()
        .unwrap()
        .checkpoint()
        .await
        .unwrap();

    let hours: SeriesId = "BTCUSD@1h".parse().unwrap();
    for (from, to) in [(0, 4_000), (4_000, 5_500), (5_500, 6_000)] {
        book.series()
            .append_bars(&hours, &bars(from, to))
            .await
            .unwrap();
    }
    let days: SeriesId = "@other".parse().unwrap();
    for from in [0, 100] {
        book.series()
            .append_bars(&days, &bars(from, from + 100))
            .await
            .unwrap();
    }
    for (symbol, size) in [("BTCUSD@ticks", Some(1.5)), ("ETHUSD@ticks", None)] {
        let id: SeriesId = symbol.parse().unwrap();
        book.ticks()
            .append_ticks(&id, &ticks(40, size))
            .await
            .unwrap();
        book.register_series(&Minutebook::default_name(&id).unwrap(), &id)
            .await
            .unwrap();
    }
    // Two sealed segments, and a plain file.
    let sol: SeriesId = "SOLUSD@ticks".parse().unwrap();
    let log = book.tick_log().unwrap().unwrap();
    for part in 0..3 {
        let lines: Vec<String> = (part * 9_000..part * 9_000 + 9_000)
            .map(|n| tick_line(n, 7 * n % 1_000))
            .collect();
        log.append_entries(&sol, &lines).await.unwrap();
        if part < 2 {
            log.rotate(&sol).await.unwrap().unwrap();
        }
    }
    book.register_series(&Minutebook::default_name(&sol).unwrap(), &sol)
        .await
        .unwrap();
    for id in [&hours, &days] {
        book.register_series(&Minutebook::default_name(id).unwrap(), id)
            .await
            .unwrap();
    }
    std::fs::create_dir(root.join("data")).unwrap();
    let batch = Bar::to_batch(&bars(0, 3_000)).unwrap();
    save_parquet(
        &[batch],
        root.join("data/vix.parquet"),
        &SaveParquet::default(),
    )
    .unwrap();
    for (name, text) in [
        (
            "runs/2025-01-02/params",
            "{\"window\": 20, \"note\": \"\u{e9}\"}",
        ),
        ("runs/2025-01-03/params", "[1, 2.50]"),
    ] {
        book.documents()
            .save(&name.parse().unwrap(), text)
            .await
            .unwrap();
    }
    let vix = DatasetEntry::new("vix".parse().unwrap(), "VIX", "data/vix.parquet");
    book.catalog()
        .register(&vix, SaveMode::Create)
        .await
        .unwrap();
    book.refresh(&"vix".parse().unwrap()).await.unwrap();
}

/// Every answer of the store, by what it is about.
pub(crate) async fn answers(root: &Path) -> BTreeMap<String, String> {
    let book = open(root);
    let mut all = BTreeMap::new();
    match book.decisions().query(&DecisionQuery::new()).await {
        Ok(page) => {
            for stored in page.decisions {
                let text = format!(
                    "{} {} {}",
                    stored.decision.to_json(),
                    stored.revision,
                    stored.recorded_at
                );
                all.insert(format!("decision {}", stored.decision.id()), text);
            }
        }
        Err(error) => drop(all.insert("decision".to_owned(), error.to_string())),
    }
    for id in ["BTCUSD@1h", "@other"] {
        let id: SeriesId = id.parse().unwrap();
        let rows = book.series().bars(&id, TimeRange::all()).await;
        all.insert(
            format!("series {id}"),
            format!("{:?}", rows.map_err(|error| error.kind())),
        );
    }
    let log = book.existing_tick_log().unwrap().unwrap();
    for id in ["BTCUSD@ticks", "ETHUSD@ticks", "SOLUSD@ticks"] {
        let id: SeriesId = id.parse().unwrap();
        let rows = book.ticks().ticks(&id, TimeRange::all()).await;
        let mut text = format!("{:?}", rows.map_err(|error| error.kind()));
        if let Ok(entries) = log.entries(&id, &EntryQuery::new()).await {
            let (entries, _) = entries.collect().await.unwrap();
            text.extend(entries.iter().map(minutebook::jsonl::Entry::text));
        }
        all.insert(format!("ticks {id}"), text);
    }
    for info in book.documents().list(&DocumentFilter::new()).await.unwrap() {
        let found = book.documents().get(&info.name).await;
        let text = found.map(|stored| stored.map(|stored| stored.text));
        all.insert(format!("document {}", info.name), format!("{text:?}"));
    }
    match book.catalog().list(&DatasetFilter::new()).await {
        Ok(entries) => {
            for stored in entries {
                all.insert(
                    format!("entry {}", stored.entry.name),
                    format!("{stored:?}"),
                );
            }
        }
        Err(error) => drop(all.insert("entry".to_owned(), error.to_string())),
    }
    all
}
