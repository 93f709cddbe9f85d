//! Bringing what is known of a series in step with its files.
//!
//! A file without an index may take long to read, and an append needs what is known of the series while it holds the writers' lock. So whoever does not hold
//! that lock notes what is known, reads without keeping anybody waiting, and then notes what was found, unless something came between.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use minutebook_fs::{FileId, FsFile, Metadata};

use super::{SealedFile, Section, View, view};
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::index::{self, Index, Piece, Reading, Wanted};
use crate::store::{Series, State, Store, is_same};
use crate::types_file::Known;

/// What a look at the files of a series gave.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) sections: Vec<Section>,
    /// If the whole plain file had to be read: the rows of it that were wanted.
    pub(crate) kept: Option<Vec<Piece>>,
    pub(crate) types: Known,
    /// What numbers in the time column count.
    pub(crate) unit: Option<EpochUnit>,
}

/// The files of a series in the order of their lines, for who does not hold the writers' lock. If the whole plain file has to be read for it, the rows that are wanted
/// of it are kept on the way.
pub(crate) fn look(
    store: &Store,
    series: &Series,
    view: &View,
    wanted: Option<&Wanted>,
) -> Result<Looked, JsonlError> {
    look_in_turn(store, series, view, wanted, &series.readers)
}

/// As [`look`]; of those with the same turn one at a time reads much, and the others find what it has found.
pub(crate) fn look_in_turn(
    store: &Store,
    series: &Series,
    view: &View,
    wanted: Option<&Wanted>,
    turn: &Mutex<()>,
) -> Result<Looked, JsonlError> {
    /// So often in a row another unit of times may be declared meanwhile.
    const ATTEMPTS: usize = 16;
    for _ in 0..ATTEMPTS {
        let mut before = Before::new(store, series, &mut series.state(), view)?;
        let _turn = if before.is_far(view)? {
            let turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            before = Before::new(store, series, &mut series.state(), view)?;
            Some(turn)
        } else {
            None
        };
        let after = before.read(store, series, view, wanted)?;
        let mut state = series.state();
        state.refresh_types(store, series)?;
        if state.unit(store) != before.reading.unit {
            // What numbers count was declared meanwhile, and they were read as something else.
            continue;
        }
        after.keep(&before, &mut state);
        return Ok(Looked {
            sections: after.sections,
            kept: after.kept,
            types: state.types.clone(),
            unit: before.reading.unit,
        });
    }
    Err(JsonlError::Moved)
}

/// As [`look`], for who holds what is known of the series, because of the writers' lock.
pub(crate) fn sections(
    store: &Store,
    series: &Series,
    state: &mut State,
    view: &View,
) -> Result<Vec<Section>, JsonlError> {
    let before = Before::new(store, series, state, view)?;
    let after = before.read(store, series, view, None)?;
    after.keep(&before, state);
    Ok(after.sections)
}

/// The index of the plain file as it is now, and how it was read. Without the writers' lock.
pub(crate) fn plain_index(
    store: &Store,
    series: &Series,
) -> Result<(Arc<Index>, Reading), JsonlError> {
    let view = view(store, series)?.ok_or(JsonlError::NoSeries)?;
    let file = view.live.as_ref().ok_or(JsonlError::NoSeries)?;
    let before = Before::new(store, series, &mut series.state(), &view)?;
    let (index, _) = before.plain(store, series, file, None)?;
    let after = After {
        live: Some(Arc::clone(&index)),
        ..After::default()
    };
    after.keep(&before, &mut series.state());
    Ok((index, before.reading))
}

/// What was known before the files were read.
#[derive(Debug)]
struct Before {
    reading: Reading,
    /// How often something was forgotten.
    forgotten: u64,
    /// Whether the view is of the files of now, not of a moment before a rotation.
    is_now: bool,
    segments: HashMap<u64, (Metadata, Arc<Index>)>,
    raw: Option<Arc<Index>>,
    live: Option<Arc<Index>>,
}

/// What is known after they were read.
#[derive(Debug, Default)]
struct After {
    sections: Vec<Section>,
    kept: Option<Vec<Piece>>,
    segments: Vec<(u64, Metadata, Arc<Index>)>,
    raw: Option<Arc<Index>>,
    live: Option<Arc<Index>>,
}

impl Before {
    fn new(
        store: &Store,
        series: &Series,
        state: &mut State,
        view: &View,
    ) -> Result<Self, JsonlError> {
        state.refresh_types(store, series)?;
        let reading = state.reading(store);
        let raw = id_of(view.raw.as_ref())?.and_then(|id| state.known_of(id));
        let is_now = state.is_now(view);
        let live = if is_now {
            state.live_is(view.id(), view.number());
            state.index.clone()
        } else {
            id_of(view.live.as_ref())?.and_then(|id| state.known_of(id))
        };
        let found = others(view, reading).filter_map(|number| {
            let known = state.segments.known_index(number)?;
            Some((number, known))
        });
        Ok(Self {
            reading,
            forgotten: state.forgotten,
            is_now,
            segments: found.collect(),
            raw,
            live,
        })
    }

