//! The complete lines of the journal from an offset on, whatever file they are in.

use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_fs::{FileId, Fs, Item};

use super::segments::{Segment, Source, chain, failed};
use crate::error::Result;
use crate::layout;

/// One line, without its newline; empty if it is longer than allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawLine<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) bytes: &'a [u8],
    /// The file that it is in, and where there.
    pub(crate) path: &'a Path,
    pub(crate) at: u64,
}

/// Reads lines forwards; at the end it may be asked again when the journal has grown.
#[derive(Debug)]
pub(crate) struct Lines {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    max_line: usize,
    /// Where the next line starts.
    offset: u64,
    /// The files that are still to be read, the first of them at present.
    files: VecDeque<Segment>,
    source: Option<Source>,
    /// Which file is read, as long as it is the active one.
    active: Option<FileId>,
    line: Vec<u8>,
}

impl Lines {
    /// Starts at an offset at which a line begins, or at the first that is left.
    pub(crate) fn open(fs: &Arc<dyn Fs>, dir: &Path, from: u64, max_line: usize) -> Result<Self> {
        let mut lines = Self {
            fs: Arc::clone(fs),
            dir: dir.to_owned(),
            max_line,
            offset: from,
            files: VecDeque::new(),
            source: None,
            active: None,
            line: Vec::new(),
        };
        lines.look()?;
        Ok(lines)
    }

    /// The offset of the first byte of the active file.
    pub(crate) fn active_base(&self) -> u64 {
        self.files.back().map_or(0, |segment| segment.base)
    }

    /// Which file is the active one, if it was come to.
    pub(crate) fn active(&self) -> Option<FileId> {
        self.active
    }

    /// Opens the files that are there.
    fn look(&mut self) -> Result<()> {
        self.files = chain(&*self.fs, &self.dir, self.offset)?.into();
        self.source = None;
        self.active = None;
        self.start()
    }

    /// Starts the first of the files.
    fn start(&mut self) -> Result<()> {
        let Some(segment) = self.files.front() else {
            return Ok(());
        };
        self.offset = self.offset.max(segment.base);
        self.source = Some(Source::new(segment, self.offset, self.max_line)?);
        if self.files.len() == 1 {
            let path = self.dir.join(layout::JOURNAL);
            self.active = self.fs.identify(&path).ok().map(|found| found.id);
        }
        Ok(())
    }

    /// The next complete line; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RawLine<'_>>> {
        let start = loop {
            if self.source.is_none() {
                self.look()?;
                if self.source.is_none() {
                    return Ok(None);
                }
            }
            let start = self.offset;
            if self.read()? {
                break start;
            }
            if self.files.len() > 1 {
                self.files.pop_front();
                self.start()?;
                continue;
            }
            let path = self.dir.join(layout::JOURNAL);
            let now = self.fs.identify(&path).ok().map(|found| found.id);
            if now == self.active || now.is_none() {
                return Ok(None);
            }
            // Sealed meanwhile: what was appended before that first, then the files that followed.
            if self.read()? {
                break start;
            }
            let (before, sealed) = (self.offset, self.active);
            self.look()?;
            if self.offset < before || (self.active == sealed && self.files.len() == 1) {
                return Ok(None);
            }
        };
        let (base, path) = match self.files.front() {
            Some(segment) => (segment.base, segment.path.as_path()),
            None => (0, self.dir.as_path()),
        };
        Ok(Some(RawLine {
            start,
            end: self.offset,
            bytes: &self.line,
            path,
            at: start - base.min(start),
        }))
    }

    /// Reads one line, if there is a whole one.
    fn read(&mut self) -> Result<bool> {
        let Some(segment) = self.files.front() else {
            return Ok(false);
        };
        let step = |error| failed(&segment.path, error);
        self.line.clear();
        match &mut self.source {
            None => Ok(false),
            Some(Source::Plain(reader)) => {
                let Some(item) = reader.next().map_err(step)? else {
                    return Ok(false);
                };
                self.offset = segment.base + item.end();
                if let Item::Line(line) = item {
                    self.line.extend_from_slice(line.bytes);
                }
                Ok(true)
            }
            Some(Source::Packed(reader)) => {
                let limit = self.max_line as u64 + 2;
                let mut len = reader
                    .by_ref()
                    .take(limit)
                    .read_until(b'\n', &mut self.line)
                    .map_err(step)? as u64;
                if len == 0 {
                    return Ok(false);
                }
                if self.line.last() == Some(&b'\n') {
                    self.line.pop();
                } else {
                    // Longer than allowed.
                    self.line.clear();
                    len += skip_line(reader).map_err(step)?;
                }
                self.offset += len;
                Ok(true)
            }
        }
    }
}

/// Skips to behind the next newline, and says how far that was.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let bytes = reader.fill_buf()?;
        let (n, done) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (bytes.len(), bytes.is_empty()),
        };
        reader.consume(n);
        skipped += n as u64;
        if done {
            return Ok(skipped);
        }
    }
}
