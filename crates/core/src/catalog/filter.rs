//! Which datasets: conditions that all must hold.

use serde_json::Value;

use super::DatasetEntry;
use crate::time::{TimeRange, WrittenTime};

/// Conditions on datasets, all of which must hold. The default holds for every dataset.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct DatasetFilter {
    /// Of exactly this instrument.
    pub instrument: Option<String>,
    /// Of exactly this tenor.
    pub tenor: Option<String>,
    /// Whose name begins so.
    pub name_prefix: Option<String>,
    /// Whose metadata has these values.
    pub metadata: Vec<(String, Value)>,
    /// Whose data has, by its statistics, at least one instant in this range.
    pub overlaps: Option<TimeRange>,
}

impl DatasetFilter {
    /// Every dataset.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this instrument only.
    #[must_use]
    pub fn instrument(mut self, instrument: impl Into<String>) -> Self {
        self.instrument = Some(instrument.into());
        self
    }

    /// Of this tenor only.
    #[must_use]
    pub fn tenor(mut self, tenor: impl Into<String>) -> Self {
        self.tenor = Some(tenor.into());
        self
    }

    /// With a name that begins so only.
    #[must_use]
    pub fn name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.name_prefix = Some(prefix.into());
        self
    }

    /// With this field of metadata only.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// With data in this range only; a dataset without statistics has none.
    #[must_use]
    pub fn overlaps(mut self, range: TimeRange) -> Self {
        self.overlaps = Some(range);
        self
    }

    /// Whether all conditions hold.
    pub fn matches(&self, entry: &DatasetEntry) -> bool {
        let overlaps = |range: &TimeRange| {
            let first = entry.start_date.as_ref().and_then(WrittenTime::instant);
            let last = entry.end_date.as_ref().and_then(WrittenTime::instant);
            first
                .zip(last)
                .is_some_and(|(first, last)| range.overlaps(first, last))
        };
        self.instrument
            .as_ref()
            .is_none_or(|wanted| entry.instrument == *wanted)
            && self
                .tenor
                .as_ref()
                .is_none_or(|wanted| entry.tenor.as_ref() == Some(wanted))
            && self
                .name_prefix
                .as_ref()
                .is_none_or(|prefix| entry.name.as_str().starts_with(prefix.as_str()))
            && self
                .metadata
                .iter()
                .all(|(key, value)| entry.metadata.get(key) == Some(value))
            && self.overlaps.as_ref().is_none_or(overlaps)
    }
}
