//! The files of a series in order, each with what is known of its lines.

use std::io;
use std::sync::Arc;

use minutebook_fs::FsFile;

use super::{Entry, Opened, SealedFile, View};
use crate::error::JsonlError;
use crate::index::{self, Columns, Index, Piece, Wanted};
use crate::store::{Series, State, Store};
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
            let file = open(store, series, entry.number)?;
            let of_file = file.of_file().map_err(JsonlError::Read)?;
            let known = state.segments.index_of(entry.number, &of_file);
            let index = if let Some(index) = known {
                index
            } else {
                file.stats_of(entry)?;
                let file: Arc<dyn FsFile> = Arc::new(file);
                let found = index::refresh(None, &file, reading, None);
                found.map_err(JsonlError::Read)?.0
            };
            state.segments.keep_index(entry.number, of_file, &index);
            let body = Body::Found(entry.id.clone(), Arc::clone(&index));
            all.push(Section::of(entry.number, resource, &index, body));
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
                &index,
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
        all.push(Section::open(next, true, file, &index, resource));
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

fn open(store: &Store, series: &Series, number: u64) -> Result<SealedFile, JsonlError> {
    let path = series.sealed.sealed(number);
    SealedFile::open(&*store.config.fs, &path)?.ok_or(JsonlError::Moved)
}

impl Section {
    fn open(
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
