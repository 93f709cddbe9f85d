//! Reading entries: forwards, backwards, or by the blocks that a range touches.

use std::collections::VecDeque;
use std::sync::Arc;

use minutebook_core::series::ReportHandle;
use minutebook_core::{Problem, ProblemKind, ReadReport, Result, SeriesId, Take};
use minutebook_fs::task::blocking;
use minutebook_fs::{FsFile, LineOptions, LineReader, ReverseLines, complete_len};

use super::follow::CHECK_BYTES;
use super::judge::{Judge, Place};
use super::query::EntryQuery;
use super::stream::{Entry, EntryStream};
use crate::error::JsonlError;
use crate::segments::{self, Opened, View};
use crate::store::{Series, Store};
use crate::time_series::{
    Placed, Source, SourceFile, again_if_moved, damage, rows_in, taken, wanted,
};

/// How many bytes of entries are handed over at a time.
const CHUNK_BYTES: usize = 1 << 20;

pub(super) async fn entries(
    store: &Arc<Store>,
    series: &SeriesId,
    query: &EntryQuery,
) -> Result<EntryStream> {
    let report = ReportHandle::default();
    let (store, id, query, handle) = (Arc::clone(store), series.clone(), *query, report.clone());
    blocking(move || start(&store, &id, query, &handle))
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map(|reader| EntryStream::new(series.clone(), report, reader))
        .map_err(|error| error.of_series("entries", series))
}

/// A read that is going on.
#[derive(Debug)]
pub(super) struct Reader {
    from: From,
    judge: Judge,
    skip: u64,
    left: usize,
}

#[derive(Debug)]
enum From {
    /// All lines, forwards, file after file.
    Lines(Arc<Store>, Arc<Series>, VecDeque<Turn>),
    /// The blocks that a range touches.
    Blocks(Vec<Arc<Source>>, VecDeque<Placed>),
    /// Entries that were read backwards.
    Found(VecDeque<Entry>),
}

/// A file whose turn comes, or has come.
#[derive(Debug)]
enum Turn {
    /// A compressed segment, which is opened then.
    Sealed(SourceFile, Place),
    Open(Lines),
}

/// The lines of one file, forwards.
#[derive(Debug)]
struct Lines {
    reader: Box<LineReader>,
    /// How many were read.
    count: u64,
    place: Place,
}

fn start(
    store: &Arc<Store>,
    id: &SeriesId,
    query: EntryQuery,
    report: &ReportHandle,
) -> Result<Reader, JsonlError> {
    let found = ReportHandle::default();
    let reader = again_if_moved(|| {
        let (series, view) = store.find(id)?.ok_or(JsonlError::NoSeries)?;
        // What an attempt told that was given up is told again.
        let told = ReportHandle::default();
        let mut reader = start_on(store, &series, &view, query, &told)?;
        found.merge(told.snapshot());
        reader.judge.report = reader.judge.report.map(|_| report.clone());
        Ok(reader)
    })?;
    report.merge(found.snapshot());
    Ok(reader)
}

/// Starts reading the files that a view names.
fn start_on(
    store: &Arc<Store>,
    series: &Arc<Series>,
    view: &View,
    query: EntryQuery,
    report: &ReportHandle,
) -> Result<Reader, JsonlError> {
    let mut judge = Judge::new(query.range, query.strict, report.clone());
    let left = match query.take {
        Take::First(entries) | Take::Last(entries) => entries,
        _ => usize::MAX,
    };
    let mut skip = 0;
    if let Some(problem) = &view.problem {
        judge.tell(problem.clone())?;
    }
    let from = if judge.bounded {
        let (sources, blocks) = blocks(store, series, view, query, &mut judge, report)?;
        let (blocks, surplus) = taken(blocks, query.take, judge.range, |placed| {
            rows_in(&sources, judge.unit, judge.range, placed)
        })?;
        skip = surplus;
        From::Blocks(sources, blocks.into())
    } else {
        lines(store, series, view, query, &mut judge)?
    };
    Ok(Reader {
        from,
        judge,
        skip,
        left,
    })
}

