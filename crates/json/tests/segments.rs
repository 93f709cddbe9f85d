//! The journal's files: sealing, compressing, taking documents out, and the proof of the chain over all of them; at every crash point.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod common;

use std::path::Path;

use minutebook_core::{Decision, DecisionRepository, DecisionRepositoryExt, StateContent};
use minutebook_fs::crash::{Crashed, Kind, Options, enumerate};
use minutebook_fs::{Fault, Fs as _, Images, OpKind, SimFs};
use minutebook_json::{JsonDecisionRepository, KeepRevisions};

use common::{BOOT, JOURNAL, at_noon as config, id, run};

fn open(disk: &SimFs) -> JsonDecisionRepository {
    JsonDecisionRepository::open("/d", config(disk)).unwrap()
}

fn decision(id: &str, n: u32) -> Decision {
    let text = format!(
        r#"{{"id":"{id}","timestamp":"2025-01-01","n":{n},"note":"{}"}}"#,
        "x".repeat(60)
    );
    Decision::from_json(&text).unwrap()
}

fn save(store: &JsonDecisionRepository, name: &str, n: u32) {
    run(store.upsert(&decision(name, n))).unwrap();
}

fn number(store: &JsonDecisionRepository, name: &str) -> String {
    let found = run(store.require(&id(name))).unwrap();
    found.decision.raw("n").unwrap().to_owned()
}

fn segments(disk: &SimFs) -> Vec<String> {
    let names = disk.tree().into_keys();
    let names = names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names
        .filter(|name| name.starts_with("decisions.journal.0"))
        .collect()
}

#[test]
fn a_long_journal_is_sealed_and_read_as_one() {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let small = || {
        config(&disk.new_process())
            .segment_bytes(2_000)
            .checkpoint_every(7)
    };
    let store = JsonDecisionRepository::open("/d", small()).unwrap();
    let other = JsonDecisionRepository::open("/d", small()).unwrap();
    for n in 0..60 {
        save(
            if n % 3 == 0 { &other } else { &store },
            ["a", "b", "c"][n % 3],
            u32::try_from(n).unwrap(),
        );
    }
    let names = segments(&disk);
    assert!(
        names.len() > 3 && names.iter().all(|name| name.contains(".jsonl.zst")),
        "{names:?}"
    );
    assert!(disk.get(JOURNAL).unwrap().len() < 4_000);
    for store in [&store, &other, &open(&disk)] {
        assert_eq!(
            [number(store, "a"), number(store, "b"), number(store, "c")],
            ["57", "58", "59"]
        );
        let history = run(store.history(&id("b"))).unwrap();
        assert_eq!(history.len(), 20);
        assert!(run(store.problems()).unwrap().is_clean());
    }
    let proof = run(store.verify(None)).unwrap();
    assert!(
        proof.holds() && proof.lines > 60 && proof.segments > 4,
        "{proof:?}"
    );
    // A checkpoint from before several of the files were sealed, and none at all.
    for checkpoint in [true, false] {
        if !checkpoint {
            minutebook_fs::remove(
                &disk,
                Path::new("/d/.decisions.checkpoint.jsonl"),
                minutebook_fs::Durability::Synced,
            )
            .unwrap();
        }
        disk.put(BOOT, b"two\n").unwrap();
        assert_eq!(number(&open(&disk), "c"), "59");
    }
}

#[test]
fn verify_names_the_first_line_that_does_not_fit() {
    let disk = SimFs::new();
    disk.put("/proc/sys/kernel/random/boot_id", b"one").unwrap();
    let store = open(&disk);
    for n in 0..6 {
        save(&store, "a", n);
    }
    let early = run(store.verify(None)).unwrap().head;
    run(store.rotate()).unwrap();
    for n in 6..9 {
        save(&store, "a", n);
    }
    let proof = run(store.verify(Some(&early))).unwrap();
    assert!(proof.holds(), "{proof:?}");
    let whole = disk.get(JOURNAL).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let checks_with = |bytes: &[u8], head: Option<&str>, ring: bool| {
        let disk = disk.process_crash();
        disk.put(JOURNAL, bytes).unwrap();
        let path = Path::new("/d/.decisions.ring");
        if !ring {
            minutebook_fs::remove(&disk, path, minutebook_fs::Durability::Synced).unwrap();
        }
        run(open(&disk).verify(head)).unwrap().problem
    };
    let checks = |bytes: Vec<u8>, head: Option<&str>| checks_with(&bytes, head, false);
    // A byte changed in each of the lines of the chain.
    let mut at = 0;
    for line in &lines {
        if !line.starts_with(b"{\"mark\"") {
            let mut changed = whole.clone();
            changed[at + line.len() / 2] ^= 1;
            let problem = checks(changed, None).unwrap();
            assert_eq!(problem.location.byte, Some(at as u64), "{problem}");
        }
        at += line.len();
    }
    // A line taken out, and two that changed places.
    assert!(checks([lines[0], &lines[4..].concat()].concat(), None).is_some());
    // A tail that was cut off shows by a hash that was kept elsewhere only.
    let cut = lines[..lines.len() - 4].concat();
    assert_eq!(checks(cut.clone(), None), None);
    let problem = checks(cut.clone(), Some(&proof.head)).unwrap();
    assert!(problem.message.contains(&proof.head));
    // Unless the ring still has it.
    assert!(disk.get("/d/.decisions.ring").is_some());
    assert_eq!(checks_with(&cut, Some(&proof.head), true), None);
    // A file of it that is missing.
    let name = segments(&disk).pop().unwrap();
    let without = disk.process_crash();
    minutebook_fs::remove(
        &without,
        &Path::new("/d").join(name),
        minutebook_fs::Durability::Synced,
    )
    .unwrap();
    assert!(run(open(&without).verify(None)).unwrap().problem.is_some());
}

