//! The documents' files: written and removed as the journal says, on several threads if there are many.

use std::sync::atomic::{AtomicUsize, Ordering};

use minutebook_fs::task::parallelism;
use minutebook_fs::{Created, Durability, FsError, create_seen, replace_seen};

use super::Store;
use super::index::Stamp;
use super::plan::{Item, Write};

/// After so many files what the system tells of them is taken from its queue, which has room for some thousands.
const DRAIN_EVERY: usize = 256;
/// So many files are worth a thread that writes them.
const WORTH_A_THREAD: usize = 12;
/// So many files a thread takes at once.
const AT_ONCE: usize = 8;

impl Store {
    /// Writes the files of decisions, each of its own id, on several threads if there are many.
    pub(super) fn write_items(&self, items: &[Item]) -> Vec<Result<Option<Stamp>, Failed>> {
        let threads = parallelism().min(items.len() / WORTH_A_THREAD).max(1);
        let next = AtomicUsize::new(0);
        let work = || {
            let mut written = Vec::with_capacity(items.len() / threads + AT_ONCE);
            loop {
                let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
                let part = items.iter().enumerate().skip(from).take(AT_ONCE);
                if part.len() == 0 {
                    return written;
                }
                written.extend(part.map(|(i, item)| (i, self.write_item(item))));
                if from.is_multiple_of(DRAIN_EVERY) {
                    self.watching.drain();
                }
            }
        };
        let mut outcomes: Vec<_> = items.iter().map(|_| None).collect();
        let mut take = |written: Vec<(usize, _)>| {
            for (i, outcome) in written {
                if let Some(slot) = outcomes.get_mut(i) {
                    *slot = Some(outcome);
                }
            }
        };
        std::thread::scope(|scope| {
            // Where the system gives no thread, there is this one.
            let start = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..threads).filter_map(start).collect();
            take(work());
            for other in others {
                match other.join() {
                    Ok(written) => take(written),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        let lost = || {
            let source = std::io::Error::other("a thread that wrote files gave no result");
            let error = FsError::unknown("save", "write the file", &self.dir, source);
            Err(Failed {
                error,
                undone: false,
            })
        };
        let known = |outcome: Option<_>| outcome.unwrap_or_else(lost);
        outcomes.into_iter().map(known).collect()
    }

    /// Writes the document's file.
    fn write_document(&self, write: &Write) -> Result<Option<Stamp>, FsError> {
        let (path, bytes) = (self.path(&write.name), write.text.as_bytes());
        if write.new {
            match create_seen(&*self.fs, &path, bytes, Durability::Buffered) {
                Ok((Created::Created, seen)) => return Ok(seen.as_ref().map(Stamp::from)),
                // Another program was faster by a moment, as it may be before any rename; ours is the later one.
                Ok((Created::AlreadyExists, _)) => {}
                // A file system that has no way to make a file that is there whole or not at all.
                Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
                Err(error) => return Err(error),
            }
        }
        let seen = replace_seen(&*self.fs, &path, bytes, Durability::Buffered)?;
        Ok(seen.as_ref().map(Stamp::from))
    }

    /// Writes the files of one decision, and says how the document's looks now.
    fn write_item(&self, item: &Item) -> Result<Option<Stamp>, Failed> {
        let mut stamp = None;
        if let Some(write) = &item.write {
            stamp = self.write_document(write).map_err(|error| {
                let undone = error.nothing_applied();
                Failed { error, undone }
            })?;
        }
        for name in &item.remove {
            minutebook_fs::remove(&*self.fs, &self.path(name), Durability::Buffered).map_err(
                |error| {
                    // A save stands, with the old file beside it; of a delete the rest stays.
                    let undone = error.nothing_applied() && item.write.is_none();
                    Failed { error, undone }
                },
            )?;
        }
        Ok(stamp)
    }
}

/// A change of files that failed, and whether nothing of it was done.
pub(super) struct Failed {
    pub(super) error: FsError,
    pub(super) undone: bool,
}
