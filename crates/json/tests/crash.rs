//! Every crash point of every mutation, and every state of the disk that it may leave.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use minutebook_core::time::parse_timestamp;
use minutebook_core::{
    Catalog, DatasetChange, DatasetEntry, DatasetFilter, Decision, DecisionFilter, DecisionId,
    DecisionQuery, DecisionRepository, DecisionRepositoryExt, ManualClock, RetentionPolicy,
    SaveMode, TimeRange,
};
use minutebook_fs::crash::{Crashed, Kind, Options, enumerate};
use minutebook_fs::{Durability, Images, SimFs};
use minutebook_json::{JsonCatalog, JsonCatalogConfig, JsonDecisionConfig, JsonDecisionRepository};

const DIR: &str = "/decisions";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Without a runtime everything runs inline, so that each run takes the same steps.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}

fn config(disk: &SimFs) -> JsonDecisionConfig {
    let now = parse_timestamp("2025-06-01T12:00:00Z").unwrap();
    JsonDecisionConfig::default()
        .fs(Arc::new(disk.clone()))
        .clock(Arc::new(ManualClock::at(now)))
}

fn open(disk: &SimFs) -> Result<JsonDecisionRepository, String> {
    JsonDecisionRepository::open(DIR, config(disk)).map_err(|error| format!("{error:?}"))
}

fn decision(id: &str, date: &str, n: u32) -> Decision {
    let text = format!(
        r#"{{"id":"{id}","timestamp":"{date}T10:00:00Z","n":{n},"note":"{}"}}"#,
        "x".repeat(40)
    );
    Decision::from_json(&text).unwrap()
}

fn save(repository: &JsonDecisionRepository, decision: &Decision) -> Result<(), String> {
    run(repository.save(decision, SaveMode::Upsert))
        .map(drop)
        .map_err(|error| error.to_string())
}

/// What is there after a crash, as a fresh process finds it: `id=n` for each decision, in order of the ids.
fn found(disk: &SimFs) -> Result<String, String> {
    let repository = open(disk)?;
    let page = run(repository.query(&DecisionQuery::new())).map_err(|error| error.to_string())?;
    if !page.report.is_clean() {
        return Err(format!("problems: {:?}", page.report.problems()));
    }
    let mut found = Vec::new();
    for stored in page {
        let again = run(repository.get(stored.decision.id())).map_err(|error| error.to_string())?;
        if again.as_ref() != Some(&stored) {
            return Err(format!("get gives {again:?}, query {stored:?}"));
        }
        found.push(format!(
            "{}={}",
            stored.decision.id(),
            stored.decision.raw("n").unwrap_or("?")
        ));
    }
    found.sort();
    let files = disk.tree().into_keys().filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    let files = files.count();
    if files != found.len() {
        return Err(format!(
            "{files} files for {found:?}: {:?}",
            disk.tree().keys()
        ));
    }
    // The store goes on working, and what it writes now is there for the next.
    save(&repository, &decision("later", "2025-06-01", 99))?;
    let problems = run(repository.problems()).map_err(|error| error.to_string())?;
    // A line that was cut short by the crash stays in the journal and is named there; documents are whole.
    if let Some(problem) = problems
        .problems()
        .iter()
        .find(|problem| !problem.resource.contains("journal"))
    {
        return Err(problem.to_string());
    }
    drop(repository);
    let later = DecisionId::new("later").unwrap();
    match run(open(disk)?.get(&later)) {
        Ok(Some(_)) => Ok(found.join(" ")),
        other => Err(format!("a save after the crash is lost: {other:?}")),
    }
}

/// Runs an operation on a store that holds `before`, and checks that afterwards there is either all of it or nothing, and all of
/// it if it was acknowledged.
fn check(
    before: &[Decision],
    operation: impl Fn(&JsonDecisionRepository) -> bool,
    states: &[&str],
) {
    // Once where one run of the machine cannot be told from another, and once where it can.
    for tells in [false, true] {
        check_one(before, &operation, states, tells);
    }
}

fn check_one(
    before: &[Decision],
    operation: &impl Fn(&JsonDecisionRepository) -> bool,
    states: &[&str],
    tells: bool,
) {
    let run_of_the_machine = |disk: &SimFs, id: &str| {
        if tells {
            disk.put(BOOT, id.as_bytes())
                .map_err(|error| error.to_string())
        } else {
            Ok(())
        }
    };
    let (old, new) = (states[0], states[states.len() - 1]);
    let images = Images::default().max(24);
    let report = enumerate(
        &Options::default().images(images),
        |disk| {
            let repository = open(disk)?;
            before
                .iter()
                .try_for_each(|decision| save(&repository, decision))
        },
        |disk| open(disk).is_ok_and(|repository| operation(&repository)),
        |crashed: &Crashed<'_, bool>| {
            if crashed.kind == Kind::Power {
                run_of_the_machine(&crashed.disk, "two")?;
            }
            let found = found(&crashed.disk)?;
            let allowed = if *crashed.out {
                found == new
            } else {
                states.contains(&found.as_str())
            };
            if allowed {
                Ok(())
            } else {
                Err(format!(
                    "found \"{found}\", acknowledged {}, old \"{old}\", new \"{new}\"",
                    crashed.out
                ))
            }
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 50, "{report:?}");
}

