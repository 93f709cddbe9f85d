//! Lines come back, and no changed bit is taken for one.

use minutebook_core::time::parse_timestamp;

use super::*;

fn put() -> Put {
    Put {
        id: "d \"1\"".parse().unwrap(),
        file: "2025-01-01_d.json".into(),
        token: "1-0123456789abcdef".parse().unwrap(),
        at: parse_timestamp("2025-01-01T10:00:00.123456789Z").unwrap(),
        time: Some(parse_timestamp("2025-01-01").unwrap()),
        base: None,
        gone: vec![Gone {
            file: "2024-12-31_d.json".into(),
            digest: None,
        }],
        doc: Span::default(),
        text: Span::default(),
        raw: false,
    }
}

#[test]
fn a_line_comes_back_and_its_document_is_found() {
    let mut chain = Chain {
        seq: 0,
        head: GENESIS.to_owned(),
    };
    let mut out = Vec::new();
    let document = r#"{"id":"d \"1\"","n":1.10}"#;
    chain.put(&mut out, &put(), document, None);
    let line = out.strip_suffix(b"\n").unwrap();
    let Parsed::Entry(entry) = parse(100, line) else {
        panic!()
    };
    assert_eq!(
        (entry.seq, entry.prev.as_str(), &entry.hash),
        (1, GENESIS, &chain.head)
    );
    let Record::Put(back) = entry.record else {
        panic!()
    };
    assert_eq!(
        (&back.id, &back.file, back.token),
        (&put().id, &put().file, put().token)
    );
    assert_eq!(
        (back.at, back.time, &back.gone),
        (put().at, put().time, &put().gone)
    );
    let start = usize::try_from(back.doc.offset - 100).unwrap();
    let end = start + usize::try_from(back.doc.len).unwrap();
    assert_eq!(&line[start..end], document.as_bytes());
}

#[test]
fn every_changed_bit_is_noticed() {
    let mut chain = Chain {
        seq: 0,
        head: GENESIS.to_owned(),
    };
    let mut out = Vec::new();
    chain.put(&mut out, &put(), r#"{"id":"x"}"#, None);
    out.pop();
    for i in 0..out.len() {
        let mut changed = out.clone();
        changed[i] ^= 1;
        assert!(matches!(parse(0, &changed), Parsed::Damaged(_)), "byte {i}");
        assert!(
            matches!(parse(0, &out[..i]), Parsed::Damaged(_)),
            "cut at {i}"
        );
    }
}

#[test]
fn marks_come_back() {
    for mark in [
        Mark {
            seq: 7,
            boot: Some("ab".to_owned()),
            dir: Some((1, 2)),
        },
        Mark {
            seq: 0,
            boot: None,
            dir: None,
        },
    ] {
        let line = mark.to_line();
        match parse(0, line.trim_end().as_bytes()) {
            Parsed::Mark(back) => assert_eq!(back, mark),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(parse(0, b"{\"mark\":x}"), Parsed::Damaged(_)));
}
