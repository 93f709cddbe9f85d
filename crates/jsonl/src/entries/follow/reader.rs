//! Reads on from where it was, file after file.

use std::collections::VecDeque;
use std::sync::Arc;

use minutebook_core::series::ReportHandle;
use minutebook_core::{Problem, ProblemKind, SeriesId, TimeRange};
use minutebook_fs::{FileId, FsFile, LineOptions, LineReader};

use super::files::{look, mark};
use super::handles::Handle;
use super::trail::{Common, Trail};
use super::{FollowFrom, FollowQuery, Position};
use crate::entries::Entry;
use crate::entries::judge::{Judge, Place};
use crate::error::JsonlError;
use crate::store::Store;

/// How many bytes of entries are handed over at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// So many bytes before the place where it goes on are read once more, to notice that they were taken back.
pub(in crate::entries) const CHECK_BYTES: usize = 1 << 10;
/// Of more lines than this it is asked whether they can still be taken back.
const MANY_LINES: usize = 1 << 12;

/// Who follows a series.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) store: Arc<Store>,
    pub(super) id: SeriesId,
    pub(super) judge: Judge,
    pub(super) next: Next,
    pub(super) current: Option<Current>,
    /// With it, the file is kept open between two looks.
    pub(super) handle: Option<Handle>,
    /// What was known of a file that was closed meanwhile. Where to go on in it is in `next`.
    pub(super) closed: Option<Closed>,
    /// What was read of the plain file and may still be taken back.
    pub(super) trail: Trail,
    /// The id of the series, once it has sealed segments.
    pub(super) lineage: String,
    /// An error that is told once the entries before it were handed over.
    pub(super) failed: Option<JsonlError>,
}

/// Where to go on if no file is open.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// Where the caller wants to begin.
    From(FollowFrom),
    /// With the last so many entries before a place: where the series ended when it was asked for.
    Before(usize, Position),
    /// Behind this segment.
    Behind(u64),
    /// At the first entry of whatever is there.
    First,
}

/// The file that is read.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) lines: LineReader,
    pub(super) file: Arc<dyn FsFile>,
    pub(super) number: u64,
    pub(super) mark: u32,
    pub(super) place: Place,
    /// Whether it was read to its end at the last look.
    pub(super) at_end: bool,
    /// Which file the plain file was when it was opened; `None` for a sealed one, to which nothing is added.
    pub(super) live: Option<FileId>,
    /// It has another name by now, or none: what is left of it is read, then the next one.
    pub(super) leaving: bool,
}

/// A file that is closed until there is more to read.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    /// Which file the plain file was; `None` for a sealed one.
    pub(super) live: Option<FileId>,
    /// How long it was when all its lines were read; `None` if they were not.
    pub(super) len: Option<u64>,
    /// What stands before the place to go on at.
    pub(super) behind: Vec<u8>,
}

impl Follower {
    pub(super) fn new(
        store: &Arc<Store>,
        id: &SeriesId,
        query: &FollowQuery,
        report: ReportHandle,
    ) -> Self {
        let mut follower = Self {
            store: Arc::clone(store),
            id: id.clone(),
            judge: Judge::new(TimeRange::all(), query.strict, report),
            next: Next::From(query.from),
            current: None,
            handle: None,
            closed: None,
            trail: Trail::default(),
            lineage: String::new(),
            failed: None,
        };
        // What is appended from now on comes.
        follower.failed = follower.begin_here(query.from).err();
        follower
    }

    /// Notes where the series ends, if that is where to begin.
    fn begin_here(&mut self, from: FollowFrom) -> Result<(), JsonlError> {
        let entries = match from {
            FollowFrom::End => 0,
            FollowFrom::Last(entries) => entries,
            _ => return Ok(()),
        };
        self.next = Next::From(FollowFrom::End);
        self.open()?;
        // Who is never asked for an entry keeps no file open.
        self.close()?;
        if let (Next::From(FollowFrom::At(end)), true) = (self.next, entries > 0) {
            self.next = Next::Before(entries, end);
        } else if let (Next::Behind(segment), true) = (self.next, entries > 0) {
            let offset = u64::MAX;
            let mark = 0;
            self.next = Next::Before(
                entries,
                Position {
                    segment,
                    offset,
                    mark,
                },
            );
        }
        Ok(())
    }

