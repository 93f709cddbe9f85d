//! A log of JSON lines: one change a line, replayed when the store is opened.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use minutebook_core::{Error, ErrorKind, Result};
use serde_json::Value;

/// What this backend is called in errors.
pub(crate) const BACKEND: &str = "log";

/// An open log. The lock keeps every other handle out, in this process and in others.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    broken: bool,
}

impl Log {
    /// Opens the log, makes it if it is missing, and gives its lines.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Value>)> {
        let failed = |error| unavailable(path, error);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = options.open(path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::new(
                ErrorKind::Locked,
                "another handle has it open; close it first",
            )
            .with_backend(BACKEND)
            .with_operation("open")
            .with_resource(path.display()),
            TryLockError::Error(error) => failed(error),
        })?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let end = text.iter().rposition(|byte| *byte == b'\n');
        let whole = end.map_or(0, |end| end + 1);
        if whole < text.len() {
            // A crash left half a line. It was never acknowledged, but it is not ours to throw away.
            std::fs::write(path.with_added_extension("torn"), &text[whole..]).map_err(failed)?;
            file.set_len(whole as u64).map_err(failed)?;
        }
        let mut lines = Vec::new();
        let text = text[..whole].strip_suffix(b"\n").unwrap_or_default();
        for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if !text.is_empty() {
                lines.push(serde_json::from_slice(line).map_err(|e| damaged(path, n, e))?);
            }
        }
        let path = path.to_owned();
        let broken = false;
        Ok((Self { file, path, broken }, lines))
    }

    /// Adds a change: one line in one write, on the device when this returns.
    pub(crate) fn append(&mut self, change: &Value) -> Result<()> {
        if self.broken {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "an earlier write failed; open the store again and see what is there",
            )
            .with_backend(BACKEND)
            .with_resource(self.path.display()));
        }
        let line = format!("{change}\n");
        let written = self.file.write_all(line.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| {
                // Half a line may be there now, and a sync that failed must not be tried again as if nothing were.
                self.broken = true;
                unavailable(&self.path, error)
            })
    }
}

/// What the operating system said, as an error of the traits.
fn unavailable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the log cannot be read or written")
        .with_backend(BACKEND)
        .with_resource(path.display())
        .with_source(error)
}

/// A line that this backend cannot have written; `line` counts from 0.
pub(crate) fn damaged(
    path: &Path,
    line: usize,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let message = format!("line {} is damaged; restore the log from a copy", line + 1);
    Error::new(ErrorKind::Corrupt, message)
        .with_backend(BACKEND)
        .with_operation("open")
        .with_resource(path.display())
        .with_source(source)
}
