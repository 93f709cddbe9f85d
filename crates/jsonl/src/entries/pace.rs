//! How long a thread that syncs for many waits for those whom it has just answered.

use std::time::Duration;

/// What became of the groups before.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How many wait if all those come back whom the last group had, until they were waited for.
    all: usize,
    /// How many were waited for last.
    wanted: usize,
    /// How long the last group took to be durable.
    took: Duration,
    /// So many times in a row fewer than half of those came who were waited for.
    misses: u32,
    /// So many groups are taken without waiting.
    skipped: u32,
}

impl Pace {
    /// However long a sync takes, nobody waits longer for others.
    const LONGEST: Duration = Duration::from_millis(1);
    /// The part of a group's time that may be waited.
    const PART: u32 = 2;
    /// Those who do not come back are looked for again after at most so many groups.
    const MOST_SKIPPED: u32 = 64;

    /// A group is durable; `all` is how many it had and how many came meanwhile.
    pub(crate) fn synced(&mut self, all: usize, took: Duration) {
        (self.all, self.took) = (all, took);
    }

    /// How many are waited for, and how long; `None` if it is not worth it: there is one at most, or those who were waited for before did not come.
    pub(crate) fn patience(&mut self) -> Option<(usize, Duration)> {
        let all = std::mem::take(&mut self.all);
        if all < 2 {
            return None;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return None;
        }
        self.wanted = all;
        Some((all, (self.took / Self::PART).min(Self::LONGEST)))
    }

    /// So many are there after the wait.
    pub(crate) fn came(&mut self, count: usize) {
        if count * 2 > self.wanted {
            self.misses = 0;
        } else {
            self.misses += 1;
            self.skipped = 1_u32
                .checked_shl(self.misses)
                .unwrap_or(Self::MOST_SKIPPED)
                .min(Self::MOST_SKIPPED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(200);

    #[test]
    fn who_is_alone_never_waits_and_nobody_waits_long() {
        let mut pace = Pace::default();
        assert_eq!(pace.patience(), None);
        for _ in 0..10 {
            pace.synced(1, SYNC);
            assert_eq!(pace.patience(), None);
        }
        pace.synced(2, SYNC);
        assert_eq!(pace.patience(), Some((2, SYNC / Pace::PART)));
        // Asked for once.
        assert_eq!(pace.patience(), None);
        pace.synced(2, Duration::from_secs(30));
        assert_eq!(pace.patience(), Some((2, Pace::LONGEST)));
    }

    #[test]
    fn those_who_do_not_come_back_are_waited_for_less_and_less_often() {
        let mut pace = Pace::default();
        let mut waited = 0;
        for _ in 0..1_000 {
            pace.synced(64, SYNC);
            if pace.patience().is_some() {
                waited += 1;
                pace.came(3);
            }
        }
        assert!((10..30).contains(&waited), "{waited}");
        // They come again.
        for _ in 0..=Pace::MOST_SKIPPED {
            pace.synced(64, SYNC);
            if pace.patience().is_some() {
                pace.came(64);
            }
        }
        for _ in 0..10 {
            pace.synced(64, SYNC);
            assert!(pace.patience().is_some());
            pace.came(60);
        }
    }
}