#[test]
fn create() {
    let a = decision("a", "2025-01-01", 1);
    check(&[], |store| save(store, &a).is_ok(), &["", "a=1"]);
}

#[test]
fn create_beside_others() {
    let before = [decision("b", "2025-01-01", 1)];
    let a = decision("a", "2025-01-01", 1);
    check(
        &before,
        |store| save(store, &a).is_ok(),
        &["b=1", "a=1 b=1"],
    );
}

#[test]
fn update_in_place() {
    let before = [
        decision("a", "2025-01-01", 1),
        decision("b", "2025-01-01", 1),
    ];
    let a = decision("a", "2025-01-01", 2);
    check(
        &before,
        |store| save(store, &a).is_ok(),
        &["a=1 b=1", "a=2 b=1"],
    );
}

#[test]
fn update_twice() {
    let before = [decision("a", "2025-01-01", 1)];
    let (second, third) = (
        decision("a", "2025-01-01", 2),
        decision("a", "2025-01-01", 3),
    );
    let operation = |store: &JsonDecisionRepository| {
        save(store, &second).is_ok() && save(store, &third).is_ok()
    };
    check(&before, operation, &["a=1", "a=2", "a=3"]);
}

#[test]
fn update_with_another_date() {
    let before = [
        decision("a", "2025-01-01", 1),
        decision("b", "2025-01-01", 1),
    ];
    let a = decision("a", "2025-01-02", 2);
    check(
        &before,
        |store| save(store, &a).is_ok(),
        &["a=1 b=1", "a=2 b=1"],
    );
}

#[test]
fn there_and_back_to_the_first_date() {
    let before = [decision("a", "2025-01-01", 1)];
    let (there, back) = (
        decision("a", "2025-01-02", 2),
        decision("a", "2025-01-01", 3),
    );
    let operation =
        |store: &JsonDecisionRepository| save(store, &there).is_ok() && save(store, &back).is_ok();
    check(&before, operation, &["a=1", "a=2", "a=3"]);
}

#[test]
fn delete() {
    let before = [
        decision("a", "2025-01-01", 1),
        decision("b", "2025-01-01", 1),
    ];
    let id = DecisionId::new("a").unwrap();
    check(
        &before,
        |store| run(store.delete(&id)).is_ok(),
        &["a=1 b=1", "b=1"],
    );
}

#[test]
fn delete_and_create_again() {
    let before = [decision("a", "2025-01-01", 1)];
    let (id, again) = (
        DecisionId::new("a").unwrap(),
        decision("a", "2025-01-01", 2),
    );
    let operation = |store: &JsonDecisionRepository| {
        run(store.delete(&id)).is_ok() && save(store, &again).is_ok()
    };
    check(&before, operation, &["a=1", "", "a=2"]);
}

#[test]
fn delete_matching() {
    let before = [
        decision("a", "2025-01-01", 1),
        decision("b", "2025-01-02", 1),
        decision("c", "2025-01-03", 1),
    ];
    let filter =
        DecisionFilter::new().time(TimeRange::before(parse_timestamp("2025-01-03").unwrap()));
    let operation = |store: &JsonDecisionRepository| run(store.delete_matching(&filter)).is_ok();
    // Of a batch that was not acknowledged a prefix may be done.
    check(&before, operation, &["a=1 b=1 c=1", "b=1 c=1", "c=1"]);
}

#[test]
fn save_all() {
    let before = [decision("b", "2025-01-01", 1)];
    let batch = vec![
        decision("a", "2025-01-01", 2),
        decision("b", "2025-01-02", 2),
        decision("b", "2025-01-03", 3),
    ];
    let operation = |store: &JsonDecisionRepository| {
        run(store.save_all(batch.clone(), SaveMode::Upsert))
            .iter()
            .all(Result::is_ok)
    };
    check(
        &before,
        operation,
        &["b=1", "a=2 b=1", "a=2 b=2", "a=2 b=3"],
    );
}

