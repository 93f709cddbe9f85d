//! Reads on from where it was, file after file.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use minutebook_core::series::ReportHandle;
use minutebook_core::{Problem, ProblemKind, SeriesId, TimeRange};
use minutebook_fs::{
    FileId, FsError, FsFile, Item, LineOptions, LineReader, ReverseLines, complete_len,
};

use super::handles::Handle;
use super::trail::{Common, Trail};
use super::{FollowFrom, FollowQuery, Position};
use crate::entries::Entry;
use crate::entries::judge::{Judge, Place};
use crate::error::JsonlError;
use crate::segments::{SealedFile, View};
use crate::store::{Series, Store};

/// How many bytes of entries are handed over at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// So many bytes of its first line tell a file from another one.
const MARK_BYTES: usize = 256;
/// So many bytes before the place where it goes on are read once more, to notice that they were taken back.
pub(in crate::entries) const CHECK_BYTES: usize = 1 << 10;
/// Of more lines than this it is asked whether they can still be taken back.
const MANY_LINES: usize = 1 << 12;

/// Who follows a series.
#[derive(Debug)]
pub(super) struct Follower {
    store: Arc<Store>,
    id: SeriesId,
    judge: Judge,
    next: Next,
    current: Option<Current>,
    /// With it, the file is kept open between two looks.
    handle: Option<Handle>,
    /// What was known of a file that was closed meanwhile. Where to go on in it is in `next`.
    closed: Option<Closed>,
    /// What was read of the plain file and may still be taken back.
    trail: Trail,
    /// The id of the series, once it has sealed segments.
    lineage: String,
    /// An error that is told once the entries before it were handed over.
    failed: Option<JsonlError>,
}

