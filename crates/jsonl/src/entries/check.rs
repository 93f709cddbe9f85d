//! From entries as they are given to lines as they are stored.

use std::borrow::Cow;
use std::collections::HashSet;

use minutebook_core::series::batch::TIMESTAMP;

use crate::codec::encode::push_instant;
use crate::codec::fields::{Fields, Flaw, Raw, Shape};
use crate::codec::instant;
use crate::config::{EpochUnit, TimeField};
use crate::error::JsonlError;

/// Entries as complete lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    pub(super) count: u64,
    /// The unit that readers must know, since a stored `timestamp` is a number.
    pub(super) unit: Option<EpochUnit>,
}

/// Checks each entry and makes it a line.
pub(super) fn lines<'a>(
    entries: impl Iterator<Item = &'a str> + Clone,
    time: &TimeField,
    max_line_bytes: usize,
) -> Result<Lines, JsonlError> {
    let mut lines = Lines::default();
    // With a pointer, each gets a time in front as well.
    let front = if time.pointer.is_some() { 64 } else { 0 };
    let room = entries.clone().map(|entry| entry.len() + front + 1).sum();
    lines.bytes.reserve_exact(room);
    for (i, entry) in entries.enumerate() {
        let start = lines.bytes.len();
        push_line(entry, time, &mut lines)
            .and_then(|()| match lines.bytes.len() - start {
                len if len > max_line_bytes => Err(format!(
                    "its line has {len} bytes; the limit is {max_line_bytes}"
                )),
                _ => Ok(()),
            })
            .map_err(|what| JsonlError::Entry {
                number: i + 1,
                what,
            })?;
        lines.count += 1;
    }
    Ok(lines)
}

