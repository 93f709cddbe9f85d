//! Syncs that fail: what the system takes for written afterwards and is in memory alone is written once more, so that the journal has no gap
//! under what is acknowledged later.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod common;

use minutebook_core::{Decision, DecisionRepository, DecisionRepositoryExt, SaveOutcome};
use minutebook_fs::crash::{Kind, Options, enumerate};
use minutebook_fs::{Durability, Fault, Images, OpKind, SimFs};
use minutebook_json::{JsonDecisionRepository, KeepRevisions};

use common::{BOOT, JOURNAL, after_cuts, config, decision, id, open, run};

/// After a power cut now: these decisions are there, and the chain holds.
fn holds(disk: &SimFs, names: &[String]) {
    after_cuts(disk, 10, |store, what| {
        for name in names {
            let found = run(store.get(&id(name))).unwrap();
            assert!(found.is_some(), "{name} is lost: {what}");
        }
        run(store.create(&decision("last", 1))).unwrap();
        let proof = run(store.verify(None)).unwrap();
        assert!(proof.holds(), "{proof:?}: {what}");
    });
}

/// A decision of which some fill the ring.
fn long(name: &str) -> Decision {
    let text = "x".repeat(100_000);
    let text = format!(r#"{{"id":"{name}","timestamp":"2025-01-01","text":"{text}"}}"#);
    Decision::from_json(&text).unwrap()
}

#[test]
fn a_line_whose_sync_failed_is_written_again_before_others_follow_it() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(&disk);
    run(store.create(&decision("a", 1))).unwrap();
    disk.inject(Fault::on(OpKind::SyncData).at("journal").errno(5));
    run(store.create(&decision("b", 2))).unwrap_err();
    drop(store);
    let store = open(&disk);
    // The line is there, so its change was carried out; and now it lasts.
    let saved = run(store.upsert(&decision("b", 2))).unwrap();
    assert_eq!(saved.outcome, SaveOutcome::Unchanged);
    let mut names = vec!["a".to_owned(), "b".to_owned()];
    holds(&disk, &names);
    run(store.create(&decision("c", 3))).unwrap();
    names.push("c".to_owned());
    holds(&disk, &names);
}

#[test]
fn what_was_behind_the_end_of_a_full_ring_is_written_again() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(&disk);
    let mut names = Vec::new();
    let mut save = |store: &JsonDecisionRepository, n: usize| {
        let name = format!("d{n}");
        let saved = run(store.create(&long(&name))).is_ok();
        names.extend(saved.then_some(name));
        (saved, names.clone())
    };
    for n in 0..6 {
        assert!(save(&store, n).0);
    }
    // The ring is used, until it is full.
    disk.inject(Fault::on(OpKind::SyncData).at("journal").errno(5));
    let failed = (6..40).find(|n| !save(&store, *n).0).unwrap();
    assert!(failed > 10, "{failed}");
    drop(store);
    let store = open(&disk);
    for n in 40..43 {
        let (_, names) = save(&store, n);
        holds(&disk, &names);
    }
}

/// A line that takes others back, too, belongs to the chain.
#[test]
fn the_line_that_takes_a_change_back_is_written_again() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(&disk);
    run(store.create(&decision("a", 1))).unwrap();
    disk.inject(
        Fault::on(OpKind::Append)
            .at(".tmp")
            .error(std::io::ErrorKind::StorageFull),
    );
    disk.inject(Fault::on(OpKind::SyncData).at("journal").after(1).errno(5));
    run(store.create(&decision("b", 2))).unwrap_err();
    let journal = String::from_utf8(disk.get(JOURNAL).unwrap()).unwrap();
    assert!(journal.contains("\"op\":\"void\""), "{journal}");
    drop(store);
    let store = open(&disk);
    run(store.create(&decision("c", 3))).unwrap();
    assert_eq!(run(store.get(&id("b"))).unwrap(), None);
    holds(&disk, &["a".to_owned(), "c".to_owned()]);
}

#[test]
fn lines_that_nobody_waited_for_leave_no_gap_after_a_checkpoint_that_failed() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let hasty = config(&disk).durability(Durability::Buffered);
    let store = JsonDecisionRepository::open("/d", hasty).unwrap();
    for n in 1..=3 {
        run(store.create(&decision(&format!("d{n}"), n))).unwrap();
    }
    disk.inject(Fault::on(OpKind::SyncAll).at("journal").errno(5));
    run(store.checkpoint()).unwrap_err();
    drop(store);
    let store = open(&disk);
    run(store.create(&decision("d4", 4))).unwrap();
    let names: Vec<_> = (1..=4).map(|n| format!("d{n}")).collect();
    holds(&disk, &names);
}

/// Each sync of it fails once, and who comes next goes on.
#[test]
fn a_sync_that_fails_while_documents_are_taken_out_leaves_no_gap() {
    let mut failed = 0;
    for kind in [OpKind::SyncData, OpKind::SyncAll] {
        for after in 0..8 {
            let disk = SimFs::new();
            disk.put(BOOT, b"one\n").unwrap();
            let store = open(&disk);
            for n in 1..=6 {
                run(store.upsert(&decision("a", n))).unwrap();
            }
            run(store.rotate()).unwrap();
            disk.inject(Fault::on(kind).at("/d").after(after).errno(5));
            let pruned = run(store.prune_revisions(KeepRevisions::Newest(1)));
            failed += usize::from(pruned.is_err());
            drop(store);
            disk.clear_faults();
            run(open(&disk).create(&decision("b", 7))).unwrap();
            holds(&disk, &["a".to_owned(), "b".to_owned()]);
        }
    }
    assert!(failed > 2, "{failed}");
}

