//! A log whose end is synced in a ring: what was acknowledged is put back, at every crash point.

use minutebook_fs::crash::{Kind, Options, enumerate};
use minutebook_fs::{
    AppendLog, Durability, Fault, Fs as _, FsError, Images, OpKind, OpenMode, SimFs,
};

use super::{LOG, holds, line, lines, log, setup};

const RING: &str = "/store/.log.ring";
/// So many lines get the first handle a ring.
const FIRST: usize = 6;

fn ringed(disk: &SimFs, run: Option<&str>) -> AppendLog {
    log(disk).with_ring(RING, run).ring_bytes(2_000)
}

/// Appends one line and syncs it under the lock; one more that nobody waits for.
fn append(log: &AppendLog, bytes: &[u8]) -> Result<(), FsError> {
    log.with_lock(Durability::Buffered, |log| {
        log.append(bytes)?;
        log.sync()?;
        log.append(b"beside\n").map(drop)
    })
}

fn with_ring(disk: &SimFs) -> Result<(), String> {
    setup(disk)?;
    let log = ringed(disk, Some("one"));
    for n in 0..FIRST {
        append(&log, &line(n)).map_err(|error| error.to_string())?;
    }
    disk.get(RING)
        .map(drop)
        .ok_or("no ring was made".to_owned())
}

/// Appends more lines, after each of which every cut leaves them and all that were acknowledged before.
fn goes_on(disk: &SimFs, log: &AppendLog, acknowledged: usize) {
    for n in 200..203 {
        append(log, &line(n)).unwrap();
        for image in disk.images_after_crash(&Images::default().max(20)) {
            ringed(&image.fs, Some("one")).recover().unwrap();
            let found = lines(&image.fs).unwrap().0;
            let all = (0..acknowledged).chain(200..=n);
            let lost: Vec<_> = all.filter(|n| !found.contains(n)).collect();
            assert!(lost.is_empty(), "after {n}: {lost:?}");
        }
    }
}

/// Appends the line of this number, which every cut leaves together with those before.
fn append_through_cuts(disk: &SimFs, log: &AppendLog, n: usize) {
    append(log, &line(n)).unwrap();
    let known: Vec<usize> = (0..=n).collect();
    for image in disk.images_after_crash(&Images::default().max(20)) {
        ringed(&image.fs, Some("two")).recover().unwrap();
        holds(&lines(&image.fs).unwrap().0, &known, n + 2).unwrap();
    }
}

/// Opens the log as a program does that starts, looks at what is there, and goes on.
fn check(disk: &SimFs, run: &str, acknowledged: usize) -> Result<(), String> {
    let after = ringed(disk, Some(run));
    after.recover().map_err(|error| error.to_string())?;
    let known: Vec<usize> = (0..acknowledged).collect();
    holds(&lines(disk)?.0, &known, acknowledged + 1)?;
    // Twice by the handle that has begun, so that the ring is used again, then everything once more after another cut.
    for _ in 0..3 {
        append(&after, &line(90)).map_err(|error| error.to_string())?;
    }
    for image in disk.images_after_crash(&Images::default().max(6)) {
        ringed(&image.fs, Some("three"))
            .recover()
            .map_err(|error| error.to_string())?;
        let found = lines(&image.fs)?.0;
        let later = found.iter().filter(|n| **n == 90).count();
        if later != 3 || !known.iter().all(|n| found.contains(n)) {
            return Err(format!("after a second cut: {found:?}"));
        }
    }
    Ok(())
}

/// Crashes at every step: the process dies, or the machine loses power and is started anew.
fn every_crash(run: impl Fn(&SimFs) -> usize) {
    let report = enumerate(
        &Options::default().images(Images::default().max(40)),
        with_ring,
        run,
        |crashed| {
            let run = match crashed.kind {
                Kind::Process => "one",
                Kind::Power => "two",
            };
            check(&crashed.disk, run, *crashed.out)
        },
    )
    .unwrap();
    assert!(report.states > 200, "{report:?}");
}

#[test]
fn what_was_acknowledged_is_put_back_after_every_crash() {
    every_crash(|disk| {
        let log = ringed(disk, Some("one"));
        let lines = FIRST..FIRST + 4;
        lines
            .take_while(|n| append(&log, &line(*n)).is_ok())
            .count()
            + FIRST
    });
}

