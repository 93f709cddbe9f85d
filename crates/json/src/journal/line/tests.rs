//! Lines come back, and no changed bit is taken for one.

use minutebook_core::time::parse_timestamp;
use proptest::prelude::*;

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
        Mark::new(7, Some("ab".to_owned()), Some((1, 2))),
        Mark::new(0, None, None),
        Mark {
            begun: true,
            ..Mark::new(8, None, None)
        },
        Mark {
            failed: Some(("ab".to_owned(), Lost::Names)),
            ..Mark::new(8, Some("ab".to_owned()), None)
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

/// What a document says is never taken for what its line says.
#[test]
fn a_line_without_its_document_says_what_it_said() {
    let field = prop_oneof![
        Just("op"),
        Just("doc"),
        Just("text"),
        Just("raw"),
        Just("pruned"),
        Just("hash"),
        Just("rev"),
    ];
    let nested = r#"{"id":1,"op":"found","text":"a","doc":{}}"#;
    let value = prop_oneof![
        Just(r#""found""#.to_owned()),
        Just(r#""put""#.to_owned()),
        Just("true".to_owned()),
        Just(nested.to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let fields = proptest::collection::vec((field, value), 0..6);
    let id = "[a-z\",:{} ]{1,12}";
    let case = (id, fields, any::<bool>(), any::<bool>());
    proptest!(|((id, fields, kept, foreign) in case)| {
        let Ok(id) = DecisionId::new(&id) else { return Ok(()) };
        let mut document = String::from("{\"id\":");
        push_string(&mut document, id.as_str());
        for (i, (field, value)) in fields.iter().enumerate() {
            if fields.iter().take(i).all(|(before, _)| before != field) {
                write!(document, ",\"{field}\":{value}").unwrap();
            }
        }
        document.push('}');
        let mut chain = Chain { seq: 4, head: GENESIS.to_owned() };
        let mut out = Vec::new();
        if foreign {
            let found = Found {
                id: id.clone(),
                file: ",\"text\":.json".into(),
                token: put().token,
                at: put().at,
                time: None,
                text: Span::default(),
            };
            chain.found(&mut out, &found, &document);
        } else {
            let put = Put { id: id.clone(), file: ",\"doc\":.json".into(), ..put() };
            chain.put(&mut out, &put, &document, kept.then_some(document.as_str()));
        }
        let line = std::str::from_utf8(&out).unwrap().trim_end_matches('\n');
        let Parsed::Entry(before) = parse(0, line.as_bytes()) else { panic!("{line}") };
        let without = prune(line, &before.record).unwrap();
        prop_assert_eq!(without.len(), line.len());
        let Parsed::Entry(after) = parse(0, without.as_bytes()) else { panic!("{without}") };
        prop_assert!(after.pruned && !before.pruned);
        prop_assert_eq!((after.seq, after.prev, after.hash), (before.seq, before.prev, before.hash));
        let fields = |record: Record| match record {
            Record::Put(put) => ("put", put.id, put.file, put.token, put.at),
            Record::Found(found) => ("found", found.id, found.file, found.token, found.at),
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(fields(after.record), fields(before.record));
        // Nothing of it is left.
        prop_assert!(!without.contains(&document));
        let rest = without.rsplit_once(PRUNED).unwrap().1;
        prop_assert_eq!(rest.trim_start().len(), HASH_LEN);
    });
}
