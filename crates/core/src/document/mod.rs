//! Documents: run logs, parameters and whatever else is one JSON value under a name; and the trait of such a store.

mod ext;
mod name;
mod repository;

use chrono::{DateTime, Utc};

pub use ext::DocumentRepositoryExt;
pub use name::DocumentName;
pub use repository::DocumentRepository;

use crate::time::TimeRange;

/// A document as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// What is known without its text.
    pub info: DocumentInfo,
    /// Its JSON text, as it was saved.
    pub text: String,
}

/// What is known of a document without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DocumentInfo {
    /// Its name.
    pub name: DocumentName,
    /// When it was last saved, as far as the store knows: a file that is copied may have the time of the copy.
    pub saved_at: DateTime<Utc>,
    /// The bytes of its text.
    pub bytes: u64,
}

impl DocumentInfo {
    /// What is known of a document.
    pub fn new(name: DocumentName, saved_at: DateTime<Utc>, bytes: u64) -> Self {
        Self {
            name,
            saved_at,
            bytes,
        }
    }

    /// When it belongs to: the time in its name ([`DocumentName::time`]), or when it was saved. Lists go by it.
    pub fn time(&self) -> DateTime<Utc> {
        self.name.time().unwrap_or(self.saved_at)
    }
}

/// Which documents: conditions that all must hold. The default holds for every document.
///
/// ```
/// use minutebook_core::{DocumentFilter, TimeRange, time::parse_timestamp};
///
/// let runs = DocumentFilter::new().prefix("runs/").range(TimeRange::since(parse_timestamp("2025-01-01")?));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DocumentFilter {
    /// Whose name begins so.
    pub prefix: Option<String>,
    /// That belong to an instant in this range ([`DocumentInfo::time`]).
    pub range: Option<TimeRange>,
}

impl DocumentFilter {
    /// Every document.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a name that begins so only.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// That belong to an instant in this range only.
    #[must_use]
    pub fn range(mut self, range: TimeRange) -> Self {
        self.range = Some(range);
        self
    }

    /// Whether all conditions hold.
    pub fn matches(&self, info: &DocumentInfo) -> bool {
        self.prefix
            .as_deref()
            .is_none_or(|prefix| info.name.as_str().starts_with(prefix))
            && self.range.is_none_or(|range| range.contains(info.time()))
    }
}
