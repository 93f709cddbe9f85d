//! The append logs that are open, a bounded number of them.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use minutebook_core::SeriesId;
use minutebook_fs::AppendLog;

/// Open logs; the one that was used longest ago is closed for a new one.
#[derive(Debug)]
pub(crate) struct Logs {
    capacity: NonZeroUsize,
    open: HashMap<SeriesId, (Arc<AppendLog>, u64)>,
    uses: u64,
    /// Series whose log was closed since everything was last synced.
    closed: HashSet<SeriesId>,
    poison: Option<String>,
}

impl Logs {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            capacity,
            open: HashMap::new(),
            uses: 0,
            closed: HashSet::new(),
            poison: None,
        }
    }

    /// The log of a series, made by `open` if it is not at hand.
    pub(crate) fn get(
        &mut self,
        series: &SeriesId,
        open: impl FnOnce() -> AppendLog,
    ) -> Arc<AppendLog> {
        self.uses += 1;
        if let Some((log, used)) = self.open.get_mut(series) {
            *used = self.uses;
            return Arc::clone(log);
        }
        while self.open.len() >= self.capacity.get() {
            let Some(oldest) = self.oldest() else { break };
            self.open.remove(&oldest);
            self.closed.insert(oldest);
        }
        let log = Arc::new(open());
        self.open
            .insert(series.clone(), (Arc::clone(&log), self.uses));
        log
    }

    /// The log that was used longest ago. A poisoned one stays, so that its failure is not forgotten with it; and one that somebody is using, since what is appended to
    /// it from now on has to be synced too.
    fn oldest(&self) -> Option<SeriesId> {
        self.open
            .iter()
            .filter(|(_, (log, _))| log.poisoned().is_none() && Arc::strong_count(log) == 1)
            .min_by_key(|(_, (_, used))| *used)
            .map(|(series, _)| series.clone())
    }

    /// All open logs, and the series whose log was closed since the last call.
    pub(crate) fn take_unsynced(&mut self) -> (Vec<(SeriesId, Arc<AppendLog>)>, HashSet<SeriesId>) {
        let open = self
            .open
            .iter()
            .map(|(series, (log, _))| (series.clone(), Arc::clone(log)))
            .collect();
        (open, std::mem::take(&mut self.closed))
    }

    /// Notes that a sync of a closed file failed: the system drops what it could not write, so a later sync that succeeds would say
    /// nothing about it.
    pub(crate) fn poison(&mut self, why: String) {
        self.poison.get_or_insert(why);
    }

    /// Why a sync of a closed file failed, if one did.
    pub(crate) fn poisoned(&self) -> Option<String> {
        self.poison.clone()
    }
}

#[cfg(test)]
mod tests {
    use minutebook_fs::{AppendOptions, SimFs};

    use super::*;

    #[test]
    fn the_log_used_longest_ago_makes_room() {
        let mut logs = Logs::new(NonZeroUsize::new(2).unwrap());
        let fs = Arc::new(SimFs::new());
        let id = |name: &str| -> SeriesId { name.parse().unwrap() };
        let open = |name: &str| {
            let name = format!("/{name}");
            AppendLog::open(
                fs.clone(),
                &name,
                format!("{name}.lock"),
                AppendOptions::default(),
            )
        };
        let a = logs.get(&id("A@ticks"), || open("a"));
        logs.get(&id("B@ticks"), || open("b"));
        assert!(Arc::ptr_eq(&a, &logs.get(&id("A@ticks"), || open("a"))));
        logs.get(&id("C@ticks"), || open("c"));
        assert!(Arc::ptr_eq(&a, &logs.get(&id("A@ticks"), || open("a"))));
        let (all, closed) = logs.take_unsynced();
        assert_eq!(all.len(), 2);
        assert_eq!(closed, HashSet::from([id("B@ticks")]));
        drop(all);
        // One that is at hand is not closed: what is appended to it after a sync of all has to be synced by the next.
        let c = logs.get(&id("C@ticks"), || open("c"));
        logs.get(&id("D@ticks"), || open("d"));
        let (all, closed) = logs.take_unsynced();
        assert_eq!((all.len(), closed.len()), (3, 0));
        drop((all, a, c));
        logs.get(&id("E@ticks"), || open("e"));
        let (all, closed) = logs.take_unsynced();
        assert_eq!((all.len(), closed.len()), (2, 2));
    }
}