/// The blocks with entries in the range; what is damaged anywhere is told of now.
fn blocks(
    store: &Store,
    series: &Series,
    view: &View,
    query: EntryQuery,
    judge: &mut Judge,
    report: &ReportHandle,
) -> Result<(Vec<Arc<Source>>, Vec<Placed>), JsonlError> {
    let looked = segments::look(store, series, view, None)?;
    let sections = looked.sections;
    judge.unit = looked.unit;
    let mut damaged = ReadReport::default();
    if let Some(problem) = looked.types.problem {
        damaged.add(problem);
    }
    damaged.merge(damage(store, series, &sections)?);
    if query.strict
        && let Some(first) = damaged.problems().first()
    {
        return Err(JsonlError::Damaged(Box::new(first.clone())));
    }
    report.merge(damaged);
    judge.report = None;
    if query.range.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    wanted(store, series, &sections, judge.range, query.take)
}

/// All entries, or the last ones: no index is needed.
fn lines(
    store: &Arc<Store>,
    series: &Arc<Series>,
    view: &View,
    query: EntryQuery,
    judge: &mut Judge,
) -> Result<From, JsonlError> {
    let mut state = series.state();
    state.refresh_types(store, series)?;
    judge.unit = state.unit(store);
    let problem = state.types.problem.clone();
    drop(state);
    if let Some(problem) = problem {
        judge.tell(problem)?;
    }
    let Take::Last(wanted) = query.take else {
        let turns = files(store, series, view)?.into_iter();
        let turns = turns.map(|(file, place)| match file {
            SourceFile::Sealed(..) => Ok(Turn::Sealed(file, place)),
            // Where it ends is said now: what is appended from now on is not read.
            SourceFile::Open(file) => Ok(Turn::Open(Lines::of(store, series, file, place, judge)?)),
        });
        let turns = turns.collect::<Result<_, JsonlError>>()?;
        return Ok(From::Lines(Arc::clone(store), Arc::clone(series), turns));
    };
    let mut found = VecDeque::new();
    for (file, place) in files(store, series, view)?.into_iter().rev() {
        if found.len() >= wanted {
            break;
        }
        let file = file.opened()?;
        let options = options(store, series, &file, &place, judge)?;
        let mut lines = ReverseLines::new(file, options).map_err(JsonlError::Read)?;
        while found.len() < wanted
            && let Some(item) = lines.next().map_err(JsonlError::Read)?
        {
            // Which line it is from the start is not known when reading from the end.
            if let Some(entry) = judge.item(item, None, &place)? {
                found.push_front(entry);
            }
        }
    }
    Ok(From::Found(found))
}

/// A file, and where its lines are said to be.
type PlacedFile = (SourceFile, Place);

/// The files of a series in the order of their lines. No index is needed.
fn files(store: &Store, series: &Series, view: &View) -> Result<Vec<PlacedFile>, JsonlError> {
    let mut all = Vec::new();
    if let Some(manifest) = &view.manifest {
        let sealed = manifest.segments.iter();
        let sealed: Vec<_> = sealed.map(|entry| (&*entry.id, entry.number)).collect();
        let opened = Opened::new(store, series, &sealed)?;
        for (_, number) in sealed {
            let path = series.sealed.sealed(number);
            let place = Place {
                resource: path.display().to_string().into(),
                segment: Some(number),
            };
            all.push((SourceFile::Sealed(Arc::clone(&opened), number), place));
        }
        if let Some(file) = &view.raw {
            let path = series.sealed.raw(manifest.next);
            let place = Place {
                resource: path.display().to_string().into(),
                segment: Some(manifest.next),
            };
            all.push((SourceFile::Open(Arc::clone(file)), place));
        }
    }
    if let Some(file) = &view.live {
        let place = Place {
            resource: series.resource().into(),
            segment: None,
        };
        all.push((SourceFile::Open(Arc::clone(file)), place));
    }
    Ok(all)
}

/// The files of a series in the order of their lines, and the segment that each is.
pub(super) fn files_of(
    store: &Store,
    series: &Series,
    view: &View,
) -> Result<Vec<(SourceFile, Option<u64>)>, JsonlError> {
    let files = files(store, series, view)?.into_iter();
    Ok(files.map(|(file, place)| (file, place.segment)).collect())
}