#[test]
fn checkpoint() {
    let before = [
        decision("a", "2025-01-01", 1),
        decision("b", "2025-01-01", 1),
    ];
    let id = DecisionId::new("b").unwrap();
    let operation = |store: &JsonDecisionRepository| {
        let done =
            save(store, &decision("a", "2025-01-02", 2)).is_ok() && run(store.delete(&id)).is_ok();
        run(store.checkpoint()).is_ok() && done
    };
    check(&before, operation, &["a=1 b=1", "a=2 b=1", "a=2"]);
}

/// A document that the journal does not have is replaced: it must not be lost either.
#[test]
fn update_of_what_another_program_wrote() {
    for durability in [Durability::Synced, Durability::Buffered] {
        let report = enumerate(
            &Options::default().images(Images::default().max(200)),
            |disk| {
                open(disk)?;
                let text = decision("a", "2025-01-05", 1).to_json_pretty();
                let put = |name: &str| disk.put(format!("{DIR}/{name}"), text.as_bytes());
                put("2025-01-01_a.json")
                    .and_then(|()| put("2025-01-02_a.json"))
                    .map_err(|error| error.to_string())
            },
            |disk| {
                let store = JsonDecisionRepository::open(DIR, config(disk).durability(durability));
                store.is_ok_and(|store| save(&store, &decision("a", "2025-01-03", 2)).is_ok())
            },
            |crashed| {
                let store = open(&crashed.disk)?;
                let id = DecisionId::new("a").unwrap();
                let stored = run(store.get(&id))
                    .map_err(|error| error.to_string())?
                    .ok_or("it is lost")?;
                match (
                    stored.decision.raw("n"),
                    *crashed.out && durability.is_synced(),
                ) {
                    (Some("2"), _) | (Some("1"), false) => Ok(()),
                    (other, acknowledged) => {
                        Err(format!("n={other:?}, acknowledged {acknowledged}"))
                    }
                }
            },
        )
        .unwrap_or_else(|failure| panic!("{durability:?}: {failure}"));
        assert!(report.states > 50, "{report:?}");
    }
}

