//! Revisions and their order without a journal.

use super::*;

#[tokio::test]
async fn no_two_states_have_one_revision_while_the_clock_stands_or_goes_back() {
    for step in [1, 1_000, 1_000_000_000, 2_000_000_000] {
        revisions_differ(Duration::from_nanos(step)).await;
    }
}

/// On a disk whose files keep times in such steps.
async fn revisions_differ(step: Duration) {
    let disk = SimFs::new();
    disk.set_time_step(step);
    let clock = Arc::new(ManualClock::at("2025-06-01T12:00:00Z".parse().unwrap()));
    let open = || {
        let config = JsonDecisionConfig::default()
            .fs(Arc::new(disk.clone()))
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .journal(false);
        JsonDecisionRepository::open("/d", config).unwrap()
    };
    let (one, two) = (open(), open());
    let mut seen = BTreeSet::new();
    let (a, b) = (
        decision("a", "2025-01-01", 1),
        decision("a", "2025-01-01", 2),
    );
    for round in 0..3 {
        for (store, state) in [(&one, &a), (&two, &b), (&one, &a), (&two, &b)] {
            let receipt = store.upsert(state).await.unwrap();
            assert!(seen.insert(receipt.revision.to_string()), "{receipt:?}");
            let stored = open().get(&id("a")).await.unwrap().unwrap();
            assert_eq!(
                (stored.revision, stored.recorded_at),
                (receipt.revision, receipt.recorded_at)
            );
        }
        assert!(two.delete(&id("a")).await.unwrap());
        if round == 1 {
            clock.advance(TimeDelta::seconds(-1));
        }
    }
    // As soon as the clock goes on, its time is what counts.
    clock.advance(TimeDelta::seconds(61));
    let receipt = one.upsert(&a).await.unwrap();
    assert_eq!(receipt.recorded_at, clock.now());
}

#[tokio::test]
async fn an_edit_by_another_program_is_another_revision() {
    let disk = SimFs::new();
    let store = open(&disk, false).unwrap();
    let first = store.create(&decision("a", "2025-01-01", 1)).await.unwrap();
    let text = decision("a", "2025-01-01", 5).to_json_pretty();
    disk.put("/d/2025-01-01_a.json", text.as_bytes()).unwrap();
    let update = SaveMode::Update {
        expected: Some(first.revision.clone()),
    };
    let error = store
        .save(&decision("a", "2025-01-01", 2), update)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // So is the same document again.
    let text = decision("a", "2025-01-01", 1).to_json_pretty();
    disk.put("/d/2025-01-01_a.json", text.as_bytes()).unwrap();
    assert_ne!(
        store.get(&id("a")).await.unwrap().unwrap().revision,
        first.revision
    );
    // And one in a file of another name counts by its time.
    let text = decision("a", "2025-02-01", 6).to_json_pretty();
    disk.put("/d/mine.json", text.as_bytes()).unwrap();
    store.upsert(&decision("a", "2025-01-15", 7)).await.unwrap();
    assert_eq!(documents(&disk), ["/d/2025-01-15_a.json"]);
}

#[tokio::test]
async fn what_was_written_last_comes_first_across_reopening() {
    let disk = SimFs::new();
    let store = open(&disk, false).unwrap();
    for (name, n) in [("a", 1), ("b", 1), ("c", 1), ("a", 2)] {
        store
            .upsert(&decision(name, "2025-01-01", n))
            .await
            .unwrap();
    }
    for store in [store, open(&disk, false).unwrap()] {
        let query = DecisionQuery::new().order(Order::RecentlyWritten);
        let page = store.query(&query).await.unwrap();
        let ids: Vec<_> = page
            .decisions
            .iter()
            .map(|found| found.decision.id().to_string())
            .collect();
        assert_eq!(ids, ["a", "c", "b"]);
    }
}

#[test]
fn of_many_handles_on_a_disk_one_update_of_a_state_wins() {
    const ROUNDS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let open = |watch: bool| {
        let config = JsonDecisionConfig::default()
            .journal(false)
            .watch_directory(watch);
        JsonDecisionRepository::open(dir.path(), config).unwrap()
    };
    let count = |store: &JsonDecisionRepository| {
        let found = wait(store.get(&id("a"))).unwrap().unwrap();
        let n: usize = found.decision.raw("n").unwrap().parse().unwrap();
        (n, found.revision)
    };
    wait(open(true).create(&decision("a", "2025-01-01", 0))).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = open(thread % 2 == 0);
            scope.spawn(move || {
                let mut done = 0;
                while done < ROUNDS {
                    let (n, revision) = count(&store);
                    // Under another name each time.
                    let date = format!("2025-01-{:02}", n * 7 % 28 + 1);
                    let next = decision("a", &date, u32::try_from(n + 1).unwrap());
                    let mode = SaveMode::Update {
                        expected: Some(revision),
                    };
                    match wait(store.save(&next, mode)) {
                        Ok(_) => done += 1,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(count(&open(true)).0, 4 * ROUNDS);
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 2, "the document and the lock");
    assert!(
        !Path::new(dir.path())
            .join("decisions.journal.jsonl")
            .exists()
    );
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