/// How to read the complete lines of a file; what follows them is told of.
fn options(
    store: &Store,
    series: &Series,
    file: &Arc<dyn FsFile>,
    place: &Place,
    judge: &Judge,
) -> Result<LineOptions, JsonlError> {
    let end = complete_len(&**file).map_err(JsonlError::Read)?;
    if file.len().map_err(JsonlError::Read)? > end
        && let Some(torn) = store.torn_tail(series, file)?
    {
        let message = format!(
            "{} bytes after the last newline were not read: a line that was not completed",
            torn.len
        );
        let problem = Problem::new(ProblemKind::TornTail, &*place.resource, message);
        judge.tell(problem.at_byte(torn.offset))?;
    }
    // A segment stays as it is.
    let check = if place.segment.is_none() {
        CHECK_BYTES
    } else {
        0
    };
    Ok(LineOptions::default()
        .end(end)
        .max_line_bytes(store.config.max_line_bytes)
        .check_bytes(check))
}

impl Lines {
    fn of(
        store: &Store,
        series: &Series,
        file: Arc<dyn FsFile>,
        place: Place,
        judge: &Judge,
    ) -> Result<Self, JsonlError> {
        let options = options(store, series, &file, &place, judge)?;
        Ok(Self {
            reader: Box::new(LineReader::new(file, options)),
            count: 0,
            place,
        })
    }
}

impl Lines {
    fn tell_taken_back(&self, judge: &Judge) {
        let message = "lines of which some may have been read were taken back by their writer: their call has failed";
        tracing::warn!(path = &*self.place.resource, "{message}");
        let problem = Problem::new(ProblemKind::TornTail, &*self.place.resource, message);
        if let Some(report) = &judge.report {
            report.add(problem.at_byte(self.reader.position()));
        }
    }
}

impl Reader {
    /// The next entries; empty at the end.
    pub(super) fn chunk(&mut self) -> Result<VecDeque<Entry>, JsonlError> {
        let mut found = VecDeque::new();
        let mut bytes = 0;
        match &mut self.from {
            From::Found(all) => return Ok(std::mem::take(all)),
            From::Lines(store, series, turns) => {
                while found.len() < self.left
                    && bytes < CHUNK_BYTES
                    && let Some(turn) = turns.front_mut()
                {
                    let lines = match turn {
                        Turn::Open(lines) => lines,
                        Turn::Sealed(file, place) => {
                            let (file, place) = (file.opened()?, place.clone());
                            *turn = Turn::Open(Lines::of(store, series, file, place, &self.judge)?);
                            continue;
                        }
                    };
                    let item = match lines.reader.next() {
                        Ok(Some(item)) => item,
                        Ok(None) => {
                            turns.pop_front();
                            continue;
                        }
                        Err(error) => {
                            if !lines.reader.is_taken_back() {
                                return Err(JsonlError::Read(error));
                            }
                            // What stands there now was appended after this read began.
                            lines.tell_taken_back(&self.judge);
                            turns.pop_front();
                            continue;
                        }
                    };
                    let entry = self.judge.item(item, Some(lines.count), &lines.place)?;
                    lines.count += 1;
                    if let Some(entry) = entry {
                        bytes += entry.text().len() + size_of::<Entry>();
                        found.push_back(entry);
                    }
                }
            }
            From::Blocks(sources, blocks) => {
                let mut buffer = Vec::new();
                while found.len() < self.left && bytes < CHUNK_BYTES {
                    let Some(Placed { source, block }) = blocks.pop_front() else {
                        break;
                    };
                    let source = sources.get(source).ok_or(JsonlError::Shrunk)?;
                    let place = Place {
                        resource: source.resource.as_str().into(),
                        segment: source.segment,
                    };
                    let lines = source.read(block.offset, block.len, &mut buffer)?;
                    // A byte order mark that was left out counts for the offsets all the same.
                    let mark = block.len - lines.len() as u64;
                    let mut start = 0;
                    for (line, newline) in memchr::memchr_iter(b'\n', lines).enumerate() {
                        let text = lines.get(start..newline).unwrap_or_default();
                        let text = text.strip_suffix(b"\r").unwrap_or(text);
                        let offset = block.offset + mark + start as u64;
                        let number = block.first_line + line as u64;
                        start = newline + 1;
                        let Some(entry) = self.judge.line(text, offset, Some(number), &place)?
                        else {
                            continue;
                        };
                        if self.skip > 0 {
                            self.skip -= 1;
                        } else if found.len() < self.left {
                            bytes += entry.text().len() + size_of::<Entry>();
                            found.push_back(entry);
                        }
                    }
                }
            }
        }
        self.left -= found.len();
        Ok(found)
    }
}
