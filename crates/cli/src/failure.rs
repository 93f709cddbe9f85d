//! How a command fails: one line for the user and the code that the process exits with.

use std::error::Error as _;
use std::io;

use minutebook::{Error, ErrorKind};

use crate::output::Output;

/// The codes that the process exits with. They are part of the interface: scripts go by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done.
    Success = 0,
    /// The storage failed: I/O, permission, a full disk.
    Failure = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// What was to be created is there already, or another writer was first.
    Conflict = 4,
    /// The data given does not make sense.
    InvalidData = 5,
    /// Stored bytes are damaged.
    Corrupt = 6,
    /// Another process holds what this one needs.
    Locked = 7,
    /// This backend or build cannot do it.
    Unsupported = 8,
}

/// Shown at the end of `minutebook --help`.
macro_rules! exit_codes {
    () => {
        "\
Exit codes:
  0  done
  1  the storage failed (I/O, permission, disk full)
  2  the command line or the settings are wrong
  3  not found (store, decision, series, dataset, file)
  4  it exists already, or another writer was first; a directory of backups has
     those of another store
  5  the data given is invalid; the message names file and line
  6  stored bytes, a file or a backup are damaged; verify found damage, or repair
     left some; series adopt left a file out
  7  locked by another process
  8  not supported"
    };
}
pub(crate) use exit_codes;

/// What ends a command early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to tell the user, on one line.
    Message {
        /// The code to exit with.
        exit: Exit,
        /// What is wrong, where, and the way out.
        text: String,
    },
    /// Whoever read our output has seen enough (`| head`): no failure at all.
    OutputClosed,
}

/// The result of every command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self::Message {
            exit,
            text: text.into(),
        }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, text)
    }

    pub(crate) fn data(text: impl Into<String>) -> Self {
        Self::new(Exit::InvalidData, text)
    }

    /// Adds to the line, for example what was done before the failure.
    pub(crate) fn with_note(self, note: &str) -> Self {
        match self {
            Self::Message { exit, text } => Self::Message {
                exit,
                text: format!("{text}; {note}"),
            },
            Self::OutputClosed => Self::OutputClosed,
        }
    }

    /// What ends a command that went on with the rest after each of these: all but the last are told here, and the code is that of the first.
    pub(crate) fn together(failures: Vec<Self>, output: &mut Output<'_>) -> Outcome {
        let mut first = None;
        let mut failures = failures.into_iter().peekable();
        while let Some(failure) = failures.next() {
            let Self::Message { exit, text } = failure else {
                return Err(failure);
            };
            let exit = *first.get_or_insert(exit);
            if failures.peek().is_none() {
                return Err(Self::new(exit, text));
            }
            output.error(&text);
        }
        Ok(())
    }

    /// A failure to read or write a file of the user's.
    pub(crate) fn file(doing: &str, path: &str, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Exit::InvalidData,
            _ => Exit::Failure,
        };
        let way_out = match error.kind() {
            io::ErrorKind::NotFound => "; check the path",
            _ => way_out(error),
        };
        Self::new(
            exit,
            format!("{path}: cannot {doing}: {}{way_out}", plain(error)),
        )
    }
}

/// A result that counts whether or not anybody reads what is printed on the way to it.
pub(crate) fn read_or_not(printed: Outcome) -> Outcome {
    match printed {
        Err(Failure::OutputClosed) => Ok(()),
        other => other,
    }
}

/// A failure to write to our own output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::new(
            Exit::Failure,
            format!("cannot write the output: {}", plain(&error)),
        )
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::AlreadyExists | ErrorKind::Conflict => Exit::Conflict,
            ErrorKind::InvalidInput | ErrorKind::SchemaMismatch => Exit::InvalidData,
            ErrorKind::Corrupt => Exit::Corrupt,
            ErrorKind::Locked => Exit::Locked,
            ErrorKind::Unsupported => Exit::Unsupported,
            _ => Exit::Failure,
        };
        Self::new(exit, line(&error))
    }
}

/// The error, its causes and a way out on one line.
fn line(error: &Error) -> String {
    let mut text = String::new();
    if let Some(resource) = error.resource() {
        text.push_str(resource);
        text.push_str(": ");
    }
    text.push_str(error.message());
    let mut hint = "";
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            hint = way_out(cause);
        }
        let cause_text = match cause.downcast_ref::<io::Error>() {
            Some(cause) => plain(cause),
            None => cause.to_string(),
        };
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.push_str(hint);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; check who may read and write there",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, then run it again"
        }
        io::ErrorKind::FileTooLarge => {
            "; raise the limit on file sizes (ulimit -f), then run it again"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; it is mounted read-only, choose another place",
        _ => "",
    }
}

/// The system's words without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_one_line_with_its_causes_and_a_way_out() {
        let error = Error::new(ErrorKind::Unavailable, "cannot save")
            .with_backend("json")
            .with_resource("d-1")
            .with_source(io::Error::from(io::ErrorKind::StorageFull));
        let Failure::Message { exit, text } = error.into() else {
            panic!("no message");
        };
        assert_eq!(exit, Exit::Failure);
        assert_eq!(
            text,
            "d-1: cannot save: no storage space; free some space, then run it again"
        );
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(closed, Failure::OutputClosed));
    }
}
