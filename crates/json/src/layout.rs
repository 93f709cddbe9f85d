//! Which files the directory of decisions has, and what their names say.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use minutebook_core::DecisionId;
use minutebook_fs::names;

use crate::error::{JsonError, Result};

/// The journal. It must not match `*.json`, by which the original lists decisions.
pub(crate) const JOURNAL: &str = "decisions.journal.jsonl";
/// The lock among writers.
pub(crate) const LOCK: &str = ".decisions.lock";
/// A copy of the journal's end, which is synced in its place.
pub(crate) const RING: &str = ".decisions.ring";
/// The head of what is known of the journal up to some line, so that an open need not read all of it.
pub(crate) const CHECKPOINT: &str = ".decisions.checkpoint.jsonl";

/// How the runs of a checkpoint's table are called, before and after what tells them apart.
const RUN: (&str, &str) = (".decisions.checkpoint.", ".run");

/// What a run of a checkpoint's table is called: the number of the journal's line that it goes up to, and what makes the name a new one.
pub(crate) fn run(seq: u64, nonce: &str) -> String {
    let (before, after) = RUN;
    format!("{before}{seq:012}-{nonce}{after}")
}

/// Whether the name is that of a run.
pub(crate) fn is_run(name: &str) -> bool {
    let (before, after) = RUN;
    name.starts_with(before) && name.ends_with(after) && !name.contains(['/', '\\'])
}

/// What a sealed segment of the journal is called, of which this is the first line.
pub(crate) fn sealed_segment(first: u64) -> String {
    format!("decisions.journal.{first:012}.jsonl")
}

/// As [`sealed_segment`], when it was compressed.
pub(crate) fn packed_segment(first: u64) -> String {
    format!("decisions.journal.{first:012}.jsonl.zst")
}

const SUFFIX: &str = ".json";
/// `~` and eight digits, for an id whose plain name is taken by another one on a case-insensitive disk.
const TAG: usize = 9;
/// The longest encoded id that fits between date, tag and suffix into [`names::MAX_LEN`].
const MAX_ENCODED: usize = names::MAX_LEN - 11 - TAG - SUFFIX.len();
/// Of a longer one so much is kept to be read by people, before `~` and 32 digits of the id's hash.
const KEPT: usize = 190;

/// What the file of a decision is called: `{date}_{id}.json`, the date in UTC.
///
/// # Errors
/// If the date has no four-digit year.
pub(crate) fn file_name(time: DateTime<Utc>, id: &DecisionId) -> Result<String> {
    name(time, id, false)
}

/// As [`file_name`], for an id whose plain name is taken.
pub(crate) fn tagged_file_name(time: DateTime<Utc>, id: &DecisionId) -> Result<String> {
    name(time, id, true)
}

fn name(time: DateTime<Utc>, id: &DecisionId, tagged: bool) -> Result<String> {
    let date = time.date_naive();
    if !(0..=9999).contains(&date.year()) {
        return Err(JsonError::Year);
    }
    let mut encoded = names::encode(id.as_str());
    let hash = blake3::hash(id.as_str().as_bytes()).to_hex();
    let digits = if encoded.len() > MAX_ENCODED {
        // Not within an escape, so that the rest still reads as one.
        let cut = (KEPT - 2..=KEPT)
            .rev()
            .find(|at| !is_within_escape(&encoded, *at))
            .unwrap_or(KEPT);
        encoded.truncate(cut);
        32
    } else if tagged {
        TAG - 1
    } else {
        0
    };
    if digits > 0 {
        encoded.push('~');
        encoded.push_str(hash.get(..digits).unwrap_or_default());
    }
    Ok(format!("{}_{encoded}{SUFFIX}", date.format("%Y-%m-%d")))
}

fn is_within_escape(encoded: &str, at: usize) -> bool {
    let before = encoded.get(at.saturating_sub(2)..at).unwrap_or_default();
    before.contains('%')
}

/// The time that an id carries: of a UUID of version 7, or a ULID. Its decision's file is most likely of that date.
pub(crate) fn time_of(id: &DecisionId) -> Option<DateTime<Utc>> {
    let text = id.as_str().as_bytes();
    let millis = match text.len() {
        36 if text.get(14) == Some(&b'7')
            && [8, 13, 18, 23].iter().all(|i| text.get(*i) == Some(&b'-')) =>
        {
            let mut digits = text.iter().take(13).filter(|b| **b != b'-');
            digits.try_fold(0_i64, |sum, b| {
                let digit = char::from(*b).to_digit(16)?;
                Some((sum << 4) | i64::from(digit))
            })?
        }
        26 => text.iter().take(10).try_fold(0_i64, |sum, b| {
            let digit = CROCKFORD
                .iter()
                .position(|c| *c == b.to_ascii_uppercase())?;
            Some((sum << 5) | i64::try_from(digit).ok()?)
        })?,
        _ => return None,
    };
    DateTime::from_timestamp_millis(millis)
}

