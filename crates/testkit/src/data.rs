//! Values that have broken stores before: names, numbers, texts.

const IDS: &[&str] = &[
    "1",
    "x_1",
    "1_x",
    "11",
    "x_11",
    "_1",
    "1_",
    "x",
    "X",
    "abc",
    "ABC",
    "Abc",
    "a*c",
    "a?c",
    "a[b]c",
    "[abc]",
    "*",
    "?",
    "%",
    "%41",
    "A",
    "%2F",
    "%25",
    "a b",
    "a  b",
    "~",
    "~root",
    "$HOME",
    "a;b",
    "a&b",
    "a|b",
    "a'b",
    "a\"b",
    "a`b",
    "<a>",
    "a:b",
    "a=b",
    "a,b",
    "a.b",
    ".a",
    "a.",
    ".",
    "-",
    "-rf",
    "--",
    "#",
    "@",
    "!",
    "{}",
    "{a}",
    "(a)",
    "a+b",
    "a^b",
    "d.json",
    ".json",
    "tmp",
    "index",
    "journal",
    "lock",
    "con",
    "CON",
    "nul",
    "aux.txt",
    "COM1",
    "é",
    "É",
    "ß",
    "ss",
    "İ",
    "ı",
    "K",
    "k",
    "日本語",
    "مرحبا",
    "🦀",
    "null",
    "true",
    "0",
    "-1",
    "1e5",
    "NaN",
    "id",
    "$1",
    "%s",
    "%d",
    "{0}",
];

const LONGER_IDS: &[&str] = &[
    "2025-01-01",
    "2025-01-01_x",
    "2025-01-01_2025-01-02",
    "x.json.tmp",
    "e\u{301}",
    "\u{212a}",
    "a\u{200d}b",
    "a\u{a0}b",
];

const SYMBOLS: &[&str] = &[
    "BTCUSD", "BTC/USD", "BTC-USD", "BTC_USD", "BTC:USD", "BTC USD", "BTC.USD", "BTC", "USD", "TC",
    "BRK.B", "^GSPC", "ES=F", "con", "nul", "aux", "lpt1", "a@b", "a@b@c", "a@", "1h", "ticks",
    "a@1h", "x*", "x?", "[x]", "%", "%41", "%2F", "~", "$", "é", "É", "日本", "🦀", "ß", "ss",
    "\\", "a\\b", "/", "//", "/etc", ".", "...x", "x.jsonl", "-", "--", "0", "null", "a,b", "a;b",
    "a\"b", "a'b", "<x>", "|", "K", "{x}", "symbol=x", "_", "__", "a__b", "a_b",
];

const LONGER_SYMBOLS: &[&str] = &[
    "CDX.NA.IG",
    "x.parquet",
    "x_timeseries",
    "x_timeseries.jsonl",
    "timeframe=1h",
    "e\u{301}",
    "\u{212a}",
];

const TEXTS: &[&str] = &[
    "",
    " ",
    "  padded  ",
    "line\nbreak",
    "carriage\r\nreturn",
    "\n",
    "tab\tbed",
    "quote \" and \\ back",
    "\\n",
    "\u{0}",
    "a\u{0}b",
    "\u{1f}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}\u{2029}",
    "\u{feff}bom",
    "é e\u{301}",
    "🦀🚀",
    "\u{10ffff}",
    "null",
    "NaN",
    "1.10",
    "{\"a\":1}",
    "[1,2]",
    "true",
    "2025-01-01T00:00:00Z",
];

fn owned(lists: [&[&str]; 2]) -> Vec<String> {
    lists.concat().into_iter().map(String::from).collect()
}

/// Valid decision ids that a careless mapping to files, patterns or keys would mix up or refuse.
pub fn nasty_ids() -> Vec<String> {
    let mut ids = owned([IDS, LONGER_IDS]);
    // As long as an id may be, also where each character needs an escape.
    ids.extend(["x", "X", "%"].map(|text| text.repeat(200)));
    ids.push(format!("{}y", "x".repeat(199)));
    ids.push("é".repeat(100));
    ids
}

/// Valid symbols, no two of which differ in ASCII case only.
pub fn nasty_symbols() -> Vec<String> {
    let mut symbols = owned([SYMBOLS, LONGER_SYMBOLS]);
    symbols.extend(["S".repeat(80), "%".repeat(80), "é".repeat(40)]);
    symbols
}

/// Texts for string columns and fields.
pub fn nasty_texts() -> Vec<String> {
    let mut texts = owned([TEXTS, &[]]);
    texts.push("long ".repeat(20_000));
    texts
}

/// Finite floating point values at the edges.
pub const FLOATS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    0.1 + 0.2,
    1.0 / 3.0,
    1e16,
    9_007_199_254_740_993.0,
    1e22,
    1e300,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    123_456.789_012_345_67,
];

/// Whole numbers at the edges.
pub const INTEGERS: [i64; 9] = [
    0,
    1,
    -1,
    9_007_199_254_740_991,
    9_007_199_254_740_993,
    -9_007_199_254_740_993,
    i64::MAX,
    i64::MIN,
    1_700_000_000_000_000_001,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use minutebook_core::{DecisionId, Symbol};

    use super::*;

    #[test]
    fn the_names_are_valid_and_different() {
        let ids: Vec<_> = nasty_ids()
            .iter()
            .map(|id| DecisionId::new(id).unwrap())
            .collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        let symbols: Vec<_> = nasty_symbols()
            .iter()
            .map(|symbol| Symbol::new(symbol).unwrap())
            .collect();
        assert_eq!(symbols.iter().collect::<HashSet<_>>().len(), symbols.len());
    }
}
