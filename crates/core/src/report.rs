//! What a read skipped: counted, named and handed over beside the data, never swallowed.

use std::fmt;

/// What is wrong with a piece of stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProblemKind {
    /// It does not parse.
    Malformed,
    /// A crash left an incomplete last line.
    TornTail,
    /// A document without the id that would make it a decision.
    MissingId,
    /// An id, symbol or name that Minutebook would not accept.
    InvalidName,
    /// Several documents claim the same id; the newest is used.
    DuplicateId,
    /// The file's name and the id inside it disagree; the id inside counts.
    NameMismatch,
    /// A timestamp is missing or cannot be read.
    BadTimestamp,
    /// A value has another type than the column it belongs to; it was widened.
    TypeChanged,
    /// Something that should be a plain file is a link, a directory or a device.
    NotAFile,
    /// Larger than the configured limit.
    TooLarge,
    /// The storage could not read it.
    Unreadable,
    /// A checksum or digest disagrees with the bytes.
    DigestMismatch,
    /// Values that break the rules of their kind, such as a bar whose high is below its low.
    InvalidValue,
    /// A document that is kept as raw text, wider than JSON: it is as it should be, and can be read as bytes alone.
    RawOnly,
}

impl ProblemKind {
    /// Its name in `snake_case`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TornTail => "torn_tail",
            Self::MissingId => "missing_id",
            Self::InvalidName => "invalid_name",
            Self::DuplicateId => "duplicate_id",
            Self::NameMismatch => "name_mismatch",
            Self::BadTimestamp => "bad_timestamp",
            Self::TypeChanged => "type_changed",
            Self::NotAFile => "not_a_file",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::DigestMismatch => "digest_mismatch",
            Self::InvalidValue => "invalid_value",
            Self::RawOnly => "raw_only",
        }
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where inside a resource a problem lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Location {
    /// The line, counted from 1, where it is known.
    pub line: Option<u64>,
    /// The offset in bytes from the start of the file, where it is known.
    pub byte: Option<u64>,
}

/// One thing that a read met and could not use as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The file, id or series.
    pub resource: String,
    /// Where in it.
    pub location: Location,
    /// In words, and what became of the data.
    pub message: String,
}

impl Problem {
    /// A problem without a location.
    pub fn new(kind: ProblemKind, resource: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            resource: resource.into(),
            location: Location::default(),
            message: message.into(),
        }
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
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if let Some(line) = self.location.line {
            write!(f, ", line {line}")?;
        }
        if let Some(byte) = self.location.byte {
            write!(f, ", byte {byte}")?;
        }
        write!(f, ": {} ({})", self.message, self.kind)
    }
}

/// What a read skipped or had to bend. Every problem is counted; the first [`ReadReport::KEPT`] are kept whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadReport {
    total: u64,
    problems: Vec<Problem>,
}

impl ReadReport {
    /// How many problems a report keeps in full, so that a file of garbage cannot fill the memory.
    pub const KEPT: usize = 1_000;

    /// Counts a problem and keeps it while there is room.
    pub fn add(&mut self, problem: Problem) {
        self.total += 1;
        if self.problems.len() < Self::KEPT {
            self.problems.push(problem);
        }
    }

    /// Adds another report's problems to this one.
    pub fn merge(&mut self, other: Self) {
        self.total += other.total;
        let room = Self::KEPT - self.problems.len();
        self.problems.extend(other.problems.into_iter().take(room));
    }

    /// How many problems there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether there was none.
    pub fn is_clean(&self) -> bool {
        self.total == 0
    }

    /// The first problems, in the order in which they were met.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}
