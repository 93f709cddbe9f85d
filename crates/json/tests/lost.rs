//! What is lost while the machine runs on: by a file system whose device went away, by a sync that failed; and what other programs may have
//! set or changed meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use minutebook_core::{
    DecisionFilter, DecisionQuery, DecisionRepository, DecisionRepositoryExt, ErrorKind,
    ManualClock, SaveMode,
};
use minutebook_fs::crash::{Kind, Options, enumerate};
use minutebook_fs::{
    Durability, Fault, Fs as _, Images, LockMode, LockWait, OpKind, OpenMode, SimFs,
};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

use common::{BOOT, JOURNAL, after_cuts, config, decision, id, open, run};

fn removals(disk: &SimFs) -> usize {
    let journal = String::from_utf8(disk.get(JOURNAL).unwrap()).unwrap();
    journal.matches("\"op\":\"missing\"").count()
}

fn eight(disk: &SimFs) -> JsonDecisionRepository {
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(disk);
    for n in 1..=8 {
        run(store.create(&decision(&format!("d{n}"), n))).unwrap();
    }
    store
}

#[test]
fn documents_that_a_file_system_lost_while_the_machine_ran_on_come_back() {
    let past: DateTime<Utc> = "2020-01-01T00:00:00Z".parse().unwrap();
    // A program may have a clock of its own, as one that replays the past.
    for own_clock in [false, true] {
        documents_that_a_file_system_lost(&|disk| {
            let config = config(disk);
            if own_clock {
                config.clock(Arc::new(ManualClock::at(past)))
            } else {
                config
            }
        });
    }
}

fn documents_that_a_file_system_lost(config: &dyn Fn(&SimFs) -> JsonDecisionConfig) {
    let disk = SimFs::new();
    drop(eight(&disk));
    // The directory as it was before the last of them, under the journal that tells of all.
    let after = SimFs::new();
    for (path, content) in disk.tree() {
        let name = path.display().to_string();
        if let (Some(content), false) = (content, name.contains("_d7") || name.contains("_d8")) {
            after.put(&path, &content).unwrap();
        }
    }
    // The clock has run on.
    let later: DateTime<Utc> = "2030-01-01T00:00:00Z".parse().unwrap();
    after.set_time(later.into());
    let store = JsonDecisionRepository::open("/d", config(&after)).unwrap();
    assert_eq!(run(store.count(&DecisionFilter::new())).unwrap(), 8);
    run(store.create(&decision("next", 9))).unwrap();
    assert_eq!(removals(&after), 0);
    for n in 1..=8 {
        assert!(run(store.get(&id(&format!("d{n}")))).unwrap().is_some());
    }
}

#[test]
fn a_checkpoint_that_was_broken_off_makes_nothing_durable() {
    let report = enumerate(
        &Options::default().images(Images::default().max(4)),
        |disk| {
            drop(eight(disk));
            Ok(())
        },
        |disk| drop(run(open(disk).checkpoint())),
        |crashed| {
            if crashed.kind != Kind::Process {
                return Ok(());
            }
            let store = open(&crashed.disk);
            run(store.checkpoint()).map_err(|error| error.to_string())?;
            drop(store);
            let images = crashed.disk.images_after_crash(&Images::default().max(12));
            assert!(!images.is_empty());
            for image in images {
                image.fs.put(BOOT, b"two\n").unwrap();
                let store = open(&image.fs);
                let count = run(store.count(&DecisionFilter::new())).unwrap();
                if count != 8 {
                    return Err(format!("{count} are left: {}", image.what));
                }
            }
            Ok(())
        },
    )
    .unwrap();
    assert!(report.states > 10, "{report:?}");
}

#[test]
fn a_checkpoint_after_a_failed_sync_is_refused() {
    for journal in [true, false] {
        let disk = SimFs::new();
        let config = config(&disk)
            .journal(journal)
            .durability(Durability::Buffered);
        let store = JsonDecisionRepository::open("/d", config).unwrap();
        run(store.create(&decision("a", 1))).unwrap();
        disk.inject(Fault::on(OpKind::SyncAll).at("2025-01-01_a").errno(5));
        for _ in 0..2 {
            let error = run(store.checkpoint()).unwrap_err();
            assert!(error.to_string().contains("sync"), "{error}");
        }
        // What is read is not touched by that.
        assert!(run(store.get(&id("a"))).unwrap().is_some());
    }
}

