//! The journal's files: sealing, compressing, taking documents out, and the proof of the chain over all of them; at every crash point.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use minutebook_core::time::parse_timestamp;
use minutebook_core::{
    Decision, DecisionId, DecisionRepository, DecisionRepositoryExt, ManualClock, StateContent,
};
use minutebook_fs::crash::{Crashed, Kind, Options, enumerate};
use minutebook_fs::{Fs as _, Images, SimFs};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository, KeepRevisions};

const JOURNAL: &str = "/d/decisions.journal.jsonl";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

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

fn id(text: &str) -> DecisionId {
    DecisionId::new(text).unwrap()
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
