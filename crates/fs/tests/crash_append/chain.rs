//! Records that depend on the ones before them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minutebook_fs::crash::{Options, enumerate};
use minutebook_fs::{
    AppendLog, AppendOptions, Durability, Expecting, FsError, Images, LineOptions, LockWait,
    ReverseLines, SimFs, Torn,
};

use super::{LOCK, LOG, log, setup};

/// Each line names the one before it, as in a hash chain.
fn append_linked(disk: &SimFs) -> Result<u64, FsError> {
    log(disk).with_lock(Durability::Synced, |log| {
        let mut last = 0;
        if let Some(file) = log.reader()? {
            let mut lines =
                ReverseLines::new(file, LineOptions::default()).map_err(|e| read_error(&e))?;
            while let Some(item) = lines.next().map_err(|e| read_error(&e))? {
                if let Some((_, this)) = item.line().and_then(|line| link(line.bytes)) {
                    last = this;
                    break;
                }
            }
        }
        log.append(format!("<{last}>{}</>\n", last + 1).as_bytes())?;
        Ok(last + 1)
    })
}

fn read_error(e: &io::Error) -> FsError {
    FsError::not_applied(
        "test",
        "read",
        Path::new(LOG),
        io::Error::new(e.kind(), e.to_string()),
    )
}

fn link(bytes: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(bytes)
        .ok()?
        .strip_prefix('<')?
        .strip_suffix("</>")?;
    let (before, this) = text.split_once('>')?;
    Some((before.parse().ok()?, this.parse().ok()?))
}

fn chain(disk: &SimFs) -> Result<u64, String> {
    let content = disk.get(LOG).unwrap_or_default();
    let mut last = 0;
    for (before, this) in content.split(|b| *b == b'\n').filter_map(link) {
        if before != last || this != last + 1 {
            return Err(format!("{before} -> {this} after {last}"));
        }
        last = this;
    }
    Ok(last)
}

#[test]
fn a_chain_holds_over_crashes() {
    enumerate(
        &Options::default().images(Images::default().torn(Torn::Bytes)),
        setup,
        |disk| {
            (0..3)
                .map_while(|_| append_linked(disk).ok())
                .last()
                .unwrap_or(0)
        },
        |crashed| {
            let next = append_linked(&crashed.disk).map_err(|e| e.to_string())?;
            let last = chain(&crashed.disk)?;
            if last == next && next > *crashed.out {
                Ok(())
            } else {
                Err(format!("{next} after {} were acknowledged", crashed.out))
            }
        },
    )
    .unwrap();
}

#[test]
fn a_chain_holds_between_two_processes_at_every_interleaving() {
    for at in 0..200 {
        let disk = SimFs::new();
        setup(&disk).unwrap();
        append_linked(&disk).unwrap();
        let other = disk.new_process();
        let count = AtomicU64::new(0);
        let blocked = Arc::new(AtomicU64::new(0));
        let done = Arc::clone(&blocked);
        disk.on_op(move |_| {
            if count.fetch_add(1, Ordering::Relaxed) == at {
                // Where the other would have to wait, it gives up: this thread is the one it would wait for.
                let log = AppendLog::open(
                    Arc::new(other.clone()),
                    LOG,
                    LOCK,
                    AppendOptions::default().lock_wait(LockWait::Try),
                );
                match log.append(b"<intruder></>\n", Durability::Synced) {
                    Err(e) => assert!(e.is_locked() && e.nothing_applied(), "{e:?}"),
                    Ok(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
                }
            }
        });
        for _ in 0..3 {
            append_linked(&disk).unwrap();
        }
        assert_eq!(chain(&disk).unwrap(), 4, "at {at}");
    }
}

#[test]
fn an_append_that_expects_too_little_changes_nothing() {
    let disk = SimFs::new();
    setup(&disk).unwrap();
    let (a, b) = (log(&disk), log(&disk.new_process()));
    let Expecting::Appended(first) = a.append_expecting(b"one\n", 0, Durability::Synced).unwrap()
    else {
        panic!()
    };
    assert_eq!(
        b.append_expecting(b"two\n", 0, Durability::Synced).unwrap(),
        Expecting::Grown { len: 4 }
    );
    assert_eq!(disk.get(LOG).as_deref(), Some(&b"one\n"[..]));
    let Expecting::Appended(second) = b
        .append_expecting(b"two\n", first.end(), Durability::Synced)
        .unwrap()
    else {
        panic!()
    };
    assert_eq!((second.offset, second.repaired), (4, None));
    // A torn tail is growth: it may be a whole line that lacks its newline.
    disk.put(LOG, b"one\ntwo\nthr").unwrap();
    assert_eq!(
        a.append_expecting(b"four\n", 8, Durability::Synced)
            .unwrap(),
        Expecting::Grown { len: 12 }
    );
    let Expecting::Appended(third) = a
        .append_expecting(b"four\n", 12, Durability::Synced)
        .unwrap()
    else {
        panic!()
    };
    assert_eq!((third.offset, third.repaired), (12, None));
    assert_eq!(
        disk.get(LOG).as_deref(),
        Some(&b"one\ntwo\nthr\nfour\n"[..])
    );
}
