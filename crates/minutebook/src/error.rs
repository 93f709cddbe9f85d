//! Errors of the facade itself: those of the file system, where it looks at directories.

#[cfg(feature = "disk")]
use std::path::Path;

#[cfg(feature = "disk")]
pub(crate) use minutebook_core::error::{Error, ErrorKind, Result};

/// A failure of the file system at one path.
#[cfg(feature = "disk")]
pub(crate) fn io(doing: &str, path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("cannot {doing}"))
        .with_resource(path.display())
        .with_source(error)
}

/// A failure of a file primitive.
#[cfg(feature = "disk")]
pub(crate) fn fs(doing: &str, path: &Path, error: minutebook_fs::FsError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot {doing}"))
        .with_resource(path.display())
        .with_source(error)
}
