//! Files that have to be read to be known: JSON Lines, and any file of which a digest of all bytes is wanted.

use std::path::Path;

use chrono::{DateTime, Utc};
use minutebook_fs::FsFile;

use super::Inspection;
use super::inspect::short;
use crate::json_text::RawObject;
use crate::time::parse_timestamp;
use crate::{Contents, Error, ErrorKind, Result, Statistics};

const CHUNK: usize = 1 << 20;
/// A line longer than this ends the reading: it is no entry, and it would have to be held in memory.
const MAX_LINE: usize = 64 << 20;

/// The digest of all bytes.
pub(super) fn digest(path: &Path, file: &dyn FsFile) -> Result<String> {
    let mut hash = blake3::Hasher::new();
    each_chunk(path, file, |chunk| {
        hash.update(chunk);
        Ok(())
    })?;
    Ok(format!("{}{}", Contents::WHOLE_FILE, short(&hash)))
}

/// Counts the objects, one a line, and looks at the `timestamp` of each. Lines that are none are left out of the count; a last one without
/// a newline may be being written and is so too, unless it is whole.
pub(super) fn inspect(path: &Path, file: &dyn FsFile) -> Result<Inspection> {
    let mut hash = blake3::Hasher::new();
    let mut seen = Seen::default();
    let (mut bytes, mut rest): (u64, Vec<u8>) = (0, Vec::new());
    each_chunk(path, file, |chunk| {
        hash.update(chunk);
        bytes += chunk.len() as u64;
        let mut lines = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            if rest.len() + line.len() > MAX_LINE {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!("a line has more than {MAX_LINE} bytes; this is no file of JSON Lines"),
                )
                .with_resource(path.display()));
            }
            if lines.peek().is_none() {
                rest.extend_from_slice(line);
            } else if rest.is_empty() {
                seen.line(line);
            } else {
                rest.extend_from_slice(line);
                seen.line(&rest);
                rest.clear();
            }
        }
        Ok(())
    })?;
    seen.line(&rest);
    if seen.unread > 0 {
        tracing::warn!(path = %path.display(), lines = seen.unread, "lines that are no JSON objects were not counted");
    }
    Ok(Inspection {
        statistics: Some(Statistics {
            rows: seen.rows,
            first: seen.first,
            last: seen.last,
        }),
        contents: Contents {
            bytes: Some(bytes),
            columns: Vec::new(),
            digest: Some(format!("{}{}", Contents::WHOLE_FILE, short(&hash))),
            changed_at: None,
        },
    })
}

#[derive(Default)]
struct Seen {
    rows: u64,
    unread: u64,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
}

impl Seen {
    fn line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        let text = std::str::from_utf8(line).ok();
        let Some(object) = text.and_then(|text| RawObject::parse(text).ok()) else {
            self.unread += 1;
            return;
        };
        self.rows += 1;
        let time = object.get("timestamp").map(|raw| raw.trim_matches('"'));
        if let Some(time) = time.and_then(|text| parse_timestamp(text).ok()) {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.last = self.last.max(Some(time));
        }
    }
}

fn each_chunk(
    path: &Path,
    file: &dyn FsFile,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let read = file
            .read_full_at(&mut buffer, at)
            .map_err(|error| crate::error::io("read the file", path, error))?;
        if read == 0 {
            return Ok(());
        }
        take(buffer.get(..read).unwrap_or_default())?;
        at += read as u64;
    }
}
