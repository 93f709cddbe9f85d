//! What can go wrong here, and which kind of error it is for the caller.

use minutebook_core::{Error, ErrorKind, Problem, SeriesId};
use minutebook_fs::task::TaskError;
use minutebook_fs::{FsError, names::NameError};

use crate::segments::Damage;

/// The name under which this backend answers.
pub(crate) const BACKEND: &str = "jsonl";

#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonlError {
    #[error("there is no such series")]
    NoSeries,
    #[error("entry {number}: {what}")]
    Entry { number: usize, what: String },
    #[error("{0}")]
    Input(String),
    #[error("{0}")]
    Types(String),
    #[error("{}; read without strict mode to skip and count it", place(.0))]
    Damaged(Box<Problem>),
    #[error("{0}")]
    Unsupported(&'static str),
    #[error("an earlier sync failed ({0}); open the repository again and check what is there")]
    Poisoned(String),
    #[error(
        "the file was cut short while it was read, or a batch in it was taken back; read it again"
    )]
    Shrunk,
    #[error("the name is too long for a file")]
    Name(#[from] NameError),
    #[error("{0}")]
    Fs(FsError),
    #[error("a segment was moved away while the series was read; read it again")]
    Moved,
    #[error(
        "{0} holds a segment that the manifest beside it does not name, and that another one would be written over: the manifest is an older copy; run `minutebook repair`"
    )]
    Older(String),
    #[error(
        "{0} says that it is segment {1}, so it is a copy or was renamed, and the segment of this name would be written over it: run `minutebook repair`"
    )]
    Misnumbered(String, u64),
    #[error("{path} has form {version}, which this release does not read; use a newer release")]
    Newer { path: String, version: u32 },
    #[error("{}", read_failed(.0))]
    Read(#[source] std::io::Error),
    #[error("the columns do not fit together")]
    Arrow(#[from] arrow_schema::ArrowError),
    #[error("the work was not done")]
    Task(#[from] TaskError),
    #[error("the appender is closed")]
    Closed,
    #[error(
        "earlier entries of the series were refused ({0}); take them back before others are pushed to it"
    )]
    Refused(Failure),
    #[error("the appender stopped: {0}")]
    Stopped(Failure),
    /// What failed for all who waited for the same write or sync.
    #[error("{0}")]
    Shared(Failure),
    #[error("the system gives no thread")]
    Thread(#[source] std::io::Error),
    #[error(transparent)]
    Core(#[from] Error),
}

/// An error that is told to more than one caller.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}{message}", .series.as_ref().map(|id| format!("{id}: ")).unwrap_or_default())]
pub(crate) struct Failure {
    kind: ErrorKind,
    message: String,
    series: Option<String>,
}

impl Failure {
    pub(crate) fn new(error: &JsonlError, series: Option<String>) -> Self {
        let message = match error {
            JsonlError::Fs(error) => format!("{error}: {}", error.source),
            JsonlError::Read(source) => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Self {
            kind: error.kind(),
            message,
            series,
        }
    }

    pub(crate) fn panicked() -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            message: "its thread panicked".to_owned(),
            series: None,
        }
    }
}

fn place(problem: &Problem) -> String {
    let message = &problem.message;
    match (problem.location.line, problem.location.byte) {
        (Some(line), Some(byte)) => format!("{message} (line {line}, byte {byte})"),
        (Some(line), None) => format!("{message} (line {line})"),
        (None, Some(byte)) => format!("{message} (byte {byte})"),
        (None, None) => message.clone(),
    }
}

fn read_failed(error: &std::io::Error) -> String {
    match Damage::of(error) {
        Some(damage) => damage.to_string(),
        None => "cannot read the file".to_owned(),
    }
}

impl From<FsError> for JsonlError {
    fn from(error: FsError) -> Self {
        Self::Fs(error)
    }
}

impl JsonlError {
    /// Whether it is certain that nothing was written.
    pub(crate) fn nothing_applied(&self) -> bool {
        match self {
            Self::Fs(error) => error.nothing_applied(),
            Self::Shared(_) | Self::Stopped(_) | Self::Task(_) => false,
            _ => true,
        }
    }

    /// Whether it says of an append that a series is not as it must be or is held by others: nothing was written, and the disk is well.
    pub(crate) fn is_of_the_series(&self) -> bool {
        match self {
            Self::Input(_) | Self::Types(_) => true,
            Self::Fs(error) => error.is_locked(),
            _ => false,
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSeries => ErrorKind::NotFound,
            Self::Entry { .. } | Self::Input(_) | Self::Name(_) | Self::Closed => {
                ErrorKind::InvalidInput
            }
            Self::Refused(failure) | Self::Stopped(failure) | Self::Shared(failure) => failure.kind,
            Self::Types(_) | Self::Arrow(_) => ErrorKind::SchemaMismatch,
            Self::Damaged(_) => ErrorKind::Corrupt,
            Self::Older(_) | Self::Misnumbered(..) => ErrorKind::Conflict,
            Self::Unsupported(_) | Self::Newer { .. } => ErrorKind::Unsupported,
            Self::Read(error) if Damage::of(error).is_some() => ErrorKind::Corrupt,
            Self::Fs(error) if error.is_locked() => ErrorKind::Locked,
            Self::Poisoned(_)
            | Self::Shrunk
            | Self::Moved
            | Self::Fs(_)
            | Self::Read(_)
            | Self::Thread(_)
            | Self::Task(_) => ErrorKind::Unavailable,
            Self::Core(error) => error.kind(),
        }
    }

    /// The public error of an operation on a series.
    pub(crate) fn of_series(self, operation: &'static str, series: &SeriesId) -> Error {
        self.of(operation).with_resource(series)
    }

    /// The public error of an operation.
    pub(crate) fn of(self, operation: &'static str) -> Error {
        let kind = self.kind();
        let message = self.to_string();
        let error = match self {
            Self::Core(error) => error,
            Self::Fs(error) => Error::new(kind, message).with_source(error.source),
            Self::Name(error) => Error::new(kind, message).with_source(error),
            Self::Read(error) | Self::Thread(error) => Error::new(kind, message).with_source(error),
            Self::Arrow(error) => Error::new(kind, message).with_source(error),
            Self::Task(error) => Error::new(kind, message).with_source(error),
            Self::NoSeries
            | Self::Entry { .. }
            | Self::Input(_)
            | Self::Types(_)
            | Self::Damaged(_)
            | Self::Unsupported(_)
            | Self::Poisoned(_)
            | Self::Closed
            | Self::Refused(_)
            | Self::Stopped(_)
            | Self::Shared(_)
            | Self::Newer { .. }
            | Self::Older(_)
            | Self::Misnumbered(..)
            | Self::Moved
            | Self::Shrunk => Error::new(kind, message),
        };
        error.with_backend(BACKEND).with_operation(operation)
    }
}
