//! Handing segments over to another store.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures_util::stream;
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::{BatchStream, Result, SeriesId};
use minutebook_fs::task::blocking;

use super::{Guard, SealedFile, SegmentInfo, drop_segments, finish, look, view};
use crate::codec::decode::{Decoder, Plan};
use crate::codec::exact;
use crate::codec::kind::ColumnType;
use crate::config::declared_types;
use crate::error::JsonlError;
use crate::index::{Block, is_blank};
use crate::schema::SeriesSchema;
use crate::store::{Series, Store};
use crate::time_series::{JsonlTimeSeriesRepository, Source, shown};

/// The column with the text of the lines that their columns do not say exactly.
pub const LINE_COLUMN: &str = "@line";

/// Rows of one batch that is handed over, about.
const BATCH_ROWS: u64 = 1 << 16;

/// The segments of a series, held so that nobody else rotates, compacts or deletes it; appends and reads go on.
pub struct SegmentHandover {
    store: Arc<Store>,
    series: Arc<Series>,
    guard: Arc<Guard>,
    segments: Vec<SegmentInfo>,
}

impl fmt::Debug for SegmentHandover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentHandover")
            .field("series", &self.series.id)
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

impl JsonlTimeSeriesRepository {
    /// Holds a series' segments to hand them over to another store, after what an interrupted rotation left was finished. `None` if the
    /// series has no segments and never had one.
    ///
    /// # Errors
    /// [`Locked`](minutebook_core::ErrorKind::Locked) if another process holds them for longer than the configuration waits;
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the disk fails.
    pub async fn hand_over(&self, series: &SeriesId) -> Result<Option<SegmentHandover>> {
        let (store, id) = (Arc::clone(&self.store), series.clone());
        blocking(move || {
            let Some((series, found)) = store.find(&id)? else {
                return Ok(None);
            };
            if found.manifest.is_none() {
                return Ok(None);
            }
            let guard = Guard::exclusive(&store, &series)?;
            finish(&store, &series, &guard)?;
            let Some(manifest) = view(&store, &series)?.and_then(|view| view.manifest) else {
                return Ok(None);
            };
            let entries = manifest.segments.iter();
            Ok(Some(SegmentHandover {
                segments: entries
                    .map(|entry| SegmentInfo::new(&series, entry))
                    .collect(),
                guard: Arc::new(guard),
                store,
                series,
            }))
        })
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map_err(|error| error.of_series("hand over", series))
    }
}

impl SegmentHandover {
    /// The segments, in the order of their lines.
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.segments
    }

    /// The rows of a segment in the order written, after its digest was checked. Columns that `stored` has are read as its types, all others as
    /// the whole series shows them. A line whose columns do not say exactly what it says comes with its text, in the column [`LINE_COLUMN`].
    ///
    /// # Errors
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if the digest does not match; [`SchemaMismatch`](minutebook_core::ErrorKind::SchemaMismatch),
    /// naming column and line, if a value does not fit; [`Unsupported`](minutebook_core::ErrorKind::Unsupported) if lines of it are no rows or it has a
    /// column of that name.
    pub async fn read(&self, number: u64, stored: Option<&SchemaRef>) -> Result<BatchStream> {
        let fail = |error: JsonlError| error.of_series("hand over", &self.series.id);
        let declared = stored_types(stored).map_err(fail)?;
        let (store, series) = (Arc::clone(&self.store), Arc::clone(&self.series));
        let reading = blocking(move || start(&store, &series, number, &declared))
            .await
            .map_err(JsonlError::from)
            .flatten()
            .map_err(fail)?;
        let schema = Arc::clone(&reading.schema);
        let id = self.series.id.clone();
        let batches = stream::unfold(Some(reading), move |reading| {
            let id = id.clone();
            async move {
                let mut reading = reading?;
                let work = blocking(move || {
                    let next = reading.next();
                    (reading, next)
                });
                let (reading, next) = match work.await {
                    Ok((reading, next)) => (Some(reading), next),
                    Err(error) => (None, Err(error.into())),
                };
                match next {
                    Ok(batch) => batch.map(|batch| (Ok(batch), reading)),
                    Err(error) => Some((Err(error.of_series("hand over", &id)), None)),
                }
            }
        });
        Ok(BatchStream::new(schema, batches))
    }

    /// Takes segments out of the series, and gives how many bytes of files were removed: their rows must be kept elsewhere durably. Files that a read of more than 64 segments may
    /// still come to are removed by whoever rotates or compacts the series when it has ended.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the disk fails; the call can be made again.
    pub async fn remove(&mut self, numbers: &[u64]) -> Result<u64> {
        let (store, series, guard) = (
            Arc::clone(&self.store),
            Arc::clone(&self.series),
            Arc::clone(&self.guard),
        );
        let taken = numbers.to_vec();
        let removed = blocking(move || drop_segments(&store, &series, &guard, &taken))
            .await
            .map_err(JsonlError::from)
            .flatten()
            .map_err(|error| error.of_series("hand over", &self.series.id))?;
        self.segments
            .retain(|segment| !numbers.contains(&segment.number));
        Ok(removed)
    }
}