    /// The entries that came since the last call; none if there are none yet.
    pub(super) fn more(&mut self) -> Result<VecDeque<(Entry, Position)>, JsonlError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.current.is_none() && !self.has_changed()? {
            return Ok(VecDeque::new());
        }
        let found = self.read()?;
        if self.current.is_none() {
            self.handle = None;
        } else if self.handle.is_none() {
            self.handle = self.store.follows.take();
            // An error is told once these entries were handed over.
            if self.handle.is_none() {
                self.failed = self.failed.take().or(self.close().err());
            }
        }
        Ok(found)
    }

    /// Whether there may be more in a file that was closed.
    fn has_changed(&self) -> Result<bool, JsonlError> {
        let Some(Closed {
            live: Some(id),
            len: Some(len),
            ..
        }) = &self.closed
        else {
            return Ok(true);
        };
        Ok(look(&self.store, &self.id)? != Some((*id, *len)))
    }

    /// Closes the file, and keeps where to go on.
    fn close(&mut self) -> Result<(), JsonlError> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        let offset = current.lines.position();
        if current.mark == 0 && offset > 0 {
            current.mark = mark(&*current.file)?;
        }
        let position = Position {
            segment: current.number,
            offset,
            mark: current.mark,
        };
        self.next = Next::From(FollowFrom::At(position));
        let tail = current.lines.torn_tail();
        self.closed = Some(Closed {
            live: current.live,
            len: current
                .at_end
                .then(|| tail.map_or(offset, |tail| tail.offset + tail.len)),
            behind: current.lines.behind().to_vec(),
        });
        Ok(())
    }

    fn read(&mut self) -> Result<VecDeque<(Entry, Position)>, JsonlError> {
        let mut found = VecDeque::new();
        loop {
            if self.current.is_none() && !self.open()? {
                return Ok(found);
            }
            let Some(current) = &mut self.current else {
                return Ok(found);
            };
            let mut bytes = 0;
            let mut failed = None;
            current.at_end = false;
            while bytes < CHUNK_BYTES {
                let item = match current.lines.next() {
                    Ok(Some(item)) => item,
                    Ok(None) => {
                        current.at_end = true;
                        break;
                    }
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                };
                let end = item.end();
                if current.live.is_some() {
                    self.trail.add(&item);
                }
                let judged = match self.judge.item(item, None, &current.place) {
                    Err(error) if !found.is_empty() => {
                        self.failed = Some(error);
                        return Ok(found);
                    }
                    judged => judged?,
                };
                if let Some(entry) = judged {
                    if current.mark == 0 {
                        current.mark = mark(&*current.file)?;
                    }
                    bytes += entry.text().len() + size_of::<Entry>();
                    let position = Position {
                        segment: current.number,
                        offset: end,
                        mark: current.mark,
                    };
                    found.push_back((entry, position));
                }
            }
            if let Some(error) = failed.filter(|_| !current.lines.is_taken_back()) {
                let error = JsonlError::Read(error);
                if found.is_empty() {
                    return Err(error);
                }
                self.failed = Some(error);
            }
            if !found.is_empty() {
                return Ok(found);
            }
            if current.lines.is_taken_back() {
                self.go_back()?;
                continue;
            }
            let Some(id) = current.live else {
                // Sealed, and read to its end.
                self.next = Next::Behind(current.number);
                self.current = None;
                continue;
            };
            if current.leaving {
                self.next = Next::Behind(current.number);
                self.current = None;
                continue;
            }
            let read = current.lines.position();
            let found_now = look(&self.store, &self.id)?;
            let Some((_, len)) = found_now.filter(|(now, _)| *now == id) else {
                // Something may have been appended just before it went.
                current.leaving = true;
                continue;
            };
            if len >= read {
                self.settle()?;
                return Ok(found);
            }
            self.go_back()?;
        }
    }

    /// What was read of the open file is not there any more: goes on behind the last line that is.
    fn go_back(&mut self) -> Result<(), JsonlError> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        let options = self.options(CHECK_BYTES);
        match self.still_there(&current.file, current.lines.position(), &current.place)? {
            Some(end) => {
                current.lines = LineReader::new(Arc::clone(&current.file), options.start(end));
                self.current = Some(current);
            }
            None => self.next = Next::First,
        }
        Ok(())
    }

    /// The offset after the last line that was read up to `read` and is still in the file. `None` if the file is another one by now.
    pub(super) fn still_there(
        &mut self,
        file: &Arc<dyn FsFile>,
        read: u64,
        place: &Place,
    ) -> Result<Option<u64>, JsonlError> {
        let options = self.options(0);
        let common = self.trail.common(file, read, options);
        let Some(Common { end, gone }) = common.map_err(JsonlError::Read)? else {
            tracing::warn!(series = %self.id, "what was followed is not there any more; the series is read from its start");
            self.trail.settle();
            return Ok(None);
        };
        if gone > 0 {
            let message = format!(
                "{gone} lines that were read were taken back by their writer: their call has failed"
            );
            tracing::warn!(series = %self.id, offset = end, "{message}");
            let problem = Problem::new(ProblemKind::TornTail, &*place.resource, message);
            if let Some(report) = &self.judge.report {
                report.add(problem.at_byte(end));
            }
        }
        Ok(Some(end))
    }

    /// Forgets lines that cannot be taken back any more: while nobody writes, no call is at work that may yet fail.
    fn settle(&mut self) -> Result<(), JsonlError> {
        let Some(current) = &self.current else {
            return Ok(());
        };
        if self.trail.lines() < MANY_LINES {
            return Ok(());
        }
        let series = self.store.series(&self.id)?;
        let behind = current.lines.behind();
        let from = current.lines.position() - behind.len() as u64;
        let mut now = vec![0; behind.len()];
        let read = || current.file.read_full_at(&mut now, from);
        let Some(read) = self.store.while_none_writes(&series, read) else {
            return Ok(());
        };
        if read.map_err(JsonlError::Read)? == behind.len() && now == behind {
            self.trail.settle();
        }
        Ok(())
    }

    pub(super) fn options(&self, check_bytes: usize) -> LineOptions {
        LineOptions::default()
            .max_line_bytes(self.store.config.max_line_bytes)
            .check_bytes(check_bytes)
    }
}
