//! A log whose lock is held: look at the end, then append.

use std::io;
use std::sync::Arc;

use super::tail::{TornTail, torn_tail_of};
use super::{AppendLog, Appended, Current, Held, OP, Segment, Writer};
use crate::durability::Durability;
use crate::error::FsError;
use crate::fs::{FsFile, OpenMode};

mod durable;

/// A log whose lock this thread holds: see [`AppendLog::with_lock`].
#[derive(Debug)]
pub struct Locked<'a> {
    log: &'a AppendLog,
    writer: &'a mut Writer,
    len: u64,
    ticket: Option<u64>,
    repaired: Option<TornTail>,
    /// Of a log that is synced at the end: up to where it was told to write out what was appended.
    out: Option<u64>,
    /// Released last.
    _held: Held,
}

impl<'a> Locked<'a> {
    pub(super) fn new(
        log: &'a AppendLog,
        writer: &'a mut Writer,
        held: Held,
        durability: Durability,
    ) -> Result<Self, FsError> {
        let mut held = held;
        let mut len = log.refresh(writer)?;
        if writer.current.is_none() {
            // The first time, and after the files were moved away: the lock file must still be the one at the path.
            held = check_lock_file(log, writer, held)?;
            len = log.refresh(writer)?;
        }
        let mut locked = Self {
            log,
            writer,
            len,
            ticket: None,
            repaired: None,
            out: durability.is_synced().then_some(len),
            _held: held,
        };
        locked.close_torn_tail()?;
        Ok(locked)
    }

    pub(super) fn written(self) -> Option<(Arc<Segment>, u64)> {
        let segment = self
            .writer
            .current
            .as_ref()
            .map(|current| Arc::clone(&current.segment));
        segment.zip(self.ticket)
    }

    /// The length of the file in bytes: 0, or the offset after the newline of its last line.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file has no bytes or does not exist.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A number for the open file, other than that of every file that this process opened before; `None` while none is open. As long
    /// as it is the same, the file is.
    pub fn opened(&self) -> Option<u64> {
        self.writer.current.as_ref().map(|current| current.opened)
    }

    /// The torn tail that was found when the lock was taken, and closed with a newline. The line may be damaged, or
    /// whole but for the newline that it lacked.
    pub fn repaired(&self) -> Option<TornTail> {
        self.repaired
    }