/// The types that another store has for columns.
fn stored_types(
    stored: Option<&SchemaRef>,
) -> std::result::Result<Vec<(String, ColumnType)>, JsonlError> {
    let Some(stored) = stored else {
        return Ok(Vec::new());
    };
    let fields = stored.fields().iter();
    let fields = fields.filter(|field| field.name() != LINE_COLUMN);
    let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
    declared_types(Some(&schema)).map_err(|error| JsonlError::Types(error.message().to_owned()))
}

/// A segment that is being read.
struct Reading {
    schema: SchemaRef,
    plan: Plan,
    types: HashMap<String, ColumnType>,
    source: Arc<Source>,
    blocks: VecDeque<Block>,
}

fn start(
    store: &Store,
    series: &Series,
    number: u64,
    declared: &[(String, ColumnType)],
) -> std::result::Result<Reading, JsonlError> {
    let view = view(store, series)?.ok_or(JsonlError::NoSeries)?;
    let looked = look(store, series, &view, None)?;
    let (all, types, unit) = (looked.sections, looked.types.types, looked.unit);
    let entry = view.manifest.as_ref().and_then(|m| m.get(number));
    let entry = entry.ok_or(JsonlError::Moved)?;
    let path = series.sealed.sealed(number);
    let file = SealedFile::open(&*store.config.fs, &path)?.ok_or(JsonlError::Moved)?;
    let (digest, bytes) = file.digest()?;
    if digest != entry.digest || bytes != entry.bytes {
        return Err(super::format::mismatch(&path));
    }
    let section = all.iter().find(|section| section.number == number);
    let section = section.ok_or(JsonlError::Moved)?;
    if section.flaws > 0 || section.end < section.bytes {
        return Err(JsonlError::Unsupported(
            "lines of the segment are no rows, and only rows can be handed over; the segment stays",
        ));
    }
    let source = section.source(store, series)?;
    let schema = SeriesSchema::new(&shown(&all), &types, declared);
    let arrow = schema.arrow();
    let columns: Vec<(String, ColumnType)> = arrow
        .fields()
        .iter()
        .filter_map(|field| Some((field.name().clone(), schema.get(field.name())?.column_type)))
        .collect();
    if columns.iter().any(|(name, _)| name == LINE_COLUMN) {
        return Err(JsonlError::Unsupported(
            "the series has a column \"@line\", which the store that takes it over needs; the segment stays",
        ));
    }
    let mut fields: Vec<_> = arrow.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(LINE_COLUMN, DataType::Utf8, true)));
    let plan = Plan {
        schema: arrow,
        columns: columns.clone(),
        unit,
        start: i64::MIN,
        end: None,
    };
    Ok(Reading {
        schema: Arc::new(Schema::new(fields)),
        plan,
        types: columns.into_iter().collect(),
        blocks: source.index.part.blocks.iter().copied().collect(),
        source,
    })
}

impl Reading {
    fn next(&mut self) -> std::result::Result<Option<RecordBatch>, JsonlError> {
        let Some(mut run) = self.blocks.pop_front() else {
            return Ok(None);
        };
        while let Some(next) = self.blocks.front()
            && next.offset == run.end()
            && run.rows + next.rows <= BATCH_ROWS
        {
            run.len += next.len;
            run.rows += next.rows;
            self.blocks.pop_front();
        }
        let mut buffer = Vec::new();
        let lines = self.source.read(run.offset, run.len, &mut buffer)?;
        let mut decoder = Decoder::new(&self.plan, usize::try_from(run.rows).unwrap_or(0));
        decoder.block(lines);
        let decoded = decoder.finish()?;
        if let Some(misfit) = decoded.misfits.first() {
            let (name, column_type) = self
                .plan
                .columns
                .get(misfit.column)
                .map_or(("", ColumnType::Utf8), |(name, of)| (name.as_str(), *of));
            return Err(JsonlError::Types(format!(
                "the column \"{name}\" is {} in the store that takes the segment over, and line {} of {} has another value",
                column_type.data_type(),
                run.first_line + misfit.line + 1,
                self.source.resource
            )));
        }
        let mut texts = Vec::with_capacity(decoded.batch.num_rows());
        for line in lines.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = std::str::from_utf8(line).unwrap_or("");
            if !is_blank(text) {
                texts.push((!exact::is_exact(text, &self.types)).then_some(text));
            }
        }
        if texts.len() != decoded.batch.num_rows() {
            // The index said that every line is a row.
            return Err(super::format::mismatch(std::path::Path::new(
                &self.source.resource,
            )));
        }
        let mut columns: Vec<ArrayRef> = decoded.batch.columns().to_vec();
        columns.push(Arc::new(StringArray::from(texts)));
        debug_assert_eq!(decoded.batch.schema().field(0).name(), TIMESTAMP);
        Ok(Some(RecordBatch::try_new(
            Arc::clone(&self.schema),
            columns,
        )?))
    }
}
