//! Starting a scan: what the series is at this moment, what is damaged in it, and which blocks to read.

use std::sync::Arc;

use arrow_schema::Schema;
use minutebook_core::series::ReportHandle;
use minutebook_core::series::batch::timestamp_field;
use minutebook_core::{
    BatchStream, Direction, Problem, ProblemKind, ReadReport, Result, ScanQuery, SeriesId,
    Snapshot, Take,
};
use minutebook_fs::FsFile;
use minutebook_fs::task::blocking;

use super::stream::{self, Pieces};
use super::units::{Placed, chosen, taken, units};
use crate::codec::decode::{Decoder, Plan};
use crate::codec::kind::ColumnType;
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::index::{Columns, Index, Wanted, ends_match};
use crate::schema::SeriesSchema;
use crate::segments::{self, Looked, Opened, Section, View};
use crate::store::{Series, Store};

/// An open file of a series with its index: the lines up to `index.end` are what is read, whatever is appended meanwhile.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: SourceFile,
    pub(crate) index: Arc<Index>,
    pub(crate) resource: String,
    /// The number of the segment; `None` for the plain file.
    pub(crate) segment: Option<u64>,
}

/// The file that a source reads.
#[derive(Debug)]
pub(crate) enum SourceFile {
    Open(Arc<dyn FsFile>),
    /// A compressed segment, opened when it is needed.
    Sealed(Arc<Opened>, u64),
}

impl SourceFile {
    /// The file, open.
    ///
    /// # Errors
    /// [`JsonlError::Moved`] if the segment is not there any more.
    pub(crate) fn get(&self) -> Result<Arc<dyn FsFile>, JsonlError> {
        match self {
            Self::Open(file) => Ok(Arc::clone(file)),
            Self::Sealed(opened, number) => Ok(opened.get(*number)?),
        }
    }

    /// The same; a segment only if it is the one that its name says.
    ///
    /// # Errors
    /// As [`get`](Self::get), and if another segment lies in its place.
    pub(crate) fn opened(&self) -> Result<Arc<dyn FsFile>, JsonlError> {
        let Self::Sealed(opened, number) = self else {
            return self.get();
        };
        let file = opened.get(*number)?;
        file.is_not_another(*number)?;
        Ok(file)
    }
}

impl Source {
    /// The bytes of a run of lines, without a byte order mark. `buffer` is used again.
    pub(crate) fn read<'a>(
        &self,
        offset: u64,
        len: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], JsonlError> {
        let len = usize::try_from(len).map_err(|_| JsonlError::Shrunk)?;
        buffer.resize(len, 0);
        let file = self.file.get()?;
        let read = file
            .read_full_at(buffer, offset)
            .map_err(JsonlError::Read)?;
        // A batch that was taken back since the file was looked at may have others in its place. What is there after the read was there before.
        let whole = read == len
            && (self.segment.is_some()
                || ends_match(&self.index, &file).map_err(JsonlError::Read)?);
        if !whole {
            return Err(JsonlError::Shrunk);
        }
        if offset == 0
            && let Some(rest) = buffer.strip_prefix(b"\xEF\xBB\xBF")
        {
            return Ok(rest);
        }
        Ok(buffer)
    }
}

pub(super) async fn scan(
    store: &Arc<Store>,
    series: &SeriesId,
    query: &ScanQuery,
    declared: Vec<(String, ColumnType)>,
) -> Result<BatchStream> {
    if query.snapshot != Snapshot::Latest {
        let why = "JSON Lines series keep no versions; read the latest state";
        return Err(JsonlError::Unsupported(why).of_series("scan", series));
    }
    if query.direction != Direction::OldestFirst {
        let why = "JSON Lines series are read in the order written";
        return Err(JsonlError::Unsupported(why).of_series("scan", series));
    }
    let (opened, id, asked) = (Arc::clone(store), series.clone(), query.clone());
    blocking(move || start(&opened, &id, &asked, &declared))
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map(|(report, pieces)| stream::batches(pieces, report, series, store.config.read_ahead))
        .map_err(|error| error.of_series("scan", series))
}

