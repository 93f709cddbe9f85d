//! What can go wrong inside, and how it is told outside.

use std::fmt;

use minutebook_core::{Error, ErrorKind};
use minutebook_fs::task::TaskError;
use minutebook_fs::{FsError, names::NameError};
use parquet::errors::ParquetError;

/// The name of the backend in errors.
pub(crate) const BACKEND: &str = "parquet";

pub(crate) type Result<T, E = Fault> = std::result::Result<T, E>;

/// Every way in which this backend fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// A rule of the core, already worded.
    #[error(transparent)]
    Core(#[from] Error),
    #[error("there is no such series")]
    NoSeries,
    #[error("{0}")]
    NoVersion(String),
    #[error("{0}")]
    Exists(String),
    #[error("other writers were first {attempts} times in a row; read again, then retry")]
    Conflict { attempts: usize },
    #[error("{0}")]
    Invalid(String),
    #[error("{message}")]
    Schema {
        message: String,
        #[source]
        source: Option<ParquetError>,
    },
    #[error("damaged; restore it or get it again: {message}")]
    Corrupt {
        path: String,
        message: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error("{message}")]
    Unsupported { message: String },
    #[error("what was being read is no longer kept; read again")]
    Vanished { path: String },
    #[error("the storage failed")]
    Store {
        path: String,
        #[source]
        source: object_store::Error,
    },
    #[error("the file system failed")]
    Fs(#[from] FsError),
    #[error("the work did not finish")]
    Task(#[from] TaskError),
    #[error("{0}")]
    Slow(String),
}

impl Fault {
    pub(crate) fn corrupt(path: impl fmt::Display, message: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_string(),
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn corrupt_by(
        path: impl fmt::Display,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt {
            path: path.to_string(),
            message: message.into(),
            source: Some(source.into()),
        }
    }

    /// The error outside: kind, backend, operation, resource.
    pub(crate) fn told(self, operation: &'static str, resource: impl fmt::Display) -> Error {
        let message = self.to_string();
        let error = match self {
            Self::Core(error) => error,
            Self::NoSeries | Self::NoVersion(_) => Error::new(ErrorKind::NotFound, message),
            Self::Exists(_) => Error::new(ErrorKind::AlreadyExists, message),
            Self::Conflict { .. } => Error::new(ErrorKind::Conflict, message),
            Self::Invalid(_) => Error::invalid(message),
            Self::Schema { source, .. } => {
                let error = Error::new(ErrorKind::SchemaMismatch, message);
                match source {
                    Some(source) => error.with_source(source),
                    None => error,
                }
            }
            Self::Corrupt { path, source, .. } => {
                let error = Error::new(ErrorKind::Corrupt, message).with_resource(path);
                match source {
                    Some(source) => error.with_source(source),
                    None => error,
                }
            }
            Self::Unsupported { .. } => Error::unsupported(message),
            Self::Vanished { path } => Error::new(ErrorKind::Conflict, message).with_resource(path),
            Self::Store { path, source } => {
                let kind = match source {
                    object_store::Error::NotSupported { .. }
                    | object_store::Error::NotImplemented { .. } => ErrorKind::Unsupported,
                    _ => ErrorKind::Unavailable,
                };
                Error::new(kind, format!("{message}: {source}"))
                    .with_resource(path)
                    .with_source(source)
            }
            Self::Fs(source) => fs_error(source),
            Self::Task(source) => Error::new(ErrorKind::Unavailable, message).with_source(source),
            Self::Slow(_) => Error::new(ErrorKind::Unavailable, message),
        };
        error
            .with_backend(BACKEND)
            .with_operation(operation)
            .with_resource(resource)
    }
}

impl From<NameError> for Fault {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

fn fs_error(source: FsError) -> Error {
    use std::io::ErrorKind as Io;
    let path = source.path.display().to_string();
    let kind = match source.kind() {
        Io::NotFound => ErrorKind::NotFound,
        Io::InvalidInput | Io::InvalidFilename | Io::IsADirectory | Io::NotADirectory => {
            ErrorKind::InvalidInput
        }
        Io::Unsupported => ErrorKind::Unsupported,
        _ if source.is_locked() => ErrorKind::Locked,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{source}: {}", source.source))
        .with_resource(path)
        .with_source(source)
}
