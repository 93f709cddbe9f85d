//! Every crash point of every mutation, and every state of the disk that it may leave.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod catalog;
#[path = "../common/mod.rs"]
mod common;
mod raw;

use minutebook_core::time::parse_timestamp;
use minutebook_core::{
    Decision, DecisionFilter, DecisionId, DecisionQuery, DecisionRepository, DecisionRepositoryExt,
    RetentionPolicy, SaveMode, TimeRange,
};
use minutebook_fs::crash::{Crashed, Kind, Options, enumerate};
use minutebook_fs::{Durability, Images, SimFs};
use minutebook_json::JsonDecisionRepository;

use common::{BOOT, at_noon as config, run};

const DIR: &str = "/decisions";

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
    let prepare = |store: &JsonDecisionRepository| {
        before.iter().try_for_each(|decision| save(store, decision))
    };
    check_with(&prepare, &operation, &found, states);
}

/// As [`check`], of what `found` tells of the disk after a crash.
fn check_with(
    prepare: &dyn Fn(&JsonDecisionRepository) -> Result<(), String>,
    operation: &dyn Fn(&JsonDecisionRepository) -> bool,
    found: &dyn Fn(&SimFs) -> Result<String, String>,
    states: &[&str],
) {
    // Once where one run of the machine cannot be told from another, and once where it can.
    for tells in [false, true] {
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
                prepare(&open(disk)?)
            },
            |disk| open(disk).is_ok_and(|repository| operation(&repository)),
            |crashed: &Crashed<'_, bool>| {
                if crashed.kind == Kind::Power {
                    run_of_the_machine(&crashed.disk, "two")?;
                }
                let found = found(&crashed.disk)?;
                let allowed = if *crashed.out {
                    states.last() == Some(&found.as_str())
                } else {
                    states.contains(&found.as_str())
                };
                if allowed {
                    Ok(())
                } else {
                    let out = crashed.out;
                    Err(format!(
                        "found \"{found}\", acknowledged {out}, states {states:?}"
                    ))
                }
            },
        )
        .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.states > 50, "{report:?}");
    }
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
