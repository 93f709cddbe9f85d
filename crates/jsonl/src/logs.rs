//! The append logs that are open, a bounded number of them, and what is known of those that were closed.

use std::collections::{BTreeSet, HashMap, HashSet};
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
    /// Series whose log was closed since a sync last took them up.
    closed: HashSet<SeriesId>,
    /// How many syncs have begun.
    syncs: u64,
    /// The syncs that are at work with closed files, by number.
    rounds: BTreeSet<u64>,
    /// How many of them left some of it undone.
    left_undone: u64,
    /// Series of which a sync failed, and why: the system drops what it could not write, so a later sync that succeeds would say nothing about it.
    poisoned: HashMap<SeriesId, String>,
    /// Why the directory could not be synced.
    names: Option<String>,
}

/// What a sync has to do.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) number: u64,
    pub(crate) open: Vec<Arc<AppendLog>>,
    /// Series whose log was closed. Whoever begins after this one finds its number among those that are at work, until it [ends](Logs::end).
    pub(crate) closed: HashSet<SeriesId>,
    /// How many syncs before had left something undone.
    pub(crate) left_undone: u64,
}

impl Logs {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self {
            capacity,
            open: HashMap::new(),
            uses: 0,
            closed: HashSet::new(),
            syncs: 0,
            rounds: BTreeSet::new(),
            left_undone: 0,
            poisoned: HashMap::new(),
            names: None,
        }
    }

    /// The log of a series, made by `open` if it is not at hand. It refuses everything if a sync of the series failed.
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
        let log = Arc::new(open());
        if let Some(why) = self.why(series) {
            // It opens no file, so it need not be counted.
            log.poison(why);
            return log;
        }
        while self.open.len() >= self.capacity.get() {
            let Some(oldest) = self.oldest() else { break };
            let closed = self.open.remove(&oldest);
            match closed.as_ref().and_then(|(log, _)| log.poisoned()) {
                Some(why) => {
                    self.poisoned.insert(oldest, why.to_owned());
                }
                None => {
                    self.closed.insert(oldest);
                }
            }
        }
        self.open
            .insert(series.clone(), (Arc::clone(&log), self.uses));
        log
    }

    /// The log that was used longest ago; not one that somebody is using, since what is appended to it from now on has to be synced too.
    fn oldest(&self) -> Option<SeriesId> {
        self.open
            .iter()
            .filter(|(_, (log, _))| Arc::strong_count(log) == 1)
            .min_by_key(|(_, (_, used))| *used)
            .map(|(series, _)| series.clone())
    }

    /// The log of a series, if it is open.
    ///
    /// # Errors
    /// Why a sync of the series failed.
    pub(crate) fn at_hand(&self, series: &SeriesId) -> Result<Option<Arc<AppendLog>>, String> {
        match self.why(series) {
            Some(why) => Err(why.to_owned()),
            None => Ok(self.open.get(series).map(|(log, _)| Arc::clone(log))),
        }
    }

    /// Begins a sync: gives all open logs, and the series whose log was closed since the last call.
    ///
    /// # Errors
    /// Why an earlier one failed.
    pub(crate) fn begin(&mut self) -> Result<Begun, String> {
        if let Some(why) = self.poisoned() {
            return Err(why);
        }
        self.syncs += 1;
        let closed = std::mem::take(&mut self.closed);
        if !closed.is_empty() {
            self.rounds.insert(self.syncs);
        }
        let open = self.open.values().map(|(log, _)| Arc::clone(log));
        Ok(Begun {
            number: self.syncs,
            open: open.collect(),
            closed,
            left_undone: self.left_undone,
        })
    }

    /// Ends the work of a sync with closed files. What it could not do is left to the next.
    pub(crate) fn end(&mut self, number: u64, left: HashSet<SeriesId>) {
        if self.rounds.remove(&number) && !left.is_empty() {
            self.left_undone += 1;
            self.closed.extend(left);
        }
    }

    /// Whether a sync that began before the one with this number is still at work with closed files.
    pub(crate) fn is_going_on_before(&self, number: u64) -> bool {
        self.rounds.range(..number).next().is_some()
    }

    /// How many syncs have left something undone.
    pub(crate) fn left_undone(&self) -> u64 {
        self.left_undone
    }

    /// Notes that a sync of a series failed, through whichever handle.
    pub(crate) fn poison(&mut self, series: &SeriesId, why: String) {
        if let Some((log, _)) = self.open.remove(series) {
            log.poison(why.as_str());
        }
        self.poisoned.entry(series.clone()).or_insert(why);
    }

    /// Notes that the names of files could not be synced.
    pub(crate) fn poison_all(&mut self, why: String) {
        for (log, _) in self.open.values() {
            log.poison(why.as_str());
        }
        self.names.get_or_insert(why);
    }

    fn why(&self, series: &SeriesId) -> Option<&str> {
        let why = self.poisoned.get(series).or(self.names.as_ref());
        why.map(String::as_str)
    }

    /// Why a sync failed, if one did; that of a log that is open is kept there.
    pub(crate) fn poisoned(&self) -> Option<String> {
        let mut all = self.names.iter().chain(self.poisoned.values());
        all.next().cloned()
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
        let begun = logs.begin().unwrap();
        assert_eq!(begun.open.len(), 2);
        assert_eq!(begun.closed, HashSet::from([id("B@ticks")]));
        logs.end(begun.number, HashSet::new());
        drop(begun);
        // One that is at hand is not closed: what is appended to it after a sync of all has to be synced by the next.
        let c = logs.get(&id("C@ticks"), || open("c"));
        logs.get(&id("D@ticks"), || open("d"));
        let begun = logs.begin().unwrap();
        assert_eq!((begun.open.len(), begun.closed.len()), (3, 0));
        drop((begun, a, c));
        logs.get(&id("E@ticks"), || open("e"));
        let begun = logs.begin().unwrap();
        assert_eq!((begun.open.len(), begun.closed.len()), (2, 2));
        // Who begins now has to wait for it; what it leaves undone is there again.
        let next = logs.begin().unwrap();
        assert!(next.closed.is_empty() && logs.is_going_on_before(next.number));
        assert!(!logs.is_going_on_before(begun.number));
        logs.end(begun.number, begun.closed);
        assert!(!logs.is_going_on_before(next.number));
        assert_ne!(logs.left_undone(), next.left_undone);
        assert_eq!(logs.begin().unwrap().closed.len(), 2);
    }

    #[test]
    fn a_failure_outlives_the_log_that_met_it() {
        let mut logs = Logs::new(NonZeroUsize::MIN);
        let fs = Arc::new(SimFs::new());
        let id = |name: &str| -> SeriesId { name.parse().unwrap() };
        let open = || AppendLog::open(fs.clone(), "/a", "/a.lock", AppendOptions::default());
        logs.get(&id("A@ticks"), open).poison("lost");
        let b = logs.get(&id("B@ticks"), open);
        assert_eq!(logs.open.len(), 1, "a poisoned log keeps no files open");
        assert_eq!(logs.get(&id("A@ticks"), open).poisoned(), Some("lost"));
        assert_eq!(logs.begin().unwrap_err(), "lost");
        assert!(b.poisoned().is_none());
        // One that somebody is using is told.
        logs.poison(&id("B@ticks"), "also lost".to_owned());
        assert_eq!(b.poisoned(), Some("also lost"));
        assert_eq!(logs.get(&id("B@ticks"), open).poisoned(), Some("also lost"));
        logs.poison_all("the names".to_owned());
        assert_eq!(logs.get(&id("C@ticks"), open).poisoned(), Some("the names"));
    }
}
