//! The lines of a series with sealed segments, for the layers written in Python.

use std::path::PathBuf;

use minutebook::ErrorKind;
use minutebook::jsonl::{JsonlConfig, JsonlTimeSeriesRepository, series_of_file};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::entries::{load_open, refused};
use crate::error::raised;
use crate::run::wait;

/// The segment (`None` for the plain file), the values of its lines, and the numbers of lines that are no JSON.
type Loaded<'py> = (Option<u64>, Bound<'py, PyList>, Vec<u64>);

/// The lines of all files of a series, the sealed segments first. `None` if no series has a file of this name.
#[pyfunction]
pub(crate) fn load_series<'py>(
    py: Python<'py>,
    dir: PathBuf,
    name: &str,
    loads: &Bound<'py, PyAny>,
) -> PyResult<Option<Vec<Loaded<'py>>>> {
    let Some(series) = series_of_file(name) else {
        return Ok(None);
    };
    let path = dir.join(name);
    let repo = JsonlTimeSeriesRepository::open(dir, JsonlConfig::default());
    let repo = repo.map_err(|error| raised(&error))?;
    let files = match wait(py, repo.line_files(&series))? {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(raised(&error)),
    };
    let mut loaded = Vec::with_capacity(files.len());
    for found in files {
        let opened = py.detach(|| found.open()).map_err(|error| raised(&error))?;
        let len = py
            .detach(|| opened.len())
            .map_err(|failed| refused(&path, failed))?;
        let (values, skipped) = load_open(py, &path, opened, len, loads)?;
        loaded.push((found.segment(), values, skipped));
        py.check_signals()?;
    }
    Ok(Some(loaded))
}
