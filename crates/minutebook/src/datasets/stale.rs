//! Which datasets are due, and why.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt};

use super::{Inspection, Place};
use crate::{
    Contents, DatasetEntry, DatasetFilter, ErrorKind, Minutebook, Result, StaleReason, StoredEntry,
    time::WrittenTime,
};

const TOGETHER: usize = 16;

/// A dataset that is due.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stale {
    /// Its entry.
    pub entry: StoredEntry,
    /// Why; at least one reason.
    pub reasons: Vec<StaleReason>,
}

impl Stale {
    /// Whether taking the statistics anew would mend something.
    pub fn wants_statistics(&self) -> bool {
        let wants = |reason: &StaleReason| {
            matches!(reason, StaleReason::DataChanged | StaleReason::NoStatistics)
        };
        self.reasons.iter().any(wants)
    }
}

impl Minutebook {
    /// The matching datasets that are due, in ascending order of their names: the time to live is over, a dataset that they were made from has newer data
    /// ([`DatasetEntry::stale`]), or the data is not what the statistics were taken of, as far as its footer or summary shows
    /// ([`inspect`](Self::inspect)). Of data on another platform nothing is said.
    ///
    /// # Errors
    /// If the catalog cannot be listed.
    pub async fn stale(&self, filter: &DatasetFilter) -> Result<Vec<Stale>> {
        let all = self.catalog().list(&DatasetFilter::new()).await?;
        let entries: HashMap<_, _> = all
            .iter()
            .map(|stored| (&stored.entry.name, &stored.entry))
            .collect();
        let now = self.now();
        let entries = &entries;
        // Owned, since the compiler cannot tell of a stream over references that it may go to another thread.
        let matching: Vec<StoredEntry> = all
            .iter()
            .filter(|stored| filter.matches(&stored.entry))
            .cloned()
            .collect();
        let each = matching.into_iter().map(|stored| async move {
            let mut reasons = stored.entry.stale(now, |name| entries.get(name).copied());
            reasons.extend(self.drift(&stored.entry).await);
            (!reasons.is_empty()).then(|| Stale {
                entry: stored,
                reasons,
            })
        });
        let found: Vec<_> = stream::iter(each).buffered(TOGETHER).collect().await;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether the data is what the entry says.
    async fn drift(&self, entry: &DatasetEntry) -> Option<StaleReason> {
        if let Ok(Place::Foreign(_)) = self.locate(&entry.file_path) {
            return None;
        }
        match self.inspect_again(entry).await {
            Ok(Some(found)) => compare(entry, &found),
            Ok(None) => Some(StaleReason::DataMissing),
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => Some(StaleReason::DataUnreadable(error.message().to_owned())),
        }
    }
}

fn compare(entry: &DatasetEntry, found: &Inspection) -> Option<StaleReason> {
    let instant = |time: &Option<WrittenTime>| time.as_ref().and_then(WrittenTime::instant);
    let Some(statistics) = found.statistics else {
        let before = entry.contents.as_ref()?;
        return (!before.same_data(&found.contents)).then_some(StaleReason::DataChanged);
    };
    let Some(rows) = entry.row_count else {
        return Some(StaleReason::NoStatistics);
    };
    let same = (rows, instant(&entry.start_date), instant(&entry.end_date))
        == (statistics.rows, statistics.first, statistics.last);
    let same_data = |before: &Contents| before.same_data(&found.contents);
    (!same || !entry.contents.as_ref().is_none_or(same_data)).then_some(StaleReason::DataChanged)
}
