//! What is known of a series' files, and brought in step with them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use minutebook_fs::{FileId, FsFile, Metadata};

use super::{Series, Store};
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::index::{self, Columns, Index, Reading};
use crate::segments::{self, Manifest, View};
use crate::types_file::Known;

/// What is known of a series' files.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) index: Option<Arc<Index>>,
    /// The unit with which the index was built.
    pub(super) unit: Option<EpochUnit>,
    pub(crate) types: Known,
    pub(crate) segments: Segments,
    /// How often something was forgotten: what was read of a file before says nothing then.
    pub(crate) forgotten: u64,
}

/// What is known of the segments before the plain file.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) known: segments::Known,
    /// The index of the segment that is not yet compressed.
    pub(crate) raw: Option<Arc<Index>>,
    /// Indexes of compressed segments that were needed, by number, of the series with this id; each with the file that it is of, since a segment may be sealed anew
    /// under its number.
    indexes: HashMap<u64, (Metadata, Arc<Index>)>,
    pub(crate) id: String,
    /// What the columns of all segments have shown, as of this generation of the manifest and with or without a plain segment.
    pub(crate) shown: Option<((u64, bool), Arc<Columns>)>,
    /// The number that the plain file gets, of which the index is.
    pub(crate) live: u64,
}

/// So many indexes of compressed segments are kept for a series.
const KEPT_INDEXES: usize = 64;

impl Segments {
    /// What is known under the number of a segment, and of which file it is.
    pub(crate) fn known_index(&self, number: u64) -> Option<(Metadata, Arc<Index>)> {
        let (of, index) = self.indexes.get(&number)?;
        Some((*of, Arc::clone(index)))
    }

    /// The index of a segment, if what is known is of this very file.
    pub(crate) fn index_of(&self, number: u64, file: &Metadata) -> Option<Arc<Index>> {
        let (of, index) = self.indexes.get(&number)?;
        is_same(of, file).then(|| Arc::clone(index))
    }

    /// Keeps the index of a segment.
    pub(crate) fn keep_index(&mut self, number: u64, file: Metadata, index: &Arc<Index>) {
        if self.indexes.len() >= KEPT_INDEXES && !self.indexes.contains_key(&number) {
            self.indexes.clear();
        }
        self.indexes.insert(number, (file, Arc::clone(index)));
    }

    /// Forgets the index of a segment.
    pub(crate) fn forget_index(&mut self, number: u64) {
        self.indexes.remove(&number);
    }
}

impl State {
    /// How lines are read now.
    pub(crate) fn reading(&self, store: &Store) -> Reading {
        Reading {
            max_line_bytes: store.config.max_line_bytes,
            unit: self.unit(store),
            threads: store.config.read_ahead.get(),
        }
    }

    /// Notes which number the plain file gets, and of which series. If it is another one than before, what is known is of another file, even if
    /// the system gave it the same id.
    pub(crate) fn live_is(&mut self, id: &str, number: u64) {
        if self.segments.id != id {
            id.clone_into(&mut self.segments.id);
            self.segments.indexes.clear();
            self.segments.raw = None;
            self.segments.shown = None;
            self.forget_index();
        }
        if self.segments.live != number {
            self.segments.live = number;
            self.forget_index();
        }
    }

    /// Forgets what is known of the plain file.
    pub(crate) fn forget_index(&mut self) {
        self.index = None;
        self.forgotten += 1;
    }

    /// Whether a view is of the files of now, as far as is known: not of a moment before a rotation.
    pub(crate) fn is_now(&self, view: &View) -> bool {
        let of = |manifest: &Option<Arc<Manifest>>| {
            manifest.as_ref().map(|it| (it.id.clone(), it.generation))
        };
        let is_behind = self.segments.id == view.id() && self.segments.live > view.number();
        of(&view.manifest) == of(&self.segments.known.manifest) && !is_behind
    }

    /// The index of a file, which may have been sealed a moment ago.
    pub(crate) fn known_of(&self, file: FileId) -> Option<Arc<Index>> {
        let known = [&self.segments.raw, &self.index].into_iter().flatten();
        known.into_iter().find(|index| index.is_of(file)).cloned()
    }

    /// Takes what is known of a file that was sealed, perhaps a moment ago.
    pub(crate) fn take_index(&mut self, file: FileId) -> Option<Arc<Index>> {
        let of_it =
            |index: &&mut Option<Arc<Index>>| index.as_ref().is_some_and(|index| index.is_of(file));
        [&mut self.segments.raw, &mut self.index]
            .into_iter()
            .find(of_it)?
            .take()
    }

    /// Brings the types in step with their file. Indexes that were built with another unit are dropped.
    pub(crate) fn refresh_types(
        &mut self,
        store: &Store,
        series: &Series,
    ) -> Result<(), JsonlError> {
        self.types.refresh(&*store.config.fs, &series.types)?;
        let unit = self.unit(store);
        if unit != self.unit {
            self.forget_index();
            self.segments.raw = None;
            self.segments.indexes.clear();
            self.unit = unit;
        }
        Ok(())
    }

    /// Brings everything in step with an open file, and gives its index.
    pub(crate) fn refresh(
        &mut self,
        store: &Store,
        series: &Series,
        file: &Arc<dyn FsFile>,
    ) -> Result<Arc<Index>, JsonlError> {
        self.refresh_types(store, series)?;
        let reading = self.reading(store);
        let known = self.index.take();
        let known =
            known.or_else(|| index::load_of(&*store.config.fs, &series.index, file, reading));
        let (index, _) = index::refresh(known, file, reading, None).map_err(cut)?;
        self.index = Some(Arc::clone(&index));
        Ok(index)
    }

    /// What numbers in the time column count: what was declared when they were written, else what the configuration says.
    pub(crate) fn unit(&self, store: &Store) -> Option<EpochUnit> {
        self.types.types.epoch_unit.or(store.config.time.unit)
    }
}

/// Whether a file is the one that it was, and as it was, by all that can be seen without reading it.
pub(crate) fn is_same(was: &Metadata, is: &Metadata) -> bool {
    (was.id, was.len, was.changed_ns) == (is.id, is.len, is.changed_ns)
}

fn cut(error: io::Error) -> JsonlError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        JsonlError::Shrunk
    } else {
        JsonlError::Read(error)
    }
}