    /// Fills `buf` from `offset` as far as the file reaches and returns how many bytes that were.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, FsError> {
        let step = |e| FsError::not_applied("read", "read", &self.log.path, e);
        match &self.writer.current {
            Some(current) => current
                .segment
                .file()
                .read_full_at(buf, offset)
                .map_err(step),
            None => self.log.read_at(buf, offset),
        }
    }

    /// Opens the file for reading, for a [`LineReader`](crate::LineReader) or [`ReverseLines`](crate::ReverseLines);
    /// `None` if there is none.
    pub fn reader(&self) -> Result<Option<Box<dyn FsFile>>, FsError> {
        self.log.reader()
    }

    /// Appends one or more complete lines: see [`AppendLog::append`]. They are not durable before
    /// [`AppendLog::with_lock`] returned.
    pub fn append(&mut self, bytes: &[u8]) -> Result<Appended, FsError> {
        check_lines(bytes, self.log)
            .map_err(|e| FsError::not_applied(OP, "check the lines", &self.log.path, e))?;
        self.log.open_current(self.writer)?;
        let offset = self.len;
        self.write(bytes)?;
        Ok(Appended {
            offset,
            len: bytes.len() as u64,
            repaired: self.repaired,
        })
    }

    /// As [`append`](Self::append), of lines that lie in several pieces, each of complete lines: written piece by piece, all of them or none. A reader may see the first
    /// while the last is being written, as it may of one long write.
    pub fn append_parts<'p>(
        &mut self,
        parts: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<Appended, FsError> {
        let parts: Vec<_> = parts.into_iter().collect();
        if let [bytes] = parts.as_slice() {
            return self.append(bytes);
        }
        let log = self.log;
        let refuse = |e| FsError::not_applied(OP, "check the lines", &log.path, e);
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if parts.is_empty() {
            let nothing = io::Error::new(io::ErrorKind::InvalidInput, "no lines in one call");
            return Err(refuse(nothing));
        }
        check_size(len, log).map_err(refuse)?;
        for part in &parts {
            check_lines(part, log).map_err(refuse)?;
        }
        log.open_current(self.writer)?;
        let offset = self.len;
        for part in &parts {
            if let Err(error) = self.write(part) {
                return Err(self.take_back_to(offset, error));
            }
        }
        Ok(Appended {
            offset,
            len: len as u64,
            repaired: self.repaired,
        })
    }

    /// As [`append_parts`](Self::append_parts), of pieces that are made while those before them are written: the next is asked for when the last is written. If
    /// one cannot be made, or is none of complete lines, what was written of the others is taken back.
    ///
    /// # Errors
    ///
    /// The error of the piece that could not be made; else as [`append_parts`](Self::append_parts).
    pub fn append_made<P: AsRef<[u8]>, E: From<FsError>>(
        &mut self,
        parts: impl IntoIterator<Item = Result<P, E>>,
    ) -> Result<Appended, E> {
        let log = self.log;
        let refuse = |e| FsError::not_applied(OP, "check the lines", &log.path, e);
        let mut offset = None;
        let mut len = 0;
        for part in parts {
            let start = offset.unwrap_or(self.len);
            let part = match part {
                Ok(part) => part,
                Err(error) => {
                    let none =
                        FsError::not_applied(OP, "make", &log.path, io::ErrorKind::Other.into());
                    let cut = self.take_back_to(start, none);
                    return Err(if cut.nothing_applied() {
                        error
                    } else {
                        cut.into()
                    });
                }
            };
            let bytes = part.as_ref();
            len += bytes.len();
            let checked = check_lines(bytes, log).and_then(|()| check_size(len, log));
            let written = checked.map_err(refuse).and_then(|()| {
                log.open_current(self.writer)?;
                offset = Some(start);
                self.write(bytes)
            });
            if let Err(error) = written {
                return Err(self.take_back_to(start, error).into());
            }
        }
        let Some(offset) = offset else {
            let nothing = io::Error::new(io::ErrorKind::InvalidInput, "no lines in one call");
            return Err(refuse(nothing).into());
        };
        Ok(Appended {
            offset,
            len: len as u64,
            repaired: self.repaired,
        })
    }

    /// Cuts off what was written under this lock since `offset`, after a later write has failed with `error`.
    fn take_back_to(&mut self, offset: u64, error: FsError) -> FsError {
        self.writer.ring.forget();
        if self.len == offset || !error.nothing_applied() {
            return error;
        }
        let (before, cause) = (self.len, error.source);
        let cut = self.current().and_then(|(log, current)| {
            current.clean_len = None;
            let file = current.segment.file();
            let step = |e| FsError::unknown(OP, "cut off what was written", &log.path, e);
            if file.len().map_err(step)? != before {
                let text = "another program appended without the lock";
                return Err(step(io::Error::other(text)));
            }
            file.set_len(offset).map_err(step)?;
            // Only when the cut is durable can nothing of it come back after a power cut.
            let segment = Arc::clone(&current.segment);
            let ticket = segment.note_written();
            log.sync_segment(&segment, ticket, OP)
        });
        match cut {
            Ok(()) => {
                self.len = offset;
                FsError::not_applied(OP, "write", &self.log.path, cause)
            }
            Err(error) => {
                tracing::warn!(path = %self.log.path.display(), %error, "a part of a batch stays");
                FsError::unknown(OP, "write", &self.log.path, cause)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        let before = self.len;
        if self.log.ring.is_some() {
            self.end_last_line()?;
        }
        let (log, current) = self.current()?;
        if let Err(error) = write_once(log, current, bytes, before) {
            self.writer.ring.forget();
            return Err(error);
        }
        let len = before + bytes.len() as u64;
        current.clean_len = Some(len);
        let ticket = current.segment.note_written();
        let file = Arc::clone(&current.segment);
        self.len = len;
        self.ticket = Some(ticket);
        self.write_out(&file);
        if log.ring.is_some() {
            self.writer.ring.note(before, bytes);
        }
        Ok(())
    }

    /// Of much that is to be synced, has the system write out the first while the rest is still being made: the sync then finds little to do.
    fn write_out(&mut self, segment: &Segment) {
        /// So much at a time: less makes many short writes of it.
        const MUCH: u64 = 1 << 20;
        /// What is written out once should not be changed again.
        const PAGE: u64 = 64 << 10;
        let Some(out) = self.out else { return };
        // A file that was begun anew.
        let out = out.min(self.len);
        if self.len - out >= MUCH {
            let end = self.len / PAGE * PAGE;
            segment.file().write_out(out, end - out);
            self.out = Some(end);
        }
    }

    /// Before the first line of a handle: writes the newline before it once more. If what is there was lost by a sync that failed, the system may
    /// never write it out, and this line would follow a stretch of zeros instead of a line's end.
    fn end_last_line(&mut self) -> Result<(), FsError> {
        let (log, before) = (self.log, self.len);
        let Writer { current, ring, .. } = &mut *self.writer;
        let opened = current.as_ref().map(|current| current.opened);
        if ring.begins(opened) && before > 0 {
            let file = log.fs.open(&log.path, OpenMode::Write);
            file.and_then(|file| file.write_all_at(b"\n", before - 1))
                .map_err(|e| FsError::not_applied(OP, "write the last line's end", &log.path, e))?;
        }
        Ok(())
    }

    /// Closes what a crashed writer left: nobody else can be writing it, and from now on it is a line like others.
    ///
    /// This must not wait for the next append: a line that lacked its newline alone is whole then, and who appends
    /// what depends on the last line must see it.
    fn close_torn_tail(&mut self) -> Result<(), FsError> {
        let len = self.len;
        let known = self
            .writer
            .current
            .as_ref()
            .is_some_and(|current| current.clean_len == Some(len));
        if !known {
            self.writer.ring.forget();
        }
        if len == 0 || known {
            return Ok(());
        }
        self.log.open_current(self.writer)?;
        let (log, current) = self.current()?;
        let torn = torn_tail_of(current.segment.file(), len)
            .map_err(|e| FsError::not_applied(OP, "read the end", &log.path, e))?;
        if let Some(torn) = torn {
            tracing::warn!(path = %log.path.display(), offset = torn.offset, bytes = torn.len, "a torn line is closed; its bytes stay");
            let opened = current.opened;
            // What is written now is the line's end.
            let _ = self.writer.ring.begins(Some(opened));
            self.write(b"\n")?;
        } else {
            current.clean_len = Some(len);
        }
        self.repaired = torn;
        Ok(())
    }

    fn current(&mut self) -> Result<(&'a AppendLog, &mut Current), FsError> {
        let log = self.log;
        match &mut self.writer.current {
            Some(current) => Ok((log, current)),
            None => Err(FsError::not_applied(
                OP,
                "open",
                &log.path,
                io::ErrorKind::NotFound.into(),
            )),
        }
    }
}

/// One write call; if it is cut short, what it wrote is taken back.
fn write_once(
    log: &AppendLog,
    current: &mut Current,
    bytes: &[u8],
    before: u64,
) -> Result<(), FsError> {
    current.clean_len = None;
    let file = current.segment.file();
    let (written, cause) = loop {
        match file.append(bytes) {
            Ok(n) if n == bytes.len() => return Ok(()),
            Ok(n) => {
                let text = format!(
                    "{n} of {} bytes were written: the disk is full, or a limit was reached",
                    bytes.len()
                );
                break (
                    Some(n as u64),
                    io::Error::new(io::ErrorKind::StorageFull, text),
                );
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => break (None, e),
        }
    };
    let segment = Arc::clone(&current.segment);
    match take_back(segment.file(), before, written) {
        Ok(true) => {
            // Only when the cut is durable can nothing of it come back after a power cut.
            let ticket = segment.note_written();
            log.sync_segment(&segment, ticket, OP)?;
            Err(FsError::not_applied(OP, "write", &log.path, cause))
        }
        Ok(false) => Err(FsError::not_applied(OP, "write", &log.path, cause)),
        Err(error) => {
            tracing::warn!(path = %log.path.display(), %error, "a line that was cut short stays; the next append closes it");
            Err(FsError::unknown(OP, "write", &log.path, cause))
        }
    }
}

/// Cuts the file back to what it was before a write that failed; `false` if that write left nothing.
fn take_back(file: &dyn FsFile, before: u64, written: Option<u64>) -> io::Result<bool> {
    let now = file.len()?;
    if now == before {
        return Ok(false);
    }
    if written.is_some_and(|n| now != before + n) {
        // A program that takes no lock appended behind us: cutting would take its bytes.
        return Err(io::Error::other(
            "another program appended without the lock",
        ));
    }
    file.set_len(before)?;
    Ok(true)
}

fn check_lines(bytes: &[u8], log: &AppendLog) -> io::Result<()> {
    let refuse = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    if bytes.last() != Some(&b'\n') {
        return refuse("lines must end with a newline".to_owned());
    }
    check_size(bytes.len(), log)?;
    let max = log.options.max_record_bytes;
    if bytes.len() <= max {
        return Ok(());
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let len = end + 1 - start;
        if len > max {
            return refuse(format!("a line of {len} bytes, the limit is {max}"));
        }
        start = end + 1;
    }
    Ok(())
}

fn check_size(len: usize, log: &AppendLog) -> io::Result<()> {
    let limit = log.options.max_batch_bytes;
    if len > limit {
        let text = format!("{len} bytes in one call, the limit is {limit}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// Makes sure that the lock is held on the file that others find at the lock's path.
fn check_lock_file(log: &AppendLog, writer: &mut Writer, mut held: Held) -> Result<Held, FsError> {
    let step = |e| FsError::not_applied(OP, super::LOCK_STEP, &log.lock_path, e);
    for _ in 0..16 {
        let ours = held.0.metadata().map_err(step)?.id;
        match log.fs.metadata(&log.lock_path) {
            Ok(m) if m.id == ours => return Ok(held),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(step(e)),
        }
        drop(held);
        writer.lock_file = None;
        held = log.lock(writer)?;
    }
    Err(step(io::Error::other(
        "the lock file is being replaced all the time",
    )))
}
