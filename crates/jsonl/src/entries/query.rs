//! What entries to read.

use minutebook_core::{Take, TimeRange};

/// A question to the entries of a series. The default reads every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EntryQuery {
    /// Entries in this range only.
    pub range: TimeRange,
    /// How many of them.
    pub take: Take,
    /// Whether a line that is no entry is an error instead of an item of the report.
    pub strict: bool,
}

impl EntryQuery {
    /// Every entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries in this range only.
    #[must_use]
    pub fn range(mut self, range: TimeRange) -> Self {
        self.range = range;
        self
    }

    /// The first so many entries only.
    #[must_use]
    pub fn first(mut self, entries: usize) -> Self {
        self.take = Take::First(entries);
        self
    }

    /// The last so many entries only, in the order written.
    #[must_use]
    pub fn last(mut self, entries: usize) -> Self {
        self.take = Take::Last(entries);
        self
    }

    /// A line that is no entry makes the read fail ([`Corrupt`](minutebook_core::ErrorKind::Corrupt)).
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}
