//! Lines forwards and backwards, against the plain way of splitting.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::fs::{Fs, OpenMode};
use crate::sim::SimFs;
use crate::{AppendLog, AppendOptions, Durability};

fn file(bytes: &[u8]) -> Box<dyn FsFile> {
    let disk = SimFs::new();
    disk.put("/f", bytes).unwrap();
    disk.open("/f".as_ref(), OpenMode::Read).unwrap()
}

type Owned = (u64, u64, Option<Vec<u8>>);

fn own(item: Item<'_>) -> Owned {
    (
        item.offset(),
        item.end(),
        item.line().map(|line| line.bytes.to_vec()),
    )
}

fn forwards(bytes: &[u8], options: LineOptions) -> (Vec<Owned>, Option<TornTail>, bool) {
    let mut lines = LineReader::new(file(bytes), options);
    let mut seen = Vec::new();
    while let Some(item) = lines.next().unwrap() {
        seen.push(own(item));
    }
    assert_eq!(
        seen.last().map_or(options.start, |last| last.1),
        lines.position()
    );
    (seen, lines.torn_tail(), lines.had_bom())
}

fn backwards(bytes: &[u8], options: LineOptions) -> Vec<Owned> {
    let mut lines = ReverseLines::new(file(bytes), options).unwrap();
    let mut seen = Vec::new();
    while let Some(item) = lines.next().unwrap() {
        seen.push(own(item));
    }
    assert_eq!(lines.next().unwrap(), None);
    seen.reverse();
    seen
}

/// The plain way.
fn model(bytes: &[u8], options: LineOptions) -> (Vec<Owned>, u64) {
    let mut lines = Vec::new();
    let mut start = usize::try_from(options.start).unwrap();
    while let Some(i) = bytes[start..].iter().position(|b| *b == b'\n') {
        if options.end.is_some_and(|end| start as u64 >= end) {
            break;
        }
        let mut line = &bytes[start..start + i];
        let end = (start + i + 1) as u64;
        let kept = line.len() <= options.max_line_bytes;
        if start == 0 {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        lines.push((start as u64, end, kept.then(|| line.to_vec())));
        start += i + 1;
    }
    (lines, start as u64)
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(BOM.to_vec()),
        4 => prop::collection::vec(any::<u8>(), 1..12),
        1 => prop::collection::vec(Just(b'x'), 20..60),
    ];
    prop::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn both_directions_agree_with_the_model(bytes in content(), chunk in 1_usize..40, max in 1_usize..40, skip in 0_usize..5, upto in 0_usize..30) {
        let all = model(&bytes, LineOptions::default()).0;
        let mut options = LineOptions::default().chunk_bytes(chunk).max_line_bytes(max);
        if let Some(line) = all.get(skip) {
            options = options.start(line.0);
        }
        if let Some(line) = all.get(upto) {
            options = options.end(line.0);
        }
        let (lines, complete) = model(&bytes, options);
        let (seen, torn, bom) = forwards(&bytes, options);
        prop_assert_eq!(&seen, &lines);
        if options.end.is_none() {
            let tail = bytes.len() as u64 - complete;
            prop_assert_eq!(torn, (tail > 0).then_some(TornTail { offset: complete, len: tail }));
        }
        let first = lines.first().filter(|line| line.0 == 0).is_some_and(|line| line.2.is_some());
        prop_assert_eq!(bom, first && bytes.starts_with(BOM));
        prop_assert_eq!(backwards(&bytes, options), lines);
    }

    #[test]
    fn a_reader_that_follows_sees_each_line_once(parts in prop::collection::vec(content(), 0..6), chunk in 1_usize..40) {
        let disk = SimFs::new();
        let writer = disk.open("/f".as_ref(), OpenMode::Append).unwrap();
        let options = LineOptions::default().chunk_bytes(chunk);
        let mut lines = LineReader::new(disk.open("/f".as_ref(), OpenMode::Read).unwrap(), options);
        let mut seen = Vec::new();
        for part in &parts {
            writer.write_all(part).unwrap();
            while let Some(item) = lines.next().unwrap() {
                seen.push(own(item));
            }
        }
        prop_assert_eq!(seen, model(&parts.concat(), options).0);
    }
}

#[test]
fn the_tail_is_there_for_who_wants_it() {
    let mut lines = LineReader::new(file(b"one\nlast"), LineOptions::default());
    assert_eq!(lines.next().unwrap().unwrap().line().unwrap().bytes, b"one");
    assert_eq!(lines.next().unwrap(), None);
    assert_eq!(lines.torn_tail_bytes(), Some(&b"last"[..]));
    assert_eq!(lines.torn_tail(), Some(TornTail { offset: 4, len: 4 }));
    let mut lines = LineReader::new(file(b"one\n"), LineOptions::default());
    while lines.next().unwrap().is_some() {}
    assert_eq!(lines.torn_tail_bytes(), None);
}

