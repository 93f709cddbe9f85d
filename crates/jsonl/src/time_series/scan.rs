//! Starting a scan: what the series is at this moment, what is damaged in it, and which blocks to read.

use std::sync::Arc;

use arrow_schema::Schema;
use minutebook_core::series::ReportHandle;
use minutebook_core::series::batch::timestamp_field;
use minutebook_core::{
    BatchStream, Problem, ProblemKind, ReadReport, Result, ScanQuery, SeriesId, Snapshot,
};
use minutebook_fs::FsFile;
use minutebook_fs::task::blocking;

use super::stream::{self, Pieces};
use super::units::{chosen, taken, units};
use crate::codec::decode::{Decoder, Plan};
use crate::codec::kind::ColumnType;
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::index::{Block, Index};
use crate::schema::SeriesSchema;
use crate::store::{Series, Store};

/// An open file with its index: the lines up to `index.end` are what is read, whatever is appended meanwhile.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: Arc<dyn FsFile>,
    pub(crate) index: Arc<Index>,
    pub(crate) resource: String,
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
        let read = self
            .file
            .read_full_at(buffer, offset)
            .map_err(JsonlError::Read)?;
        if read < len {
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
    let (series, file) = store.find(id)?.ok_or(JsonlError::NoSeries)?;
    let mut state = series.state();
    let index = state.refresh(store, &series, &file)?;
    let types = state.types.clone();
    let unit = state.unit(store);
    drop(state);

    let schema = SeriesSchema::new(&index.part.columns, &types.types, declared);
    let projected = query.project(&schema.arrow())?;
    let mut report = ReadReport::default();
    if let Some(problem) = types.problem {
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
    let damaged = damage(store, &series, &file, &index)?;
    if query.strict
        && let Some(first) = damaged.problems().first()
    {
        return Err(JsonlError::Damaged(Box::new(first.clone())));
    }
    report.merge(damaged);

    let (start, end) = query.range.nanos();
    let plan = Plan {
        schema: projected,
        columns,
        unit,
        start,
        end,
    };
    let source = Source {
        file,
        index,
        resource: series.resource(),
    };
    let blocks = if query.range.is_empty() {
        Vec::new()
    } else {
        chosen(&source.index.part.blocks, start, end)
    };
    let (blocks, skip) = taken(blocks, query.take, (start, end), |block| {
        rows_in(&source, unit, (start, end), block)
    })?;
    let handle = ReportHandle::default();
    handle.merge(report);
    let pieces = Pieces {
        units: units(&blocks, query.batch_size),
        plan: Arc::new(plan),
        source: Arc::new(source),
        skip,
        take: query.take,
        batch_size: query.batch_size.max(1),
        strict: query.strict,
    };
    Ok((handle, pieces))
}

/// How many rows of a block lie in `[start, end)`.
pub(crate) fn rows_in(
    source: &Source,
    unit: Option<EpochUnit>,
    (start, end): (i64, Option<i64>),
    block: &Block,
) -> Result<u64, JsonlError> {
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
    file: &Arc<dyn FsFile>,
    index: &Index,
) -> Result<ReadReport, JsonlError> {
    let mut report = ReadReport::default();
    let resource = series.resource();
    if index.len > index.end
        && let Some(torn) = store.torn_tail(series, file)?
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
        report.add(flawed.problem(&resource));
    }
    for _ in index.part.kept.len() as u64..index.part.flaws {
        // Counted only: the report keeps no more.
        report.add(Problem::new(ProblemKind::Malformed, "", ""));
    }
    if !report.is_clean() {
        tracing::warn!(
            path = resource,
            problems = report.total(),
            first = %report.problems().first().map(ToString::to_string).unwrap_or_default(),
            "parts of a series were left out"
        );
    }
    Ok(report)
}