fn start(
    store: &Store,
    id: &SeriesId,
    query: &ScanQuery,
    declared: &[(String, ColumnType)],
) -> Result<(ReportHandle, Pieces), JsonlError> {
    again_if_moved(|| {
        let (series, view) = store.find(id)?.ok_or(JsonlError::NoSeries)?;
        start_on(store, &series, &view, query, declared, false)
    })
}

/// Does it once more if a segment was moved away between the look at the series and the opening of the segment.
pub(crate) fn again_if_moved<T>(
    mut work: impl FnMut() -> Result<T, JsonlError>,
) -> Result<T, JsonlError> {
    const ATTEMPTS: usize = 16;
    for _ in 1..ATTEMPTS {
        match work() {
            Err(JsonlError::Moved) => {}
            done => return done,
        }
    }
    work()
}

/// Starts a scan of the files that a view names. With `sorts` all that is read has to be in the blocks, which are read in another order.
pub(super) fn start_on(
    store: &Store,
    series: &Series,
    view: &View,
    query: &ScanQuery,
    declared: &[(String, ColumnType)],
    sorts: bool,
) -> Result<(ReportHandle, Pieces), JsonlError> {
    let range = query.range.nanos();
    // Where a type is declared, what the lines look like says little; and of a few rows most blocks are not read at all.
    let keep = !sorts && declared.is_empty() && query.take == Take::All && !query.range.is_empty();
    let keep = keep.then(|| {
        let columns = query.columns.clone();
        let columns = columns.map(|columns| columns.into_iter().collect());
        Wanted::new(columns, range, query.batch_size.max(1))
    });
    let Looked {
        sections,
        kept,
        types,
        unit,
    } = segments::look(store, series, view, keep.as_ref())?;

    let schema = SeriesSchema::new(&shown(&sections), &types.types, declared);
    let projected = query.project(&schema.arrow())?;
    let mut report = ReadReport::default();
    for problem in [types.problem, view.problem.clone()].into_iter().flatten() {
        report.add(problem);
    }
    let mut columns = Vec::with_capacity(projected.fields().len());
    for column in projected
        .fields()
        .iter()
        .skip(1)
        .filter_map(|field| schema.get(field.name()))
    {
        if let Some(problem) = column.problem(&series.resource()) {
            report.add(problem);
        }
        columns.push((column.name.clone(), column.column_type));
    }
    let damaged = damage(store, series, &sections)?;
    if query.strict
        && let Some(first) = damaged.problems().first()
    {
        return Err(JsonlError::Damaged(Box::new(first.clone())));
    }
    report.merge(damaged);

    let (sources, blocks) = if query.range.is_empty() {
        (Vec::new(), Vec::new())
    } else {
        wanted(store, series, &sections, range, query.take)?
    };
    let (mut blocks, skip) = taken(blocks, query.take, range, |placed| {
        rows_in(&sources, unit, range, placed)
    })?;
    // The plain file is the last, and what was kept of it has its rows at hand.
    let live = sources.len().wrapping_sub(1);
    let kept = kept.filter(|_| {
        sources
            .last()
            .is_some_and(|source| source.segment.is_none())
    });
    if kept.is_some() {
        blocks.retain(|placed| placed.source != live);
    }
    let mut units: Vec<_> = units(&blocks, query.batch_size)
        .into_iter()
        .map(|unit| (unit, None))
        .collect();
    for piece in kept.into_iter().flatten() {
        if piece.place.overlaps(range.0, range.1) {
            let placed = Placed {
                source: live,
                block: piece.place,
            };
            units.push((placed.unit(), piece.rows));
        }
    }
    let plan = Plan {
        schema: projected,
        columns,
        unit,
        start: range.0,
        end: range.1,
    };
    let handle = ReportHandle::default();
    handle.merge(report);
    let pieces = Pieces {
        units,
        blocks,
        plan: Arc::new(plan),
        sources,
        skip,
        take: query.take,
        batch_size: query.batch_size.max(1),
        strict: query.strict,
    };
    Ok((handle, pieces))
}

/// The columns that all files together show.
pub(crate) fn shown(sections: &[Section]) -> Columns {
    columns_of(sections)
}

