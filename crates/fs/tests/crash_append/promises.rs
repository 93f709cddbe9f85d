//! What was acknowledged survives, and readers see whole lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minutebook_fs::crash::{Crashed, Kind, Options, enumerate};
use minutebook_fs::{
    AppendLog, Durability, Fault, Images, Item, LineOptions, LineReader, OpKind, SimFs, Torn,
};

use super::{LOG, holds, line, lines, log, setup};

/// A check for runs that append `0, 1, 2, ...`, one after the other, and return what was acknowledged.
fn check(
    crashed: &Crashed<'_, Vec<usize>>,
    asked: usize,
    durability: Durability,
) -> Result<(), String> {
    let safe = durability.is_synced() || crashed.kind == Kind::Process;
    let acknowledged: &[usize] = if safe { crashed.out } else { &[] };
    let (before, damaged) = lines(&crashed.disk)?;
    holds(&before, acknowledged, asked)?;
    if damaged > 0 && crashed.kind == Kind::Process {
        return Err("a killed process left a complete line that is damaged".to_owned());
    }
    // Life goes on: the next line stands by itself, and nothing else changed. A line that lacked its newline only may
    // be whole now.
    log(&crashed.disk)
        .append(&line(1000), Durability::Synced)
        .map_err(|e| e.to_string())?;
    let (mut after, damaged_after) = lines(&crashed.disk)?;
    if after.pop() != Some(1000) {
        return Err("the line after the crash is not whole".to_owned());
    }
    holds(&after, acknowledged, asked)?;
    if !after.starts_with(&before) || after.len() + damaged_after > before.len() + damaged + 1 {
        return Err(format!(
            "{before:?} and {damaged} damaged became {after:?} and {damaged_after}"
        ));
    }
    Ok(())
}

fn append_some(
    disk: &SimFs,
    count: usize,
    append: impl Fn(&AppendLog, &[u8]) -> bool,
) -> Vec<usize> {
    let log = log(disk);
    (0..count).take_while(|n| append(&log, &line(*n))).collect()
}

#[test]
fn acknowledged_lines_survive_and_stand_alone() {
    for durability in [Durability::Synced, Durability::Buffered] {
        let report = enumerate(
            &Options::default().images(Images::default().torn(Torn::Bytes).max(2048)),
            setup,
            |disk| append_some(disk, 3, |log, bytes| log.append(bytes, durability).is_ok()),
            |crashed| check(crashed, 3, durability),
        )
        .unwrap();
        assert!(report.states > 100, "{report:?}");
    }
}

#[test]
fn buffered_lines_are_durable_after_a_sync() {
    enumerate(
        &Options::default(),
        setup,
        |disk| {
            let log = log(disk);
            let written = (0..3).all(|n| log.append(&line(n), Durability::Buffered).is_ok());
            if written && log.sync().is_ok() {
                vec![0, 1, 2]
            } else {
                Vec::new()
            }
        },
        |crashed| check(crashed, 3, Durability::Synced),
    )
    .unwrap();
}

#[test]
fn a_batch_is_a_prefix_after_a_crash() {
    let batch: Vec<u8> = (0..4).flat_map(line).collect();
    enumerate(
        &Options::default().images(Images::default().torn(Torn::Bytes)),
        setup,
        |disk| {
            if log(disk).append(&batch, Durability::Synced).is_ok() {
                vec![0, 1, 2, 3]
            } else {
                Vec::new()
            }
        },
        |crashed| check(crashed, 4, Durability::Synced),
    )
    .unwrap();
}

#[test]
fn two_crashes_in_a_row_leave_what_was_acknowledged() {
    enumerate(
        &Options::default(),
        |disk| disk.put(LOG, b"[0::0]\n[1:xx").map_err(|e| e.to_string()),
        |disk| {
            let log = log(disk);
            (2..4)
                .take_while(|n| log.append(&line(*n), Durability::Synced).is_ok())
                .collect::<Vec<_>>()
        },
        |crashed| {
            let (found, _) = lines(&crashed.disk)?;
            holds(&found, crashed.out, 4)?;
            if found.first() == Some(&0) {
                Ok(())
            } else {
                Err("the first line is lost".to_owned())
            }
        },
    )
    .unwrap();
}

#[test]
fn a_reader_never_sees_part_of_a_line_at_any_moment_of_a_write() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let reader = disk.new_process();
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    disk.on_op(move |_| {
        let (whole, damaged) = lines(&reader).unwrap();
        assert_eq!(damaged, 0);
        assert!(whole.iter().copied().eq(0..whole.len()));
        count.fetch_max(whole.len() as u64, Ordering::Relaxed);
    });
    let log1 = log(&disk);
    for n in 0..6 {
        disk.inject(Fault::on(OpKind::Append).short(n));
        log1.append(&line(n), Durability::Synced).unwrap_err();
        log1.append(&line(n), Durability::Synced).unwrap();
    }
    assert_eq!(seen.load(Ordering::Relaxed), 6);
}

#[test]
fn items_report_lines_that_are_too_long_instead_of_failing() {
    let disk = SimFs::new();
    disk.put(LOG, b"short\nmuch too long\nshort\n").unwrap();
    let file = log(&disk).reader().unwrap().unwrap();
    let mut reader = LineReader::new(file, LineOptions::default().max_line_bytes(8));
    let mut kinds = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        kinds.push(matches!(item, Item::Line(_)));
    }
    assert_eq!(kinds, [true, false, true]);
}