/// The digits of a ULID.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Whether the name is one by which the original finds decisions: `*.json`, dot files aside.
pub(crate) fn is_document(name: &str) -> bool {
    name.ends_with(SUFFIX) && !name.starts_with('.')
}

/// How the names of an id's files end, but for a tag: for [`may_be_of`].
pub(crate) fn name_end(id: &DecisionId) -> (String, String) {
    let id = id.as_str();
    (names::encode(id), id.to_owned())
}

/// Whether a file's name may tell the id of this [end](name_end): much cheaper than reading the id out of the name.
pub(crate) fn may_be_of(name: &str, (encoded, plain): &(String, String)) -> bool {
    let Some((_, rest)) = name.split_once('_') else {
        return false;
    };
    let is = |id: &str| {
        let rest = rest.strip_prefix(id);
        rest.is_some_and(|rest| rest == SUFFIX || rest.starts_with('~'))
    };
    is(encoded) || is(plain)
}

/// The id that a name of the form `{date}_{id}.json` stands for; `None` for names of another form, and for those of ids
/// that are too long for a name.
pub(crate) fn id_of(name: &str) -> Option<DecisionId> {
    let stem = name.strip_suffix(SUFFIX)?;
    let (date, rest) = stem.split_at_checked(10)?;
    NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let encoded = rest.strip_prefix('_')?;
    let plain = match encoded.rsplit_once('~') {
        Some((plain, tag))
            if tag.len() == TAG - 1 && tag.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            plain
        }
        Some((_, hash)) if hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            return None;
        }
        _ => encoded,
    };
    // What the original wrote was not encoded: its ids stand as they are, and only ours has escapes.
    let text = names::decode(plain).unwrap_or_else(|_| plain.to_owned());
    DecisionId::new(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutebook_core::time::parse_timestamp;

    #[test]
    fn names_lead_back_to_their_ids() {
        let time = parse_timestamp("2025-12-02T23:30:00-05:00").unwrap();
        for id in [
            "test-learn",
            "a b",
            "é",
            "50%",
            "con",
            "x~y",
            "*",
            "a_b.c",
            "-x",
        ] {
            let id = DecisionId::new(id).unwrap();
            for name in [
                file_name(time, &id).unwrap(),
                tagged_file_name(time, &id).unwrap(),
            ] {
                assert!(
                    name.starts_with("2025-12-03_") && is_document(&name),
                    "{name}"
                );
                assert_eq!(id_of(&name), Some(id.clone()), "{name}");
            }
        }
        assert_eq!(id_of("2025-12-03_a b.json").unwrap().as_str(), "a b");
        for name in [
            "x.json",
            "2025-12-03.json",
            "2025-13-03_a.json",
            "2025-12-03_.json",
            "2025-12-03_a.jsonl",
        ] {
            assert_eq!(id_of(name), None, "{name}");
        }
        assert!(
            ![JOURNAL, LOCK, RING, CHECKPOINT]
                .into_iter()
                .any(is_document)
        );
    }

    #[test]
    fn ids_tell_their_time() {
        for (id, time) in [
            (
                "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
                Some("2022-02-22T19:22:22Z"),
            ),
            (
                "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                Some("2016-07-30T23:54:10.259Z"),
            ),
            ("919108f7-52d1-4320-9bac-f847db4148a8", None),
            ("test-learn", None),
            ("017f22e2-79b0-7cc3-98c4-dc0c0c07398é", None),
        ] {
            let found = time_of(&DecisionId::new(id).unwrap());
            assert_eq!(
                found,
                time.map(|time| parse_timestamp(time).unwrap()),
                "{id}"
            );
        }
    }

    #[test]
    fn ids_too_long_for_a_name_are_cut_and_hashed() {
        let time = parse_timestamp("2025-12-02").unwrap();
        for text in [
            "é".repeat(100),
            "%".repeat(200),
            format!("x{}", "%".repeat(199)),
            format!("xx{}", "%".repeat(198)),
        ] {
            let id = DecisionId::new(&text).unwrap();
            let name = file_name(time, &id).unwrap();
            assert!(
                names::check_len(&name).is_ok() && is_document(&name),
                "{name}"
            );
            assert_eq!(id_of(&name), None);
            let kept = name.split_once('_').unwrap().1.split_once('~').unwrap().0;
            assert!(
                kept.rfind('%').is_none_or(|at| at + 3 <= kept.len()),
                "{kept}"
            );
            let other = DecisionId::new(text.replacen(['é', '%'], "y", 1)).unwrap();
            assert_ne!(file_name(time, &other).unwrap(), name);
        }
        let fits = DecisionId::new("x".repeat(200)).unwrap();
        assert_eq!(
            id_of(&tagged_file_name(time, &fits).unwrap()),
            Some(fits.clone())
        );
        let far = DateTime::from_timestamp(400_000_000_000, 0).unwrap();
        assert!(matches!(file_name(far, &fits), Err(JsonError::Year)));
    }
}