#[test]
fn documents_of_earlier_revisions_go_and_the_chain_holds() {
    let disk = SimFs::new();
    let store = open(&disk);
    for n in 0..5 {
        save(&store, "a", n);
        save(&store, "b", 10 * n);
    }
    run(store.delete(&id("b"))).unwrap();
    let early = run(store.verify(None)).unwrap().head;
    run(store.rotate()).unwrap();
    save(&store, "c", 1);
    assert_eq!(
        run(store.prune_revisions(KeepRevisions::Newest(2))).unwrap(),
        6
    );
    assert_eq!(
        run(store.prune_revisions(KeepRevisions::Newest(2))).unwrap(),
        0
    );
    let proof = run(store.verify(Some(&early))).unwrap();
    assert!(proof.holds() && proof.pruned == 6, "{proof:?}");
    let fresh = open(&disk);
    for store in [&store, &fresh] {
        assert_eq!(number(store, "a"), "4");
        let history = run(store.history(&id("a"))).unwrap();
        let dropped = history
            .iter()
            .filter(|state| state.content == StateContent::Dropped);
        assert_eq!((history.len(), dropped.count()), (5, 3));
    }
    // What was taken out cannot be put back as something else.
    let path = Path::new("/d").join(segments(&disk).pop().unwrap());
    let packed = disk.get(&path).unwrap();
    let plain = zstd::decode_all(packed.as_slice()).unwrap();
    assert!(!String::from_utf8_lossy(&plain).contains("\"n\":0,"));
    let forged = String::from_utf8(plain).unwrap().replacen(
        "\"time\":\"2025-01-01T",
        "\"time\":\"2025-01-02T",
        1,
    );
    let other = disk.process_crash();
    other
        .put(&path, &zstd::encode_all(forged.as_bytes(), 3).unwrap())
        .unwrap();
    let problem = run(open(&other).verify(None)).unwrap().problem.unwrap();
    assert!(path.ends_with(&problem.resource), "{problem}");
    assert_eq!(
        run(store.prune_revisions(KeepRevisions::Since(chrono::TimeDelta::zero()))).unwrap(),
        0
    );
}

/// What is announced, and then the file that is written anew and its name. The mark behind it needs none.
#[test]
fn a_segment_without_its_documents_costs_the_syncs_that_it_needs() {
    let disk = SimFs::new();
    let store = open(&disk);
    for n in 0..5 {
        save(&store, "a", n);
    }
    run(store.rotate()).unwrap();
    save(&store, "b", 1);
    let syncs = |path: &str| {
        let kinds = [OpKind::SyncData, OpKind::SyncAll];
        let trace = disk.trace().into_iter();
        trace
            .filter(|op| kinds.contains(&op.kind) && op.path == Path::new(path))
            .count()
    };
    let before = syncs(JOURNAL);
    assert_eq!(
        run(store.prune_revisions(KeepRevisions::Newest(1))).unwrap(),
        4
    );
    assert_eq!(syncs(JOURNAL), before + 1);
}