/// Without syncs a power cut may take what was acknowledged, but never what was durable before, and never half of it.
#[test]
fn buffered_writes_keep_what_was_durable() {
    let report = enumerate(
        &Options::default().images(Images::default().max(200)),
        |disk| save(&open(disk)?, &decision("a", "2025-01-01", 1)),
        |disk| {
            let store =
                JsonDecisionRepository::open(DIR, config(disk).durability(Durability::Buffered));
            store.is_ok_and(|store| save(&store, &decision("a", "2025-01-01", 2)).is_ok())
        },
        |crashed| {
            let store = open(&crashed.disk)?;
            let stored = run(store.get(&DecisionId::new("a").unwrap()))
                .map_err(|error| error.to_string())?;
            match stored.as_ref().and_then(|stored| stored.decision.raw("n")) {
                Some("1" | "2") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 50, "{report:?}");
}

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
fn catalog_register() {
    let c = entry("c", "C");
    check_catalog(
        |catalog| run(catalog.register(&c, SaveMode::Create)).is_ok(),
        "a=A b=B",
        "a=A b=B c=C",
    );
}

#[test]
fn catalog_update() {
    let change = DatasetChange::new().instrument("C");
    let name = "a".parse().unwrap();
    check_catalog(
        |catalog| run(catalog.update(&name, &change)).is_ok(),
        "a=A b=B",
        "a=C b=B",
    );
}

#[test]
fn catalog_remove() {
    let name = "a".parse().unwrap();
    check_catalog(
        |catalog| run(catalog.remove(&name)).is_ok(),
        "a=A b=B",
        "b=B",
    );
}

#[test]
fn catalog_rename() {
    let (a, z) = ("a".parse().unwrap(), "z".parse().unwrap());
    check_catalog(
        |catalog| run(catalog.rename(&a, &z)).is_ok(),
        "a=A b=B",
        "b=B z=A",
    );
}

#[test]
fn catalog_replace() {
    let b = entry("b", "other");
    check_catalog(
        |catalog| run(catalog.register(&b, SaveMode::Upsert)).is_ok(),
        "a=A b=B",
        "a=A b=other",
    );
}

#[test]
fn catalog_made_by_the_first_registration() {
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

/// What is there after a crash, raw text included: `id=text` for each document.
fn found_raw(disk: &SimFs) -> Result<String, String> {
    let repository = open(disk)?;
    let mut found = Vec::new();
    for id in ["a", "b"] {
        let raw = run(repository.get_raw(&DecisionId::new(id).unwrap()));
        if let Some(raw) = raw.map_err(|error| error.to_string())? {
            if raw.revision.is_none() {
                return Err(format!("{} is no longer known", raw.file));
            }
            found.push(String::from_utf8(raw.bytes).map_err(|error| error.to_string())?);
        }
    }
    let files = disk.tree().into_keys().filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    if files.count() != found.len() {
        return Err(format!("other files: {:?}", disk.tree().keys()));
    }
    // The store goes on working.
    save(&repository, &decision("later", "2025-06-01", 99))?;
    Ok(found.join(" "))
}

/// Runs an operation on a store that holds raw texts, and checks that there are the texts of before or those of afterwards.
fn check_raw(
    before: &[&str],
    operation: impl Fn(&JsonDecisionRepository) -> bool,
    states: &[&str],
) {
    for tells in [false, true] {
        let save_raw = |repository: &JsonDecisionRepository, text: &str| {
            let known = minutebook_json::raw_fields(text).map_err(|error| error.to_string())?;
            run(repository.save_raw(&known, text, SaveMode::Upsert))
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let run_of_the_machine = |disk: &SimFs, id: &str| {
            if tells {
                disk.put(BOOT, id.as_bytes())
                    .map_err(|error| error.to_string())
            } else {
                Ok(())
            }
        };
        let report = enumerate(
            &Options::default().images(Images::default().max(24)),
            |disk| {
                run_of_the_machine(disk, "one")?;
                let repository = open(disk)?;
                before
                    .iter()
                    .try_for_each(|text| save_raw(&repository, text))
            },
            |disk| open(disk).is_ok_and(|repository| operation(&repository)),
            |crashed: &Crashed<'_, bool>| {
                if crashed.kind == Kind::Power {
                    run_of_the_machine(&crashed.disk, "two")?;
                }
                let found = found_raw(&crashed.disk)?;
                let allowed = if *crashed.out {
                    states.last() == Some(&found.as_str())
                } else {
                    states.contains(&found.as_str())
                };
                if allowed {
                    Ok(())
                } else {
                    Err(format!("found {found}, acknowledged {}", crashed.out))
                }
            },
        )
        .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.states > 50, "{report:?}");
    }
}

const RAW_A: &str =
    "{\"id\": \"a\", \"timestamp\": \"2025-01-01\", \"x\": NaN,\n\n \"y\": [1e999]}\n";
const RAW_A2: &str =
    "{\"id\": \"a\", \"timestamp\": \"2025-01-02\", \"x\": Infinity, \"k\": 1, \"k\": 2}";
const RAW_B: &str = "{\"id\": \"b\", \"timestamp\": \"2025-01-01\", \"d\": 1, \"d\": 2}";

fn put_raw(repository: &JsonDecisionRepository, text: &str) -> bool {
    let known = minutebook_json::raw_fields(text).unwrap();
    run(repository.save_raw(&known, text, SaveMode::Upsert)).is_ok()
}

#[test]
fn save_raw_new() {
    let states = ["", RAW_A];
    check_raw(&[], |store| put_raw(store, RAW_A), &states);
}

#[test]
fn save_raw_over_raw_with_another_date() {
    let both = |a: &str| format!("{a} {RAW_B}");
    let (old, new) = (both(RAW_A), both(RAW_A2));
    let operation = |store: &JsonDecisionRepository| put_raw(store, RAW_A2);
    check_raw(&[RAW_A, RAW_B], operation, &[&old, &new]);
}

#[test]
fn a_plain_save_over_raw_text_and_back() {
    let plain = decision("a", "2025-01-01", 1);
    let pretty = plain.to_json_pretty();
    let operation =
        |store: &JsonDecisionRepository| save(store, &plain).is_ok() && put_raw(store, RAW_A);
    check_raw(&[RAW_A], operation, &[RAW_A, &pretty, RAW_A]);
}

#[test]
fn deleting_raw_text() {
    let ids = ["a", "b"].map(|id| DecisionId::new(id).unwrap());
    let operation = |store: &JsonDecisionRepository| {
        ids.iter()
            .all(|id| run(store.delete(id)).is_ok_and(|deleted| deleted))
    };
    let both = format!("{RAW_A} {RAW_B}");
    check_raw(&[RAW_A, RAW_B], operation, &[&both, RAW_B, ""]);
}

#[test]
fn retention_applied() {
    let before = [
        decision("a", "2025-01-01", 1),
        decision("b", "2025-01-02", 1),
        decision("c", "2025-01-03", 1),
    ];
    let policy = RetentionPolicy::new().newest(1);
    let operation = |store: &JsonDecisionRepository| {
        let now = parse_timestamp("2025-06-01").unwrap();
        let plan = run(store.plan_retention(&policy, now));
        plan.is_ok_and(|plan| {
            run(store.apply_retention(&plan)).is_ok_and(|outcome| outcome.deleted == 2)
        })
    };
    // The newest goes first; one call deletes them in this order.
    check(&before, operation, &["a=1 b=1 c=1", "a=1 c=1", "c=1"]);
}
