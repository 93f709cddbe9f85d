//! Which file holds what.
//!
//! | file | what |
//! | --- | --- |
//! | `btcusd_timeseries.jsonl` | the ticks of BTCUSD |
//! | `btcusd@1h_timeseries.jsonl` | the hourly bars of BTCUSD |
//! | `@vix_daily_timeseries.jsonl` | the series named `vix_daily` |
//! | `.btcusd.lock`, `.btcusd.types`, `.btcusd.index` | beside them: the writers' lock, what the lines do not tell of the types, and where their times lie |
//! | `btcusd~sealed/`, `.btcusd.seal` | the segments that were sealed, and the lock of who seals, compacts or deletes |
//! | `.btcusd~.lock` | the lock of reads of many segments |
//!
//! Symbols and names are in lower case and percent-encoded, and the encoding never gives `@`, `~` or a leading dot, so no two series
//! share a file and nothing else is taken for one. Where `_timeseries` would make the name too long for a file system, the name ends in
//! `~.jsonl` instead.

use minutebook_core::{SeriesId, SeriesName, Symbol, Timeframe};
use minutebook_fs::names::{self, NameError};

const SUFFIX: &str = "_timeseries.jsonl";
/// One character that the encoding never gives, so a long name is never taken for a short one.
const LONG_SUFFIX: &str = "~.jsonl";
/// Of the directory with a series' sealed segments; as long as [`LONG_SUFFIX`], so it fits wherever that one does.
const SEALED_SUFFIX: &str = "~sealed";

/// The names of a series' files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) data: String,
    pub(crate) lock: String,
    pub(crate) types: String,
    pub(crate) sealed: String,
    pub(crate) seal: String,
    pub(crate) reads: String,
    pub(crate) index: String,
}

/// The names of a series' files.
///
/// # Errors
/// If the name is longer than file systems take.
pub(crate) fn names_of(series: &SeriesId) -> Result<Names, NameError> {
    let stem = stem(series);
    let mut data = format!("{stem}{SUFFIX}");
    if names::check_len(&data).is_err() {
        data = format!("{stem}{LONG_SUFFIX}");
        names::check_len(&data)?;
    }
    // Shorter than the data file's name, so these fit too.
    Ok(Names {
        data,
        lock: format!(".{stem}.lock"),
        types: format!(".{stem}.types"),
        sealed: format!("{stem}{SEALED_SUFFIX}"),
        seal: format!(".{stem}.seal"),
        reads: format!(".{stem}~.lock"),
        index: format!(".{stem}.index"),
    })
}

fn stem(series: &SeriesId) -> String {
    let folded = |text: &str| names::encode_folded(&text.to_ascii_lowercase());
    match series {
        SeriesId::Ticks { symbol } => folded(symbol.as_str()),
        SeriesId::Bars { symbol, timeframe } => format!("{}@{timeframe}", folded(symbol.as_str())),
        SeriesId::Named { name } => format!("@{}", folded(name.as_str())),
    }
}

/// What a file name in the directory stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The data file of this series.
    Series(SeriesId),
    /// The directory of this series' sealed segments.
    Sealed(SeriesId),
    /// Looks like a data file, but no series has this name.
    Foreign,
    /// None of a series' data files: a lock, a temporary file, or something else.
    Other,
}

/// What a file name in the directory stands for.
pub(crate) fn entry(name: &str) -> Entry {
    if let Some(stem) = name.strip_suffix(SEALED_SUFFIX)
        && let Some(series) = series_of(stem)
        && names_of(&series).is_ok_and(|names| names.sealed == name)
    {
        return Entry::Sealed(series);
    }
    let stem = name
        .strip_suffix(SUFFIX)
        .or_else(|| name.strip_suffix(LONG_SUFFIX));
    let Some(stem) = stem.filter(|_| !name.starts_with('.')) else {
        return Entry::Other;
    };
    match series_of(stem) {
        // Naming it again is the one check that covers every rule.
        Some(series) if names_of(&series).is_ok_and(|names| names.data == name) => {
            Entry::Series(series)
        }
        _ => Entry::Foreign,
    }
}

