//! Reading entries: forwards, backwards, or by the blocks that a range touches.

use std::collections::VecDeque;
use std::sync::Arc;

use minutebook_core::series::ReportHandle;
use minutebook_core::time::from_nanos;
use minutebook_core::{Problem, ProblemKind, ReadReport, Result, SeriesId, Take};
use minutebook_fs::task::blocking;
use minutebook_fs::{FsFile, Item, LineOptions, LineReader, ReverseLines, complete_len};

use super::query::EntryQuery;
use super::stream::{Entry, EntryStream};
use crate::codec::fields::Fields;
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::index::{Block, Time, is_blank, malformed, text_of};
use crate::store::{Series, Store};
use crate::time_series::{Source, chosen, damage, rows_in, taken};

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
    /// All lines, forwards; how many were read.
    Lines(Box<LineReader>, u64),
    /// The blocks that a range touches.
    Blocks(Source, VecDeque<Block>),
    /// Entries that were read backwards.
    Found(VecDeque<Entry>),
}

/// Decides what a line is.
#[derive(Debug)]
struct Judge {
    unit: Option<EpochUnit>,
    range: (i64, Option<i64>),
    /// Whether there is a range: then what has no time is left out.
    bounded: bool,
    strict: bool,
    resource: String,
    /// Where problems go; `None` if they were all told of at the start.
    report: Option<ReportHandle>,
}