/// All lines have marks, as who did not wait has left them.
#[test]
fn lines_whose_sync_failed_for_who_found_them_are_written_again() {
    for boot in [true, false] {
        for seals in [false, true] {
            let disk = SimFs::new();
            if boot {
                disk.put(BOOT, b"one\n").unwrap();
            }
            let hasty = config(&disk).durability(Durability::Buffered);
            let store = JsonDecisionRepository::open("/d", hasty).unwrap();
            run(store.create(&decision("a", 1))).unwrap();
            let store = open(&disk);
            disk.inject(Fault::on(OpKind::SyncAll).at("journal").errno(5));
            if seals {
                run(store.rotate()).unwrap_err();
            } else {
                run(store.upsert(&decision("a", 1))).unwrap_err();
            }
            drop(store);
            let store = open(&disk);
            let saved = run(store.upsert(&decision("a", 1))).unwrap();
            assert_eq!(saved.outcome, SaveOutcome::Unchanged);
            let mut names = vec!["a".to_owned()];
            holds(&disk, &names);
            run(store.create(&decision("b", 2))).unwrap();
            names.push("b".to_owned());
            holds(&disk, &names);
        }
    }
}

/// Also where runs of the machine cannot be told apart.
#[test]
fn lines_that_a_failed_checkpoint_lost_are_written_again_without_a_boot_id() {
    let disk = SimFs::new();
    let hasty = config(&disk).durability(Durability::Buffered);
    let store = JsonDecisionRepository::open("/d", hasty).unwrap();
    run(store.create(&decision("a", 1))).unwrap();
    disk.inject(Fault::on(OpKind::SyncAll).at("journal").errno(5));
    run(store.checkpoint()).unwrap_err();
    drop(store);
    let store = open(&disk);
    run(store.upsert(&decision("a", 1))).unwrap();
    run(store.create(&decision("b", 2))).unwrap();
    holds(&disk, &["a".to_owned(), "b".to_owned()]);
}

/// With the name of the ring other names were to last. Whoever comes next takes none of them for durable.
#[test]
fn a_directory_whose_sync_fails_for_the_ring_is_told_of() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(&disk);
    run(store.create(&decision("d1", 1))).unwrap();
    disk.inject(Fault::on(OpKind::SyncDir).at("/d").errno(5));
    let failed = (2..12).find(|n| run(store.create(&decision(&format!("d{n}"), *n))).is_err());
    let failed = failed.unwrap();
    assert!(failed > 2, "{failed}");
    drop(store);
    let store = open(&disk);
    let error = run(store.checkpoint()).unwrap_err();
    assert!(error.to_string().contains("sync"), "{error}");
    run(store.create(&decision("d20", 20))).unwrap();
    let mut names: Vec<_> = (1..failed).map(|n| format!("d{n}")).collect();
    names.push("d20".to_owned());
    holds(&disk, &names);
}

/// What cut off a line that could not be written whole was to be synced, and with it the lines of others.
#[test]
fn lines_that_were_lost_with_a_cut_are_written_again() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let hasty = config(&disk).durability(Durability::Buffered);
    let store = JsonDecisionRepository::open("/d", hasty).unwrap();
    run(store.create(&decision("a", 1))).unwrap();
    let store = open(&disk);
    disk.inject(Fault::on(OpKind::Append).at("journal").short(20));
    disk.inject(Fault::on(OpKind::SyncAll).at("journal").errno(5));
    run(store.create(&decision("b", 2))).unwrap_err();
    drop(store);
    let store = open(&disk);
    run(store.upsert(&decision("a", 1))).unwrap();
    holds(&disk, &["a".to_owned()]);
    run(store.create(&decision("c", 3))).unwrap();
    holds(&disk, &["a".to_owned(), "c".to_owned()]);
}

/// Who writes the journal's end again may be stopped at every step, and leaves it to the next.
#[test]
fn writing_again_may_break_off_anywhere() {
    let report = enumerate(
        &Options::default().images(Images::default().max(6)),
        |disk| {
            disk.put(BOOT, b"one\n")
                .map_err(|error| error.to_string())?;
            let store = open(disk);
            run(store.create(&decision("a", 1))).map_err(|error| error.to_string())?;
            disk.inject(Fault::on(OpKind::SyncData).at("journal").errno(5));
            match run(store.create(&decision("b", 2))) {
                Ok(_) => Err("the sync did not fail".to_owned()),
                Err(_) => Ok(()),
            }
        },
        |disk| {
            let store = JsonDecisionRepository::open("/d", config(disk));
            store.is_ok_and(|store| run(store.create(&decision("c", 3))).is_ok())
        },
        |crashed| {
            if crashed.kind == Kind::Power {
                let put = crashed.disk.put(BOOT, b"two\n");
                put.map_err(|error| error.to_string())?;
            }
            let mut names = vec!["a".to_owned()];
            names.extend(crashed.out.then(|| "c".to_owned()));
            run(open(&crashed.disk).create(&decision("next", 4)))
                .map_err(|error| error.to_string())?;
            names.push("next".to_owned());
            holds(&crashed.disk, &names);
            Ok(())
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 30, "{report:?}");
}
