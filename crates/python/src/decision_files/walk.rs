//! A directory of documents from the newest on, a few at a time.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;
use minutebook_fs::FsError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{DecisionFiles, Modified};

/// Documents from the newest file on, a few at a time.
#[pyclass(module = "minutebook._native", frozen)]
pub(crate) struct Walk {
    files: Py<DecisionFiles>,
    needle: Option<Vec<u8>>,
    last: Mutex<Option<(Modified, Arc<OsStr>)>>,
}

/// A file's name, and its bytes or why they could not be read.
type Read = (OsString, Result<Vec<u8>, FsError>);

#[pymethods]
impl Walk {
    /// The next documents, at most `count`: name, bytes, and why not. Empty at the end.
    #[allow(clippy::type_complexity, reason = "rows of three for Python")]
    fn next<'py>(
        &self,
        py: Python<'py>,
        count: usize,
    ) -> PyResult<Vec<(OsString, Option<Bound<'py, PyBytes>>, Option<String>)>> {
        let files = self.files.get();
        let place = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = place().clone();
        let mut found: Vec<Read> = Vec::new();
        loop {
            py.check_signals()?;
            let wanted = count - found.len();
            let more = py
                .detach(|| self.some(files, &mut last, wanted, &mut found))
                .map_err(|e| files.failed("list", OsStr::new(""), e))?;
            if !more || found.len() >= count {
                break;
            }
        }
        *place() = last;
        let rows = found.into_iter().map(|(name, read)| match read {
            Ok(bytes) => (name, Some(PyBytes::new(py, &bytes)), None),
            Err(failed) => (name, None, Some(failed.source.to_string())),
        });
        Ok(rows.collect())
    }
}

impl Walk {
    pub(super) fn new(files: Py<DecisionFiles>, needle: Option<Vec<u8>>) -> Self {
        Self {
            files,
            needle,
            last: Mutex::new(None),
        }
    }

    /// Looks at some files; false at the end of the directory.
    fn some(
        &self,
        files: &DecisionFiles,
        last: &mut Option<(Modified, Arc<OsStr>)>,
        wanted: usize,
        found: &mut Vec<Read>,
    ) -> io::Result<bool> {
        let size = if self.needle.is_some() { 512 } else { wanted };
        let batch: Vec<(Modified, Arc<OsStr>)> = {
            // From the second look on the order that was begun with is followed.
            let state = match last {
                None => files.fresh()?,
                Some(_) => files.state.lock().unwrap_or_else(PoisonError::into_inner),
            };
            let older = match last {
                None => state.by_time.range(..),
                Some(last) => state.by_time.range(..&*last),
            };
            older.rev().take(size).cloned().collect()
        };
        let more = batch.len() == size;
        for (modified, name) in batch {
            let read = files.read_one(&name);
            *last = Some((modified, Arc::clone(&name)));
            match read {
                Ok(None) => {}
                Ok(Some(bytes)) => {
                    if self.may_match(&bytes) {
                        found.push((name.to_os_string(), Ok(bytes)));
                    }
                }
                Err(failed) => found.push((name.to_os_string(), Err(failed))),
            }
            if found.len() >= wanted && self.needle.is_some() {
                return Ok(true);
            }
        }
        Ok(more)
    }

    fn may_match(&self, bytes: &[u8]) -> bool {
        self.needle.as_ref().is_none_or(|needle| {
            memmem::find(bytes, needle).is_some() || memmem::find(bytes, b"\\u").is_some()
        })
    }
}
