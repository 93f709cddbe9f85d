//! Changes to entries.

use minutebook_core::time::{WrittenTime, parse_timestamp};
use minutebook_core::{
    Capability, DatasetChange, DatasetEntry, ErrorKind, Revision, SaveMode, Statistics,
};
use serde_json::Value;

use super::support::{Store, contents, entry, full, name, state, text, there};
use crate::case::Outcome;
use crate::check::{ensure, ensure_eq, refused};

/// What a change must do to an entry.
type Edit = fn(&mut DatasetEntry);

pub(super) async fn a_change_touches_only_what_it_names(store: Store) -> Outcome {
    let repo = store.open().await?;
    let mut expected = full("d")?;
    repo.register(&expected, SaveMode::Create).await?;
    repo.register(&full("other")?, SaveMode::Create).await?;
    let other = text(&there(&repo, "other").await?.entry)?;
    let changes: [(DatasetChange, Edit); 10] = [
        (DatasetChange::new().instrument("VIX"), |entry| {
            entry.instrument = "VIX".into();
        }),
        (DatasetChange::new().tenor(Some("10Y".into())), |entry| {
            entry.tenor = Some("10Y".into());
        }),
        (DatasetChange::new().tenor(None), |entry| entry.tenor = None),
        (DatasetChange::new().file_path("moved.parquet"), |entry| {
            entry.file_path = "moved.parquet".into();
        }),
        (
            DatasetChange::new()
                .metadata("source", "x")
                .metadata("new", 5),
            |entry| {
                entry.metadata.insert("source".into(), "x".into());
                entry.metadata.insert("new".into(), 5.into());
            },
        ),
        (
            DatasetChange::new()
                .metadata("nested", Value::Null)
                .metadata("not there", Value::Null),
            |entry| {
                entry.metadata.shift_remove("nested");
            },
        ),
        (DatasetChange::new().retrieved_at(None), |entry| {
            entry.retrieved_at = None;
        }),
        (DatasetChange::new().ttl_seconds(Some(7)), |entry| {
            entry.ttl_seconds = Some(7);
        }),
        (DatasetChange::new().derived_from([]), |entry| {
            entry.derived_from.clear();
        }),
        (DatasetChange::new().contents(contents("b")), |entry| {
            entry.contents = Some(contents("b"));
        }),
    ];
    for (change, edit) in changes {
        store.step();
        let revision = repo.update(&name("d")?, &change).await?;
        edit(&mut expected);
        let found = there(&repo, "d").await?;
        ensure_eq!(
            text(&found.entry)?,
            text(&expected)?,
            "the entry after {change:?}"
        );
        ensure_eq!(
            found.revision,
            revision,
            "the stored revision is the one returned"
        );
        ensure_eq!(
            text(&there(&repo, "other").await?.entry)?,
            other,
            "another entry after {change:?}"
        );
    }
    Ok(())
}

