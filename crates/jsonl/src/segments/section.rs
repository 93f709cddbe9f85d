//! The files of a series in order, each with what is known of its lines.

use std::io;
use std::sync::Arc;

use minutebook_fs::FsFile;

use super::{Entry, SealedFile, View};
use crate::error::JsonlError;
use crate::index::{self, Columns, Index, Piece, Wanted};
use crate::store::{Series, State, Store};
use crate::time_series::Source;

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
    Open(Arc<Source>),
}

/// So many indexes of compressed segments are kept for a series.
const KEPT_INDEXES: usize = 64;

/// The files of a series in the order of their lines.
pub(crate) fn sections(
    store: &Store,
    series: &Series,
    state: &mut State,
    view: &View,
) -> Result<Vec<Section>, JsonlError> {
    sections_keeping(store, series, state, view, None).map(|(sections, _)| sections)
}

/// As [`sections`]. If the whole plain file has to be read for it, the rows that are wanted of it are kept on the way.
pub(crate) fn sections_keeping(
    store: &Store,
    series: &Series,
    state: &mut State,
    view: &View,
    wanted: Option<&Wanted>,
) -> Result<(Vec<Section>, Option<Vec<Piece>>), JsonlError> {
    state.refresh_types(store, series)?;
    let reading = state.reading(store);
    let mut all = Vec::new();
    let mut next = 1;
    if let Some(manifest) = &view.manifest {
        next = manifest.next;
        for entry in &manifest.segments {
            let as_now =
                entry.unit == reading.unit && entry.max_line_bytes == reading.max_line_bytes as u64;
            let resource = series.sealed.sealed(entry.number).display().to_string();
            if as_now {
                all.push(Section {
                    number: entry.number,
                    resource,
                    bytes: entry.bytes,
                    end: entry.bytes,
                    rows: entry.rows,
                    flaws: entry.flaws,
                    bounds: entry.first.zip(entry.last),
                    body: Body::Sealed(entry.clone()),
                });
                continue;
            }
            // Found with other settings than those of now: found out anew, and kept in memory.
            let file: Arc<dyn FsFile> = Arc::new(open(store, series, entry.number)?);
            let known = state.segments.indexes.get(&entry.number).cloned();
            let index = if let Some(index) = known {
                index
            } else {
                let found = index::refresh(None, &file, reading, None);
                found.map_err(JsonlError::Read)?.0
            };
            keep(state, entry.number, &index);
            all.push(Section::open(entry.number, false, file, index, resource));
        }
        if let Some(file) = &view.raw {
            let id = file.metadata().map_err(JsonlError::Read)?.id;
            // The plain file of a moment ago, most likely.
            let known = state.take_index(id);
            let (index, _) = index::refresh(known, file, reading, None).map_err(cut)?;
            state.segments.raw = Some(Arc::clone(&index));
            let resource = series.sealed.raw(manifest.next).display().to_string();
            let number = manifest.next;
            all.push(Section::open(
                number,
                false,
                Arc::clone(file),
                index,
                resource,
            ));
            next += 1;
        }
    }
    let id = view.manifest.as_ref().map_or("", |manifest| &manifest.id);
    state.live_is(id, next);
    let mut kept = None;
    if let Some(file) = &view.live {
        let (index, pieces) = state.refresh_keeping(store, series, file, wanted)?;
        kept = pieces;
        let (file, resource) = (Arc::clone(file), series.resource());
        all.push(Section::open(next, true, file, index, resource));
    }
    Ok((all, kept))
}

fn cut(error: io::Error) -> JsonlError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        JsonlError::Shrunk
    } else {
        JsonlError::Read(error)
    }
}

fn keep(state: &mut State, number: u64, index: &Arc<Index>) {
    let kept = &mut state.segments.indexes;
    if kept.len() >= KEPT_INDEXES && !kept.contains_key(&number) {
        kept.clear();
    }
    kept.insert(number, Arc::clone(index));
}

fn open(store: &Store, series: &Series, number: u64) -> Result<SealedFile, JsonlError> {
    let path = series.sealed.sealed(number);
    SealedFile::open(&*store.config.fs, &path)?.ok_or(JsonlError::Moved)
}

impl Section {
    fn open(
        number: u64,
        live: bool,
        file: Arc<dyn FsFile>,
        index: Arc<Index>,
        resource: String,
    ) -> Self {
        Self {
            number,
            bytes: index.len,
            end: index.end,
            rows: index.part.rows,
            flaws: index.part.flaws,
            bounds: index.part.bounds(),
            resource: resource.clone(),
            body: Body::Open(Arc::new(Source {
                file,
                index,
                resource,
                segment: (!live).then_some(number),
            })),
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
        let entry = match &self.body {
            Body::Open(source) => return Ok(Arc::clone(source)),
            Body::Sealed(entry) => entry,
        };
        let file = open(store, series, entry.number)?;
        let known = series.state().segments.indexes.get(&entry.number).cloned();
        let index = if let Some(index) = known {
            index
        } else {
            let stats = file.stats()?;
            let index = Arc::new(Index::of_part(stats.part(), entry.bytes));
            keep(&mut series.state(), entry.number, &index);
            index
        };
        Ok(Arc::new(Source {
            file: Arc::new(file),
            index,
            resource: self.resource.clone(),
            segment: Some(self.number),
        }))
    }
}
