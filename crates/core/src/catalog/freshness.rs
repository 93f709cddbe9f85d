//! Which datasets are due, and why.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{DatasetEntry, DatasetName};
use crate::time::format_timestamp;

/// Why a dataset is due to be fetched or made again, or its statistics to be taken anew.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StaleReason {
    /// Its time to live was over at this instant.
    Expired(DateTime<Utc>),
    /// A dataset that it was made from has newer data.
    ParentNewer {
        /// The parent.
        parent: DatasetName,
        /// How new the parent's data is.
        since: DateTime<Utc>,
    },
    /// The data is not what the statistics were taken of.
    DataChanged,
    /// Data is there, and its statistics were never taken.
    NoStatistics,
    /// There is no data at its place.
    DataMissing,
    /// The data cannot be read, for this reason.
    DataUnreadable(String),
}

impl StaleReason {
    /// A short name for programs: `expired`, `parent_newer`, `data_changed`, `no_statistics`, `data_missing`,
    /// `data_unreadable`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Expired(_) => "expired",
            Self::ParentNewer { .. } => "parent_newer",
            Self::DataChanged => "data_changed",
            Self::NoStatistics => "no_statistics",
            Self::DataMissing => "data_missing",
            Self::DataUnreadable(_) => "data_unreadable",
        }
    }
}

impl fmt::Display for StaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(at) => write!(f, "its time to live ended at {}", format_timestamp(*at)),
            Self::ParentNewer { parent, since } => write!(
                f,
                "\"{parent}\", which it was made from, has data of {}",
                format_timestamp(*since)
            ),
            Self::DataChanged => {
                f.write_str("the data has changed since its statistics were taken")
            }
            Self::NoStatistics => f.write_str("its statistics were never taken"),
            Self::DataMissing => f.write_str("there is no data at its place"),
            Self::DataUnreadable(why) => write!(f, "its data cannot be read: {why}"),
        }
    }
}

impl DatasetEntry {
    /// What the catalog alone can say of why the dataset is due at an instant: its time to live is over
    /// ([`expires_at`](Self::expires_at)), or the data of a parent is newer than its own ([`data_time`](Self::data_time)). `parent` gives
    /// the entry of a name; a parent that is not registered says nothing.
    pub fn stale<'a>(
        &self,
        now: DateTime<Utc>,
        parent: impl Fn(&DatasetName) -> Option<&'a DatasetEntry>,
    ) -> Vec<StaleReason> {
        let expired = self.expires_at().filter(|at| *at <= now);
        let mut reasons: Vec<_> = expired.map(StaleReason::Expired).into_iter().collect();
        let own = self.data_time();
        for name in &self.derived_from {
            let since = parent(name).and_then(DatasetEntry::data_time);
            if let Some(since) = since
                && own.is_none_or(|own| since > own)
            {
                reasons.push(StaleReason::ParentNewer {
                    parent: name.clone(),
                    since,
                });
            }
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{WrittenTime, parse_timestamp};

    fn entry(name: &str, retrieved: Option<&str>) -> DatasetEntry {
        let mut entry = DatasetEntry::new(name.parse().unwrap(), "X", "x.parquet");
        entry.retrieved_at = retrieved.map(WrittenTime::new);
        entry
    }

    #[test]
    fn a_time_to_live_ends_to_the_second() {
        let day = entry("a", Some("2025-01-01")).with_ttl_seconds(86_400);
        let at = |text: &str| day.stale(parse_timestamp(text).unwrap(), |_| None).len();
        assert_eq!((at("2025-01-01T23:59:59"), at("2025-01-02")), (0, 1));
        let forever = entry("a", Some("2025-01-01")).with_ttl_seconds(u64::MAX);
        assert_eq!(forever.expires_at(), None);
        let mut registered = entry("a", None).with_ttl_seconds(1);
        assert_eq!(registered.expires_at(), None);
        registered.registered_at = Some(WrittenTime::new("2025-01-01"));
        assert!(registered.expires_at().is_some());
    }

    #[test]
    fn a_parent_with_newer_data_makes_due() {
        let parent = entry("p", Some("2025-01-02"));
        let now = parse_timestamp("2025-01-03").unwrap();
        let reasons = |child: DatasetEntry| {
            let child = child.with_derived_from(["p".parse().unwrap(), "gone".parse().unwrap()]);
            child.stale(now, |name| (name.as_str() == "p").then_some(&parent))
        };
        assert_eq!(reasons(entry("c", Some("2025-01-02"))), []);
        assert_eq!(
            reasons(entry("c", Some("2025-01-01")))[0].name(),
            "parent_newer"
        );
        assert_eq!(reasons(entry("c", None)).len(), 1);
    }
}