/// The series to which a file (or directory of sealed segments) of this name belongs, by its name alone: the data file
/// `btcusd_timeseries.jsonl` or the directory `btcusd~sealed`.
pub fn series_of_file(name: &str) -> Option<SeriesId> {
    match entry(name) {
        Entry::Series(series) | Entry::Sealed(series) => Some(series),
        Entry::Foreign | Entry::Other => None,
    }
}

fn series_of(stem: &str) -> Option<SeriesId> {
    if let Some(name) = stem.strip_prefix('@') {
        let name = SeriesName::new(names::decode_folded(name).ok()?).ok()?;
        return Some(SeriesId::named(name));
    }
    let (symbol, timeframe) = match stem.split_once('@') {
        Some((symbol, timeframe)) => (symbol, Some(timeframe)),
        None => (stem, None),
    };
    let symbol = Symbol::new(names::decode_folded(symbol).ok()?).ok()?;
    Some(match timeframe {
        Some(timeframe) => SeriesId::bars(symbol, timeframe.parse::<Timeframe>().ok()?),
        None => SeriesId::ticks(symbol),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_the_originals_where_they_can_be() {
        for (series, name) in [
            ("BTCUSD@ticks", "btcusd_timeseries.jsonl"),
            ("BTC-USD@ticks", "btc-usd_timeseries.jsonl"),
            ("BTC/USD@ticks", "btc%2Fusd_timeseries.jsonl"),
            ("BTCUSD@1h", "btcusd@1h_timeseries.jsonl"),
            ("@vix_daily", "@vix_daily_timeseries.jsonl"),
        ] {
            let series: SeriesId = series.parse().unwrap();
            assert_eq!(names_of(&series).unwrap().data, name);
            assert_eq!(entry(name), Entry::Series(series));
        }
    }

    #[test]
    fn names_and_series_are_one_to_one() {
        let long = "é".repeat(40);
        let texts = [
            "a",
            "A@B",
            "a@1h",
            "x@",
            "ticks",
            "~",
            "a~",
            "a_timeseries",
            "a_timeseries.jsonl",
            ".a",
            "con",
            "\u{212a}",
            "k",
            "%41",
            "a b",
            "%",
            &long,
            &format!("{}_timeseries", "é".repeat(34)),
        ];
        let mut names = HashSet::new();
        let mut count = 0;
        for text in texts {
            let symbol = Symbol::new(text).unwrap();
            for series in [
                SeriesId::ticks(symbol.clone()),
                SeriesId::bars(symbol.clone(), Timeframe::MONTH),
                SeriesId::bars(symbol, "99999mo".parse().unwrap()),
                SeriesId::named(SeriesName::new(text).unwrap()),
            ] {
                let files = names_of(&series).unwrap();
                assert_eq!(entry(&files.data), Entry::Series(series), "{}", files.data);
                for name in [
                    files.data,
                    files.lock,
                    files.types,
                    files.sealed,
                    files.seal,
                    files.reads,
                    files.index,
                ] {
                    assert!(name.len() <= names::MAX_LEN);
                    assert!(names.insert(name.to_lowercase()), "{name}");
                    count += 1;
                }
            }
        }
        assert_eq!(names.len(), count);
    }

    #[test]
    fn what_is_no_series_is_told_apart() {
        for name in [
            ".btcusd.lock",
            ".btcusd.types",
            ".btcusd.index",
            ".x_timeseries.jsonl",
            "notes.txt",
            "x.jsonl",
        ] {
            assert_eq!(entry(name), Entry::Other, "{name}");
        }
        for name in [
            "BTCUSD_timeseries.jsonl",
            "a b_timeseries.jsonl",
            "x@60m_timeseries.jsonl",
            "btcusd~.jsonl",
        ] {
            assert_eq!(entry(name), Entry::Foreign, "{name}");
        }
    }
}
