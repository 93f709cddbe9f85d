//! Reads on from where it was, file after file.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use minutebook_core::series::ReportHandle;
use minutebook_core::{SeriesId, TimeRange};
use minutebook_fs::{
    FileId, FsError, FsFile, Item, LineOptions, LineReader, ReverseLines, complete_len,
};

use super::handles::Handle;
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
#[derive(Debug, Clone, Copy)]
struct Closed {
    /// Which file the plain file was; `None` for a sealed one.
    live: Option<FileId>,
    /// How long it was when all its lines were read; `None` if they were not.
    len: Option<u64>,
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
        Self {
            store: Arc::clone(store),
            id: id.clone(),
            judge: Judge::new(TimeRange::all(), query.strict, report),
            next: Next::From(query.from),
            current: None,
            handle: None,
            closed: None,
            lineage: String::new(),
            failed: None,
        }
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
        }) = self.closed
        else {
            return Ok(true);
        };
        Ok(look(&self.store, &self.id)? != Some((id, len)))
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
            current.at_end = false;
            while bytes < CHUNK_BYTES {
                let Some(item) = current.lines.next().map_err(JsonlError::Read)? else {
                    current.at_end = true;
                    break;
                };
                let end = item.end();
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
            if !found.is_empty() {
                return Ok(found);
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
            } else if is_still(&self.store, &self.id, id, current.lines.position())? {
                return Ok(found);
            } else {
                // Something may have been appended just before it went.
                current.leaving = true;
            }
        }
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
                let (number, offset) = self.back(&series, &files, entries)?;
                self.begin(&series, files, number, offset)
            }
            Next::From(FollowFrom::At(position)) => {
                let same = files.iter().find(|file| file.number() == position.segment);
                match same {
                    Some(file) => {
                        let opened = open_file(&self.store, &series, file)?;
                        let is_it = self.is_not_another(file, &*opened)?
                            && (position.offset == 0
                                || opened.len().map_err(JsonlError::Read)? >= position.offset
                                    && mark(&*opened)? == position.mark);
                        let (number, offset) = if is_it {
                            (position.segment, position.offset)
                        } else {
                            (0, 0)
                        };
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

    /// Whether the plain file is not another one than the plain file that was closed: that would have another number if it had been sealed.
    fn is_not_another(&self, file: &File, opened: &dyn FsFile) -> Result<bool, JsonlError> {
        let was = self.closed.and_then(|closed| closed.live);
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
        let options = LineOptions::default()
            .start(start)
            .max_line_bytes(self.store.config.max_line_bytes);
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
        self.current = Some(Current {
            lines: LineReader::new(Arc::clone(&opened), options),
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

    /// Where the last so many entries begin.
    fn back(
        &self,
        series: &Series,
        files: &[File],
        entries: usize,
    ) -> Result<(u64, u64), JsonlError> {
        let mut left = entries;
        let mut place = (
            files.last().map_or(0, File::number),
            match files.last() {
                Some(file) => {
                    let opened = open_file(&self.store, series, file)?;
                    complete_len(&*opened).map_err(JsonlError::Read)?
                }
                None => 0,
            },
        );
        for file in files.iter().rev() {
            if left == 0 {
                break;
            }
            let opened = open_file(&self.store, series, file)?;
            let options = LineOptions::default().max_line_bytes(self.store.config.max_line_bytes);
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

/// Whether the plain file is the one that was opened, and not cut behind what was read.
fn is_still(store: &Store, id: &SeriesId, file: FileId, read: u64) -> Result<bool, JsonlError> {
    let found = look(store, id)?;
    Ok(found.is_some_and(|(id, len)| id == file && len >= read))
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
