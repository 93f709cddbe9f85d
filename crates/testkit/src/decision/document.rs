//! Documents come back letter for letter.

use std::fmt::Write as _;

use minutebook_core::{DecisionQuery, FieldMatch, SaveMode, SaveOutcome};

use super::support::{Repo, Store, document, matching, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq};
use crate::data::nasty_texts;

/// Saves the document, and wants it back letter for letter from `get` and from a query.
async fn comes_back(repo: &Repo, json: &str) -> Outcome {
    let given = document(json)?;
    repo.save(&given, SaveMode::Upsert).await?;
    let name = given.id().as_str();
    ensure_eq!(
        there(repo, name).await?.decision.to_json(),
        given.to_json(),
        "the document from get"
    );
    let filter = minutebook_core::DecisionFilter::new().id_prefix(name);
    let page = repo.query(&DecisionQuery::new().filter(filter)).await?;
    let found: Vec<_> = page
        .into_iter()
        .map(|stored| stored.decision.to_json())
        .collect();
    ensure_eq!(found, [given.to_json()], "the document from a query");
    Ok(())
}

pub(super) async fn number_text_comes_back(store: Store) -> Outcome {
    let repo = store.open().await?;
    comes_back(
        &repo,
        r#"{"id":"n","a":1.10,"b":1e5,"c":1E+5,"d":-0.0,"e":-0,"f":0.1000000000000000055511151231257827,"g":12345678901234567890123,
            "h":-9223372036854775809,"i":1e400,"j":4.9e-324,"k":100.00,"l":[1.0,1,1.00],"m":{"n":5E-1},"confidence":80.0}"#,
    )
    .await?;
    // The same value in other digits is another document.
    let receipt = repo
        .save(&document(r#"{"id":"x","a":1.10}"#)?, SaveMode::Create)
        .await?;
    store.step();
    let again = repo
        .save(&document(r#"{"id":"x","a":1.1}"#)?, SaveMode::Upsert)
        .await?;
    ensure_eq!(
        again.outcome,
        SaveOutcome::Updated,
        "1.1 for 1.10 is a change"
    );
    ensure!(
        again.revision != receipt.revision,
        "1.1 for 1.10 kept the revision {}",
        again.revision
    );
    ensure_eq!(
        there(&repo, "x").await?.decision.raw("a"),
        Some("1.1"),
        "the new text is stored"
    );
    Ok(())
}

pub(super) async fn field_order_comes_back_and_a_new_order_is_a_change(store: Store) -> Outcome {
    let repo = store.open().await?;
    comes_back(&repo, r#"{"zeta":1,"action":"BUY","id":"o","alpha":{"z":1,"a":2},"timestamp":"2025-01-01","10":1,"9":2}"#).await?;
    store.step();
    let reordered = document(
        r#"{"id":"o","timestamp":"2025-01-01","action":"BUY","zeta":1,"9":2,"10":1,"alpha":{"z":1,"a":2}}"#,
    )?;
    let receipt = repo.save(&reordered, SaveMode::Upsert).await?;
    ensure_eq!(
        there(&repo, "o").await?.decision.to_json(),
        reordered.to_json(),
        "the new order is stored"
    );
    ensure_eq!(
        receipt.outcome,
        SaveOutcome::Updated,
        "the outcome of a save with another order of fields"
    );
    Ok(())
}

pub(super) async fn strings_and_escapes_come_back(store: Store) -> Outcome {
    let repo = store.open().await?;
    comes_back(&repo, r#"{"id":"s","a":"caf\u00e9","b":"café","c":"\ud83e\udd80 🦀","d":"a\/b","e":"\u0000\n\t\\\"","f":"","g":" \u2028 "}"#).await?;
    for (n, text) in nasty_texts().iter().enumerate() {
        let mut given = document(&format!(r#"{{"id":"text {n}","timestamp":"2025-01-01"}}"#))?;
        given.set("text", text)?;
        given.set(&format!("in a list {n}"), &[text, text])?;
        comes_back(&repo, &given.to_json()).await?;
        let found = there(&repo, given.id().as_str()).await?.decision;
        ensure_eq!(
            found.get("text"),
            Some(text.as_str().into()),
            "the text itself"
        );
    }
    Ok(())
}

pub(super) async fn nested_and_empty_values_come_back(store: Store) -> Outcome {
    let repo = store.open().await?;
    comes_back(
        &repo,
        r#"{"id":"empty","a":{},"b":[],"c":[[],{},[{}]],"d":{"e":{"":{}}}}"#,
    )
    .await?;
    let deep = format!(
        r#"{{"id":"deep","a":{}1{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    comes_back(&repo, &deep).await?;
    comes_back(&repo, r#"{"id":"bare"}"#).await
}

pub(super) async fn field_names_of_any_kind_come_back(store: Store) -> Outcome {
    let repo = store.open().await?;
    comes_back(
        &repo,
        r#"{"id":"f","":1,"a/b":2,"a~1b":3,"é":4,"\u0000":5," ":6,"ID":"upper","_id":7,"revision":"mine","recorded_at":"never",
            "outcome":8,"document":{"id":"inner"},"decision":9,"version":10,"deleted":true,"hash":"x","$schema":"y","__proto__":{}}"#,
    )
    .await?;
    let fields = minutebook_core::DecisionFilter::new().field(FieldMatch::new("/revision", "mine"));
    ensure_eq!(
        matching(&repo, &fields).await?,
        ["f"],
        "a field named like the store's own is the document's"
    );
    Ok(())
}

pub(super) async fn null_and_missing_are_two_things(store: Store) -> Outcome {
    let repo = store.open().await?;
    comes_back(
        &repo,
        r#"{"id":"null","x":null,"timestamp":null,"action":null,"confidence":null}"#,
    )
    .await?;
    comes_back(&repo, r#"{"id":"none"}"#).await?;
    let filter = minutebook_core::DecisionFilter::new()
        .field(FieldMatch::new("/x", serde_json::Value::Null));
    ensure_eq!(
        matching(&repo, &filter).await?,
        ["null"],
        "only null equals null"
    );
    Ok(())
}

pub(super) async fn timestamps_come_back_as_written(store: Store) -> Outcome {
    let repo = store.open().await?;
    let texts = [
        "2025-12-02T15:51:23.549058",
        "2025-12-02 15:51",
        "2025-12-02",
        "2025-12-02T15:51:23.123456789Z",
        "2025-12-02T23:30:00-05:00",
        "2025-12-02T15:51:23.10+00:00",
        "1969-12-31T23:59:59.999999999Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
    ];
    for (n, text) in texts.iter().enumerate() {
        comes_back(&repo, &format!(r#"{{"id":"t{n}","timestamp":"{text}"}}"#)).await?;
        let found = there(&repo, &format!("t{n}")).await?;
        ensure_eq!(
            found.decision.timestamp(),
            Some(minutebook_core::time::parse_timestamp(text)?),
            "the instant of {text}"
        );
    }
    Ok(())
}

pub(super) async fn large_documents_come_back(store: Store) -> Outcome {
    let repo = store.open().await?;
    let text = "0123456789abcdef".repeat(65_536);
    comes_back(
        &repo,
        &format!(r#"{{"id":"long","text":"{text}","last":1}}"#),
    )
    .await?;
    let mut wide = String::from(r#"{"id":"wide""#);
    for n in 0..3_000 {
        // Writing to a string does not fail.
        let _ = write!(wide, r#","field {n}":{n}.0"#);
    }
    wide.push('}');
    comes_back(&repo, &wide).await
}
