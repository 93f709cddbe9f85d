//! The complete lines of the journal from an offset on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_fs::{Fs, FsError, Item, LineOptions, LineReader, OpenMode};

use crate::error::{JsonError, Result};
use crate::layout;

/// One line, without its newline; empty if it is longer than allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawLine<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) bytes: &'a [u8],
}

/// Reads lines forwards; at the end it may be asked again when the journal has grown.
#[derive(Debug)]
pub(crate) struct Lines {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    options: LineOptions,
    reader: Option<LineReader>,
}

impl Lines {
    /// Starts at an offset at which a line begins.
    pub(crate) fn open(fs: &Arc<dyn Fs>, dir: &Path, from: u64, max_line: usize) -> Result<Self> {
        let mut lines = Self {
            fs: Arc::clone(fs),
            path: dir.join(layout::JOURNAL),
            options: LineOptions::default().start(from).max_line_bytes(max_line),
            reader: None,
        };
        lines.look()?;
        Ok(lines)
    }

    /// Opens the file once it is there.
    fn look(&mut self) -> Result<()> {
        if self.reader.is_none() {
            match self.fs.open(&self.path, OpenMode::Read) {
                Ok(file) => self.reader = Some(LineReader::new(file, self.options)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&self.path, error)),
            }
        }
        Ok(())
    }

    /// The next complete line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RawLine<'_>>> {
        self.look()?;
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let item = reader.next().map_err(|error| failed(&self.path, error))?;
        Ok(item.map(|item| RawLine {
            start: item.offset(),
            end: item.end(),
            bytes: match item {
                Item::Line(line) => line.bytes,
                Item::TooLong { .. } => &[],
            },
        }))
    }
}

fn failed(path: &Path, error: io::Error) -> JsonError {
    FsError::not_applied("read", "read the journal", path, error).into()
}