#[test]
fn memory_is_bounded_by_the_longest_line_allowed() {
    let mut bytes = vec![b'x'; 1 << 20];
    bytes.extend_from_slice(b"\nshort\n");
    let options = LineOptions::default().max_line_bytes(1000).chunk_bytes(256);
    let mut lines = LineReader::new(file(&bytes), options);
    assert_eq!(
        own(lines.next().unwrap().unwrap()),
        (0, (1 << 20) + 1, None)
    );
    assert_eq!(
        own(lines.next().unwrap().unwrap()).2.as_deref(),
        Some(&b"short"[..])
    );
    assert!(lines.buf.len() < 8000, "{}", lines.buf.len());
    let mut lines = ReverseLines::new(file(&bytes), options).unwrap();
    assert_eq!(
        own(lines.next().unwrap().unwrap()).2.as_deref(),
        Some(&b"short"[..])
    );
    assert_eq!(
        own(lines.next().unwrap().unwrap()),
        (0, (1 << 20) + 1, None)
    );
    assert_eq!(lines.next().unwrap(), None);
}

#[test]
fn parts_of_two_lines_are_never_joined_when_a_write_is_taken_back() {
    let disk = SimFs::new();
    let file = disk.open("/f".as_ref(), OpenMode::Append).unwrap();
    file.write_all(b"first\n{\"half\":").unwrap();
    let mut lines = LineReader::new(
        disk.open("/f".as_ref(), OpenMode::Read).unwrap(),
        LineOptions::default(),
    );
    assert_eq!(own(lines.next().unwrap().unwrap()).0, 0);
    assert_eq!(lines.next().unwrap(), None);
    file.set_len(6).unwrap();
    assert_eq!(lines.next().unwrap(), None);
    file.write_all(b"{\"another\":1234}\n").unwrap();
    assert_eq!(
        own(lines.next().unwrap().unwrap()).2.as_deref(),
        Some(&b"{\"another\":1234}"[..])
    );
    assert_eq!(lines.next().unwrap(), None);
}

/// A write that is cut short at the moment at which a reader looks, between the reader's own calls.
#[test]
fn a_reader_beside_a_failing_writer_sees_whole_lines() {
    let disk = SimFs::new();
    let fs: std::sync::Arc<dyn Fs> = std::sync::Arc::new(disk.clone());
    let log = AppendLog::open(fs, "/f", "/l", AppendOptions::default());
    log.append(b"{\"n\":0}\n", Durability::Buffered).unwrap();
    let reader = disk.new_process();
    let lines = LineReader::new(
        reader.open("/f".as_ref(), OpenMode::Read).unwrap(),
        LineOptions::default(),
    );
    let seen = std::sync::Arc::new(Mutex::new((lines, Vec::new())));
    let look = std::sync::Arc::clone(&seen);
    disk.on_op(move |_| {
        let (lines, seen) = &mut *look.lock().unwrap();
        while let Some(item) = lines.next().unwrap() {
            seen.push(item.line().unwrap().bytes.to_vec());
        }
    });
    for n in 1..39 {
        disk.inject(crate::Fault::on(crate::OpKind::Append).short(n));
        log.append(
            b"{\"long\":\"...........................\"}\n",
            Durability::Buffered,
        )
        .unwrap_err();
        log.append(format!("{{\"n\":{n}}}\n").as_bytes(), Durability::Buffered)
            .unwrap();
    }
    log.sync().unwrap();
    disk.clear_hook();
    let seen = &seen.lock().unwrap().1;
    let expected: Vec<_> = (0..39)
        .map(|n| format!("{{\"n\":{n}}}").into_bytes())
        .collect();
    assert_eq!(seen, &expected);
}

/// A batch of many lines of which a reader has read some is taken back, and others stand in its place.
#[test]
fn a_reader_notices_that_lines_were_taken_back() {
    let disk = SimFs::new();
    let fs: std::sync::Arc<dyn Fs> = std::sync::Arc::new(disk.clone());
    let log = AppendLog::open(fs, "/f", "/l", AppendOptions::default());
    log.append(b"{\"n\":0}\n", Durability::Buffered).unwrap();
    let lines: Vec<_> = (0..50).map(|n| format!("{{\"gone\":{n:04}}}\n")).collect();
    let batch = lines.concat();
    let open = |options: LineOptions| {
        LineReader::new(disk.open("/f".as_ref(), OpenMode::Read).unwrap(), options)
    };
    let options = LineOptions::default().check_bytes(64);
    let write = || disk.open("/f".as_ref(), OpenMode::AppendExisting).unwrap();
    for chunk in [1, 7, 100, 4_096] {
        let options = options.chunk_bytes(chunk);
        let mut readers = [open(options), open(options)];
        write().append(batch.as_bytes()).unwrap();
        // To its end, and into the middle of it.
        for (reader, most) in readers.iter_mut().zip([51, 20]) {
            for _ in 0..most {
                assert!(reader.next().unwrap().is_some());
            }
        }
        write().set_len(8).unwrap();
        let others = "{\"new\":1234567}\n".repeat(60);
        write().append(others.as_bytes()).unwrap();
        for reader in &mut readers {
            let mut last = reader.next();
            while let Ok(Some(item)) = last {
                let bytes = item.line().unwrap().bytes;
                assert!(bytes.starts_with(b"{\"gone\":") && bytes.ends_with(b"}"));
                last = reader.next();
            }
            assert!(last.is_err());
            assert!(reader.is_taken_back());
            assert!(reader.next().is_err());
        }
        write().set_len(8).unwrap();
    }
}