/// A disk with decisions `a` and `b`, after a checkpoint whose sync of `a` has failed.
fn failed_checkpoint(before: impl Fn(&SimFs)) -> SimFs {
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let store = open(&disk);
    run(store.create(&decision("a", 1))).unwrap();
    run(store.create(&decision("b", 2))).unwrap();
    disk.inject(Fault::on(OpKind::SyncAll).at("2025-01-01_a").errno(5));
    before(&disk);
    let error = run(store.checkpoint()).unwrap_err();
    assert!(error.to_string().contains("sync"), "{error}");
    disk
}

/// After a sync of a document has failed, the system takes it for written, and the next sync reports success.
#[test]
fn a_document_whose_sync_failed_is_not_taken_for_durable_by_who_comes_later() {
    let disk = failed_checkpoint(|_| ());
    let store = open(&disk);
    let error = run(store.checkpoint()).unwrap_err();
    assert!(error.to_string().contains("sync"), "{error}");
    run(store.create(&decision("c", 3))).unwrap();
    // A checkpoint that syncs nothing does not forget it.
    drop(store);
    let every = config(&disk).checkpoint_every(1);
    let store = JsonDecisionRepository::open("/d", every).unwrap();
    run(store.create(&decision("d", 4))).unwrap();
    run(store.checkpoint()).unwrap_err();
    after_cuts(&disk, 30, |store, what| {
        let count = run(store.count(&DecisionFilter::new())).unwrap();
        assert_eq!(count, 4, "{what}");
        assert!(run(store.get(&id("a"))).unwrap().is_some());
        run(store.checkpoint()).unwrap();
    });
}

/// It stands in the journal, which is no cache; and is there also if no checkpoint can be written after it.
#[test]
fn that_a_sync_failed_is_not_forgotten_with_the_checkpoint() {
    for full in [false, true] {
        let disk = failed_checkpoint(|disk| {
            for at in ["tmp", ".run"].into_iter().filter(|_| full) {
                let none = Fault::on(OpKind::Append).at(at);
                disk.inject(none.error(std::io::ErrorKind::StorageFull).forever());
            }
        });
        disk.clear_faults();
        for path in disk.tree().keys() {
            if path.to_string_lossy().contains(".decisions.checkpoint") {
                disk.remove_file(path).unwrap();
            }
        }
        let store = open(&disk);
        let error = run(store.checkpoint()).unwrap_err();
        assert!(error.to_string().contains("sync"), "{error}");
        // Of what was done to the directory last the journal tells.
        run(store.create(&decision("c", 3))).unwrap();
        after_cuts(&disk, 30, |store, what| {
            assert!(run(store.get(&id("a"))).unwrap().is_some(), "{what}");
            run(store.checkpoint()).unwrap();
        });
    }
}

/// A clock that was set back gives later changes an earlier time; what others did then is not undone.
#[test]
fn deletions_of_others_stay_when_the_clock_goes_back() {
    let at = |text: &str| {
        let now: DateTime<Utc> = text.parse().unwrap();
        (SystemTime::from(now), ManualClock::at(now))
    };
    let disk = SimFs::new();
    disk.put(BOOT, b"one\n").unwrap();
    let (time, clock) = at("2026-01-01T10:00:00Z");
    disk.set_time(time);
    let store = |clock| JsonDecisionRepository::open("/d", config(&disk).clock(Arc::new(clock)));
    let first = store(clock).unwrap();
    for n in 1..=3 {
        run(first.create(&decision(&format!("d{n}"), n))).unwrap();
    }
    drop(first);
    let (time, clock) = at("2026-01-01T09:00:00Z");
    disk.set_time(time);
    disk.remove_file("/d/2025-01-02_d2.json".as_ref()).unwrap();
    let second = store(clock).unwrap();
    assert_eq!(run(second.get(&id("d2"))).unwrap(), None);
    assert_eq!(run(second.count(&DecisionFilter::new())).unwrap(), 2);
    run(second.create(&decision("d4", 4))).unwrap();
    assert_eq!(removals(&disk), 1);
    assert_eq!(disk.get("/d/2025-01-02_d2.json"), None);
}

