//! Making a log durable under its lock: in its ring or itself, once more where a sync has failed, and before it is sealed.

use std::path::Path;

use super::Locked;
use crate::append::ring::Log;
use crate::append::{OP, Writer};
use crate::atomic::{Created, rename_new};
use crate::durability::Durability;
use crate::error::FsError;
use crate::fs::OpenMode;

/// A log that is [written again](Locked::write_again) is read in pieces of this size.
const PIECE: usize = 1 << 20;

impl Locked<'_> {
    /// Makes durable what was appended under this lock, before it is released: for callers that act on the lines (write
    /// the document that they announce) while they still hold it.
    ///
    /// # Errors
    ///
    /// The sync's error; the log handle is then poisoned.
    pub fn sync(&mut self) -> Result<(), FsError> {
        let log = self.log;
        let (Some(current), Some(ticket)) = (&self.writer.current, self.ticket) else {
            return Ok(());
        };
        let Some(place) = &log.ring else {
            return log.sync_segment(&current.segment, ticket, OP);
        };
        let (ring, id) = (&mut self.writer.ring, current.id);
        let file = Log {
            id,
            path: &log.path,
            opened: current.opened,
        };
        match ring.sync(&*log.fs, place, &file, self.len) {
            Ok(true) => Ok(()),
            Ok(false) => {
                log.sync_segment(&current.segment, ticket, OP)?;
                ring.restart(id, self.len);
                Ok(())
            }
            Err(failed) => Err(log.poisoned_by(OP, &place.path, failed)),
        }
    }

    /// Makes the log itself durable, whoever wrote it: before its file gets another name or its [ring](crate::AppendLog::with_ring) is cleared. What the
    /// ring has is written to it once more before, since a sync that failed earlier may have lost that.
    ///
    /// # Errors
    ///
    /// The sync's error; the log handle is then poisoned. Any other I/O error.
    pub fn sync_whole(&mut self) -> Result<(), FsError> {
        let log = self.log;
        log.open_current(self.writer)?;
        self.vouch(OP)?;
        let len = self.len;
        let (log, current) = self.current()?;
        let id = current.id;
        // A ticket of its own: lines of other processes must be durable too.
        let ticket = current.segment.note_written();
        log.sync_segment(&current.segment, ticket, OP)?;
        if log.ring.is_some() {
            self.writer.ring.restart(id, len);
        }
        Ok(())
    }

    /// Writes the log once more, from what the system shows of it, and makes it durable: for callers that see that a writer broke off. If
    /// what stopped it was a sync that failed, the system takes for written what it has in memory alone, and a later sync would not make
    /// it durable. What the [ring](crate::AppendLog::with_ring) has is taken from there, and what is before that is durable; without a ring
    /// all of the file is written.
    ///
    /// The log may be longer than before, if the ring had more of it.
    ///
    /// # Errors
    ///
    /// Any I/O error; a sync's poisons the log handle.
    pub fn write_again(&mut self) -> Result<(), FsError> {
        const AGAIN: &str = "write again";
        if self.len == 0 {
            return Ok(());
        }
        let log = self.log;
        log.open_current(self.writer)?;
        let step = |e| FsError::not_applied(AGAIN, "write what is there", &log.path, e);
        let Writer { current, ring, .. } = &mut *self.writer;
        let Some(current) = current else {
            return Ok(());
        };
        current.clean_len = None;
        let mut from = 0;
        if let Some(place) = &log.ring {
            let restored = ring.restore(&*log.fs, place, &log.path, current.opened);
            from = restored.map_err(step)?.unwrap_or(0);
        }
        let there = current.segment.file();
        self.len = there.len().map_err(step)?;
        let file = log.fs.open(&log.path, OpenMode::Write).map_err(step)?;
        let mut piece = vec![0; PIECE];
        while from < self.len {
            let n = there.read_full_at(&mut piece, from).map_err(step)?;
            let bytes = piece.get(..n).filter(|bytes| !bytes.is_empty());
            let Some(bytes) = bytes else { break };
            file.write_all_at(bytes, from).map_err(step)?;
            from += n as u64;
        }
        self.sync_whole()
    }

    fn vouch(&mut self, op: &'static str) -> Result<(), FsError> {
        let log = self.log;
        let Writer { current, ring, .. } = &mut *self.writer;
        if let (Some(place), Some(current)) = (&log.ring, current) {
            ring.vouch(&*log.fs, place, &log.path, current.opened)
                .map_err(|e| FsError::not_applied(op, "write what the ring has", &log.path, e))?;
        }
        Ok(())
    }

    /// Leaves nothing of the log's bytes in its [ring](crate::AppendLog::with_ring). What this handle appended has to be durable.
    ///
    /// # Errors
    ///
    /// Any I/O error: the ring may then still have them.
    pub fn clear_ring(&mut self) -> Result<(), FsError> {
        let Some(place) = &self.log.ring else {
            return Ok(());
        };
        let cleared = self.writer.ring.clear(&*self.log.fs, place);
        cleared.map_err(|e| FsError::unknown("clear", "write over the ring", &place.path, e))
    }

    /// Seals the log: makes its content durable and gives it another name, durably. The next append starts a new
    /// file. Nothing happens if `to` exists.
    ///
    /// # Errors
    ///
    /// `NotFound` if the log has no file; any I/O error.
    pub fn seal(&mut self, to: &Path) -> Result<Created, FsError> {
        const SEAL: &str = "seal";
        let log = self.log;
        if self.writer.current.is_none() {
            let file = log
                .fs
                .open(&log.path, OpenMode::AppendExisting)
                .map_err(|e| FsError::not_applied(SEAL, "open", &log.path, e))?;
            file.sync_all()
                .map_err(|e| FsError::unknown(SEAL, "sync", &log.path, e))?;
        } else {
            self.vouch(SEAL)?;
            let (log, current) = self.current()?;
            // A ticket of its own: lines of other processes must be durable too.
            let ticket = current.segment.note_written();
            log.sync_segment(&current.segment, ticket, SEAL)?;
        }
        let created = rename_new(&*log.fs, &log.path, to, Durability::Synced)?;
        if created.is_created() {
            self.writer.current = None;
            self.ticket = None;
            self.len = 0;
        }
        Ok(created)
    }
}
