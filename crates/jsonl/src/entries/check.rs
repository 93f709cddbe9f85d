//! From entries as they are given to lines as they are stored.

use std::borrow::Cow;
use std::collections::HashSet;

use minutebook_core::series::batch::TIMESTAMP;
use serde::Serialize;
use serde_json::ser::Formatter;

use crate::codec::encode::push_instant;
use crate::codec::fields::{Fields, Flaw, Shape};
use crate::codec::instant;
use crate::codec::template::{Sink, Templates, Token};
use crate::config::{EpochUnit, TimeField};
use crate::error::JsonlError;

/// From so many entries on, several threads check them.
const PARALLEL: usize = 4_096;

/// Entries as complete lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    /// What follows `bytes`, also complete lines: what other threads made.
    pub(crate) more: Vec<Vec<u8>>,
    pub(crate) count: u64,
    /// The unit that readers must know, since a stored `timestamp` is a number.
    pub(crate) unit: Option<EpochUnit>,
}

impl Lines {
    /// Adds lines at the end.
    pub(crate) fn extend(&mut self, next: &Self) {
        for part in next.parts() {
            self.bytes.extend_from_slice(part);
        }
        self.count += next.count;
        self.unit = self.unit.or(next.unit);
    }

    /// The lines, in pieces.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.bytes)
            .chain(&self.more)
            .map(Vec::as_slice)
            .filter(|part| !part.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.parts().map(<[u8]>::len).sum()
    }
}

/// Checks each entry and makes it a line.
pub(crate) fn lines<T: AsRef<str> + Sync>(
    entries: &[T],
    time: &TimeField,
    max_line_bytes: usize,
) -> Result<Lines, JsonlError> {
    side_by_side(entries, |entries, from| {
        let mut checker = Checker::new(time, max_line_bytes, from);
        // With a pointer, each gets a time in front as well.
        let front = if time.pointer.is_some() { 64 } else { 0 };
        let room = entries.iter().map(|entry| entry.as_ref().len() + front + 1);
        checker.lines.bytes.reserve_exact(room.sum());
        for entry in entries {
            checker.entry(entry.as_ref())?;
        }
        Ok(checker.lines)
    })
}

/// As [`lines`], for values that serialise to JSON objects.
pub(crate) fn lines_of_values<T: Serialize + Sync>(
    values: &[T],
    time: &TimeField,
    max_line_bytes: usize,
) -> Result<Lines, JsonlError> {
    side_by_side(values, |values, from| {
        let mut checker = Checker::new(time, max_line_bytes, from);
        let mut text = Vec::new();
        for value in values {
            text.clear();
            serialise(value, &mut text).map_err(|what| checker.fail(what))?;
            // `serde_json` writes UTF-8 only.
            let entry = std::str::from_utf8(&text).map_err(|e| checker.fail(e.to_string()))?;
            if checker.lines.bytes.is_empty() {
                let room = (entry.len() + 8) * values.len();
                checker.lines.bytes.reserve(room.min(64 << 20));
            }
            checker.entry(entry)?;
        }
        Ok(checker.lines)
    })
}

/// The items in order, on several threads if they are many. `work` gets the number of its first item too.
fn side_by_side<T: Sync>(
    items: &[T],
    work: impl Fn(&[T], usize) -> Result<Lines, JsonlError> + Sync,
) -> Result<Lines, JsonlError> {
    let threads = match items.len() {
        few if few < PARALLEL => 1,
        _ => std::thread::available_parallelism().map_or(1, |n| n.get().min(4)),
    };
    if threads == 1 {
        return work(items, 0);
    }
    let size = items.len().div_ceil(threads);
    let work = &work;
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(size)
            .enumerate()
            .map(|(i, chunk)| scope.spawn(move || work(chunk, i * size)))
            .collect();
        let mut all = Lines::default();
        for worker in workers {
            let part = worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            all.count += part.count;
            all.unit = all.unit.or(part.unit);
            all.more.push(part.bytes);
        }
        Ok(all)
    })
}

