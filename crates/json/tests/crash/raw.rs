//! Text that is kept letter for letter, stopped at every step.

use minutebook_core::{DecisionId, DecisionRepository, SaveMode};
use minutebook_fs::SimFs;
use minutebook_json::JsonDecisionRepository;

use super::{check_with, decision, open, run, save};

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
    let prepare = |store: &JsonDecisionRepository| {
        before.iter().try_for_each(|text| {
            let known = minutebook_json::raw_fields(text).map_err(|error| error.to_string())?;
            run(store.save_raw(&known, *text, SaveMode::Upsert))
                .map(drop)
                .map_err(|error| error.to_string())
        })
    };
    check_with(&prepare, &operation, &found_raw, states);
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
