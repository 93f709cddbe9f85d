//! Which datasets: conditions that all must hold.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{DatasetEntry, DatasetName, name_matches};
use crate::time::TimeRange;

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
    /// Whose name matches this pattern ([`name_matches`]).
    pub name_pattern: Option<String>,
    /// Whose metadata has these values.
    pub metadata: Vec<(String, Value)>,
    /// Made from this dataset.
    pub derived_from: Option<DatasetName>,
    /// Whose data has, by its statistics, at least one instant in this range.
    pub overlaps: Option<TimeRange>,
    /// Whose data reaches, by its statistics, from the first instant of this range to the last.
    pub covers: Option<TimeRange>,
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

    /// With a name that matches this pattern only: `*` stands for any characters, `?` for one ([`name_matches`]).
    #[must_use]
    pub fn name_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.name_pattern = Some(pattern.into());
        self
    }

    /// With this field of metadata only.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Made from this dataset only.
    #[must_use]
    pub fn derived_from(mut self, parent: DatasetName) -> Self {
        self.derived_from = Some(parent);
        self
    }

    /// With data in this range only; a dataset without statistics has none.
    #[must_use]
    pub fn overlaps(mut self, range: TimeRange) -> Self {
        self.overlaps = Some(range);
        self
    }

    /// With data from the first instant of this range to the last only; a dataset without statistics has none. What lies between, gaps
    /// included, is not looked at. A range that is open at an end, or empty, is covered by no dataset.
    ///
    /// The last row's timestamp has to reach the end: to ask for all of January in daily data, ask for
    /// [`TimeRange::inclusive`] from the first to the last day.
    #[must_use]
    pub fn covers(mut self, range: TimeRange) -> Self {
        self.covers = Some(range);
        self
    }

    /// Whether all conditions hold.
    pub fn matches(&self, entry: &DatasetEntry) -> bool {
        fn holds<T>(condition: Option<&T>, test: impl FnOnce(&T) -> bool) -> bool {
            condition.is_none_or(test)
        }
        let name = entry.name.as_str();
        let span = |test: &dyn Fn(DateTime<Utc>, DateTime<Utc>) -> bool| {
            entry.span().is_some_and(|(first, last)| test(first, last))
        };
        holds(self.instrument.as_ref(), |it| entry.instrument == *it)
            && holds(self.tenor.as_ref(), |it| entry.tenor.as_ref() == Some(it))
            && holds(self.name_prefix.as_ref(), |it| {
                name.starts_with(it.as_str())
            })
            && holds(self.name_pattern.as_ref(), |it| name_matches(it, name))
            && self
                .metadata
                .iter()
                .all(|(key, value)| entry.metadata.get(key) == Some(value))
            && holds(self.derived_from.as_ref(), |it| {
                entry.derived_from.contains(it)
            })
            && holds(self.overlaps.as_ref(), |range| {
                span(&|first, last| range.overlaps(first, last))
            })
            && holds(self.covers.as_ref(), |range| {
                span(&|first, last| range.within(first, last))
            })
    }
}