/// Appends a value as JSON. NaN and infinity are refused, for which JSON has no text.
fn serialise(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), String> {
    /// Notes whether `null` was written, as which `serde_json` also writes what is no number.
    struct Nulls<'a>(&'a mut bool);
    impl Formatter for Nulls<'_> {
        fn write_null<W: std::io::Write + ?Sized>(
            &mut self,
            writer: &mut W,
        ) -> std::io::Result<()> {
            *self.0 = true;
            writer.write_all(b"null")
        }
    }
    let mut nulls = false;
    let mut writer = serde_json::Serializer::with_formatter(&mut *out, Nulls(&mut nulls));
    value
        .serialize(&mut writer)
        .map_err(|error| error.to_string())?;
    if nulls {
        minutebook_core::json::to_text(value).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A value's JSON text; `number` is told if it has none.
pub(crate) fn text_of_value(number: usize, value: &impl Serialize) -> Result<String, JsonlError> {
    let mut text = Vec::with_capacity(128);
    let made = serialise(value, &mut text)
        .and_then(|()| String::from_utf8(text).map_err(|error| error.to_string()));
    made.map_err(|what| JsonlError::Entry { number, what })
}

/// Makes lines of entries, one after another.
#[derive(Debug)]
struct Checker<'a> {
    time: &'a TimeField,
    max_line_bytes: usize,
    /// How many entries came before.
    from: usize,
    lines: Lines,
    templates: Templates<Place>,
}

/// What a value of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Time,
    Other,
}

/// The value at the place of the time.
impl<'a> Sink<'a, Place> for Option<Token<'a>> {
    #[inline]
    fn clear(&mut self) {
        *self = None;
    }

    #[inline]
    fn take(&mut self, place: &Place, token: Token<'a>) {
        if *place == Place::Time {
            *self = Some(token);
        }
    }
}

impl<'a> Checker<'a> {
    fn new(time: &'a TimeField, max_line_bytes: usize, from: usize) -> Self {
        Self {
            time,
            max_line_bytes,
            from,
            lines: Lines::default(),
            templates: Templates::default(),
        }
    }

    fn entry(&mut self, entry: &str) -> Result<(), JsonlError> {
        let start = self.lines.bytes.len();
        self.push(entry)
            .and_then(|()| match self.lines.bytes.len() - start {
                len if len > self.max_line_bytes => Err(format!(
                    "its line has {len} bytes; the limit is {}",
                    self.max_line_bytes
                )),
                _ => Ok(()),
            })
            .map_err(|what| self.fail(what))?;
        self.lines.count += 1;
        Ok(())
    }

    fn fail(&self, what: String) -> JsonlError {
        let number = self.from + usize::try_from(self.lines.count).unwrap_or(usize::MAX) + 1;
        JsonlError::Entry { number, what }
    }

    fn push(&mut self, entry: &str) -> Result<(), String> {
        let entry = entry.trim_matches([' ', '\t', '\r', '\n']);
        let mut quick = None;
        // Only what ends with the text is one entry.
        let known = self.templates.line(entry, 0, &mut quick) == Some(entry.len());
        let (found, nanos) = match quick
            .filter(|_| known)
            .and_then(|token| Some((token, instant::nanos(&token, self.time.unit)?)))
        {
            Some(found) => found,
            None => self.find_time(entry)?,
        };
        let text = matches!(found.shape, Shape::Plain | Shape::Escaped);
        let out = &mut self.lines.bytes;
        let start = out.len();
        if self.time.pointer.is_none() {
            if !text {
                self.lines.unit = self.time.unit;
            }
            out.extend_from_slice(entry.as_bytes());
        } else {
            out.extend_from_slice(b"{\"timestamp\":");
            match found.shape {
                Shape::Escaped => out.extend_from_slice(found.text.as_bytes()),
                Shape::Plain => {
                    out.push(b'"');
                    out.extend_from_slice(found.text.as_bytes());
                    out.push(b'"');
                }
                _ => {
                    // Written out, so that no reader needs to know the unit.
                    out.push(b'"');
                    push_instant(out, nanos);
                    out.push(b'"');
                }
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
    fn find_time<'e>(&mut self, entry: &'e str) -> Result<(Token<'e>, i64), String> {
        let time = self.time;
        let mut found = None;
        let mut keys = Keys::default();
        let mut values = Vec::new();
        let mut fields = Fields::new(entry);
        while let Some(field) = fields.next().map_err(|flaw| flawed(&flaw))? {
            keys.add(field.key())?;
            let mut place = Place::Other;
            match &time.pointer {
                None if field.is(TIMESTAMP) => {
                    found = Some(field.value);
                    place = Place::Time;
                }
                Some(_) if field.is(TIMESTAMP) => {
                    return Err(
                        "it has a field \"timestamp\" already; take the time from there".to_owned(),
                    );
                }
                Some(pointer) if field.is(pointer.first()) => {
                    found = pointer.below(field.value).map_err(|flaw| flawed(&flaw))?;
                    place = Place::Time;
                }
                _ => {}
            }
            let end = fields.position();
            values.push((end - field.value.text.len(), end, place));
        }
        let name = time
            .pointer
            .as_ref()
            .map_or("/timestamp", |pointer| pointer.as_str());
        let Some(found) = found.map(Token::of) else {
            return Err(format!("it has no time at {name}"));
        };
        if let Some(nanos) = instant::nanos(&found, time.unit) {
            // What a deeper pointer names is within a nested value, which no template takes.
            if self.templates.wants_more() {
                self.templates.learn(entry, values);
            }
            return Ok((found, nanos));
        }
        let shown: String = match found.shape {
            Shape::Plain => format!("\"{}\"", found.text),
            _ => found.text.to_owned(),
        };
        let shown: String = shown.chars().take(60).collect();
        let number = matches!(found.shape, Shape::Int | Shape::Float);
        Err(match time.unit {
            None if number => format!(
                "its time at {name} is the number {shown}; say what it counts: s, ms, us or ns"
            ),
            _ => format!(
                "its time at {name} is {shown}, which is no timestamp between 1677-09-21 and 2262-04-11"
            ),
        })
    }
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
        lines(&[entry], time, 1_000)
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
            let error = lines(&[good, bad], &time, 1_000).unwrap_err().to_string();
            assert!(
                error.starts_with("entry 2: ") && error.contains(says),
                "{error}"
            );
        }
        let error = lines(&[good], &time, 10).unwrap_err().to_string();
        assert!(error.contains("limit"), "{error}");
    }

