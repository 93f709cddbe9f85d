//! From entries as they are given to lines as they are stored.

#[macro_use]
mod refused;
mod checker;
mod value;

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::buffers::{Buffer, PIECE_BYTES};
use crate::config::{EpochUnit, TimeField};
use crate::error::JsonlError;
use crate::in_order::{self, in_order};
use checker::{Checker, Piece};
use minutebook_fs::{Appended, Locked};
use value::Values;

/// From so many entries on, several threads check them.
const PARALLEL: usize = 4_096;

/// Entries as complete lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    /// What follows `bytes`, also complete lines: the pieces of many.
    pub(crate) more: Vec<Buffer>,
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
            .chain(self.more.iter().map(|piece| &**piece))
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
        checker.learns = entries.len() > 1;
        // With a pointer, each gets a time in front as well.
        let front = if time.pointer.is_some() { 64 } else { 0 };
        let room = entries.iter().map(|entry| entry.as_ref().len() + front + 1);
        let room = room.sum();
        if room < PIECE_BYTES {
            checker.lines.bytes.reserve_exact(room);
            for entry in entries {
                checker.entry(entry.as_ref())?;
            }
            return Ok(checker.lines);
        }
        checker.in_pieces(entries, |checker, entry| checker.entry(entry.as_ref()))
    })
    .map(joined)
}

/// Many entries that were checked, and are copied into lines only when they are written: most are stored as they are given.
#[derive(Debug, Default)]
pub(crate) struct Checked<'e> {
    pieces: Vec<Piece<'e>>,
    count: u64,
    unit: Option<EpochUnit>,
}

/// What can be appended.
pub(crate) trait Append {
    /// How many lines they are.
    fn count(&self) -> u64;
    /// The unit that readers must know, since a stored `timestamp` is a number.
    fn unit(&self) -> Option<EpochUnit>;
    /// The bytes of the lines.
    fn bytes(&self) -> usize;
    /// Appends them, all or none.
    fn append_to(&self, log: &mut Locked<'_>) -> Result<Appended, JsonlError>;
}

impl Append for Lines {
    fn count(&self) -> u64 {
        self.count
    }

    fn unit(&self) -> Option<EpochUnit> {
        self.unit
    }

    fn bytes(&self) -> usize {
        self.len()
    }

    fn append_to(&self, log: &mut Locked<'_>) -> Result<Appended, JsonlError> {
        Ok(log.append_parts(self.parts())?)
    }
}

impl Append for Checked<'_> {
    fn count(&self) -> u64 {
        self.count
    }

    fn unit(&self) -> Option<EpochUnit> {
        self.unit
    }

    fn bytes(&self) -> usize {
        let of = |piece: &Piece<'_>| match piece {
            Piece::AsGiven(_, bytes) => *bytes,
            Piece::Made(lines) => lines.len(),
        };
        self.pieces.iter().map(of).sum()
    }

    fn append_to(&self, log: &mut Locked<'_>) -> Result<Appended, JsonlError> {
        let make = |number: usize, mut bytes: Buffer| {
            match self.pieces.get(number) {
                Some(Piece::AsGiven(texts, len)) => {
                    bytes.reserve(*len);
                    for text in texts {
                        bytes.extend_from_slice(text.as_bytes());
                        bytes.push(b'\n');
                    }
                }
                Some(Piece::Made(lines)) => bytes.extend_from_slice(lines),
                None => {}
            }
            (bytes, ())
        };
        let threads = in_order::threads(self.pieces.len(), 2);
        in_order(self.pieces.len(), threads, make, |pieces| {
            log.append_made(pieces)
        })
    }
}

/// Checks many entries that are to be appended while they are borrowed; `None` if they are few, or none of them would be stored as it is given.
pub(crate) fn checked<'e, T: AsRef<str> + Sync>(
    entries: &'e [T],
    time: &TimeField,
    max_line_bytes: usize,
) -> Option<Result<Checked<'e>, JsonlError>> {
    if entries.len() < PARALLEL || time.pointer.is_some() {
        return None;
    }
    let parts = side_by_side(entries, |entries, from| {
        let mut checker = Checker::new(time, max_line_bytes, from);
        let (mut left, mut pieces) = (entries.iter(), Vec::new());
        while !left.as_slice().is_empty() {
            pieces.push(checker.piece(&mut left, PIECE_BYTES)?);
        }
        Ok(Checked {
            pieces,
            count: checker.lines.count,
            unit: checker.lines.unit,
        })
    });
    Some(parts.map(|parts| {
        let mut all = Checked::default();
        for part in parts {
            all.count += part.count;
            all.unit = all.unit.or(part.unit);
            all.pieces.extend(part.pieces);
        }
        all
    }))
}

/// As [`lines`], for values that serialise to JSON objects.
pub(crate) fn lines_of_values<T: Serialize + Sync>(
    values: &[T],
    time: &TimeField,
    max_line_bytes: usize,
) -> Result<Lines, JsonlError> {
    if let [value] = values {
        return line_of_value(value, time, max_line_bytes);
    }
    side_by_side(values, |values, from| {
        /// Fewer may be little more than a line each.
        const MANY: usize = 1_024;
        let mut checker = Checker::new(time, max_line_bytes, from);
        if values.len() >= MANY {
            return checker.in_pieces(values, Checker::value);
        }
        for value in values {
            checker.value(value)?;
            if checker.lines.count == 1 {
                let room = (checker.lines.bytes.len() + 8) * (values.len() - 1);
                checker.lines.bytes.reserve(room.min(64 << 20));
            }
        }
        Ok(checker.lines)
    })
    .map(joined)
}

/// As [`lines_of_values`], for one value.
pub(crate) fn line_of_value<T: Serialize>(
    value: &T,
    time: &TimeField,
    max_line_bytes: usize,
) -> Result<Lines, JsonlError> {
    let mut checker = Checker::new(time, max_line_bytes, 0);
    checker.learns = false;
    checker.lines.bytes.reserve(128);
    checker.value(value)?;
    Ok(checker.lines)
}

/// The items in order, on several threads if they are many, a share for each. `work` gets the number of its first item too.
fn side_by_side<'e, T: Sync, R: Send>(
    items: &'e [T],
    work: impl Fn(&'e [T], usize) -> Result<R, JsonlError> + Sync,
) -> Result<Vec<R>, JsonlError> {
    let threads = in_order::threads(items.len(), PARALLEL);
    if threads == 1 {
        return Ok(vec![work(items, 0)?]);
    }
    let size = items.len().div_ceil(threads);
    let work = &work;
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(size)
            .enumerate()
            .map(|(i, chunk)| scope.spawn(move || work(chunk, i * size)))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// The shares of several threads, one after another.
fn joined(parts: Vec<Lines>) -> Lines {
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_default();
    for part in parts {
        all.count += part.count;
        all.unit = all.unit.or(part.unit);
        if !part.bytes.is_empty() {
            all.more.push(Buffer::of(part.bytes));
        }
        all.more.extend(part.more);
    }
    all
}

/// Appends a value as JSON. NaN and infinity are refused, for which JSON has no text.
fn serialise<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
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
    fn a_time_within_a_value_is_looked_for_in_each_entry() {
        let time = TimeField::pointer("/Item/t").unwrap();
        let good = r#"{"Item":{"t":"2025-01-01"}}"#;
        for bad in [r#"{"Item":"2025-01-01"}"#, r#"{"Item":{"u":"2025-01-01"}}"#] {
            let error = lines(&[good, good, bad], &time, 1_000)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("entry 3: it has no time"), "{error}");
        }
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