fn push_line(entry: &str, time: &TimeField, lines: &mut Lines) -> Result<(), String> {
    let entry = entry.trim_matches([' ', '\t', '\r', '\n']);
    let found = find_time(entry, time)?;
    let out = &mut lines.bytes;
    let start = out.len();
    if time.pointer.is_none() {
        if !matches!(found.shape, Shape::Plain | Shape::Escaped) {
            lines.unit = time.unit;
        }
        out.extend_from_slice(entry.as_bytes());
    } else {
        out.extend_from_slice(b"{\"timestamp\":");
        if matches!(found.shape, Shape::Plain | Shape::Escaped) {
            out.extend_from_slice(found.text.as_bytes());
        } else {
            // Written out, so that no reader needs to know the unit.
            let nanos = instant::nanos(found, time.unit).ok_or("its time is out of range")?;
            out.push(b'"');
            push_instant(out, nanos);
            out.push(b'"');
        }
        // The entry has the field that the pointer names, so it is not empty.
        out.push(b',');
        let fields = entry.strip_prefix('{').unwrap_or(entry);
        out.extend_from_slice(fields.as_bytes());
    }
    // In valid JSON a line break is always between values, never in a string.
    let line = out.get_mut(start..).unwrap_or_default();
    if memchr::memchr2(b'\n', b'\r', line).is_some() {
        for byte in line {
            if matches!(*byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
    out.push(b'\n');
    Ok(())
}

/// The entry's time, after the whole entry was checked.
fn find_time<'a>(entry: &'a str, time: &TimeField) -> Result<Raw<'a>, String> {
    let mut found = None;
    let mut keys = Keys::default();
    let mut fields = Fields::new(entry);
    while let Some(field) = fields.next().map_err(|flaw| flawed(&flaw))? {
        keys.add(field.key())?;
        match &time.pointer {
            None if field.is(TIMESTAMP) => found = Some(field.value),
            Some(_) if field.is(TIMESTAMP) => {
                return Err(
                    "it has a field \"timestamp\" already; take the time from there".to_owned(),
                );
            }
            Some(pointer) if field.is(pointer.first()) => {
                found = pointer.below(field.value).map_err(|flaw| flawed(&flaw))?;
            }
            _ => {}
        }
    }
    let name = time
        .pointer
        .as_ref()
        .map_or("/timestamp", |pointer| pointer.as_str());
    let Some(found) = found else {
        return Err(format!("it has no time at {name}"));
    };
    if instant::nanos(found, time.unit).is_some() {
        return Ok(found);
    }
    let shown: String = found.text.chars().take(60).collect();
    let number = matches!(found.shape, Shape::Int | Shape::Float);
    Err(match time.unit {
        None if number => {
            format!("its time at {name} is the number {shown}; say what it counts: s, ms, us or ns")
        }
        _ => format!(
            "its time at {name} is {shown}, which is no timestamp between 1677-09-21 and 2262-04-11"
        ),
    })
}

fn flawed(flaw: &Flaw) -> String {
    format!("{} at byte {}", flaw.what, flaw.at)
}

/// The keys of an entry so far: one that occurs twice is refused, since readers do not agree on which of the two counts.
#[derive(Debug, Default)]
struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    fn add(&mut self, key: Cow<'a, str>) -> Result<(), String> {
        const FEW: usize = 24;
        if self.few.contains(&key) || self.many.contains(&key) {
            return Err(format!("the key \"{}\" occurs twice", key.escape_debug()));
        }
        if self.few.len() < FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(entry: &str, time: &TimeField) -> Result<String, String> {
        lines([entry].into_iter(), time, 1_000)
            .map(|lines| String::from_utf8(lines.bytes).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_is_stored_as_it_is_given() {
        let time = TimeField::timestamp();
        for entry in [
            r#"{"timestamp": "2025-01-01T00:00:00", "price": 1.10}"#,
            r#"{"price":1e5,"timestamp":"2025-01-01"}"#,
            r#"{"u": "caf\u00e9 ☃ \n", "timestamp": "2025-01-01 00:00:00+01:00", "n": {"a": [ 1 ]}}"#,
        ] {
            assert_eq!(stored(entry, &time).unwrap(), format!("{entry}\n"));
        }
        let spread = " {\n\"timestamp\":\r\n\"2025-01-01\"\n}\n";
        assert_eq!(
            stored(spread, &time).unwrap(),
            "{ \"timestamp\":  \"2025-01-01\" }\n"
        );
    }

    #[test]
    fn a_time_from_elsewhere_is_put_in_front() {
        let time = TimeField::pointer("/Item/t").unwrap();
        assert_eq!(
            stored(r#"{"Item":{"t":"2025-03-25T23:07:00.773674205Z"}}"#, &time).unwrap(),
            "{\"timestamp\":\"2025-03-25T23:07:00.773674205Z\",\"Item\":{\"t\":\"2025-03-25T23:07:00.773674205Z\"}}\n"
        );
        let time = TimeField::pointer("/T")
            .unwrap()
            .epoch(EpochUnit::Milliseconds);
        assert_eq!(
            stored(r#"{ "T": 1735689600123, "p": 1 }"#, &time).unwrap(),
            "{\"timestamp\":\"2025-01-01T00:00:00.123Z\", \"T\": 1735689600123, \"p\": 1 }\n"
        );
        assert!(stored(r#"{"timestamp":"2025-01-01","T":1}"#, &time).is_err());
    }

    #[test]
    fn what_is_no_entry_is_refused_by_its_number() {
        let time = TimeField::timestamp();
        let good = r#"{"timestamp":"2025-01-01"}"#;
        for (bad, says) in [
            ("", "not a JSON object"),
            ("[1]", "not a JSON object"),
            (r#"{"timestamp":"2025-01-01","x":NaN}"#, "NaN"),
            (r#"{"timestamp":"2025-01-01"} {}"#, "follows"),
            (r#"{"price":1}"#, "no time at /timestamp"),
            (r#"{"timestamp":"yesterday"}"#, "yesterday"),
            (r#"{"timestamp":1735689600}"#, "say what it counts"),
            (r#"{"timestamp":"1500-01-01"}"#, "between"),
            (r#"{"timestamp":"2025-01-01","a":1,"a":2}"#, "twice"),
        ] {
            let error = lines([good, bad].into_iter(), &time, 1_000)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("entry 2: ") && error.contains(says),
                "{error}"
            );
        }
        let error = lines([good].into_iter(), &time, 10)
            .unwrap_err()
            .to_string();
        assert!(error.contains("limit"), "{error}");
    }

    #[test]
    fn the_unit_is_told_only_where_readers_need_it() {
        let time = TimeField::timestamp().epoch(EpochUnit::Seconds);
        let entries = [
            r#"{"timestamp":"2025-01-01"}"#,
            r#"{"timestamp":1735689600.5}"#,
        ];
        let text = lines(entries[..1].iter().copied(), &time, 100).unwrap();
        assert_eq!(text.unit, None);
        let number = lines(entries.into_iter(), &time, 100).unwrap();
        assert_eq!((number.unit, number.count), (Some(EpochUnit::Seconds), 2));
    }
}