/// What stands in a document is not taken for what stands in its line.
#[test]
fn a_document_that_looks_like_a_line_goes_as_others_do() {
    let disk = SimFs::new();
    let store = open(&disk);
    let look_alike = |text: &str| {
        let text = format!(r#"{{"id":"a","op":"found"{text},"n":"{}"}}"#, "secret");
        Decision::from_json(&text).unwrap()
    };
    for text in [r#","text":"t""#, ""] {
        run(store.upsert(&look_alike(text))).unwrap();
    }
    save(&store, "a", 9);
    run(store.rotate()).unwrap();
    let pruned = run(store.prune_revisions(KeepRevisions::Newest(1))).unwrap();
    assert_eq!(pruned, 2);
    let proof = run(store.verify(None)).unwrap();
    assert!(proof.holds() && proof.pruned == 2, "{proof:?}");
    assert_eq!(run(open(&disk).history(&id("a"))).unwrap().len(), 3);
    for name in segments(&disk) {
        let packed = disk.get(Path::new("/d").join(name)).unwrap();
        let plain = zstd::decode_all(packed.as_slice()).unwrap();
        assert!(!String::from_utf8_lossy(&plain).contains("secret"));
    }
}

/// A crash may leave a sealed file beside its compressed one: what is taken out of the one is not in the other.
#[test]
fn a_plain_file_that_a_crash_left_keeps_no_document_that_was_taken_out() {
    for late in [false, true] {
        let disk = SimFs::new();
        let store = open(&disk);
        let secret = Decision::from_json(r#"{"id":"a","note":"secret"}"#).unwrap();
        run(store.upsert(&secret)).unwrap();
        save(&store, "a", 1);
        run(store.rotate()).unwrap();
        let packed = disk
            .get("/d/decisions.journal.000000000001.jsonl.zst")
            .unwrap();
        let plain = zstd::decode_all(packed.as_slice()).unwrap();
        let left = "/d/decisions.journal.000000000001.jsonl";
        if late {
            run(store.prune_revisions(KeepRevisions::Newest(1))).unwrap();
        }
        disk.put(left, &plain).unwrap();
        run(store.prune_revisions(KeepRevisions::Newest(1))).unwrap();
        assert_eq!(disk.get(left), None);
        assert!(run(store.verify(None)).unwrap().holds());
        // What is not what the compressed one was stays.
        let mut other = plain.clone();
        let at = other.len() / 2;
        other[at] ^= 1;
        disk.put(left, &other).unwrap();
        run(store.prune_revisions(KeepRevisions::Newest(1))).unwrap();
        assert_eq!(disk.get(left), Some(other));
    }
}

/// A journal that cannot be sealed costs no write more than others do.
#[test]
fn a_journal_that_cannot_be_sealed_is_not_synced_by_every_write() {
    for links in [true, false] {
        let disk = SimFs::new();
        disk.put(BOOT, b"one\n").unwrap();
        let config = config(&disk).segment_bytes(20_000);
        let store = JsonDecisionRepository::open("/d", config).unwrap();
        save(&store, "a", 0);
        if links {
            let taken = "/d/decisions.journal.000000000001.jsonl.zst";
            disk.put(taken, b"of an earlier journal").unwrap();
        } else {
            let fault = Fault::on(OpKind::HardLink).at("decisions.journal.0");
            let fault = fault.error(std::io::ErrorKind::Unsupported);
            disk.inject(fault.forever());
        }
        let mut n = 0;
        while disk.get(JOURNAL).unwrap().len() < 24_000 {
            n += 1;
            save(&store, "a", n);
        }
        let syncs = || {
            let kinds = [OpKind::SyncData, OpKind::SyncAll, OpKind::SyncDir];
            let trace = disk.trace();
            trace.iter().filter(|op| kinds.contains(&op.kind)).count()
        };
        for more in 1..=10 {
            let before = syncs();
            save(&store, "a", n + more);
            assert_eq!(syncs(), before + 1);
        }
        // When it has grown by as much again, it is tried once more.
        disk.clear_faults();
        if links {
            let taken = Path::new("/d/decisions.journal.000000000001.jsonl.zst");
            minutebook_fs::remove(&disk, taken, minutebook_fs::Durability::Synced).unwrap();
        }
        for more in 11..150 {
            save(&store, "a", n + more);
        }
        assert!(!segments(&disk).is_empty());
    }
}

/// Text of other programs is written in pieces as every other is, when a journal is founded anew.
#[test]
fn a_journal_is_founded_anew_in_pieces() {
    let disk = SimFs::new();
    for n in 0..40 {
        let text = format!(r#"{{"id":"d{n}","text":"{}"}}"#, "x".repeat(100_000));
        disk.put(format!("/d/2025-01-01_d{n}.json"), text.as_bytes())
            .unwrap();
    }
    let store = open(&disk);
    save(&store, "a", 1);
    disk.create_dir(Path::new("/kept")).unwrap();
    let before = disk.trace().len();
    run(store.refound_journal(Path::new("/kept/journal"), Vec::new())).unwrap();
    let trace = disk.trace();
    let written = trace[before..]
        .iter()
        .filter(|op| op.kind == OpKind::Append);
    let written: Vec<_> = written.map(|op| op.bytes).collect();
    assert!(written.len() > 3, "{written:?}");
    assert!(
        written.iter().all(|bytes| *bytes < 1_300_000),
        "{written:?}"
    );
    assert_eq!(run(open(&disk).history(&id("d7"))).unwrap().len(), 1);
}

/// After a crash anywhere in `operation`: everything is there, the chain holds, and work goes on.
fn check(operation: impl Fn(&JsonDecisionRepository) -> bool) {
    let prepare = |disk: &SimFs| -> Result<(), String> {
        disk.put(BOOT, b"one\n")
            .map_err(|error| error.to_string())?;
        let store = open(disk);
        for n in 0..3 {
            save(&store, "a", n);
        }
        save(&store, "b", 7);
        Ok(())
    };
    let verify = |crashed: &Crashed<'_, bool>| -> Result<(), String> {
        let disk = &crashed.disk;
        if crashed.kind == Kind::Power {
            disk.put(BOOT, b"two\n")
                .map_err(|error| error.to_string())?;
        }
        let problem = |error: &dyn std::fmt::Display| error.to_string();
        let store =
            JsonDecisionRepository::open("/d", config(disk)).map_err(|error| problem(&error))?;
        for round in 0..2 {
            let found = (number(&store, "a"), number(&store, "b"));
            if found != ("2".to_owned(), "7".to_owned()) {
                return Err(format!("{found:?}"));
            }
            let proof = run(store.verify(None)).map_err(|error| problem(&error))?;
            if !proof.holds() || proof.lines < 4 {
                return Err(format!("{proof:?}"));
            }
            let states = run(store.history(&id("a"))).map_err(|error| problem(&error))?;
            if states.len() != 3 {
                return Err(format!("{states:?}"));
            }
            if round == 0 {
                run(store.upsert(&decision("c", 1))).map_err(|error| problem(&error))?;
                run(store.rotate()).map_err(|error| problem(&error))?;
                run(store.prune_revisions(KeepRevisions::Newest(1)))
                    .map_err(|error| problem(&error))?;
                run(store.upsert(&decision("c", 2))).map_err(|error| problem(&error))?;
            }
        }
        Ok(())
    };
    let report = enumerate(
        &Options::default().images(Images::default().max(24)),
        prepare,
        |disk| {
            JsonDecisionRepository::open("/d", config(disk)).is_ok_and(|store| operation(&store))
        },
        verify,
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 30, "{report:?}");
}

#[test]
fn a_crash_while_a_file_is_sealed_and_compressed() {
    check(|store| run(store.rotate()).is_ok());
}

#[test]
fn a_crash_while_documents_are_taken_out() {
    check(|store| {
        run(store.rotate()).is_ok() && run(store.prune_revisions(KeepRevisions::Newest(1))).is_ok()
    });
}

/// A journal with a sealed file, founded anew; its sealed file is moved away, or not (the repair was killed).
fn founded_anew(disk: &SimFs, moved: bool) -> JsonDecisionRepository {
    let store = open(disk);
    for n in 0..20 {
        save(&store, &format!("old-{n}"), n);
    }
    assert!(run(store.rotate()).unwrap());
    let sealed = run(store.sealed_journal_files()).unwrap();
    assert_eq!(sealed.len(), 1);
    disk.create_dir(Path::new("/kept")).unwrap();
    let moves = sealed
        .into_iter()
        .map(|from| (from, "/kept/sealed".into()))
        .filter(|_| moved)
        .collect();
    run(store.refound_journal(Path::new("/kept/journal"), moves)).unwrap();
    drop(store);
    open(disk)
}

#[test]
fn a_journal_that_was_founded_anew_is_sealed_beside_nothing_of_the_old_one() {
    let disk = SimFs::new();
    let store = founded_anew(&disk, true);
    assert!(disk.get("/kept/sealed").is_some());
    assert!(run(store.sealed_journal_files()).unwrap().is_empty());
    save(&store, "new", 1);
    assert!(run(store.rotate()).unwrap());
    save(&store, "new", 2);
    drop(store);
    let store = open(&disk);
    assert_eq!(run(store.history(&id("new"))).unwrap().len(), 2);
    assert_eq!(run(store.history(&id("old-7"))).unwrap().len(), 1);
}

#[test]
fn a_sealed_file_of_the_old_journal_costs_no_line_of_the_new_one() {
    let disk = SimFs::new();
    let store = founded_anew(&disk, false);
    save(&store, "new", 1);
    assert!(!run(store.rotate()).unwrap(), "the number is taken");
    save(&store, "new", 2);
    // As it would be had the new one been sealed beside the old one.
    let plain = "/d/decisions.journal.000000000001.jsonl";
    disk.put(plain, b"lines of the new journal\n").unwrap();
    let _ = run(store.rotate());
    assert!(disk.get(plain).is_some());
    drop(store);
    let store = open(&disk);
    assert_eq!(run(store.history(&id("new"))).unwrap().len(), 2);
}