    /// Whether there is much to be read.
    fn is_far(&self, view: &View) -> Result<bool, JsonlError> {
        for (file, known) in [(&view.raw, &self.raw), (&view.live, &self.live)] {
            if let Some(file) = file {
                let meta = file.metadata().map_err(JsonlError::Read)?;
                if known.as_ref().is_none_or(|known| known.is_far(&meta)) {
                    return Ok(true);
                }
            }
        }
        Ok(others(view, self.reading).any(|number| !self.segments.contains_key(&number)))
    }

    fn read(
        &self,
        store: &Store,
        series: &Series,
        view: &View,
        wanted: Option<&Wanted>,
    ) -> Result<After, JsonlError> {
        let mut after = After::default();
        if let Some(manifest) = &view.manifest {
            let sealed = |number| series.sealed.sealed(number).display().to_string();
            for entry in &manifest.segments {
                let number = entry.number;
                if entry.is_read_as(self.reading) {
                    after
                        .sections
                        .push(Section::sealed_as(entry, sealed(number)));
                    continue;
                }
                // Found with other settings than those of now: found out anew, and kept in memory.
                let path = series.sealed.sealed(number);
                let file = SealedFile::open(&*store.config.fs, &path)?.ok_or(JsonlError::Moved)?;
                let of_file = file.of_file().map_err(JsonlError::Read)?;
                let known = self.segments.get(&number);
                let known = known.filter(|(of, _)| is_same(of, &of_file));
                let index = if let Some((_, index)) = known {
                    Arc::clone(index)
                } else {
                    file.stats_of(entry)?;
                    let file: Arc<dyn FsFile> = Arc::new(file);
                    let found = index::refresh(None, &file, self.reading, None);
                    found.map_err(JsonlError::Read)?.0
                };
                let section = Section::found(entry, sealed(number), &index);
                after.sections.push(section);
                after.segments.push((number, of_file, index));
            }
            if let Some(file) = &view.raw {
                // The plain file of a moment ago, most likely.
                let known = self.raw.clone();
                let (index, _) = index::refresh(known, file, self.reading, None).map_err(cut)?;
                let resource = series.sealed.raw(manifest.next).display().to_string();
                let file = Arc::clone(file);
                let section = Section::open(manifest.next, false, file, &index, resource);
                after.sections.push(section);
                after.raw = Some(index);
            }
        }
        if let Some(file) = &view.live {
            let (index, kept) = self.plain(store, series, file, wanted)?;
            after.kept = kept;
            let (file, resource) = (Arc::clone(file), series.resource());
            let section = Section::open(view.number(), true, file, &index, resource);
            after.sections.push(section);
            after.live = Some(index);
        }
        Ok(after)
    }

    fn plain(
        &self,
        store: &Store,
        series: &Series,
        file: &Arc<dyn FsFile>,
        wanted: Option<&Wanted>,
    ) -> Result<(Arc<Index>, Option<Vec<Piece>>), JsonlError> {
        let known = self.live.clone();
        let known =
            known.or_else(|| index::load_of(&*store.config.fs, &series.index, file, self.reading));
        index::refresh(known, file, self.reading, wanted).map_err(cut)
    }
}

impl After {
    /// Notes what was found, unless something was forgotten meanwhile: then it may be of other files.
    fn keep(&self, before: &Before, state: &mut State) {
        if state.forgotten != before.forgotten {
            return;
        }
        if !before.is_now {
            // The plain file of a moment ago: whoever asks the same view again finds it where the sealed one is looked for.
            let slot = &mut state.segments.raw;
            if let Some(live) = &self.live
                && slot.as_ref().is_none_or(|known| known.is_as(live))
            {
                *slot = Some(Arc::clone(live));
            }
            return;
        }
        for (number, of_file, index) in &self.segments {
            state.segments.keep_index(*number, *of_file, index);
        }
        if let Some(raw) = &self.raw {
            state.segments.raw = Some(Arc::clone(raw));
        }
        if let Some(live) = &self.live {
            let is_newer = match (&state.index, &before.live) {
                (None, known) => known.is_none(),
                (Some(now), Some(known)) if Arc::ptr_eq(now, known) => true,
                // Others have looked at it meanwhile, or appended.
                (Some(now), _) => now.is_as(live) && now.end < live.end,
            };
            if is_newer {
                state.index = Some(Arc::clone(live));
            }
        }
    }
}

/// The compressed segments of which what the manifest says was found with other settings than those of now.
fn others(view: &View, reading: Reading) -> impl Iterator<Item = u64> {
    let all = view.manifest.iter().flat_map(|manifest| &manifest.segments);
    all.filter(move |entry| !entry.is_read_as(reading))
        .map(|entry| entry.number)
}

fn id_of(file: Option<&Arc<dyn FsFile>>) -> Result<Option<FileId>, JsonlError> {
    let id = file.map(|file| file.metadata().map(|meta| meta.id));
    id.transpose().map_err(JsonlError::Read)
}

fn cut(error: io::Error) -> JsonlError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        JsonlError::Shrunk
    } else {
        JsonlError::Read(error)
    }
}
