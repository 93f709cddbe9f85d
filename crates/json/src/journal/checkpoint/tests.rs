//! Tables against a plain map, and damage to each of their bytes.

use std::collections::BTreeMap;
use std::path::Path;

use minutebook_core::DecisionId;
use minutebook_core::time::parse_timestamp;
use minutebook_fs::SimFs;

use super::*;
use crate::journal::{Known, Span};

fn entry(n: u64, generation: u64) -> Entry {
    let id: DecisionId = format!("d-{n}").parse().unwrap();
    let known = Known {
        token: format!("{generation}-0123456789abcdef").parse().unwrap(),
        at: parse_timestamp("2025-01-01T00:00:00.5Z").unwrap(),
        time: (n.is_multiple_of(2)).then(|| parse_timestamp("1969-12-31T23:59:59.25Z").unwrap()),
        file: if n.is_multiple_of(3) {
            format!("other-{n}.json").into()
        } else {
            format!("2025-01-01_{id}.json").into()
        },
        doc: Span { offset: n, len: 20 },
        text: Span::default(),
        raw: n.is_multiple_of(5),
    };
    let seen = (!n.is_multiple_of(7)).then(|| Seen {
        pair: (!n.is_multiple_of(4)).then(|| "btcusd".into()),
        action: None,
        confidence: 0.5,
        sight: (n.is_multiple_of(2)).then_some(Sight {
            inode: n,
            len: 1,
            changed_ns: -5,
        }),
    });
    Entry { id, known, seen }
}

fn head(seq: u64) -> Head {
    Head {
        offset: seq * 10,
        durable: seq,
        chain: Chain {
            seq,
            head: "ab".to_owned(),
        },
        proof: "pp".to_owned(),
        failed: (seq % 2 == 1).then(|| ("a \"run\"".to_owned(), Lost::Names)),
    }
}

fn assert_same(a: &Entry, b: &Entry) {
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
}

#[test]
fn a_table_of_many_runs_tells_what_a_map_does() {
    let (fs, dir) = (SimFs::new(), Path::new("/"));
    assert!(Checkpoint::load(&fs, dir).unwrap().is_none());
    let mut map: BTreeMap<u64, Entry> = BTreeMap::new();
    let mut table: Option<Table> = None;
    let mut most = 0;
    for step in 1..=40_u64 {
        let mut rows = Vec::new();
        for i in 0..(step * 7) % 60 {
            let n = (step * 31 + i * 17) % 500;
            if (n + step) % 5 == 0 {
                map.remove(&n);
                rows.push(Bytes::gone(&entry(n, 0).id));
            } else {
                let entry = entry(n, step);
                rows.push(Bytes::alias(&entry.known.file, &entry.id));
                rows.push(Bytes::state(&entry));
                map.insert(n, entry);
            }
        }
        let stored = store(&fs, dir, &head(step), table.as_ref(), rows).unwrap();
        most = most.max(stored.runs.len());
        table = Some(stored);
        let read = Checkpoint::load(&fs, dir).unwrap().unwrap();
        assert_eq!(read.head, head(step));
        read.table.prove().unwrap();
        for n in 0..500 {
            let row = read.table.get(Key::of_id(&entry(n, 0).id)).unwrap();
            match (map.get(&n), row) {
                (Some(entry), Some(Row::State(found))) => {
                    assert_same(entry, &found);
                    let alias = read.table.get(Key::of_file(&entry.known.file)).unwrap();
                    assert!(matches!(alias, Some(Row::Alias(id)) if id == entry.id));
                }
                (None, None | Some(Row::Gone)) => {}
                (wanted, found) => panic!("{n}: {found:?}, not {wanted:?}"),
            }
        }
        let mut count = 0;
        let mut scan = |row| count += u64::from(matches!(row, Row::State(_)));
        read.table.scan(&mut scan).unwrap();
        assert_eq!(count, map.len() as u64);
    }
    assert!((2..8).contains(&most), "{most} runs");
}

#[test]
fn every_damage_is_noticed() {
    let (fs, dir) = (SimFs::new(), Path::new("/"));
    let rows: Vec<_> = (0..100).map(|n| Bytes::state(&entry(n, 1))).collect();
    let table = store(&fs, dir, &head(3), None, rows).unwrap();
    let name = table.names().next().unwrap().to_owned();
    let path = format!("/{name}");
    let whole = fs.get(&path).unwrap();
    for i in (0..whole.len()).step_by(13) {
        let mut changed = whole.clone();
        changed[i] ^= 1;
        fs.put(&path, &changed).unwrap();
        let read = Checkpoint::load(&fs, dir).unwrap().unwrap();
        assert!(read.table.prove().is_err(), "byte {i}");
        let all = |n| read.table.get(Key::of_id(&entry(n, 0).id)).is_err();
        assert!((0..100).any(all), "byte {i}");
    }
    // Blocks in another order, of another length, and none at all.
    let mut swapped = whole.clone();
    swapped.rotate_left(run::BLOCK);
    fs.put(&path, &swapped).unwrap();
    let read = Checkpoint::load(&fs, dir).unwrap().unwrap();
    assert!(read.table.prove().is_err());
    fs.put(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(Checkpoint::load(&fs, dir).unwrap().is_none());
    fs.put(&path, &whole).unwrap();
    let head = fs.get("/.decisions.checkpoint.jsonl").unwrap();
    for i in 0..head.len() {
        let mut changed = head.clone();
        changed[i] ^= 1;
        assert!(decode(&changed).is_none(), "byte {i} of the head");
        assert!(decode(&head[..i]).is_none(), "cut at {i}");
    }
}
