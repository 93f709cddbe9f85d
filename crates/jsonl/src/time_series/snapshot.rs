//! A series as it is at one moment, to be asked more than once.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use minutebook_core::{
    BatchStream, Direction, Result, ScanQuery, SeriesId, SeriesSummary, Snapshot, Take,
};
use minutebook_fs::FsFile;
use minutebook_fs::task::blocking;

use super::summary::summary_of;
use super::{JsonlTimeSeriesRepository, ordered, scan, shown};
use crate::codec::kind::Seen;
use crate::config::declared_types;
use crate::error::JsonlError;
use crate::segments::{self, SegmentInfo, View};
use crate::store::{Series, Store};

/// A series as it is at one moment: its files are opened, so it stays what it is while others append, rotate and compact.
///
/// A compressed segment is opened by the call that reads it; if it was moved away by then, that call is
/// [`Unavailable`](minutebook_core::ErrorKind::Unavailable), and a new snapshot has to be taken.
#[derive(Clone)]
pub struct SeriesSnapshot {
    store: Arc<Store>,
    series: Arc<Series>,
    view: View,
}

impl fmt::Debug for SeriesSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesSnapshot")
            .field("series", &self.series.id)
            .finish_non_exhaustive()
    }
}

impl JsonlTimeSeriesRepository {
    /// Takes a snapshot of a series; `None` if it is not there.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the files cannot be opened.
    pub async fn snapshot(&self, series: &SeriesId) -> Result<Option<SeriesSnapshot>> {
        let (store, id) = (Arc::clone(&self.store), series.clone());
        blocking(move || {
            let found = store.find(&id)?;
            Ok(found.map(|(series, view)| SeriesSnapshot {
                store,
                series,
                view,
            }))
        })
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map_err(|error| error.of_series("snapshot", series))
    }
}

