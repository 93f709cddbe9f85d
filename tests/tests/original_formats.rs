//! Directories of the original Python systems open as they are, and reading changes none of their bytes.

use std::collections::BTreeSet;

use minutebook::{
    CatalogExt, DecisionFilter, DecisionQuery, DecisionRepository, DecisionRepositoryExt,
    ErrorKind, Minutebook, Order, ProblemKind, ScanQuery, SeriesId, TimeSeriesRepository,
};
use minutebook_json::{JsonCatalog, JsonCatalogConfig, JsonDecisionConfig, JsonDecisionRepository};
use minutebook_jsonl::{JsonlConfig, JsonlTimeSeriesRepository};
use minutebook_tests::{contents, copy_of, fixture, shared_data};

#[tokio::test]
async fn decisions_are_read_and_their_oddities_reported() {
    let folder = fixture("original/decisions");
    let before = contents(folder.path());
    let repo = JsonDecisionRepository::open(folder.path(), JsonDecisionConfig::default()).unwrap();
    let page = repo.query(&DecisionQuery::new()).await.unwrap();

    let ids: Vec<_> = page
        .decisions
        .iter()
        .map(|s| s.decision.id().as_str())
        .collect();
    let uuid = "5b0c7f4e-9d1f-4c4e-8e52-6f1f1d1a2b3c";
    let recovered = "RECOVERED_BIP20DEC30CDE_1741000000_582be1c7";
    assert_eq!(ids, [recovered, "local", "again", "x_1", "1", uuid]);
    assert_eq!(repo.count(&DecisionFilter::new()).await.unwrap(), 6);

    let kinds: BTreeSet<_> = page
        .report
        .problems()
        .iter()
        .map(|p| (p.kind, file_name(&p.resource)))
        .collect();
    let expected = [
        (ProblemKind::Malformed, "2025-03-05_nan.json"),
        (ProblemKind::Malformed, "2025-03-05_torn.json"),
        (ProblemKind::MissingId, "2025-03-05_placeholder.json"),
        (ProblemKind::DuplicateId, "2025-03-01_again.json"),
    ];
    assert_eq!(
        kinds,
        expected.map(|(kind, name)| (kind, name.to_owned())).into()
    );

    // An id matches itself only, and the newest of two documents counts.
    let one = repo.require(&"1".parse().unwrap()).await.unwrap();
    assert_eq!(one.decision.asset_pair().as_deref(), Some("ETHUSD"));
    assert_eq!(one.decision.raw("confidence"), Some("55.5"));
    let again = repo.require(&"again".parse().unwrap()).await.unwrap();
    assert_eq!(again.decision.raw("confidence"), Some("20"));
    let written = repo
        .get(&uuid.parse().unwrap())
        .await
        .unwrap()
        .unwrap()
        .decision;
    assert_eq!(
        written.raw("timestamp"),
        Some("\"2025-03-01T09:30:00.250000\"")
    );
    assert!(written.raw("reasoning").unwrap().contains("\\u2013"));
    assert_eq!(
        written.pointer("/market_data/rsi").unwrap().to_string(),
        "61.2"
    );

    let strict = repo
        .query(&DecisionQuery::new().strict())
        .await
        .unwrap_err();
    assert_eq!(strict.kind(), ErrorKind::Corrupt);
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn what_we_add_to_decisions_leaves_foreign_files_alone() {
    let folder = fixture("original/decisions");
    let before = contents(folder.path());
    let repo = JsonDecisionRepository::open(folder.path(), JsonDecisionConfig::default()).unwrap();
    let mut decision = repo
        .require(&"x_1".parse().unwrap())
        .await
        .unwrap()
        .decision;
    decision.set("executed", &false).unwrap();
    repo.update(&decision).await.unwrap();
    assert!(repo.delete(&"1".parse().unwrap()).await.unwrap());
    assert_eq!(repo.wipe().await.unwrap(), 5);
    let after = contents(folder.path());
    for name in [
        "notes.txt",
        "2025-03-05_placeholder.json",
        "2025-03-05_torn.json",
        "2025-03-05_nan.json",
    ] {
        let path = folder.path().join(name);
        assert_eq!(after.get(&path), before.get(&path), "{name}");
    }
}

#[tokio::test]
async fn a_bare_decisions_folder_is_a_store() {
    let folder = fixture("original/decisions");
    let before = contents(folder.path());
    let book = Minutebook::open(folder.path()).unwrap();
    let page = book
        .decisions()
        .query(&DecisionQuery::new().order(Order::Oldest).limit(1))
        .await
        .unwrap();
    assert_eq!(
        page.decisions[0].decision.id().as_str(),
        "5b0c7f4e-9d1f-4c4e-8e52-6f1f1d1a2b3c"
    );
    drop(book);
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn ticks_are_read_with_their_damage_reported() {
    let folder = fixture("original/ticks");
    let before = contents(folder.path());
    let repo = JsonlTimeSeriesRepository::open(folder.path(), JsonlConfig::default()).unwrap();

    let btc = SeriesId::ticks("BTCUSD".parse().unwrap());
    let (batch, report) = repo
        .scan(&btc, &ScanQuery::new())
        .await
        .unwrap()
        .concat()
        .await
        .unwrap();
    assert_eq!((batch.num_rows(), report.total()), (3, 0));
    assert_eq!(batch.schema().field(0).name(), "timestamp");

    let eth = SeriesId::ticks("ethusd".parse().unwrap());
    let (batch, report) = repo
        .scan(&eth, &ScanQuery::new())
        .await
        .unwrap()
        .concat()
        .await
        .unwrap();
    assert_eq!(batch.num_rows(), 2);
    let found: Vec<_> = report
        .problems()
        .iter()
        .map(|p| (p.kind, p.location.line))
        .collect();
    for expected in [
        (ProblemKind::Malformed, Some(2)),
        (ProblemKind::BadTimestamp, Some(4)),
        (ProblemKind::TornTail, Some(6)),
    ] {
        assert!(
            found.contains(&expected),
            "{expected:?} is not in {found:?}"
        );
    }
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn the_registry_is_read_with_paths_of_another_machine() {
    let folder = fixture("original");
    let before = contents(folder.path());
    let catalog = JsonCatalog::open(
        folder.path().join("registry.json"),
        JsonCatalogConfig::default(),
    )
    .unwrap();
    let cdx = catalog
        .require(&"cdx_ig_5y".parse().unwrap())
        .await
        .unwrap()
        .entry;
    assert_eq!(cdx.file_path, r"C:\research\data\cdx_ig_5y.parquet");
    assert_eq!(cdx.start_date.unwrap().text(), "2019-01-02T00:00:00");
    let vix = catalog
        .require(&"vix".parse().unwrap())
        .await
        .unwrap()
        .entry;
    assert_eq!((vix.tenor, vix.row_count), (None, None));
    assert_eq!(vix.metadata["Quelle"], "Börse");
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
#[ignore = "needs ../shared/data"]
async fn shared_data_decisions_of_the_original() {
    let folder = copy_of(&shared_data("ffe/decisions"));
    let before = contents(folder.path());
    let repo = JsonDecisionRepository::open(folder.path(), JsonDecisionConfig::default()).unwrap();
    let page = repo.query(&DecisionQuery::new()).await.unwrap();
    // 20 files: three without an id, and one id under three dates.
    assert_eq!(page.decisions.len(), 15);
    let count = |kind| {
        page.report
            .problems()
            .iter()
            .filter(|p| p.kind == kind)
            .count()
    };
    assert_eq!(
        (
            count(ProblemKind::MissingId),
            count(ProblemKind::DuplicateId)
        ),
        (3, 2)
    );
    let learn = repo.require(&"test-learn".parse().unwrap()).await.unwrap();
    assert_eq!(
        learn.decision.raw("timestamp"),
        Some("\"2025-11-29T00:22:53.581821\"")
    );
    assert_eq!(contents(folder.path()), before);

    // Every document comes back as it was, field for field.
    for stored in &page.decisions {
        let text = before
            .values()
            .map(|bytes| String::from_utf8_lossy(bytes))
            .find(|text| {
                minutebook::Decision::from_json(text)
                    .is_ok_and(|decision| decision == stored.decision)
            });
        assert!(text.is_some(), "{}", stored.decision.id());
    }
}

fn file_name(resource: &str) -> String {
    resource.rsplit('/').next().unwrap_or(resource).to_owned()
}