/// A process that finds the lock taken when it opens compares what is in doubt when it writes.
#[test]
fn what_an_open_could_not_compare_is_compared_by_its_first_write() {
    let disk = SimFs::new();
    drop(eight(&disk));
    disk.put(BOOT, b"two\n").unwrap();
    let image = disk
        .images_after_crash(&Images::default().max(1))
        .pop()
        .unwrap();
    let lost: Vec<_> = (1..=8)
        .filter(|n| {
            image
                .fs
                .get(format!("/d/2025-01-{n:02}_d{n}.json"))
                .is_none()
        })
        .collect();
    assert!(!lost.is_empty(), "{}", image.what);
    let held = image.fs.lock(
        Path::new("/d/.decisions.lock"),
        LockMode::Exclusive,
        LockWait::Try,
    );
    let waits = config(&image.fs).lock_wait(LockWait::Try);
    let store = JsonDecisionRepository::open("/d", waits).unwrap();
    // Until then the journal stands in.
    for n in 1..=8 {
        let found = run(store.get(&id(&format!("d{n}")))).unwrap();
        assert_eq!(found.unwrap().decision, decision(&format!("d{n}"), n));
    }
    assert_eq!(run(store.count(&DecisionFilter::new())).unwrap(), 8);
    drop(held.unwrap());
    run(store.create(&decision("next", 9))).unwrap();
    assert_eq!(removals(&image.fs), 0);
    assert_eq!(run(store.count(&DecisionFilter::new())).unwrap(), 9);
}

/// What another process has compared meanwhile is in no doubt any more.
#[test]
fn what_another_process_has_compared_is_not_compared_again() {
    let disk = SimFs::new();
    let store = eight(&disk);
    let path = "/d/2025-01-01_d1.json";
    let first = disk.get(path).unwrap();
    let mut changed = decision("d1", 1);
    changed.set("note", &"changed").unwrap();
    run(store.upsert(&changed)).unwrap();
    drop(store);
    disk.put(BOOT, b"two\n").unwrap();
    let images = disk.images_after_crash(&Images::default().max(1));
    let disk = images.into_iter().next().unwrap().fs;
    let held = disk.lock(
        Path::new("/d/.decisions.lock"),
        LockMode::Exclusive,
        LockWait::Try,
    );
    let waits = config(&disk).lock_wait(LockWait::Try);
    let late = JsonDecisionRepository::open("/d", waits).unwrap();
    drop(held.unwrap());
    assert_eq!(run(late.get(&id("d1"))).unwrap().unwrap().decision, changed);
    let other = open(&disk);
    run(other.create(&decision("other", 9))).unwrap();
    assert_eq!(run(late.get(&id("d1"))).unwrap().unwrap().decision, changed);
    // Another program puts the first state back, in place.
    let file = disk.new_process();
    let file = file.open(path.as_ref(), OpenMode::Write).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&first, 0).unwrap();
    let found = run(late.get(&id("d1"))).unwrap().unwrap();
    assert_eq!(found.decision, decision("d1", 1));
    run(late.create(&decision("next", 10))).unwrap();
    assert_eq!(disk.get(path).unwrap(), first);
    assert_eq!(run(late.count(&DecisionFilter::new())).unwrap(), 10);
}

/// What came after an open that found the lock taken is in no doubt: another program that puts an earlier state back is not overruled.
#[test]
fn an_open_beside_a_writer_doubts_nothing_that_comes_later() {
    let disk = SimFs::new();
    disk.set_watchable(false);
    disk.put(BOOT, b"one\n").unwrap();
    let writer = disk.new_process();
    let store = open(&writer);
    run(store.create(&decision("other", 2))).unwrap();
    // A process that starts between the line of a change and its mark.
    let second = disk.new_process();
    let opened = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&opened);
    writer.on_op(move |event| {
        let mut slot = slot.lock().unwrap();
        if event.kind == OpKind::Create && event.path.starts_with("/d") && slot.is_none() {
            let waits = config(&second).lock_wait(LockWait::Try);
            *slot = Some(JsonDecisionRepository::open("/d", waits).unwrap());
        }
    });
    run(store.create(&decision("begun", 3))).unwrap();
    writer.clear_hook();
    let second = opened.lock().unwrap().take().unwrap();
    run(store.create(&decision("x", 1))).unwrap();
    let path = "/d/2025-01-01_x.json";
    let first = disk.get(path).unwrap();
    let mut changed = decision("x", 1);
    changed.set("note", &"changed").unwrap();
    run(store.upsert(&changed)).unwrap();
    assert_eq!(run(store.count(&DecisionFilter::new())).unwrap(), 3);
    // Another program puts the first state back, in place.
    let file = disk.new_process();
    let file = file.open(path.as_ref(), OpenMode::Write).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&first, 0).unwrap();
    run(store.create(&decision("y", 4))).unwrap();
    run(second.create(&decision("z", 5))).unwrap();
    assert_eq!(disk.get(path).unwrap(), first);
    assert!(run(second.get(&id("begun"))).unwrap().is_some());
    assert_eq!(run(second.count(&DecisionFilter::new())).unwrap(), 5);
}

