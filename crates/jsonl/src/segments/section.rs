//! A file of a series with what is known of its lines.

use std::sync::Arc;

use minutebook_fs::FsFile;

use super::{Entry, Opened};
use crate::error::JsonlError;
use crate::index::{Columns, Index};
use crate::store::{Series, Store};
use crate::time_series::{Source, SourceFile};

/// One file of a series: a segment, or the plain file.
#[derive(Debug)]
pub(crate) struct Section {
    /// The number of the segment; the plain file has the one that it will get.
    pub(crate) number: u64,
    pub(crate) resource: String,
    /// Its bytes of lines, a torn tail included; and where the last complete line ends.
    pub(crate) bytes: u64,
    pub(crate) end: u64,
    pub(crate) rows: u64,
    pub(crate) flaws: u64,
    /// The earliest and the latest time, in nanoseconds.
    pub(crate) bounds: Option<(i64, i64)>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Of a compressed segment, what the manifest says; the file is opened when it is needed.
    Sealed(Entry),
    /// Of a compressed segment, what was found with the settings of now.
    Found(String, Arc<Index>),
    Open(Arc<Source>),
}

impl Section {
    /// A compressed segment as the manifest describes it.
    pub(super) fn sealed_as(entry: &Entry, resource: String) -> Self {
        Self {
            number: entry.number,
            resource,
            bytes: entry.bytes,
            end: entry.bytes,
            rows: entry.rows,
            flaws: entry.flaws,
            bounds: entry.first.zip(entry.last),
            body: Body::Sealed(entry.clone()),
        }
    }

    /// A compressed segment as it was found.
    pub(super) fn found(entry: &Entry, resource: String, index: &Arc<Index>) -> Self {
        let body = Body::Found(entry.id.clone(), Arc::clone(index));
        Self::of(entry.number, resource, index, body)
    }

    /// A file of plain lines.
    pub(super) fn open(
        number: u64,
        live: bool,
        file: Arc<dyn FsFile>,
        index: &Arc<Index>,
        resource: String,
    ) -> Self {
        let body = Body::Open(Arc::new(Source {
            file: SourceFile::Open(file),
            index: Arc::clone(index),
            resource: resource.clone(),
            segment: (!live).then_some(number),
        }));
        Self::of(number, resource, index, body)
    }

    fn of(number: u64, resource: String, index: &Index, body: Body) -> Self {
        Self {
            number,
            bytes: index.len,
            end: index.end,
            rows: index.part.rows,
            flaws: index.part.flaws,
            bounds: index.part.bounds(),
            resource,
            body,
        }
    }

    /// Id and number, of a compressed segment.
    pub(crate) fn sealed(&self) -> Option<(&str, u64)> {
        match &self.body {
            Body::Sealed(entry) => Some((&entry.id, entry.number)),
            Body::Found(id, _) => Some((id, self.number)),
            Body::Open(_) => None,
        }
    }

    /// Adds its columns to those of the files before it.
    pub(crate) fn show(&self, columns: &mut Columns) {
        match &self.body {
            Body::Sealed(entry) => {
                for (name, seen) in &entry.columns {
                    columns.add(name, *seen);
                }
            }
            Body::Found(_, index) => {
                for (name, seen) in index.part.columns.iter() {
                    columns.add(name, seen);
                }
            }
            Body::Open(source) => {
                for (name, seen) in source.index.part.columns.iter() {
                    columns.add(name, seen);
                }
            }
        }
    }

    /// Whether a row of it may lie in `[start, end)`.
    pub(crate) fn overlaps(&self, (start, end): (i64, Option<i64>)) -> bool {
        self.bounds
            .is_some_and(|(min, max)| start <= max && end.is_none_or(|end| min < end))
    }

    /// Whether all its rows lie in `[start, end)`.
    pub(crate) fn within(&self, (start, end): (i64, Option<i64>)) -> bool {
        self.bounds
            .is_some_and(|(min, max)| start <= min && end.is_none_or(|end| max < end))
    }

    /// The file with its index.
    ///
    /// # Errors
    /// [`JsonlError::Moved`] if the segment is not there any more; damage of its index.
    pub(crate) fn source(&self, store: &Store, series: &Series) -> Result<Arc<Source>, JsonlError> {
        let few = Opened::new(store, series, self.sealed().as_slice())?;
        self.source_of(series, &few)
    }

    /// As [`source`](Self::source), with a compressed segment as one of those of a read.
    pub(crate) fn source_of(
        &self,
        series: &Series,
        opened: &Arc<Opened>,
    ) -> Result<Arc<Source>, JsonlError> {
        let index = match &self.body {
            Body::Open(source) => return Ok(Arc::clone(source)),
            Body::Found(_, index) => Arc::clone(index),
            Body::Sealed(entry) => {
                let file = opened.get(self.number)?;
                let of_file = file.of_file().map_err(JsonlError::Read)?;
                let known = series.state().segments.index_of(self.number, &of_file);
                if let Some(index) = known {
                    index
                } else {
                    let stats = file.stats_of(entry)?;
                    let index = Arc::new(Index::of_part(stats.part(), file.bytes()?));
                    // One that was sealed anew while nobody has named it yet is as it says itself.
                    if stats.digest == entry.digest {
                        let mut state = series.state();
                        state.segments.keep_index(entry.number, of_file, &index);
                    }
                    index
                }
            }
        };
        Ok(Arc::new(Source {
            file: SourceFile::Sealed(Arc::clone(opened), self.number),
            index,
            resource: self.resource.clone(),
            segment: Some(self.number),
        }))
    }
}