impl SeriesSnapshot {
    /// The compressed segments, in the order of their lines.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let entries = self.view.manifest.iter().flat_map(|m| &m.segments);
        entries
            .map(|entry| SegmentInfo::new(&self.series, entry))
            .collect()
    }

    /// Leaves out the segments whose rows are kept elsewhere by now, told by [`log_id`](SegmentInfo::log_id) and number; also what was not sealed yet when
    /// the snapshot was taken, and has been sealed and moved since. The version stays what it was.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the series has got its first segment since, or its manifest was lost and is written again:
    /// then it is not known what was moved, and a new snapshot has to be taken.
    pub async fn without(mut self, is_elsewhere: impl Fn(&str, u64) -> bool) -> Result<Self> {
        let Some(manifest) = self.view.manifest.clone().filter(|m| !m.id.is_empty()) else {
            // Under which id its plain files will be sealed is not known yet.
            self.work("snapshot", Self::still_without_id).await?;
            return Ok(self.without_segments(is_elsewhere));
        };
        let mut left = (*manifest).clone();
        let len = |file: &Arc<dyn FsFile>| file.len().map_err(JsonlError::Read);
        let fail = |error: JsonlError| error.of_series("snapshot", &self.series.id);
        let mut number = manifest.next;
        if let Some(raw) = &self.view.raw {
            if is_elsewhere(&manifest.id, number) {
                left.gone_bytes += len(raw).map_err(fail)?;
                left.next += 1;
                self.view.raw = None;
            }
            number += 1;
        }
        if let Some(live) = &self.view.live
            && is_elsewhere(&manifest.id, number)
        {
            left.gone_bytes += len(live).map_err(fail)?;
            self.view.live = None;
        }
        self.view.manifest = Some(Arc::new(left));
        Ok(self.without_segments(is_elsewhere))
    }

    fn without_segments(mut self, is_elsewhere: impl Fn(&str, u64) -> bool) -> Self {
        if let Some(manifest) = &mut self.view.manifest {
            let left = Arc::make_mut(manifest);
            left.segments.retain(|entry| {
                let stays = !is_elsewhere(&entry.id, entry.number);
                if !stays {
                    left.gone_bytes += entry.bytes;
                }
                stays
            });
        }
        self
    }

    fn still_without_id(&self) -> std::result::Result<(), JsonlError> {
        let known = &mut self.series.state().segments.known;
        known.refresh(&*self.store.config.fs, &self.series.sealed)?;
        match &known.manifest {
            Some(manifest) if !manifest.id.is_empty() => Err(JsonlError::Moved),
            _ => Ok(()),
        }
    }

    /// What is known of it.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it cannot be read.
    pub async fn summary(&self) -> Result<SeriesSummary> {
        self.work("summary", |it| summary_of(&it.store, &it.series, &it.view))
            .await
    }

    /// The columns apart from the time, with the type that their values show; `None` if no line has a value of it.
    ///
    /// # Errors
    /// As [`summary`](Self::summary).
    pub async fn column_types(&self) -> Result<Vec<(String, Option<DataType>)>> {
        self.work("columns", |it| {
            let looked = segments::look(&it.store, &it.series, &it.view, None)?;
            let (columns, types) = (shown(&looked.sections), looked.types.types);
            let schema = crate::schema::SeriesSchema::new(&columns, &types, &it.store.declared);
            let schema = schema.arrow();
            let known = |name: &str| {
                columns.get(name).is_some_and(|seen| seen != Seen::NONE)
                    || types.get(name).is_some()
                    || it.store.declared.iter().any(|(known, _)| known == name)
            };
            let fields = schema.fields().iter().skip(1);
            Ok(fields
                .map(|field| {
                    let data_type = known(field.name()).then(|| field.data_type().clone());
                    (field.name().clone(), data_type)
                })
                .collect())
        })
        .await
    }

    /// Whether a float holds each number of a column exactly, as the lines so far show.
    ///
    /// # Errors
    /// As [`summary`](Self::summary).
    pub async fn fits_floats(&self, column: &str) -> Result<bool> {
        let column = column.to_owned();
        self.work("columns", move |it| {
            let looked = segments::look(&it.store, &it.series, &it.view, None)?;
            let seen = shown(&looked.sections).get(&column);
            Ok(seen.is_none_or(Seen::fits_floats))
        })
        .await
    }

    /// Reads rows in the order of time, equal times in the order written. `declared` columns are read as these types, as in
    /// [`scan_declared`](JsonlTimeSeriesRepository::scan_declared).
    ///
    /// At most about [`sort_bytes`](crate::JsonlConfig::sort_bytes) of rows are held, however long the files are and wherever in them the times lie. Rows
    /// that were written nearly in order are read once; those whose times lie all over the files are found by reading the files once for every
    /// `sort_bytes` of them, and once before to count them.
    ///
    /// # Errors
    /// As [`scan`](minutebook_core::TimeSeriesRepository::scan).
    pub async fn scan_in_time_order(
        &self,
        query: &ScanQuery,
        declared: Option<&SchemaRef>,
    ) -> Result<BatchStream> {
        let id = &self.series.id;
        if query.snapshot != Snapshot::Latest {
            let why = "JSON Lines series keep no versions; read the latest state";
            return Err(JsonlError::Unsupported(why).of_series("scan", id));
        }
        if query.direction != Direction::OldestFirst {
            let why = "JSON Lines series are read the earliest row first";
            return Err(JsonlError::Unsupported(why).of_series("scan", id));
        }
        let mut types = declared_types(declared)
            .map_err(|error| JsonlError::from(error).of_series("scan", id))?;
        for (name, column_type) in &self.store.declared {
            if types.iter().all(|(known, _)| known != name) {
                types.push((name.clone(), *column_type));
            }
        }
        let query = query.clone();
        self.work("scan", move |it| {
            let mut all = query.clone();
            all.take = Take::All;
            let (report, pieces) =
                scan::start_on(&it.store, &it.series, &it.view, &all, &types, true)?;
            {
                let bytes = it.store.config.sort_bytes;
                ordered::batches(pieces, query.take, report, &it.series.id, bytes)
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Self) -> std::result::Result<T, JsonlError> + Send + 'static,
    ) -> Result<T> {
        let it = self.clone();
        blocking(move || work(&it))
            .await
            .map_err(JsonlError::from)
            .flatten()
            .map_err(|error| error.of_series(operation, &self.series.id))
    }
}
