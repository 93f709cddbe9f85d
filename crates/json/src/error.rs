//! What can go wrong inside, and what a caller is told.

use std::path::PathBuf;

use minutebook_core::{Error, ErrorKind, Problem};
use minutebook_fs::FsError;
use minutebook_fs::task::TaskError;

/// The name under which errors of this crate go.
pub(crate) const BACKEND: &str = "json";

pub(crate) type Result<T, E = JsonError> = std::result::Result<T, E>;

/// Every way in which an operation of this crate fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("{0}")]
    Fs(#[from] FsError),
    #[error("{0}")]
    Task(#[from] TaskError),
    #[error("{0}")]
    Core(Error),
    #[error("there is already a decision with this id; update it, or choose another id")]
    Exists,
    #[error("there is already a dataset of this name; update it, or choose another name")]
    EntryExists,
    #[error("there is already a dataset \"{0}\"; choose another name")]
    NewNameTaken(String),
    #[error("there is nothing to update")]
    Missing,
    #[error("expected revision {expected}, found {found}; read it again, then retry")]
    Conflict { expected: String, found: String },
    #[error("{}: {}", .0.kind, .0.message)]
    Unreadable(Problem),
    #[error("the document has {len} bytes; at most {max} are allowed (max_document_bytes)")]
    TooLarge { len: usize, max: u64 },
    #[error("the year of the timestamp is outside 0000 to 9999, which a file name can hold")]
    Year,
    #[error("the file name {0} is taken by something that is not this decision")]
    NameTaken(String),
    #[error(
        "{message} at line {line}, column {column}; the file was left as it is, so mend it or restore it"
    )]
    Registry {
        path: PathBuf,
        message: String,
        line: usize,
        column: usize,
    },
    #[error("the entry cannot be read: {message}; the file was left as it is")]
    Entry { message: String },
    #[error(
        "the journal's bytes at offset {offset} are not the document that was there; it was changed from outside"
    )]
    JournalChanged { path: PathBuf, offset: u64 },
    #[error("the path leads out of the data directory {}", .0.display())]
    Outside(PathBuf),
    #[error(
        "the writer that took this call with others stopped before it was done; read before writing again"
    )]
    Abandoned,
    #[error("the text is no JSON object, not even as Python writes it: at byte {at}: {message}")]
    NotWide { at: usize, message: &'static str },
    #[error("the text has the id \"{inside}\", which is not the one it is saved under")]
    OtherId { inside: String },
    #[error(
        "it is kept as raw text, which is wider than JSON; read its text (get_raw, decision get --raw)"
    )]
    RawOnly,
    #[error("{0} is no name of a document: {{date}}_{{id}}.json, without a path")]
    NoDocument(String),
    #[error("the file was changed by others each time it was read; read it again")]
    Moving,
    #[error(
        "the directory has a journal, which would not learn of what is written without it; open it with the journal, or move the journal's files away"
    )]
    HasJournal,
    #[error("the batch failed: {0}")]
    Batch(String),
}

impl JsonError {
    /// A second copy of what stopped a whole batch, for each of its callers.
    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Fs(error) => Self::copy_fs(error),
            Self::HasJournal => Self::HasJournal,
            other => Self::Batch(other.to_string()),
        }
    }

    /// As [`copy`](Self::copy), of a file system's error.
    pub(crate) fn copy_fs(error: &FsError) -> Self {
        let source = std::io::Error::new(error.source.kind(), error.source.to_string());
        Self::Fs(FsError {
            op: error.op,
            step: error.step,
            path: error.path.clone(),
            applied: error.applied,
            source,
        })
    }

    /// The public error, with operation and, where nothing deeper named one, the resource.
    pub(crate) fn into_core(
        self,
        operation: &'static str,
        resource: impl std::fmt::Display,
    ) -> Error {
        self.kinded()
            .with_backend(BACKEND)
            .with_operation(operation)
            .with_resource(resource)
    }

    fn kinded(self) -> Error {
        let message = self.to_string();
        match self {
            Self::Fs(error) => from_fs(error),
            Self::Task(error) => Error::new(ErrorKind::Unavailable, message).with_source(error),
            Self::Core(error) => error,
            Self::Exists | Self::EntryExists | Self::NewNameTaken(_) => {
                Error::new(ErrorKind::AlreadyExists, message)
            }
            Self::Missing => Error::new(ErrorKind::NotFound, message),
            Self::Conflict { .. } | Self::NameTaken(_) => Error::new(ErrorKind::Conflict, message),
            Self::Unreadable(problem) => {
                let mut place = problem.resource.clone();
                if let Some(line) = problem.location.line {
                    place = format!("{place}, line {line}");
                }
                Error::new(ErrorKind::Corrupt, message).with_resource(place)
            }
            Self::TooLarge { .. }
            | Self::Year
            | Self::Outside(_)
            | Self::NotWide { .. }
            | Self::OtherId { .. }
            | Self::HasJournal
            | Self::NoDocument(_) => Error::invalid(message),
            Self::Registry { ref path, .. } | Self::JournalChanged { ref path, .. } => {
                Error::new(ErrorKind::Corrupt, message).with_resource(path.display())
            }
            Self::Entry { .. } => Error::new(ErrorKind::Corrupt, message),
            Self::RawOnly => Error::unsupported(message),
            Self::Abandoned | Self::Moving | Self::Batch(_) => {
                Error::new(ErrorKind::Unavailable, message)
            }
        }
    }
}

fn from_fs(error: FsError) -> Error {
    use std::io::ErrorKind as Io;
    let kind = if error.is_locked() {
        ErrorKind::Locked
    } else {
        match error.kind() {
            Io::InvalidInput | Io::InvalidFilename => ErrorKind::InvalidInput,
            Io::FileTooLarge => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        }
    };
    Error::new(kind, error.to_string()).with_source(error)
}
