//! Whether a file of another program can be a segment as it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use minutebook_core::SeriesKey;
use minutebook_core::series::batch::{TIMESTAMP, align, conform, timestamps};
use minutebook_fs::Fs;

use crate::codec::{pandas, segment_of_file};
use crate::error::{Fault, Result};
use crate::file::Foreign;
use crate::log::{Segment, TimeColumn};
use crate::series::keys::Keys;

/// Rows of a file that is adopted: their times are held in memory.
const MAX_ROWS: u64 = 1 << 24;

/// A file that can be adopted.
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) bytes: Bytes,
    pub(super) segment: Segment,
    pub(super) schema: SchemaRef,
    /// Ascending.
    times: Vec<i64>,
    /// The columns of a key of several, for all rows.
    keyed: Option<RecordBatch>,
}

impl Candidate {
    /// The keys of its rows. Rows of one time are one key's only where a key is declared.
    pub(super) fn keys(&self, key: Option<&SeriesKey>, schema: &SchemaRef) -> Result<Keys> {
        if let (Some(_), Some(rows)) = (key, &self.keyed) {
            let names = rows.schema();
            let fields = names.fields().iter();
            let fields =
                fields.filter_map(|field| Some(Arc::clone(schema.fields().find(field.name())?.1)));
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            return Keys::of(key, &schema, &align(rows, &schema)?);
        }
        let mut times = self.times.clone();
        times.dedup();
        if key.is_some() && times.len() < self.times.len() {
            let twice = self
                .times
                .windows(2)
                .find(|pair| pair.first() == pair.last());
            let twice = twice.and_then(|pair| pair.first()).copied();
            let twice = minutebook_core::time::from_nanos(twice.unwrap_or(0));
            let twice = minutebook_core::time::format_timestamp(twice);
            return Err(Fault::Core(minutebook_core::Error::invalid(format!(
                "it has the timestamp {twice} twice, which is the key of the series"
            ))));
        }
        Ok(Keys::at(times))
    }
}

/// Looks at a file; the inner error says why it cannot be adopted.
pub(super) fn candidate(
    fs: &Arc<dyn Fs>,
    path: &Path,
    key: Option<&SeriesKey>,
) -> Result<std::result::Result<Candidate, String>> {
    let foreign = Foreign::open(fs, path)?;
    let Some(column) = foreign.time_column() else {
        return Ok(Err("no column is a time".into()));
    };
    if foreign.rows() > MAX_ROWS {
        let rows = foreign.rows();
        return Ok(Err(format!(
            "it has {rows} rows, more than the {MAX_ROWS} that a segment may have; write them in parts"
        )));
    }
    let key = key.filter(|key| !key.is_timestamp());
    let (mut times, mut keyed): (Vec<i64>, Vec<RecordBatch>) = (Vec::new(), Vec::new());
    let mut schema: Option<SchemaRef> = None;
    let mut fault = None;
    foreign.batches(|batch| {
        let batch = match conform(&batch, &column) {
            Ok(batch) => batch,
            Err(error) => {
                fault.get_or_insert(error.message().to_owned());
                return;
            }
        };
        schema.get_or_insert_with(|| plain(&batch));
        if let Ok(found) = timestamps(&batch) {
            times.extend_from_slice(found.values());
        }
        if let Some(key) = key {
            let places = key
                .columns()
                .iter()
                .map(|name| batch.schema_ref().index_of(name));
            let places: std::result::Result<Vec<_>, _> = places.collect();
            match places.and_then(|places| batch.project(&places)) {
                Ok(columns) => keyed.push(columns),
                Err(_) => {
                    fault.get_or_insert(format!("it lacks a column of the key ({key})"));
                }
            }
        }
    })?;
    if let Some(fault) = fault {
        return Ok(Err(fault));
    }
    let (Some(min), Some(max), Some(schema)) =
        (times.first().copied(), times.last().copied(), schema)
    else {
        return Ok(Err("it has no rows".into()));
    };
    if !times.is_sorted() {
        return Ok(Err("its rows are not in ascending order of time".into()));
    }
    let Some(leaf) = foreign.leaf(&column) else {
        return Ok(Err(format!(
            "the time \"{column}\" is part of another column"
        )));
    };
    if !foreign.bounds_hold(leaf, &column, &times) {
        return Ok(Err(
            "what its footer says of the times is not what they are".into(),
        ));
    }
    let keyed = match keyed.first().map(RecordBatch::schema) {
        Some(schema) => Some(
            concat_batches(&schema, &keyed)
                .map_err(|e| Fault::Invalid(format!("the keys do not fit into one batch: {e}")))?,
        ),
        None => None,
    };
    let ours = column == TIMESTAMP && leaf == 0 && foreign.is_series_time(&column);
    let time = (!ours).then_some(TimeColumn { name: column, leaf });
    let bytes = foreign.bytes()?;
    let segment = segment_of_file(&bytes, foreign.metadata(), (min, max), time);
    Ok(Ok(Candidate {
        path: path.to_owned(),
        bytes,
        segment,
        schema,
        times,
        keyed,
    }))
}

/// The schema without what pandas wrote of its index, which is no column of that name any more.
fn plain(batch: &RecordBatch) -> SchemaRef {
    let schema = batch.schema();
    let mut metadata = schema.metadata().clone();
    metadata.remove(pandas::KEY);
    Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata))
}