pub(super) async fn an_empty_change_changes_nothing(store: Store) -> Outcome {
    let repo = store.open().await?;
    let revision = repo.register(&full("d")?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    for change in [
        DatasetChange::new(),
        DatasetChange::new().instrument("CDX.NA.IG"),
        DatasetChange::new().metadata("nope", Value::Null),
    ] {
        store.step();
        ensure_eq!(
            repo.update(&name("d")?, &change).await?,
            revision,
            "the revision after {change:?}, which changes nothing"
        );
        ensure_eq!(
            state(&repo).await?,
            before,
            "the catalog after {change:?}, which changes nothing"
        );
    }
    Ok(())
}

pub(super) async fn changing_a_missing_dataset_is_not_found(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.register(&entry("d", 1)?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    for change in [DatasetChange::new(), DatasetChange::new().instrument("X")] {
        refused(
            repo.update(&name("D")?, &change).await,
            ErrorKind::NotFound,
            "changing a dataset that is not there",
        )?;
        ensure_eq!(
            state(&repo).await?,
            before,
            "the catalog after a refused change"
        );
    }
    Ok(())
}

pub(super) async fn changing_an_old_revision_is_a_conflict(store: Store) -> Outcome {
    let repo = store.open().await?;
    let revisions = repo.capabilities().has(Capability::Revisions);
    let old = repo.register(&entry("d", 1)?, SaveMode::Create).await?;
    store.step();
    let stored = repo
        .update(&name("d")?, &DatasetChange::new().metadata("n", 2))
        .await?;
    let before = state(&repo).await?;
    let kind = if revisions {
        ErrorKind::Conflict
    } else {
        ErrorKind::Unsupported
    };
    for expected in [old, Revision::new("never given out")?] {
        for change in [
            DatasetChange::new().instrument("X"),
            DatasetChange::new().metadata("n", 2),
        ] {
            let result = repo
                .update(&name("d")?, &change.expecting(expected.clone()))
                .await;
            refused(result, kind, &format!("a change expecting {expected}"))?;
            ensure_eq!(
                state(&repo).await?,
                before,
                "the catalog after a refused change"
            );
        }
    }
    let result = repo
        .update(
            &name("d")?,
            &DatasetChange::new().instrument("X").expecting(stored),
        )
        .await;
    if revisions {
        ensure_eq!(
            there(&repo, "d").await?.revision,
            result?,
            "a change expecting the stored revision"
        );
        ensure_eq!(
            there(&repo, "d").await?.entry.instrument,
            "X",
            "a change expecting the stored revision"
        );
    } else {
        refused(
            result,
            ErrorKind::Unsupported,
            "a change expecting a revision, which is not claimed,",
        )?;
        ensure_eq!(
            state(&repo).await?,
            before,
            "the catalog after an unsupported change"
        );
    }
    Ok(())
}

pub(super) async fn setting_statistics_stamps_last_updated(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.register(&entry("d", 1)?, SaveMode::Create).await?;
    ensure_eq!(
        there(&repo, "d").await?.entry.last_updated,
        None,
        "last_updated before statistics were set"
    );
    repo.update(&name("d")?, &DatasetChange::new().instrument("X"))
        .await?;
    ensure_eq!(
        there(&repo, "d").await?.entry.last_updated,
        None,
        "last_updated after a change without statistics"
    );
    store.step();
    let now = store.now();
    let statistics = Statistics {
        rows: 7,
        first: Some(parse_timestamp("2024-01-01T00:00:00.000000001Z")?),
        last: Some(parse_timestamp("2024-01-31")?),
    };
    repo.update(&name("d")?, &DatasetChange::new().statistics(statistics))
        .await?;
    let found = there(&repo, "d").await?.entry;
    let instant = |time: &Option<WrittenTime>| time.as_ref().and_then(WrittenTime::instant);
    ensure_eq!(found.row_count, Some(7), "row_count");
    ensure_eq!(
        (instant(&found.start_date), instant(&found.end_date)),
        (statistics.first, statistics.last),
        "start_date and end_date"
    );
    ensure!(
        instant(&found.last_updated).is_some(),
        "last_updated is an instant, but is {:?}",
        found.last_updated
    );
    if now.is_some() {
        ensure_eq!(
            instant(&found.last_updated),
            now,
            "last_updated is what the clock showed"
        );
    }
    repo.update(
        &name("d")?,
        &DatasetChange::new().statistics(Statistics::default()),
    )
    .await?;
    let found = there(&repo, "d").await?.entry;
    ensure_eq!(
        (found.row_count, found.start_date, found.end_date),
        (Some(0), None, None),
        "statistics of a dataset without rows"
    );
    Ok(())
}

pub(super) async fn a_change_of_the_reserved_key_is_refused(store: Store) -> Outcome {
    let repo = store.open().await?;
    repo.register(&full("d")?, SaveMode::Create).await?;
    let before = state(&repo).await?;
    for value in [Value::Null, serde_json::json!({"x": 1})] {
        let change = DatasetChange::new().metadata(DatasetEntry::OURS, value);
        refused(
            repo.update(&name("d")?, &change).await,
            ErrorKind::InvalidInput,
            "a change of the reserved key",
        )?;
        ensure_eq!(
            state(&repo).await?,
            before,
            "the catalog after a refused change"
        );
    }
    Ok(())
}
