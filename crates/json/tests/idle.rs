//! A call that finds nothing to do says that it is done, and that lasts: whoever did it may not have waited for the disk.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod common;

use std::path::Path;

use minutebook_core::{
    DecisionFilter, DecisionRepository, DecisionRepositoryExt, ErrorKind, SaveMode, SaveOutcome,
};
use minutebook_fs::{Durability, Fault, Fs as _, OpKind, OpenMode, SimFs};
use minutebook_json::JsonDecisionRepository;

use common::{BOOT, JOURNAL, after_cuts, config, decision, id, open, run};

/// A store whose calls do not wait for the disk.
fn hasty(disk: &SimFs) -> JsonDecisionRepository {
    let config = config(&disk.new_process()).durability(Durability::Buffered);
    JsonDecisionRepository::open("/d", config).unwrap()
}

/// What there is of a decision after a power cut now, in every state that it may leave.
fn left(disk: &SimFs, name: &str, check: impl Fn(Option<&str>) -> bool) {
    after_cuts(disk, 60, |store, what| {
        let found = run(store.get(&id(name))).unwrap();
        let n = found.and_then(|found| found.decision.raw("n").map(str::to_owned));
        assert!(check(n.as_deref()), "{n:?}: {what}");
    });
}

/// Another program has just written decision `a`, and long ago `b`, in a directory that has no journal yet. The disk, and the other program's view of it.
fn beside_another_program() -> (SimFs, SimFs) {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    disk.put(
        "/d/2025-01-02_b.json",
        decision("b", 2).to_json().as_bytes(),
    )
    .unwrap();
    let others = disk.new_process();
    let path = Path::new("/d/2025-01-01_a.json");
    let file = others.open(path, OpenMode::CreateNew).unwrap();
    file.append(decision("a", 1).to_json().as_bytes()).unwrap();
    (disk, others)
}

fn syncs(disk: &SimFs) -> usize {
    let kinds = [OpKind::SyncData, OpKind::SyncAll, OpKind::SyncDir];
    let trace = disk.trace();
    trace.iter().filter(|op| kinds.contains(&op.kind)).count()
}

#[test]
fn a_save_that_changes_nothing_lasts_although_its_first_writer_did_not_wait() {
    for raw in [false, true] {
        let disk = SimFs::new();
        disk.put(BOOT, b"one\n").unwrap();
        let first = hasty(&disk);
        run(first.create(&decision("other", 2))).unwrap();
        disk.settle();
        let (a, text) = (decision("a", 1), decision("a", 1).to_json());
        let save = |store: &JsonDecisionRepository| {
            let saved = if raw {
                run(store.save_raw(&a, text.as_str(), SaveMode::Upsert))
            } else {
                run(store.upsert(&a))
            };
            saved.unwrap().outcome
        };
        assert_eq!(save(&first), SaveOutcome::Created);
        let second = open(&disk);
        assert_eq!(save(&second), SaveOutcome::Unchanged);
        left(&disk, "a", |n| n == Some("1"));
        // What this handle knows to last costs nothing any more.
        let before = disk.operations();
        assert_eq!(save(&second), SaveOutcome::Unchanged);
        assert_eq!(disk.operations(), before);
    }
}

#[test]
fn a_deletion_that_finds_nothing_lasts_although_its_first_writer_did_not_wait() {
    for which in 0..3 {
        let disk = SimFs::new();
        disk.put(BOOT, b"one\n").unwrap();
        let first = hasty(&disk);
        let seen = run(first.create(&decision("a", 1))).unwrap().revision;
        run(first.create(&decision("other", 2))).unwrap();
        disk.settle();
        assert!(run(first.delete(&id("a"))).unwrap());
        let second = open(&disk);
        match which {
            0 => assert!(!run(second.delete(&id("a"))).unwrap()),
            1 => {
                let gone = run(second.delete_seen(vec![(id("a"), seen)]));
                assert!(matches!(gone.as_slice(), [Ok(false)]), "{gone:?}");
            }
            _ => {
                let filter = DecisionFilter::new().id_prefix("a");
                assert_eq!(run(second.delete_matching(&filter)).unwrap(), 0);
            }
        }
        left(&disk, "a", |n| n.is_none());
    }
}

/// In a directory that has no journal yet, and gets none by that.
#[test]
fn what_another_program_did_lasts_when_a_call_says_that_it_is_done() {
    let (disk, others) = beside_another_program();
    let store = open(&disk);
    let saved = run(store.upsert(&decision("a", 1))).unwrap();
    assert_eq!(saved.outcome, SaveOutcome::Unchanged);
    left(&disk, "a", |n| n == Some("1"));
    others
        .remove_file(Path::new("/d/2025-01-02_b.json"))
        .unwrap();
    assert!(!run(store.delete(&id("b"))).unwrap());
    left(&disk, "b", |n| n.is_none());
    assert_eq!(disk.get(JOURNAL), None);
}