fn start(
    store: &Store,
    id: &SeriesId,
    query: EntryQuery,
    report: &ReportHandle,
) -> Result<Reader, JsonlError> {
    let (series, file) = store.find(id)?.ok_or(JsonlError::NoSeries)?;
    let mut judge = Judge {
        unit: None,
        range: query.range.nanos(),
        bounded: !query.range.is_all(),
        strict: query.strict,
        resource: series.resource(),
        report: Some(report.clone()),
    };
    let left = match query.take {
        Take::First(entries) | Take::Last(entries) => entries,
        _ => usize::MAX,
    };
    let mut skip = 0;
    let from = if judge.bounded {
        let (source, blocks) = blocks(store, &series, file, query, &mut judge, report)?;
        let (blocks, surplus) = taken(blocks, query.take, judge.range, |block| {
            rows_in(&source, judge.unit, judge.range, block)
        })?;
        skip = surplus;
        From::Blocks(source, blocks.into())
    } else {
        lines(store, &series, file, query, &mut judge)?
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
    file: Arc<dyn FsFile>,
    query: EntryQuery,
    judge: &mut Judge,
    report: &ReportHandle,
) -> Result<(Source, Vec<Block>), JsonlError> {
    let mut state = series.state();
    let index = state.refresh(store, series, &file)?;
    judge.unit = state.unit(store);
    let types_problem = state.types.problem.clone();
    drop(state);
    let mut damaged = ReadReport::default();
    if let Some(problem) = types_problem {
        damaged.add(problem);
    }
    damaged.merge(damage(store, series, &file, &index)?);
    if query.strict
        && let Some(first) = damaged.problems().first()
    {
        return Err(JsonlError::Damaged(Box::new(first.clone())));
    }
    report.merge(damaged);
    judge.report = None;
    let blocks = if query.range.is_empty() {
        Vec::new()
    } else {
        chosen(&index.part.blocks, judge.range.0, judge.range.1)
    };
    let source = Source {
        file,
        index,
        resource: series.resource(),
    };
    Ok((source, blocks))
}

/// All entries, or the last ones: no index is needed.
fn lines(
    store: &Store,
    series: &Series,
    file: Arc<dyn FsFile>,
    query: EntryQuery,
    judge: &mut Judge,
) -> Result<From, JsonlError> {
    let mut state = series.state();
    state.types.refresh(&*store.config.fs, &series.types)?;
    judge.unit = state.unit(store);
    let problem = state.types.problem.clone();
    drop(state);
    if let Some(problem) = problem {
        judge.tell(problem)?;
    }
    let end = complete_len(&*file).map_err(JsonlError::Read)?;
    if file.len().map_err(JsonlError::Read)? > end
        && let Some(torn) = store.torn_tail(series, &file)?
    {
        let message = format!(
            "{} bytes after the last newline were not read: a line that was not completed",
            torn.len
        );
        let resource = series.resource();
        judge.tell(Problem::new(ProblemKind::TornTail, resource, message).at_byte(torn.offset))?;
    }
    let options = LineOptions::default()
        .end(end)
        .max_line_bytes(store.config.max_line_bytes);
    let Take::Last(wanted) = query.take else {
        return Ok(From::Lines(Box::new(LineReader::new(file, options)), 0));
    };
    let mut lines = ReverseLines::new(file, options).map_err(JsonlError::Read)?;
    let mut found = VecDeque::new();
    while found.len() < wanted
        && let Some(item) = lines.next().map_err(JsonlError::Read)?
    {
        // Which line it is from the start is not known when reading from the end.
        if let Some(entry) = judge.item(item, None)? {
            found.push_front(entry);
        }
    }
    Ok(From::Found(found))
}

impl Reader {
    /// The next entries; empty at the end.
    pub(super) fn chunk(&mut self) -> Result<VecDeque<Entry>, JsonlError> {
        let mut found = VecDeque::new();
        let mut bytes = 0;
        match &mut self.from {
            From::Found(all) => return Ok(std::mem::take(all)),
            From::Lines(lines, count) => {
                while found.len() < self.left && bytes < CHUNK_BYTES {
                    let Some(item) = lines.next().map_err(JsonlError::Read)? else {
                        break;
                    };
                    let entry = self.judge.item(item, Some(*count))?;
                    *count += 1;
                    if let Some(entry) = entry {
                        bytes += entry.text().len() + size_of::<Entry>();
                        found.push_back(entry);
                    }
                }
            }
            From::Blocks(source, blocks) => {
                let mut buffer = Vec::new();
                while found.len() < self.left && bytes < CHUNK_BYTES {
                    let Some(block) = blocks.pop_front() else {
                        break;
                    };
                    let lines = source.read(block.offset, block.len, &mut buffer)?;
                    // A byte order mark that was left out counts for the offsets all the same.
                    let mark = block.len - lines.len() as u64;
                    let mut start = 0;
                    for (line, newline) in memchr::memchr_iter(b'\n', lines).enumerate() {
                        let text = lines.get(start..newline).unwrap_or_default();
                        let offset = block.offset + mark + start as u64;
                        let number = block.first_line + line as u64;
                        start = newline + 1;
                        let Some(entry) = self.judge.line(text, offset, Some(number))? else {
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

impl Judge {
    fn item(&self, item: Item<'_>, line: Option<u64>) -> Result<Option<Entry>, JsonlError> {
        match item {
            Item::Line(found) => self.line(found.bytes, found.offset, line),
            Item::TooLong { offset, end } => {
                let message = format!("a line of {} bytes was skipped", end - offset);
                let problem = Problem::new(ProblemKind::TooLarge, &self.resource, message);
                self.tell(placed(problem, offset, line)).map(|()| None)
            }
        }
    }

    /// The entry on a line, if there is one that is asked for.
    fn line(
        &self,
        bytes: &[u8],
        offset: u64,
        line: Option<u64>,
    ) -> Result<Option<Entry>, JsonlError> {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = match text_of(bytes) {
            Ok(text) if is_blank(text) => return Ok(None),
            Ok(text) => text,
            Err(found) => return self.told(found, offset, line).map(|()| None),
        };
        let nanos = match self.time(text) {
            Ok(nanos) => Some(nanos),
            Err(found) => {
                let kept = found.0 == ProblemKind::BadTimestamp && !self.bounded;
                self.told(found, offset, line)?;
                if !kept {
                    return Ok(None);
                }
                None
            }
        };
        let (start, end) = self.range;
        let inside = nanos.is_none_or(|nanos| start <= nanos && end.is_none_or(|end| nanos < end));
        Ok(inside.then(|| Entry::new(text.to_owned(), nanos.map(from_nanos), offset, line)))
    }

    fn time(&self, text: &str) -> Result<i64, (ProblemKind, String)> {
        let mut fields = Fields::new(text);
        let mut time = Time::Missing;
        while let Some(field) = fields.next().map_err(|flaw| malformed(&flaw))? {
            if field.is(minutebook_core::series::batch::TIMESTAMP) {
                time.meet(&field, self.unit);
            }
        }
        time.instant()
    }

    fn told(
        &self,
        (kind, message): (ProblemKind, String),
        offset: u64,
        line: Option<u64>,
    ) -> Result<(), JsonlError> {
        self.tell(placed(
            Problem::new(kind, &self.resource, message),
            offset,
            line,
        ))
    }

    fn tell(&self, problem: Problem) -> Result<(), JsonlError> {
        let Some(report) = &self.report else {
            return Ok(());
        };
        if self.strict {
            return Err(JsonlError::Damaged(Box::new(problem)));
        }
        tracing::debug!(%problem, "a line is no entry");
        report.add(problem);
        Ok(())
    }
}

fn placed(problem: Problem, offset: u64, line: Option<u64>) -> Problem {
    let problem = problem.at_byte(offset);
    match line {
        Some(line) => problem.at_line(line + 1),
        None => problem,
    }
}