    #[test]
    fn the_unit_is_told_only_where_readers_need_it() {
        let time = TimeField::timestamp().epoch(EpochUnit::Seconds);
        let entries = [
            r#"{"timestamp":"2025-01-01"}"#,
            r#"{"timestamp":1735689600.5}"#,
        ];
        let text = lines(&entries[..1], &time, 100).unwrap();
        assert_eq!(text.unit, None);
        let number = lines(&entries, &time, 100).unwrap();
        assert_eq!((number.unit, number.count), (Some(EpochUnit::Seconds), 2));
    }

    #[test]
    fn many_entries_are_checked_side_by_side_and_stay_in_order() {
        let time = TimeField::timestamp();
        let mut entries: Vec<String> = (0..3 * PARALLEL)
            .map(|n| match n % 3 {
                0 => format!("{{\"timestamp\":\"2025-01-01\",\"n\":{n}}}"),
                1 => format!("{{\"n\":{n},\"timestamp\":\"2025-01-01T00:00:00.5\"}}"),
                _ => format!("{{\"timestamp\":\"2025-01-01\",\"n\":{{\"is\":{n}}}}}"),
            })
            .collect();
        let made = lines(&entries, &time, 1_000).unwrap();
        let text: Vec<u8> = made.parts().flatten().copied().collect();
        assert_eq!(String::from_utf8(text).unwrap(), entries.join("\n") + "\n");
        assert_eq!(
            (made.count, made.len()),
            (entries.len() as u64, entries.join("\n").len() + 1)
        );
        let bad = 2 * PARALLEL + 7;
        entries[bad] = "{\"timestamp\":\"2025-01-01\",\"n\":1,\"n\":2}".to_owned();
        let error = lines(&entries, &time, 1_000).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("entry {}: ", bad + 1)),
            "{error}"
        );
    }

    #[test]
    fn a_known_shape_hides_no_flaw() {
        let time = TimeField::timestamp();
        let good = r#"{"timestamp":"2025-01-01","n":1}"#;
        for bad in [
            r#"{"timestamp":"2025-01-41","n":1}"#,
            r#"{"timestamp":"2025-01-01","n":01}"#,
            r#"{"timestamp":"2025-01-01","n":1} {"timestamp":"2025-01-01","n":1}"#,
            r#"{"timestamp":5,"n":1}"#,
            "{\"timestamp\":\"2025-01-01\",\"n\":1}\n{\"timestamp\":\"2025-01-01\",\"n\":1}",
        ] {
            assert!(lines(&[good, good, bad], &time, 1_000).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_become_the_text_that_they_serialise_to() {
        #[derive(Serialize)]
        struct Tick {
            timestamp: &'static str,
            price: Option<f64>,
        }
        let time = TimeField::timestamp();
        let tick = |price| Tick {
            timestamp: "2025-01-01",
            price,
        };
        let made = lines_of_values(&[tick(Some(1.5)), tick(None)], &time, 100).unwrap();
        assert_eq!(
            String::from_utf8(made.bytes).unwrap(),
            "{\"timestamp\":\"2025-01-01\",\"price\":1.5}\n{\"timestamp\":\"2025-01-01\",\"price\":null}\n"
        );
        let error = lines_of_values(&[tick(None), tick(Some(f64::NAN))], &time, 100)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("entry 2: ") && error.contains("NaN"),
            "{error}"
        );
    }
}