#[test]
fn what_cannot_be_made_to_last_is_no_success() {
    let disk = SimFs::new();
    run(hasty(&disk).create(&decision("a", 1))).unwrap();
    let store = open(&disk);
    disk.inject(Fault::on(OpKind::SyncAll).at("journal").errno(5));
    let mut saved = run(store.save_all(vec![decision("a", 1), decision("a", 1)], SaveMode::Upsert));
    for saved in saved.drain(..) {
        assert_eq!(saved.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}

/// The sync that fails is that of another call of the batch; or none of its lines was written at all.
#[test]
fn what_is_done_together_with_a_save_that_fails_is_no_success_either() {
    for (kind, syncs) in [
        (OpKind::SyncAll, true),
        (OpKind::SyncDir, true),
        (OpKind::Append, false),
    ] {
        let disk = SimFs::new();
        disk.put(BOOT, b"one\n").unwrap();
        run(hasty(&disk).create(&decision("a", 1))).unwrap();
        let store = open(&disk);
        assert!(run(store.get(&id("a"))).unwrap().is_some());
        disk.inject(
            Fault::on(kind)
                .at("/d")
                .error(std::io::ErrorKind::StorageFull),
        );
        let both = vec![decision("a", 1), decision("b", 2)];
        let saved = run(store.save_all(both, SaveMode::Upsert));
        let [idle, new] = saved.as_slice() else {
            panic!("{saved:?}");
        };
        assert!(new.is_err(), "{new:?}");
        if syncs {
            assert!(idle.is_err(), "{idle:?}");
        } else {
            // Nothing was applied, and what was there before was synced by itself.
            assert_eq!(idle.as_ref().unwrap().outcome, SaveOutcome::Unchanged);
            left(&disk, "a", |n| n == Some("1"));
        }
    }
}

#[test]
fn a_deletion_of_many_that_breaks_off_is_no_success() {
    let disk = SimFs::new();
    let store = open(&disk);
    for n in 1..=3 {
        run(store.create(&decision(&format!("d{n}"), n))).unwrap();
    }
    let filter = DecisionFilter::new().id_prefix("d");
    assert_eq!(run(store.count(&filter)).unwrap(), 3);
    disk.inject(Fault::on(OpKind::SyncData).at("decisions").errno(5));
    run(store.delete_matching(&filter)).unwrap_err();
}

/// Each look at the directory fails once: there is an error, or it is done.
#[test]
fn a_deletion_of_many_whose_directory_cannot_be_looked_at_is_no_success() {
    let mut failed = 0;
    for skip in 0..40 {
        let disk = SimFs::new();
        disk.put(BOOT, b"one\n").unwrap();
        let store = open(&disk);
        for n in 1..=3 {
            run(store.create(&decision(&format!("d{n}"), n))).unwrap();
        }
        let filter = DecisionFilter::new().id_prefix("d");
        assert_eq!(run(store.count(&filter)).unwrap(), 3);
        disk.inject(Fault::on(OpKind::Metadata).at("/d").after(skip).errno(5));
        match run(store.delete_matching(&filter)) {
            Ok(count) => assert_eq!(count, 3, "{skip}"),
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 0);
}

/// A document's sync that failed is nothing to who asks about other decisions.
#[test]
fn deletions_that_find_nothing_go_on_after_a_documents_sync_has_failed() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(&disk);
    run(store.create(&decision("a", 1))).unwrap();
    disk.inject(Fault::on(OpKind::SyncAll).at("2025-01-01_a").errno(5));
    run(store.checkpoint()).unwrap_err();
    for store in [store, open(&disk)] {
        assert!(!run(store.delete(&id("b"))).unwrap());
        assert!(run(store.delete(&id("a"))).is_ok());
        left(&disk, "a", |n| n.is_none());
    }
    // Not if it was the directory's.
    let store = open(&disk);
    disk.inject(Fault::on(OpKind::SyncDir).at("/d").after(1).errno(5));
    run(store.delete(&id("b"))).unwrap_err();
    for store in [store, open(&disk)] {
        run(store.delete(&id("b"))).unwrap_err();
        run(store.create(&decision("c", 3))).unwrap();
        assert!(run(store.delete(&id("c"))).unwrap());
    }
}

/// The document of another program, in a directory that has no journal yet.
#[test]
fn a_document_whose_sync_failed_is_durable_by_the_journal() {
    let (disk, _others) = beside_another_program();
    let store = open(&disk);
    disk.inject(Fault::on(OpKind::SyncAll).at("2025-01-01_a").errno(5));
    run(store.upsert(&decision("a", 1))).unwrap_err();
    for store in [store, open(&disk)] {
        let saved = run(store.upsert(&decision("a", 1))).unwrap();
        assert_eq!(saved.outcome, SaveOutcome::Unchanged);
        left(&disk, "a", |n| n == Some("1"));
    }
}

/// A save waits for the disk once, and so does one of another handle that finds it done.
#[test]
fn a_save_costs_one_sync() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(&disk);
    for n in 1..=8 {
        run(store.upsert(&decision("a", n))).unwrap();
    }
    let other = disk.new_process();
    let second = open(&other);
    for n in 10..20 {
        let before = syncs(&disk);
        run(store.upsert(&decision("a", n))).unwrap();
        assert_eq!(syncs(&disk), before + 1);
    }
    let before = syncs(&other);
    for _ in 0..5 {
        run(second.upsert(&decision("a", 19))).unwrap();
    }
    // The name of the log is synced with the first.
    assert_eq!(syncs(&other), before + 2);
}
