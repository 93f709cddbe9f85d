//! The catalog, stopped at every step.

use std::sync::Arc;

use minutebook_core::time::parse_timestamp;
use minutebook_core::{Catalog, DatasetChange, DatasetEntry, DatasetFilter, ManualClock, SaveMode};
use minutebook_fs::SimFs;
use minutebook_fs::crash::{Options, enumerate};
use minutebook_json::{JsonCatalog, JsonCatalogConfig};

use super::run;

fn catalog(disk: &SimFs) -> Result<JsonCatalog, String> {
    let now = parse_timestamp("2025-06-01T12:00:00Z").unwrap();
    let config = JsonCatalogConfig::default()
        .fs(Arc::new(disk.clone()))
        .clock(Arc::new(ManualClock::at(now)));
    JsonCatalog::open("/registry.json", config).map_err(|error| format!("{error:?}"))
}

fn entry(name: &str, instrument: &str) -> DatasetEntry {
    DatasetEntry::new(name.parse().unwrap(), instrument, "x.parquet")
}

fn check_catalog(operation: impl Fn(&JsonCatalog) -> bool, old: &str, new: &str) {
    let report = enumerate(
        &Options::default(),
        |disk| {
            let catalog = catalog(disk)?;
            let one = |entry| {
                run(catalog.register(&entry, SaveMode::Create))
                    .map(drop)
                    .map_err(|error| error.to_string())
            };
            one(entry("a", "A")).and_then(|()| one(entry("b", "B")))
        },
        |disk| catalog(disk).is_ok_and(|catalog| operation(&catalog)),
        |crashed| {
            let entries = run(catalog(&crashed.disk)?.list(&DatasetFilter::new()))
                .map_err(|error| error.to_string())?;
            let found: Vec<_> = entries
                .iter()
                .map(|stored| format!("{}={}", stored.entry.name, stored.entry.instrument))
                .collect();
            let found = found.join(" ");
            if found == new || (found == old && !crashed.out) {
                Ok(())
            } else {
                Err(found)
            }
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 10, "{report:?}");
}

#[test]
fn register() {
    let c = entry("c", "C");
    check_catalog(
        |catalog| run(catalog.register(&c, SaveMode::Create)).is_ok(),
        "a=A b=B",
        "a=A b=B c=C",
    );
}

#[test]
fn update() {
    let change = DatasetChange::new().instrument("C");
    let name = "a".parse().unwrap();
    check_catalog(
        |catalog| run(catalog.update(&name, &change)).is_ok(),
        "a=A b=B",
        "a=C b=B",
    );
}

#[test]
fn remove() {
    let name = "a".parse().unwrap();
    check_catalog(
        |catalog| run(catalog.remove(&name)).is_ok(),
        "a=A b=B",
        "b=B",
    );
}

#[test]
fn rename() {
    let (a, z) = ("a".parse().unwrap(), "z".parse().unwrap());
    check_catalog(
        |catalog| run(catalog.rename(&a, &z)).is_ok(),
        "a=A b=B",
        "b=B z=A",
    );
}

#[test]
fn replace() {
    let b = entry("b", "other");
    check_catalog(
        |catalog| run(catalog.register(&b, SaveMode::Upsert)).is_ok(),
        "a=A b=B",
        "a=A b=other",
    );
}

#[test]
fn made_by_the_first_registration() {
    let a = entry("a", "A");
    let report = enumerate(
        &Options::default(),
        |_| Ok(()),
        |disk| {
            let catalog = catalog(disk)?;
            run(catalog.register(&a, SaveMode::Create)).map_err(|error| error.to_string())
        },
        |crashed| {
            let entries = run(catalog(&crashed.disk)?.list(&DatasetFilter::new()))
                .map_err(|error| error.to_string())?;
            match entries.len() {
                1 => Ok(()),
                0 if crashed.out.is_err() => Ok(()),
                count => Err(format!("{count} entries")),
            }
        },
    );
    assert!(report.unwrap_or_else(|failure| panic!("{failure}")).states > 10);
}
