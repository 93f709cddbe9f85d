//! Names: injective, reversible, safe on every disk.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Characters that make trouble: case pairs beyond ASCII, separators, dots, glob characters, reserved words.
fn nasty() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a", "A", "k", "K", "\u{212A}", "s", "ſ", "ß", "ẞ", "i", "I", "İ", "ı", "ς", "σ", "Σ", "%",
        "%41", "%2F", "/", "\\", "..", ".", "-", "~", "@", ",", " ", ":", "*", "[", "?", "con",
        "CON", "nul", "com1", "lpt9", "e\u{301}", "é", "\0", "\n", "😀", "_", "+", "=",
    ]);
    prop::collection::vec(pieces, 0..5).prop_map(|pieces| pieces.concat())
}

fn assert_safe(name: &str) {
    assert!(!name.is_empty());
    assert!(
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._+=-%".contains(&b)),
        "{name}"
    );
    assert!(
        !name.starts_with(['.', '-']) && !name.ends_with('.'),
        "{name}"
    );
    assert!(!is_reserved(name), "{name}");
    assert!(!crate::is_temporary(name));
}

proptest! {
    #[test]
    fn any_text_comes_back(text in ".*") {
        let name = encode(&text);
        assert_safe(&name);
        prop_assert_eq!(decode(&name).unwrap(), text.clone());
        let folded = encode_folded(&text);
        assert_safe(&folded);
        prop_assert_eq!(decode_folded(&folded).unwrap(), text);
    }

    #[test]
    fn nasty_text_comes_back(text in nasty()) {
        assert_safe(&encode(&text));
        prop_assert_eq!(decode(&encode(&text)).unwrap(), text.clone());
        prop_assert_eq!(decode_folded(&encode_folded(&text)).unwrap(), text);
    }

    #[test]
    fn what_decodes_is_what_encodes(name in "[A-Za-z0-9.%/_-]{0,12}") {
        if let Ok(text) = decode(&name) {
            prop_assert_eq!(encode(&text), name.clone());
        }
        if let Ok(text) = decode_folded(&name) {
            prop_assert_eq!(encode_folded(&text), name);
        }
    }

    #[test]
    fn folded_names_never_meet(texts in prop::collection::vec(nasty(), 2..40)) {
        let mut lower = HashMap::new();
        let mut upper = HashMap::new();
        for text in texts {
            let name = encode_folded(&text);
            let other = lower.entry(name.to_lowercase()).or_insert_with(|| text.clone());
            prop_assert_eq!(&*other, &text);
            let other = upper.entry(name.to_uppercase()).or_insert_with(|| text.clone());
            prop_assert_eq!(&*other, &text);
        }
    }
}

#[test]
fn names_are_as_documented() {
    for (text, name) in [
        ("", "%"),
        ("BTC-USD", "BTC-USD"),
        ("BRK.B", "BRK.B"),
        ("EUR/USD", "EUR%2FUSD"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("-rf", "%2Drf"),
        ("a.", "a%2E"),
        ("con", "%63on"),
        ("NUL.txt", "%4EUL.txt"),
        ("com1", "%63om1"),
        ("com10", "com10"),
        ("console", "console"),
        ("100%", "100%25"),
        ("a@b~c,d e:f*", "a%40b%7Ec%2Cd%20e%3Af%2A"),
        ("é", "%C3%A9"),
    ] {
        assert_eq!(encode(text), name);
        assert_eq!(decode(name).as_deref(), Ok(text));
    }
    assert_eq!(encode_folded("BTC"), "%42%54%43");
}

#[test]
fn names_of_others_are_refused() {
    for name in [
        "%2f", "%41", "a b", "a%", "a%2", "a%zz", "con", ".a", "%FF", "a.", "", "é", "%%", "%+1",
    ] {
        assert_eq!(
            decode(name),
            Err(NameError::NotEncoded(name.to_owned())),
            "{name}"
        );
    }
    assert!(decode_folded("BTC").is_err());
}

#[test]
fn long_names_are_refused() {
    assert_eq!(check_len(&"a".repeat(255)), Ok(()));
    assert_eq!(
        check_len(&"a".repeat(256)),
        Err(NameError::TooLong { len: 256 })
    );
}
