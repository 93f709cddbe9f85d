//! Many processes on one log, killed at any moment.

use std::collections::BTreeMap;

use minutebook_fs::{AppendLog, Durability, LineOptions, ReverseLines};

use super::child::Writer;
use super::{line, lines, open};

#[test]
fn killed_processes_lose_nothing_that_they_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut acknowledged: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut running: Vec<(usize, Writer)> = (0..3)
        .map(|writer| (writer, Writer::start(dir.path(), writer)))
        .collect();
    for round in 0..40 {
        let (_, writer) = &mut running[0];
        // Kill it after some acknowledgements: at any moment of the one that follows.
        for _ in 0..=(round * 5 % 23) {
            assert!(writer.wait(), "the writer ended by itself");
        }
        let (number, writer) = running.remove(0);
        acknowledged.insert(number, writer.kill());
        if round % 10 == 0 {
            // Others are appending: what is not whole is what a kill left, never a line that is being written.
            assert!(
                lines(&log).1 <= round + 1,
                "a reader saw a line that is not whole"
            );
        }
        let next = round + 3;
        running.push((next, Writer::start(dir.path(), next)));
    }
    for (number, writer) in running {
        acknowledged.insert(number, writer.kill());
    }
    log.append(&line(1000, 0), Durability::Synced).unwrap();
    let (whole, damaged) = lines(&log);
    assert!(damaged <= 43, "{damaged} damaged lines from 43 kills");
    assert_eq!(whole[&1000], [0]);
    assert_eq!(
        backwards(&log),
        (whole.values().map(Vec::len).sum(), damaged)
    );
    for (writer, numbers) in &acknowledged {
        let found = whole.get(writer).cloned().unwrap_or_default();
        // All in order, each once; of the last one nobody may have heard.
        assert!(
            found.iter().copied().eq(0..found.len()),
            "writer {writer}: {found:?}"
        );
        assert!(
            found.starts_with(numbers) && found.len() <= numbers.len() + 1,
            "writer {writer}: {numbers:?} in {found:?}"
        );
    }
    assert!(acknowledged.values().map(Vec::len).sum::<usize>() > 200);
}

/// The same backwards, when nobody writes.
fn backwards(log: &AppendLog) -> (usize, usize) {
    let mut reverse =
        ReverseLines::new(log.reader().unwrap().unwrap(), LineOptions::default()).unwrap();
    let (mut whole, mut damaged) = (0, 0);
    while let Some(item) = reverse.next().unwrap() {
        match super::parse(item.line().unwrap().bytes) {
            Some(_) => whole += 1,
            None => damaged += 1,
        }
    }
    (whole, damaged)
}

#[test]
fn a_kill_within_a_write_leaves_a_line_that_the_next_writer_closes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(&line(0, 0), Durability::Synced).unwrap();
    // What a kill leaves of a write, made by hand: at each byte of it.
    let victim = line(1, 12);
    let mut damaged = 0;
    for cut in 1..victim.len() {
        let before = std::fs::read(log.path()).unwrap();
        std::fs::write(log.path(), [&before[..], &victim[..cut]].concat()).unwrap();
        let appended = open(dir.path())
            .append(&line(2, cut * 17 + 6), Durability::Buffered)
            .unwrap();
        let torn = appended.repaired.unwrap();
        assert_eq!((torn.offset, torn.len), (before.len() as u64, cut as u64));
        assert_eq!(appended.offset, (before.len() + cut + 1) as u64);
        damaged += usize::from(cut < victim.len() - 1);
    }
    let (whole, found) = lines(&log);
    assert_eq!(found, damaged);
    assert_eq!(whole[&2].len(), victim.len() - 1);
    assert_eq!(whole[&1], [12], "the one that lacked its newline alone");
}
