//! Measured values against `serde_json`.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

#[test]
fn values_end_where_they_end() {
    for (text, shape) in [
        (r#""plain é""#, Shape::Plain),
        (r#""a \"b\" \\ \u00e9\/""#, Shape::Escaped),
        (
            r#"{"a" : [1, -2.5,{"b":{}} , [] ],"c":"\n"}"#,
            Shape::Nested,
        ),
        ("[]", Shape::Nested),
        ("true", Shape::Bool),
    ] {
        let behind = format!("{text},1");
        let (token, end) = token(&behind, 0).unwrap();
        assert_eq!((token.shape, end), (shape, text.len()), "{text}");
    }
    for text in [
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "[",
        "{",
        "[1}",
        "{\"a\":1]",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\u00e\"",
        "[1,\n2]",
        "\"a\nb\"",
        "\"",
        "\"\\\"",
    ] {
        assert!(token(text, 0).is_none(), "{text}");
    }
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(token(&deep(64), 0).is_some() && token(&deep(65), 0).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What is measured is a value to `serde_json` too, of the same length; a string has the same meaning.
    #[test]
    fn values_are_those_of_the_library(
        base in prop::sample::select(vec![
            r#"{"a":[1, {"b":null} ,[]],"é":{"x":-0.5}}"#,
            r#""a \"q\" \\ \u00e9\n☃ \ud83d\ude00 end""#,
            r#"["\/",true,false,{"":{"":[[]]}},"x"]"#,
            "-12.5", "null",
        ]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
            b"{}[]\",:\\u0123456789.-+eEtrufalsn \t\r\n\x00x".to_vec()), any::<u8>()), 0..4),
    ) {
        let mut bytes = base.as_bytes().to_vec();
        for (index, byte, action) in edits {
            let at = index.index(bytes.len().max(1));
            match action % 3 {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => { bytes.remove(at); }
                _ => bytes.insert(at.min(bytes.len()), byte),
            }
        }
        if let Ok(text) = String::from_utf8(bytes)
            && let Some((token, end)) = token(&text, 0)
        {
            let value = text.get(..end).unwrap();
            prop_assert!(serde_json::from_str::<IgnoredAny>(value).is_ok(), "{}", value);
            prop_assert!(!value.contains(['\n', '\r']));
            if let Some(string) = token.string() {
                let mut out = b"before".to_vec();
                token.push_string(&mut out);
                let expected = serde_json::from_str::<String>(value).unwrap();
                prop_assert_eq!(&*string, &expected);
                prop_assert_eq!(&out[6..], expected.as_bytes());
            }
        }
    }

    /// Numbers are read as their text says.
    #[test]
    fn numbers_are_exact(text in "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,24})?") {
        let (token, end) = token(&text, 0).unwrap();
        prop_assert_eq!(end, text.len());
        if token.shape == Shape::Int {
            prop_assert_eq!(token.int(), text.parse::<i64>().ok());
        }
        let float = token.float().unwrap();
        prop_assert_eq!(float.to_bits(), text.parse::<f64>().unwrap().to_bits());
    }

    /// Every float that is written is read back.
    #[test]
    fn floats_come_back(value in proptest::num::f64::NORMAL) {
        let text = format!("{value}");
        let (token, _) = token(&text, 0).unwrap();
        prop_assert_eq!(token.float().unwrap().to_bits(), value.to_bits());
    }
}
