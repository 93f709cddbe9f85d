//! Lines of JSON as Python objects: what a whole tick log is loaded with.
//!
//! Usual lines (an object of texts, numbers and their like) are read here: [`tokens`] reads the file and makes tokens of it, on a thread
//! of its own where there is much of it, and [`make`] makes objects of the tokens. Whatever is unusual (escapes, NaN, integers of any
//! size, deep nesting, damage) is left to Python's own `json.loads`, so that the answer is its answer.

mod make;
mod reader;
mod seen;
mod template;
mod tokens;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use minutebook_fs::{Fs, FsError, FsFile, OpenMode, OsFs};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::error;
use make::Maker;
use seen::Places;
use tokens::{Chunk, Chunks};

/// Files up to this length are read on the thread that asks.
const SMALL: u64 = 1 << 18;
/// How many chunks there are: the one that objects are made of, and those read ahead.
const CHUNKS: usize = 8;
/// So many are given back at once, since waking the reader for each costs the maker more than the reader gains.
const GIVEN_BACK: usize = 4;

/// The values of the lines of a file and the numbers (from 1) of lines that are no JSON; `None` if there is no file.
///
/// `loads` is asked for lines that are not usual; what it raises as a `ValueError` makes the line a skipped one.
#[pyfunction]
#[allow(clippy::type_complexity, reason = "a pair for Python")]
pub(crate) fn load_lines<'py>(
    py: Python<'py>,
    path: PathBuf,
    loads: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyList>, Vec<u64>)>> {
    let opened = py.detach(|| open(&path));
    let Some((file, len)) = opened.map_err(|failed| refused(&path, failed))? else {
        return Ok(None);
    };
    load_open(py, &path, file, len, loads).map(Some)
}

/// The values of the lines of an open file and the numbers (from 1) of lines that are no JSON, as [`load_lines`] gives them.
pub(crate) fn load_open<'py>(
    py: Python<'py>,
    path: &Path,
    file: Arc<dyn FsFile>,
    len: u64,
    loads: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyList>, Vec<u64>)> {
    let places = Places::for_file(len);
    let mut chunks = Chunks::new(file, places);
    let mut maker = Maker::new(py, loads.clone(), places);
    if len <= SMALL {
        let mut chunk = Chunk::default();
        while chunks
            .next(&mut chunk)
            .map_err(|failed| refused(path, failed))?
        {
            maker.take(&chunk)?;
        }
    } else {
        std::thread::scope(|scope| {
            let (full, mut fulls) = channel();
            let (empty, empties) = channel();
            for _ in 0..CHUNKS {
                drop(empty.send(Chunk::default()));
            }
            scope.spawn(move || read_ahead(chunks, &full, &empties));
            take_all(py, &mut maker, path, &mut fulls, &empty)
        })?;
    }
    Ok(maker.done())
}

/// The file and its length; `None` if there is none. A link is followed, as `open` of Python does.
fn open(path: &Path) -> io::Result<Option<(Arc<dyn FsFile>, u64)>> {
    let opened = OsFs
        .canonicalize(path)
        .and_then(|target| OsFs.open(&target, OpenMode::Read));
    match opened {
        Ok(file) => {
            let len = file.len()?;
            Ok(Some((file.into(), len)))
        }
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(failed) => Err(failed),
    }
}

/// A file of lines could not be read.
pub(crate) fn refused(path: &Path, failed: io::Error) -> PyErr {
    let failed = FsError::not_applied("load", "read the file", path, failed);
    error::file("load", path, failed)
}

/// Reads chunks until the end, an error, or nobody wants them.
fn read_ahead(mut chunks: Chunks, full: &Sender<io::Result<Chunk>>, empties: &Receiver<Chunk>) {
    while let Ok(mut chunk) = empties.recv() {
        let read = match chunks.next(&mut chunk) {
            Ok(true) => Ok(chunk),
            Ok(false) => return,
            Err(failed) => Err(failed),
        };
        let is_last = read.is_err();
        if full.send(read).is_err() || is_last {
            return;
        }
    }
}

/// Makes objects of chunks as they come. Signals and other threads get their turn between two of them.
fn take_all(
    py: Python<'_>,
    maker: &mut Maker<'_>,
    path: &Path,
    fulls: &mut Receiver<io::Result<Chunk>>,
    empty: &Sender<Chunk>,
) -> PyResult<()> {
    let mut done = Vec::with_capacity(GIVEN_BACK);
    loop {
        let next = match fulls.try_recv() {
            Ok(next) => {
                py.detach(|| ());
                Some(next)
            }
            Err(TryRecvError::Empty) => {
                let waiting = &mut *fulls;
                py.detach(move || waiting.recv().ok())
            }
            Err(TryRecvError::Disconnected) => None,
        };
        let Some(next) = next else { return Ok(()) };
        let chunk = next.map_err(|failed| refused(path, failed))?;
        maker.take(&chunk)?;
        done.push(chunk);
        if done.len() == GIVEN_BACK {
            for chunk in done.drain(..) {
                // It is of no use any more if the reader has come to the end.
                drop(empty.send(chunk));
            }
        }
        py.check_signals()?;
    }
}
