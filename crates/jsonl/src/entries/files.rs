//! The files of a series, for who reads lines that are no entries too.

use std::sync::Arc;

use minutebook_core::{Result, SeriesId};
use minutebook_fs::FsFile;
use minutebook_fs::task::blocking;

use super::read::files_of;
use crate::error::JsonlError;
use crate::time_series::{JsonlTimeSeriesRepository, SourceFile, again_if_moved};

/// A file of a series: the plain one, or a sealed segment, which is decompressed as it is read.
#[derive(Debug)]
pub struct LineFile {
    series: SeriesId,
    file: SourceFile,
    segment: Option<u64>,
}

impl LineFile {
    /// The number of the sealed segment; `None` for the plain file.
    pub fn segment(&self) -> Option<u64> {
        self.segment
    }

    /// The file, of which nothing but the lines is to be read. It may be appended to meanwhile.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it cannot be opened, or a compaction has taken it away meanwhile.
    pub fn open(&self) -> Result<Arc<dyn FsFile>> {
        self.file
            .opened()
            .map_err(|error| error.of_series("read", &self.series))
    }
}

impl JsonlTimeSeriesRepository {
    /// The files of a series in the order of their lines, as they are at one moment: what was sealed stands in its segments alone. For programs
    /// that know lines which are no [entries](Self::entries).
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such series, [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it
    /// cannot be looked at.
    pub async fn line_files(&self, series: &SeriesId) -> Result<Vec<LineFile>> {
        let (store, id) = (Arc::clone(&self.store), series.clone());
        let looked = blocking(move || {
            again_if_moved(|| {
                let (series, view) = store.find(&id)?.ok_or(JsonlError::NoSeries)?;
                let files = files_of(&store, &series, &view)?.into_iter();
                let files = files.map(|(file, segment)| LineFile {
                    series: id.clone(),
                    file,
                    segment,
                });
                Ok(files.collect())
            })
        });
        looked
            .await
            .map_err(JsonlError::from)
            .flatten()
            .map_err(|error| error.of_series("read", series))
    }
}