/// What a file's looks promise is enough to read it, and not to write over it: other programs may have ways to change it that leave its looks.
#[test]
fn a_read_that_trusts_a_files_looks_lets_no_change_of_others_be_lost() {
    let disk = SimFs::new();
    disk.set_watchable(false);
    disk.put(BOOT, b"one\n").unwrap();
    let first = run(open(&disk).create(&decision("a", 1))).unwrap().revision;
    for n in 2..=5 {
        run(open(&disk).create(&decision(&format!("d{n}"), n))).unwrap();
    }
    let store = open(&disk);
    assert_eq!(run(store.count(&DecisionFilter::new())).unwrap(), 5);
    // As if nothing had changed.
    let path = Path::new("/d/2025-01-01_a.json");
    let looks = disk.metadata(path).unwrap().changed_ns;
    let text = String::from_utf8(disk.get(path).unwrap()).unwrap();
    let text = text.replace("\"n\": 1", "\"n\": 7");
    let before = u64::try_from(looks).unwrap() - 1_000;
    disk.set_time(SystemTime::UNIX_EPOCH + Duration::from_nanos(before));
    let file = disk.open(path, OpenMode::Write).unwrap();
    file.write_all_at(text.as_bytes(), 0).unwrap();
    let now = disk.metadata(path).unwrap().changed_ns;
    assert_eq!(now, looks);
    disk.set_time(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));

    let read = run(store.get(&id("a"))).unwrap().unwrap();
    assert_eq!(read.decision.raw("n"), Some("7"));
    let mut changed = decision("a", 1);
    changed.set("note", &"changed").unwrap();
    let mode = SaveMode::Update {
        expected: Some(first),
    };
    let error = run(store.save(&changed, mode)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(disk.get(path).unwrap(), text.as_bytes());
    // And what is written over is in the journal.
    run(store.upsert(&changed)).unwrap();
    let journal = String::from_utf8(disk.get(JOURNAL).unwrap()).unwrap();
    assert!(journal.contains("\\\"n\\\": 7"), "{journal}");
}

#[test]
fn a_time_that_no_calendar_has_is_in_nobodys_way() {
    for journal in [true, false] {
        let disk = SimFs::new();
        let store = JsonDecisionRepository::open("/d", config(&disk).journal(journal)).unwrap();
        let path = "/d/2025-01-01_x.json";
        disk.put(path, br#"{"id":"x"}"#).unwrap();
        let file = disk.open(path.as_ref(), OpenMode::AppendExisting).unwrap();
        let far = SystemTime::UNIX_EPOCH + Duration::from_hours(2_500_000_000);
        file.set_modified(far).unwrap();
        assert!(run(store.get(&id("x"))).unwrap().is_some());
        let page = run(store.query(&DecisionQuery::new())).unwrap();
        assert_eq!(page.decisions.len(), 1);
        run(store.create(&decision("y", 2))).unwrap();
        assert!(run(store.delete(&id("x"))).unwrap());
    }
}

/// The old id ends where the new one begins, for the journal and who follows it too.
#[test]
fn another_id_in_a_file_is_recorded_as_one_that_went_and_one_that_came() {
    let disk = SimFs::new();
    let store = eight(&disk);
    assert_eq!(run(store.count(&DecisionFilter::new())).unwrap(), 8);
    disk.put(
        "/d/2025-01-03_d3.json",
        decision("e3", 3).to_json().as_bytes(),
    )
    .unwrap();
    run(store.create(&decision("next", 9))).unwrap();
    let journal = String::from_utf8(disk.get(JOURNAL).unwrap()).unwrap();
    let mut told = journal
        .lines()
        .filter(|line| line.contains("\"op\":\"missing\"") || line.contains("\"op\":\"found\""));
    assert!(told.next().unwrap().contains(r#""op":"missing","id":"d3""#));
    assert!(told.next().unwrap().contains(r#""op":"found","id":"e3""#));
    assert_eq!(told.next(), None);
    assert_eq!(run(store.history(&id("d3"))).unwrap().len(), 2);
    // A fresh process knows it so.
    let fresh = open(&disk);
    assert_eq!(run(fresh.get(&id("d3"))).unwrap(), None);
    assert!(run(fresh.get(&id("e3"))).unwrap().is_some());
    assert_eq!(run(fresh.count(&DecisionFilter::new())).unwrap(), 9);
}
