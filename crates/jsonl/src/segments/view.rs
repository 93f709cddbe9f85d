//! Which files a series consists of at one moment.

use std::io;
use std::sync::Arc;

use minutebook_core::Problem;
use minutebook_fs::{FsError, FsFile, OpenMode};

use super::Manifest;
use crate::error::JsonlError;
use crate::store::{Series, State, Store};

/// So many rotations in a row may come between before a look is given up.
const ATTEMPTS: usize = 64;

/// The files of a series at one moment, those that can lose their names opened.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// What is wrong with the manifest.
    pub(crate) problem: Option<Problem>,
    /// The segment that is sealed and not yet compressed.
    pub(crate) raw: Option<Arc<dyn FsFile>>,
    /// The plain file.
    pub(crate) live: Option<Arc<dyn FsFile>>,
}

impl View {
    /// The id of the list of segments; empty without one.
    pub(crate) fn id(&self) -> &str {
        self.manifest.as_ref().map_or("", |manifest| &manifest.id)
    }

    /// The number that the plain file gets.
    pub(crate) fn number(&self) -> u64 {
        let next = self.manifest.as_ref().map_or(1, |manifest| manifest.next);
        next + u64::from(self.manifest.is_some() && self.raw.is_some())
    }
}

/// Looks at a series; `None` if it is not there.
///
/// The manifest is read, then the plain file opened, then the name that it gets when it is sealed; and the manifest must be the same after
/// that. If the announced name was not there yet, the plain file was not sealed before it was opened. If it was, it is told by which file
/// it is whether the plain file is the one that was sealed, or the one after it.
pub(crate) fn view(store: &Store, series: &Series) -> Result<Option<View>, JsonlError> {
    for _ in 0..ATTEMPTS {
        let looked = view_known(store, series, &mut series.state());
        if !matches!(looked, Err(JsonlError::Moved)) {
            return looked;
        }
    }
    Err(JsonlError::Moved)
}

/// As [`view`], once, for who holds what is known of the series: [`JsonlError::Moved`] if a rotation came between.
pub(crate) fn view_known(
    store: &Store,
    series: &Series,
    state: &mut State,
) -> Result<Option<View>, JsonlError> {
    let fs = &*store.config.fs;
    state.segments.known.refresh(fs, &series.sealed)?;
    let known = state.segments.known.clone();
    {
        let mut live = store.reader(series)?;
        let raw = match &known.manifest {
            Some(manifest) => open_raw(store, series, manifest.next)?,
            None => None,
        };
        if state.segments.known.refresh(fs, &series.sealed)? {
            return Err(JsonlError::Moved);
        }
        if let (Some(plain), Some(raw)) = (&live, &raw) {
            let id = |file: &Arc<dyn FsFile>| file.metadata().map(|meta| meta.id);
            if id(plain).map_err(JsonlError::Read)? == id(raw).map_err(JsonlError::Read)? {
                live = None;
            }
        }
        if known.manifest.is_none() && live.is_none() {
            return Ok(None);
        }
        Ok(Some(View {
            manifest: known.manifest,
            problem: known.problem,
            raw,
            live,
        }))
    }
}

fn open_raw(
    store: &Store,
    series: &Series,
    number: u64,
) -> Result<Option<Arc<dyn FsFile>>, JsonlError> {
    let path = series.sealed.raw(number);
    match store.config.fs.open(&path, OpenMode::Read) {
        Ok(file) => Ok(Some(file.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FsError::not_applied("read", "open", &path, error).into()),
    }
}

/// Whether a series has segments, by its manifest.
pub(crate) fn exists(store: &Store, series: &Series) -> Result<bool, JsonlError> {
    let mut state = series.state();
    let known = &mut state.segments.known;
    known.refresh(&*store.config.fs, &series.sealed)?;
    Ok(known.manifest.is_some())
}