#[test]
fn handles_that_take_turns_lose_nothing() {
    every_crash(|disk| {
        let logs = [ringed(disk, Some("one")), ringed(disk, Some("one"))];
        // Each has the ring for itself for a while, once twice in a row.
        let turns = [0, 0, 1, 1, 1, 0, 0];
        let done = turns.iter().enumerate();
        let done = done.take_while(|(i, turn)| append(&logs[**turn], &line(FIRST + i)).is_ok());
        done.count() + FIRST
    });
}

/// Lines of which four fill the ring.
fn long(n: usize) -> Vec<u8> {
    format!("{n}:{}\n", "x".repeat(400)).into_bytes()
}

#[test]
fn a_ring_that_is_full_starts_anew() {
    let run = |disk: &SimFs| {
        let log = ringed(disk, None);
        let lines = 0..7;
        lines
            .take_while(|n| append(&log, &long(*n)).is_ok())
            .count()
    };
    let report = enumerate(
        &Options::default().images(Images::default().max(20)),
        with_ring,
        run,
        |crashed| {
            let after = ringed(&crashed.disk, None);
            after.recover().map_err(|error| error.to_string())?;
            let content = crashed.disk.get(LOG).unwrap_or_default();
            let whole: Vec<_> = content.split(|byte| *byte == b'\n').collect();
            for n in 0..*crashed.out {
                let wanted = long(n);
                let wanted = wanted.strip_suffix(b"\n").unwrap();
                if !whole.contains(&wanted) {
                    return Err(format!("line {n} of {} is lost", crashed.out));
                }
            }
            Ok(())
        },
    )
    .unwrap();
    assert!(report.states > 50, "{report:?}");
}

#[test]
fn without_looking_into_the_ring_lines_are_lost() {
    let failure = enumerate(
        &Options::default().images(Images::default().max(60)),
        with_ring,
        |disk| {
            let log = ringed(disk, None);
            let lines = FIRST..FIRST + 4;
            lines
                .take_while(|n| append(&log, &line(*n)).is_ok())
                .count()
                + FIRST
        },
        |crashed| {
            let known: Vec<usize> = (0..*crashed.out).collect();
            holds(&lines(&crashed.disk)?.0, &known, crashed.out + 1)
        },
    )
    .unwrap_err();
    assert!(failure.message.contains("acknowledged"), "{failure}");
}

#[test]
fn another_file_under_the_name_is_left_as_it_is() {
    let disk = SimFs::new();
    with_ring(&disk).unwrap();
    let restored = b"{\"of\":\"a backup\"}\n";
    disk.put("/store/restored", restored).unwrap();
    minutebook_fs::rename(
        &disk,
        "/store/restored".as_ref(),
        LOG.as_ref(),
        Durability::Synced,
    )
    .unwrap();
    assert_eq!(ringed(&disk, Some("two")).recover().unwrap(), 0);
    assert_eq!(disk.get(LOG).unwrap(), restored);
}

#[test]
fn a_ring_that_is_cleared_has_nothing() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let log = ringed(&disk, None);
    for n in 0..FIRST {
        append(&log, &line(n)).unwrap();
    }
    let used = |disk: &SimFs| disk.get(RING).unwrap().iter().any(|byte| *byte != 0);
    assert!(used(&disk));
    log.with_lock(Durability::Buffered, |log| -> Result<(), FsError> {
        log.append(b"last\n")?;
        log.sync()?;
        log.clear_ring()
    })
    .unwrap();
    assert!(!used(&disk));
    append(&log, &line(9)).unwrap();
    assert_eq!(lines(&disk).unwrap().0.last(), Some(&9));
}

/// A file system can lose what was not synced while the machine runs on: its device went away, and came back.
#[test]
fn what_was_acknowledged_is_put_back_in_the_same_run_of_the_machine() {
    let disk = SimFs::new();
    with_ring(&disk).unwrap();
    let log = ringed(&disk, Some("one"));
    for n in FIRST..FIRST + 4 {
        append(&log, &line(n)).unwrap();
    }
    let known: Vec<usize> = (0..FIRST + 4).collect();
    for image in disk.images_after_crash(&Images::default().max(60)) {
        ringed(&image.fs, Some("one")).recover().unwrap();
        holds(&lines(&image.fs).unwrap().0, &known, FIRST + 5).unwrap();
    }
}

