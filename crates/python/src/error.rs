//! Errors of the store as exceptions: one class for each kind, the resource named.

use std::path::Path;

use minutebook::{Error, ErrorKind};
use minutebook_fs::FsError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

static BUILD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for an error.
pub(crate) fn raised(error: &Error) -> PyErr {
    let mut cause = std::error::Error::source(error);
    let mut causes = Vec::new();
    while let Some(source) = cause {
        let text = source.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        cause = source.source();
    }
    Python::attach(|py| {
        build(py)
            .and_then(|build| {
                build.call1((
                    error.kind().name(),
                    error.message(),
                    error.resource(),
                    error.operation(),
                    error.backend(),
                    causes,
                    errno(error),
                ))
            })
            .map_or_else(|failed| failed, PyErr::from_value)
    })
}

/// The exception for a file operation that failed.
pub(crate) fn file(operation: &'static str, path: &Path, error: FsError) -> PyErr {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => ErrorKind::Locked,
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::FileTooLarge => {
            ErrorKind::InvalidInput
        }
        _ => ErrorKind::Unavailable,
    };
    let built = Error::new(kind, error.to_string())
        .with_operation(operation)
        .with_resource(path.display())
        .with_source(error);
    raised(&built)
}

/// The system's number of the error that lies behind, for `OSError.errno`.
fn errno(error: &Error) -> Option<i32> {
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        if let Some(io) = source.downcast_ref::<std::io::Error>()
            && let Some(number) = io.raw_os_error()
        {
            return Some(number);
        }
        cause = source.source();
    }
    None
}

fn build(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    let build = BUILD.get_or_try_init(py, || {
        py.import("minutebook._errors")?
            .getattr("from_native")
            .map(Bound::unbind)
    })?;
    Ok(build.bind(py))
}