/// Where to go on if no file is open.
#[derive(Debug, Clone, Copy)]
enum Next {
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
struct Current {
    lines: LineReader,
    file: Arc<dyn FsFile>,
    number: u64,
    mark: u32,
    place: Place,
    /// Whether it was read to its end at the last look.
    at_end: bool,
    /// Which file the plain file was when it was opened; `None` for a sealed one, to which nothing is added.
    live: Option<FileId>,
    /// It has another name by now, or none: what is left of it is read, then the next one.
    leaving: bool,
}

/// A file that is closed until there is more to read.
#[derive(Debug, Clone)]
struct Closed {
    /// Which file the plain file was; `None` for a sealed one.
    live: Option<FileId>,
    /// How long it was when all its lines were read; `None` if they were not.
    len: Option<u64>,
    /// What stands before the place to go on at.
    behind: Vec<u8>,
}

/// One file of the series, not opened yet if it is sealed.
enum File {
    Sealed(u64),
    Open(u64, Arc<dyn FsFile>, bool),
}

impl File {
    fn number(&self) -> u64 {
        match self {
            Self::Sealed(number) | Self::Open(number, ..) => *number,
        }
    }
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
    fn still_there(
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

    fn options(&self, check_bytes: usize) -> LineOptions {
        LineOptions::default()
            .max_line_bytes(self.store.config.max_line_bytes)
            .check_bytes(check_bytes)
    }

    /// Opens the file to go on with, where to go on; `false` if it is not there yet.
    fn open(&mut self) -> Result<bool, JsonlError> {
        const ATTEMPTS: usize = 16;
        for _ in 1..ATTEMPTS {
            match self.open_once() {
                Err(JsonlError::Moved) => {}
                done => return done,
            }
        }
        self.open_once()
    }

    fn open_once(&mut self) -> Result<bool, JsonlError> {
        let Some((series, view)) = self.store.find(&self.id)? else {
            // Whatever comes is new, unless it is not known yet what there was.
            self.next = match self.next {
                Next::From(FollowFrom::At(_)) if self.closed.is_none() => self.next,
                _ => Next::First,
            };
            self.closed = None;
            return Ok(false);
        };
        {
            let mut state = series.state();
            state.refresh_types(&self.store, &series)?;
            self.judge.set_unit(state.unit(&self.store));
        }
        let lineage = view.manifest.as_ref().map_or("", |manifest| &manifest.id);
        let goes_on = view
            .manifest
            .as_ref()
            .is_some_and(|manifest| manifest.is_of(&self.lineage));
        if !self.lineage.is_empty() && !goes_on {
            tracing::warn!(series = %self.id, "the series that is followed was deleted; what there is now is read from its start");
            self.next = Next::First;
        }
        if !lineage.is_empty() {
            lineage.clone_into(&mut self.lineage);
        }
        let files = files(&view);
        let last = files.last().map_or(0, File::number);
        // Up to before this one.
        let sealed = view.manifest.as_ref().map_or(1, |manifest| manifest.next)
            + u64::from(view.raw.is_some());
        match self.next {
            Next::First | Next::From(FollowFrom::Start) => self.begin(&series, files, 0, 0),
            Next::Behind(number) => {
                if last > number || sealed > number {
                    self.begin(&series, files, number + 1, 0)
                } else {
                    // The plain file went, and not to be sealed.
                    self.begin(&series, files, 0, 0)
                }
            }
            Next::From(FollowFrom::End) => {
                let Some(File::Open(_, file, true)) = files.last() else {
                    self.next = Next::Behind(last);
                    return Ok(false);
                };
                let end = complete_len(&**file).map_err(JsonlError::Read)?;
                self.begin(&series, files, last, end)
            }
            Next::From(FollowFrom::Last(entries)) => {
                let (number, offset) = self.back(&series, &files, entries, None)?;
                self.begin(&series, files, number, offset)
            }
            Next::Before(entries, end) => {
                let same = files.iter().find(|file| file.number() == end.segment);
                let end = match same {
                    Some(file) if end.offset < u64::MAX => {
                        // Of a call that has failed since, nothing counts.
                        let (segment, offset) = self.where_in(&series, file, end)?;
                        (segment > 0).then_some(Position {
                            segment,
                            offset,
                            ..end
                        })
                    }
                    Some(_) => Some(end),
                    None => (end.segment < last).then_some(end),
                };
                let (number, offset) = match end {
                    Some(end) => self.back(&series, &files, entries, Some(end))?,
                    None => (0, 0),
                };
                self.begin(&series, files, number, offset)
            }
            Next::From(FollowFrom::At(position)) => {
                let same = files.iter().find(|file| file.number() == position.segment);
                match same {
                    Some(file) => {
                        let (number, offset) = self.where_in(&series, file, position)?;
                        self.begin(&series, files, number, offset)
                    }
                    // Moved away by compaction: on with what is left.
                    None if position.segment < last
                        || self.closed.is_some() && position.segment < sealed =>
                    {
                        self.begin(&series, files, position.segment + 1, 0)
                    }
                    None => self.begin(&series, files, 0, 0),
                }
            }
        }
    }

    /// Where to go on in the file of a position: there, if the file is still the one that had it.
    fn where_in(
        &mut self,
        series: &Series,
        file: &File,
        position: Position,
    ) -> Result<(u64, u64), JsonlError> {
        let opened = open_file(&self.store, series, file)?;
        if !self.is_not_another(file, &*opened)? {
            return Ok((0, 0));
        }
        let there = (position.segment, position.offset);
        // By one byte it is told at least whether a line ends there.
        let behind = match &self.closed {
            Some(closed) => &closed.behind[..],
            None if position.offset > 0 => b"\n",
            None => b"",
        };
        let mut now = vec![0; behind.len()];
        let read = opened
            .read_full_at(&mut now, position.offset - behind.len() as u64)
            .map_err(JsonlError::Read)?;
        let same = read == behind.len() && now == behind;
        let long = opened.len().map_err(JsonlError::Read)? >= position.offset;
        if same && (position.offset == 0 || long && mark(&*opened)? == position.mark) {
            return Ok(there);
        }
        if self.closed.is_none() {
            return Ok((0, 0));
        }
        self.closed = None;
        let place = Place::new(&series.resource(), None);
        let end = self.still_there(&opened, position.offset, &place)?;
        Ok(end.map_or((0, 0), |end| (position.segment, end)))
    }

    /// Whether the plain file is not another one than the plain file that was closed: that would have another number if it had been sealed.
    fn is_not_another(&self, file: &File, opened: &dyn FsFile) -> Result<bool, JsonlError> {
        let was = self.closed.as_ref().and_then(|closed| closed.live);
        let (Some(was), File::Open(_, _, true)) = (was, file) else {
            return Ok(true);
        };
        Ok(opened.metadata().map_err(JsonlError::Read)?.id == was)
    }

    /// Goes on with the first file that has at least this number; at an offset, if it is this very file.
    fn begin(
        &mut self,
        series: &Series,
        files: Vec<File>,
        number: u64,
        offset: u64,
    ) -> Result<bool, JsonlError> {
        let Some(file) = files.into_iter().find(|file| file.number() >= number) else {
            // The next plain file is not there yet.
            self.closed = None;
            self.next = match number {
                0 => Next::First,
                number => Next::Behind(number - 1),
            };
            return Ok(false);
        };
        let is_live = matches!(file, File::Open(_, _, true));
        let opened = open_file(&self.store, series, &file)?;
        let start = if file.number() == number { offset } else { 0 };
        // A sealed file stays as it is.
        let check = if is_live { CHECK_BYTES } else { 0 };
        let options = self.options(check).start(start);
        let live = if is_live {
            Some(opened.metadata().map_err(JsonlError::Read)?.id)
        } else {
            None
        };
        let resource = if is_live {
            series.resource()
        } else {
            series.sealed.sealed(file.number()).display().to_string()
        };
        let closed = self.closed.take();
        let behind = if !is_live {
            Vec::new()
        } else if start > 0 && self.trail.ends_at(start) {
            closed.map(|it| it.behind).unwrap_or_default()
        } else {
            self.lead_up_to(series, &opened, start)?
        };
        let lines = LineReader::new(Arc::clone(&opened), options);
        self.current = Some(Current {
            lines: lines.after(&behind),
            file: opened,
            number: file.number(),
            mark: 0,
            place: Place::new(&resource, (!is_live).then_some(file.number())),
            at_end: false,
            live,
            leaving: false,
        });
        self.closed = None;
        Ok(true)
    }

    /// The bytes before the place where a file is begun to be read. Somebody may be at work with a call to which that place belongs, so the lines before it are noted.
    fn lead_up_to(
        &mut self,
        series: &Series,
        file: &Arc<dyn FsFile>,
        start: u64,
    ) -> Result<Vec<u8>, JsonlError> {
        /// So much before it.
        const LEAD_BYTES: u64 = 8 << 20;
        self.trail.begin(start);
        let len = usize::try_from(start).map_or(CHECK_BYTES, |start| start.min(CHECK_BYTES));
        let mut behind = vec![0; len];
        let mut look = || file.read_full_at(&mut behind, start - len as u64);
        let (read, settled) = match self.store.while_none_writes(series, &mut look) {
            Some(read) => (read, true),
            None => (look(), false),
        };
        let read = read.map_err(JsonlError::Read)?;
        behind.truncate(read);
        if read < len || start == 0 || settled {
            return Ok(if read < len { Vec::new() } else { behind });
        }
        let from = start.saturating_sub(LEAD_BYTES);
        let options = self.options(0).start(from).end(start);
        let mut lines = LineReader::new(Arc::clone(file), options);
        let mut is_whole = from == 0;
        while let Some(item) = lines.next().map_err(JsonlError::Read)? {
            // The first is a part of a line, or cannot be told from one.
            if std::mem::replace(&mut is_whole, true) {
                self.trail.add(&item);
            }
        }
        Ok(behind)
    }

    /// Where the last so many entries begin.
    fn back(
        &self,
        series: &Series,
        files: &[File],
        entries: usize,
        end: Option<Position>,
    ) -> Result<(u64, u64), JsonlError> {
        let mut left = entries;
        let last = files.last().map_or(0, File::number);
        let mut place = match (end, files.last()) {
            (Some(end), _) => (end.segment, end.offset),
            (None, Some(file)) => {
                let opened = open_file(&self.store, series, file)?;
                (last, complete_len(&*opened).map_err(JsonlError::Read)?)
            }
            (None, None) => (last, 0),
        };
        let upto = place.0;
        for file in files.iter().rev().filter(|file| file.number() <= upto) {
            if left == 0 {
                break;
            }
            let opened = open_file(&self.store, series, file)?;
            let mut options = self.options(0);
            if let Some(end) = end.filter(|end| end.segment == file.number()) {
                options = options.end(end.offset);
            }
            let mut lines = ReverseLines::new(opened, options).map_err(JsonlError::Read)?;
            while left > 0
                && let Some(item) = lines.next().map_err(JsonlError::Read)?
            {
                place = (file.number(), item.offset());
                // As the reading forwards will see it, without telling of it twice.
                if let Item::Line(line) = item
                    && self.judge.is_entry(line.bytes)
                {
                    left -= 1;
                }
            }
        }
        Ok(place)
    }
}

/// The files of a series in order.
fn files(view: &View) -> Vec<File> {
    let mut files = Vec::new();
    let mut next = 1;
    if let Some(manifest) = &view.manifest {
        files.extend(
            manifest
                .segments
                .iter()
                .map(|entry| File::Sealed(entry.number)),
        );
        next = manifest.next;
        if let Some(raw) = &view.raw {
            files.push(File::Open(next, Arc::clone(raw), false));
            next += 1;
        }
    }
    if let Some(live) = &view.live {
        files.push(File::Open(next, Arc::clone(live), true));
    }
    files
}

fn open_file(store: &Store, series: &Series, file: &File) -> Result<Arc<dyn FsFile>, JsonlError> {
    match file {
        File::Open(_, file, _) => Ok(Arc::clone(file)),
        File::Sealed(number) => {
            let path = series.sealed.sealed(*number);
            let file = SealedFile::open(&*store.config.fs, &path)?.ok_or(JsonlError::Moved)?;
            file.is_not_another(*number)?;
            Ok(Arc::new(file))
        }
    }
}

/// Which file the plain file is, and how long; `None` if there is none.
fn look(store: &Store, id: &SeriesId) -> Result<Option<(FileId, u64)>, JsonlError> {
    let series = store.series(id)?;
    match store.config.fs.identify(&series.data) {
        Ok(found) => Ok(Some((found.id, found.len))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(FsError::not_applied("read", "look at the file", &series.data, error).into())
        }
    }
}

/// A checksum of the begin of a file's first line. Lines never change, so neither does it.
fn mark(file: &dyn FsFile) -> Result<u32, JsonlError> {
    let mut bytes = vec![0; MARK_BYTES];
    let read = file.read_full_at(&mut bytes, 0).map_err(JsonlError::Read)?;
    let bytes = bytes.get(..read).unwrap_or_default();
    let line = memchr::memchr(b'\n', bytes).map_or(bytes, |end| bytes.get(..end).unwrap_or(bytes));
    // 0 is kept for "not known yet".
    Ok(crc32fast::hash(line).max(1))
}