/// After a failed sync of the log the system may take its pages for written. Lines that were acknowledged before are in the ring, and
/// stay there until the log has them for certain.
#[test]
fn a_failed_sync_of_the_log_takes_no_line_that_was_acknowledged_before() {
    let disk = SimFs::new();
    with_ring(&disk).unwrap();
    let log = ringed(&disk, Some("one"));
    let mut acknowledged = FIRST;
    disk.inject(
        Fault::on(OpKind::SyncData)
            .at("log.jsonl")
            .after(2)
            .errno(5),
    );
    while append(&log, &line(acknowledged)).is_ok() {
        acknowledged += 1;
        assert!(acknowledged < 200, "the ring is never full");
    }
    disk.clear_faults();
    assert!(
        acknowledged > FIRST + 4,
        "the ring was used: {acknowledged}"
    );
    drop(log);
    let again = ringed(&disk, Some("one"));
    again.recover().unwrap();
    goes_on(&disk, &again, acknowledged);
}

#[test]
fn a_ring_that_somebody_removed_is_not_relied_on() {
    let disk = SimFs::new();
    with_ring(&disk).unwrap();
    let log = ringed(&disk, Some("one"));
    for n in FIRST..FIRST + 3 {
        append(&log, &line(n)).unwrap();
    }
    minutebook_fs::remove(&disk, RING.as_ref(), Durability::Synced).unwrap();
    for n in FIRST + 3..FIRST + 8 {
        append_through_cuts(&disk, &log, n);
    }
    assert!(disk.get(RING).is_some(), "there is one again");
}

/// The system may let go of pages that it took for written. What the ring alone has then comes back before the ring is written over.
#[test]
fn a_log_that_lost_its_end_after_it_was_opened_gets_it_from_the_ring() {
    let disk = SimFs::new();
    with_ring(&disk).unwrap();
    let log = ringed(&disk, Some("one"));
    let mut at = 0;
    for n in FIRST..FIRST + 6 {
        append(&log, &line(n)).unwrap();
        at = disk.get(LOG).unwrap().len();
    }
    drop(log);
    let again = ringed(&disk, Some("one"));
    assert_eq!(again.recover().unwrap(), 0);
    // The last lines that were acknowledged, all of them in the ring.
    let from = at - line(FIRST + 5).len() - line(FIRST + 4).len() - 2 * b"beside\n".len();
    let zeros = vec![0; at - from - b"beside\n".len()];
    let lost = disk.new_process();
    let file = lost.open(LOG.as_ref(), OpenMode::Write).unwrap();
    file.write_all_at(&zeros, from as u64).unwrap();
    file.sync_all().unwrap();
    goes_on(&disk, &again, FIRST + 6);
}

#[test]
fn a_ring_that_somebody_cut_is_not_relied_on() {
    for left in [0, 100, 700] {
        let disk = SimFs::new();
        with_ring(&disk).unwrap();
        let log = ringed(&disk, Some("one"));
        for n in FIRST..FIRST + 3 {
            append(&log, &line(n)).unwrap();
        }
        let file = disk.open(RING.as_ref(), OpenMode::Write).unwrap();
        file.set_len(left).unwrap();
        file.sync_all().unwrap();
        for n in FIRST + 3..FIRST + 8 {
            append_through_cuts(&disk, &log, n);
        }
        assert_eq!(disk.get(RING).unwrap().len(), 2_000);
    }
}

/// What a failed sync dropped is in memory alone, and a later sync does not bring it out; written again it does.
#[test]
fn a_log_that_is_written_again_has_no_gap() {
    for (ring, again) in [(true, true), (false, true), (true, false), (false, false)] {
        let disk = SimFs::new();
        with_ring(&disk).unwrap();
        let open = || {
            if ring {
                ringed(&disk, Some("one"))
            } else {
                log(&disk)
            }
        };
        let first = open();
        append(&first, &line(FIRST)).unwrap();
        disk.inject(Fault::on(OpKind::SyncData).errno(5));
        append(&first, &line(FIRST + 1)).unwrap_err();
        drop(first);
        let second = open();
        second.recover().unwrap();
        second
            .with_lock(Durability::Buffered, |log| -> Result<(), FsError> {
                if again {
                    log.write_again()?;
                }
                log.append(&line(FIRST + 2))?;
                log.sync()
            })
            .unwrap();
        let whole = disk.images_after_crash(&Images::default().max(20));
        let whole = whole.into_iter().all(|image| {
            ringed(&image.fs, Some("two")).recover().unwrap();
            let found = lines(&image.fs).unwrap().0;
            (0..FIRST + 3).all(|n| found.contains(&n))
        });
        assert_eq!(whole, again, "with a ring: {ring}");
    }
}
