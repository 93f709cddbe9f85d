//! Files of other programs as segments of a series, byte for byte as they are.

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;
use minutebook_core::series::batch::{TIMESTAMP, conform, merge_schemas, timestamps};
use minutebook_core::{SeriesId, Version};
use minutebook_fs::{Fs, task};

use super::draft::Draft;
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::codec::{pandas, segment_of_file};
use crate::error::{Fault, Result};
use crate::file::Foreign;
use crate::layout::file_name;
use crate::log::{Log, Metadata, Operation, Segment, TimeColumn};

/// What an adoption did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AdoptReport {
    /// The version that has the files; that of before if none could be adopted.
    pub version: Version,
    /// The files that are part of the series now.
    pub adopted: Vec<PathBuf>,
    /// Their rows.
    pub rows: u64,
    /// Rows that were there, at times at which a later file has rows.
    pub replaced: u64,
    /// Files that cannot be part of a series as they are, and why. Load and write them instead.
    pub skipped: Vec<(PathBuf, String)>,
}

impl ParquetTimeSeriesRepository {
    /// Makes files of other programs part of a series without writing their rows anew: each is copied as it is and named by one commit, so that all
    /// are there at once or none. The time index may have any name and unit that [`load_parquet`](crate::load_parquet) finds; without a zone it is UTC.
    /// Where files overlap each other or what the series has, rows of a later file replace those of the same time.
    ///
    /// A file whose rows are not in ascending order of time, or whose time is a text or missing, is skipped and named in the report.
    ///
    /// # Errors
    /// [`SchemaMismatch`](minutebook_core::ErrorKind::SchemaMismatch) if a file has a column of another type than the series;
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if a file is damaged. Nothing changes then.
    pub async fn adopt(
        &self,
        series: &SeriesId,
        files: &[PathBuf],
        note: &Metadata,
    ) -> minutebook_core::Result<AdoptReport> {
        let adopted = self.inner.adopt(series, files, note).await;
        self.inner.explained(series, "adopt", adopted).await
    }
}

/// A file that can be adopted.
struct Candidate {
    path: PathBuf,
    bytes: Bytes,
    segment: Segment,
    schema: SchemaRef,
    times: Vec<i64>,
}

impl Inner {
    async fn adopt(
        &self,
        series: &SeriesId,
        files: &[PathBuf],
        note: &Metadata,
    ) -> Result<AdoptReport> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&log).await?;
            draft.note.clone_from(note);
            let mut report = AdoptReport {
                version: Version(draft.base_version()),
                ..AdoptReport::default()
            };
            let taken = self.take_in(&log, &mut draft, files, &mut report).await;
            if let Err(fault) = taken {
                self.discard(std::mem::take(&mut draft.written)).await;
                return Err(fault);
            }
            if report.adopted.is_empty() {
                return Ok(report);
            }
            report.version = Version(draft.version());
            match self.commit(&log, draft, Operation::Adopt).await? {
                Committed::Done => return Ok(report),
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    async fn take_in(
        &self,
        log: &Log,
        draft: &mut Draft,
        files: &[PathBuf],
        report: &mut AdoptReport,
    ) -> Result<()> {
        let mut began = draft.exists();
        for path in files {
            let (fs, file) = (std::sync::Arc::clone(&self.config.fs), path.clone());
            // One file in memory at a time.
            let candidate = task::blocking(move || candidate(&fs, &file)).await??;
            let candidate = match candidate {
                Ok(candidate) => candidate,
                Err(why) => {
                    report.skipped.push((path.clone(), why));
                    continue;
                }
            };
            draft.schema = if began {
                merge_schemas(&draft.schema, &candidate.schema)
                    .map_err(|error| error.with_resource(path.display()))?
            } else {
                candidate.schema
            };
            began = true;
            report.replaced += draft.remove_times(self, log, &candidate.times).await?;
            let version = draft.version();
            let name = |unique| {
                let file = file_name(version, unique, "parquet");
                let path = log.dir.data(&file);
                (file, path)
            };
            let mut segment = candidate.segment;
            segment.file = self.storage.put_unique(name, &candidate.bytes).await?;
            draft.written.push(log.dir.data(&segment.file));
            report.rows += segment.rows;
            draft.segments.push(segment);
            report.adopted.push(candidate.path);
        }
        Ok(())
    }
}

/// Looks at a file; the inner error says why it cannot be adopted.
fn candidate(
    fs: &std::sync::Arc<dyn Fs>,
    path: &Path,
) -> Result<std::result::Result<Candidate, String>> {
    let foreign = Foreign::open(fs, path)?;
    let Some(column) = foreign.time_column() else {
        return Ok(Err("no column is a time".into()));
    };
    let mut times: Vec<i64> = Vec::new();
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
    let ours = column == TIMESTAMP && leaf == 0 && foreign.is_series_time(&column);
    let time = (!ours).then_some(TimeColumn { name: column, leaf });
    let bytes = foreign.bytes()?;
    let segment = segment_of_file(&bytes, foreign.metadata(), (min, max), time);
    times.dedup();
    Ok(Ok(Candidate {
        path: path.to_owned(),
        bytes,
        segment,
        schema,
        times,
    }))
}

/// The schema without what pandas wrote of its index, which is no column of that name any more.
fn plain(batch: &RecordBatch) -> SchemaRef {
    let schema = batch.schema();
    let mut metadata = schema.metadata().clone();
    metadata.remove(pandas::KEY);
    std::sync::Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata))
}