/// The columns that these files together show.
pub(super) fn columns_of<'a>(sections: impl IntoIterator<Item = &'a Section>) -> Columns {
    let mut columns = Columns::default();
    for section in sections {
        section.show(&mut columns);
    }
    columns
}

/// The files that may have rows that are wanted, and their blocks.
pub(crate) fn wanted(
    store: &Store,
    series: &Series,
    sections: &[Section],
    range: (i64, Option<i64>),
    take: Take,
) -> Result<(Vec<Arc<Source>>, Vec<Placed>), JsonlError> {
    let mut inside: Vec<&Section> = sections
        .iter()
        .filter(|section| section.overlaps(range))
        .collect();
    let mut sure = 0_u64;
    let mut enough = |section: &&Section, count: usize| {
        let before = sure;
        if section.within(range) {
            sure += section.rows;
        }
        before >= count as u64
    };
    match take {
        Take::First(count) => {
            let cut = inside.iter().position(|section| enough(section, count));
            inside.truncate(cut.unwrap_or(inside.len()));
        }
        Take::Last(count) => {
            let cut = inside.iter().rposition(|section| enough(section, count));
            inside.drain(..cut.map_or(0, |cut| cut + 1));
        }
        _ => {}
    }
    let mut sources = Vec::with_capacity(inside.len());
    let mut blocks = Vec::new();
    let sealed: Vec<_> = inside
        .iter()
        .filter_map(|section| section.sealed())
        .collect();
    let opened = Opened::new(store, series, &sealed)?;
    for (place, section) in inside.into_iter().enumerate() {
        let source = section.source_of(series, &opened)?;
        blocks.extend(chosen(place, &source.index.part.blocks, range.0, range.1));
        sources.push(source);
    }
    Ok((sources, blocks))
}

/// How many rows of a block lie in `[start, end)`.
pub(crate) fn rows_in(
    sources: &[Arc<Source>],
    unit: Option<EpochUnit>,
    (start, end): (i64, Option<i64>),
    placed: &Placed,
) -> Result<u64, JsonlError> {
    let block = &placed.block;
    let source = sources.get(placed.source).ok_or(JsonlError::Shrunk)?;
    let times = Plan {
        schema: Arc::new(Schema::new(vec![timestamp_field()])),
        columns: Vec::new(),
        unit,
        start,
        end,
    };
    let mut buffer = Vec::new();
    let mut decoder = Decoder::new(&times, usize::try_from(block.rows).unwrap_or(0));
    decoder.block(source.read(block.offset, block.len, &mut buffer)?);
    Ok(decoder.finish()?.batch.num_rows() as u64)
}

/// What cannot be read of a series: a torn tail and every line that is no row. Such a line has no time, so every scan tells of it.
pub(crate) fn damage(
    store: &Store,
    series: &Series,
    sections: &[Section],
) -> Result<ReadReport, JsonlError> {
    let mut report = ReadReport::default();
    for section in sections {
        if section.flaws == 0 && section.bytes == section.end {
            continue;
        }
        let source = section.source(store, series)?;
        let (index, resource) = (&source.index, &source.resource);
        if index.len > index.end
            && let Some(torn) = store.torn_tail(series, &source.file.get()?)?
        {
            let message = format!(
                "{} bytes after the last newline were not read: a line that was not completed",
                torn.len
            );
            report.add(
                Problem::new(ProblemKind::TornTail, resource.clone(), message)
                    .at_line(index.part.lines + 1)
                    .at_byte(torn.offset),
            );
        }
        for flawed in &index.part.kept {
            report.add(flawed.problem(resource));
        }
        for _ in index.part.kept.len() as u64..index.part.flaws {
            // Counted only: the report keeps no more.
            report.add(Problem::new(ProblemKind::Malformed, "", ""));
        }
    }
    if !report.is_clean() {
        tracing::warn!(
            path = series.resource(),
            problems = report.total(),
            first = %report.problems().first().map(ToString::to_string).unwrap_or_default(),
            "parts of a series were left out"
        );
    }
    Ok(report)
}
