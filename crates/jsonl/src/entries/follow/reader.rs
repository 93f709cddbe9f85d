//! Reads on from where it was, file after file.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use minutebook_core::series::ReportHandle;
use minutebook_core::{SeriesId, TimeRange};
use minutebook_fs::{
    FileId, FsError, FsFile, Item, LineOptions, LineReader, ReverseLines, complete_len,
};

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
    /// Which file the plain file was when it was opened; `None` for a sealed one, to which nothing is added.
    live: Option<FileId>,
    /// It has another name by now, or none: what is left of it is read, then the next one.
    leaving: bool,
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
            lineage: String::new(),
            failed: None,
        }
    }

    /// The entries that came since the last call; none if there are none yet.
    pub(super) fn more(&mut self) -> Result<VecDeque<(Entry, Position)>, JsonlError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut found = VecDeque::new();
        loop {
            if self.current.is_none() && !self.open()? {
                return Ok(found);
            }
            let Some(current) = &mut self.current else {
                return Ok(found);
            };
            let mut bytes = 0;
            while bytes < CHUNK_BYTES
                && let Some(item) = current.lines.next().map_err(JsonlError::Read)?
            {
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
            // Whatever comes is new.
            self.next = match self.next {
                Next::From(FollowFrom::At(_)) => self.next,
                _ => Next::First,
            };
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
        match self.next {
            Next::First | Next::From(FollowFrom::Start) => self.begin(&series, files, 0, 0),
            Next::Behind(number) => {
                let sealed = view.manifest.as_ref().map_or(1, |manifest| manifest.next)
                    + u64::from(view.raw.is_some())
                    > number;
                if last > number || sealed {
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
                        let is_it = position.offset == 0
                            || (opened.len().map_err(JsonlError::Read)? >= position.offset
                                && mark(&*opened)? == position.mark);
                        let (number, offset) = if is_it {
                            (position.segment, position.offset)
                        } else {
                            (0, 0)
                        };
                        self.begin(&series, files, number, offset)
                    }
                    // Moved away by compaction: on with what is left.
                    None if position.segment < last => {
                        self.begin(&series, files, position.segment + 1, 0)
                    }
                    None => self.begin(&series, files, 0, 0),
                }
            }
        }
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
            live,
            leaving: false,
        });
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
    let series = store.series(id)?;
    match store.config.fs.identify(&series.data) {
        Ok(found) => Ok(found.id == file && found.len >= read),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
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
