//! One finding.

use std::fmt;
use std::path::PathBuf;

use super::kind::FindingKind;
use crate::report::Location;

/// One thing that is not as it should be, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What is the matter.
    pub kind: FindingKind,
    /// The file.
    pub path: PathBuf,
    /// The id, series, dataset or hash that it is about, where there is one.
    pub subject: Option<String>,
    /// Where in the file.
    pub location: Location,
    /// How it came about, as far as the bytes tell.
    pub cause: String,
    /// What a repair does.
    pub mend: Mend,
    /// Whether data is lost that nothing in the store can bring back.
    pub lost: bool,
}

/// What a repair does about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mend {
    /// Nothing: it may stay as it is.
    #[default]
    Leave,
    /// Nothing can be done here.
    Hopeless,
    /// The file is moved to quarantine.
    MoveAway,
    /// These files are moved to quarantine, one after another.
    MoveAll(Vec<PathBuf>),
    /// The file gets this name, if it is free.
    Rename(PathBuf),
    /// These bytes of the file are moved to quarantine, under the lock of the file's writers where it has one.
    TakeOut {
        /// Offset of the first byte.
        from: u64,
        /// Offset after the last byte; `None` is the end of the file.
        to: Option<u64>,
        /// The writers' lock file.
        lock: Option<PathBuf>,
    },
    /// The last line gets the newline that it lacks.
    CloseLine {
        /// The writers' lock file.
        lock: PathBuf,
    },
    /// The backend does it, knowing kind and subject.
    Backend,
}

impl Finding {
    /// A finding at a file, without a place in it, that may stay as it is.
    pub fn new(kind: FindingKind, path: impl Into<PathBuf>, cause: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.into(),
            subject: None,
            location: Location::default(),
            cause: cause.into(),
            mend: Mend::default(),
            lost: false,
        }
    }

    /// Names the id, series, dataset or hash.
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// Adds the line, counted from 1.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.location.line = Some(line);
        self
    }

    /// Adds the byte offset.
    #[must_use]
    pub fn at_byte(mut self, byte: u64) -> Self {
        self.location.byte = Some(byte);
        self
    }

    /// Adds the place in the file.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    /// Says what a repair does.
    #[must_use]
    pub fn mended_by(mut self, mend: Mend) -> Self {
        self.mend = mend;
        self
    }

    /// Says that data is lost.
    #[must_use]
    pub fn losing_data(mut self) -> Self {
        self.lost = true;
        self
    }

    /// Whether a repair does something about it.
    pub fn is_mendable(&self) -> bool {
        !matches!(self.mend, Mend::Leave | Mend::Hopeless)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.location.line {
            write!(f, ", line {line}")?;
        }
        if let Some(byte) = self.location.byte {
            write!(f, ", byte {byte}")?;
        }
        if let Some(subject) = &self.subject {
            write!(f, " ({subject})")?;
        }
        write!(f, ": {}: {}", self.kind, self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_one_line() {
        let finding = Finding::new(
            FindingKind::TickLineMalformed,
            "ticks/x.jsonl",
            "a line is no JSON object",
        )
        .about("X@ticks")
        .at_line(3)
        .at_byte(120);
        assert_eq!(
            finding.to_string(),
            "ticks/x.jsonl, line 3, byte 120 (X@ticks): tick-line-malformed: a line is no JSON object"
        );
        assert!(!finding.is_mendable());
        assert!(finding.mended_by(Mend::MoveAway).is_mendable());
    }
}
