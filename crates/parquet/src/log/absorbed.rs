//! Which segments of a tick log a series has taken over.

use serde::{Deserialize, Serialize};

/// Which segments of another store's log have become rows of this series: a reader of both leaves them out there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Absorbed {
    /// Tells that log from others.
    pub source: String,
    /// The numbers of the segments, as closed ranges, ascending and apart.
    pub numbers: Vec<(u64, u64)>,
    /// How many commits of the series did nothing else.
    pub commits: u64,
    /// What was absorbed under other ids: a log that loses its list of segments goes on under a new one, and may give a number again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<AbsorbedEarlier>,
    /// The segment that was absorbed last. Only this one can be there still without anybody being at work, and no other may be removed where it still is. Its
    /// digest is empty once a repair has lost rows of the series: they may have been its own, so it must not be removed either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<AbsorbedSegment>,
}

/// Segments of a log that goes by another id now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AbsorbedEarlier {
    /// The id under which they were absorbed.
    pub source: String,
    /// Their numbers, as closed ranges, ascending and apart.
    pub numbers: Vec<(u64, u64)>,
}

/// A segment of another store's log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AbsorbedSegment {
    /// The id of the log.
    pub source: String,
    /// The number of the segment in it.
    pub number: u64,
    /// A digest of what the segment holds.
    pub digest: String,
}

impl AbsorbedSegment {
    /// The segment of this number in the log with this id.
    pub fn new(source: impl Into<String>, number: u64, digest: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            number,
            digest: digest.into(),
        }
    }
}

impl Absorbed {
    /// Whether a segment of a log has become rows of this series.
    pub fn has(&self, source: &str, number: u64) -> bool {
        let earlier = self.earlier.iter().map(|e| (&e.source, &e.numbers));
        std::iter::once((&self.source, &self.numbers))
            .chain(earlier)
            .filter(|(known, _)| *known == source)
            .flat_map(|(_, numbers)| numbers)
            .any(|(from, to)| (*from..=*to).contains(&number))
    }

    /// Takes out every segment: no row of the series is here any more. Where the log has one again, it is read there.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            commits: self.commits,
            ..Self::default()
        };
    }

    /// Takes note that rows were lost, which may be those of the segment that was added last: with another digest it is not the one
    /// that is known to be here, and nobody removes it.
    pub(crate) fn doubt_last(&mut self) {
        if let Some(last) = &mut self.last {
            last.digest.clear();
        }
    }

    /// Adds a segment.
    pub(crate) fn add(&mut self, segment: &AbsorbedSegment) {
        if self.source != segment.source {
            let at = self.earlier.iter().position(|e| e.source == segment.source);
            let numbers = at.map(|at| self.earlier.remove(at).numbers);
            let before = AbsorbedEarlier {
                source: std::mem::replace(&mut self.source, segment.source.clone()),
                numbers: std::mem::replace(&mut self.numbers, numbers.unwrap_or_default()),
            };
            if !before.numbers.is_empty() {
                self.earlier.push(before);
            }
        }
        self.commits += 1;
        self.last = Some(segment.clone());
        self.numbers.push((segment.number, segment.number));
        self.numbers.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(self.numbers.len());
        for (from, to) in self.numbers.drain(..) {
            match joined.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        self.numbers = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absorbed_numbers_join() {
        let of = |source, number| AbsorbedSegment::new(source, number, "d");
        let mut absorbed = Absorbed::default();
        for number in [1, 2, 5, 3, 7, 6] {
            absorbed.add(&of("a", number));
        }
        assert_eq!(absorbed.numbers, [(1, 3), (5, 7)]);
        assert!(absorbed.has("a", 6) && !absorbed.has("a", 4) && !absorbed.has("b", 6));
        // Under another id the same numbers are others, and those before stay known.
        absorbed.add(&of("b", 1));
        assert_eq!(
            (absorbed.numbers.as_slice(), absorbed.commits),
            (&[(1, 1)][..], 7)
        );
        assert!(absorbed.has("a", 6) && absorbed.has("b", 1) && !absorbed.has("b", 6));
        absorbed.add(&of("a", 4));
        assert_eq!(absorbed.numbers, [(1, 7)]);
        assert!(absorbed.has("b", 1) && absorbed.earlier.len() == 1);
        assert_eq!(absorbed.last, Some(of("a", 4)));
        absorbed.doubt_last();
        assert_ne!(absorbed.last, Some(of("a", 4)));
        assert!(absorbed.has("a", 4));
        absorbed.forget();
        assert!(absorbed.numbers.is_empty() && absorbed.earlier.is_empty());
        assert_eq!((absorbed.last.as_ref(), absorbed.commits), (None, 8));
        absorbed.add(&of("c", 1));
        assert!(absorbed.has("c", 1) && !absorbed.has("a", 4) && absorbed.earlier.is_empty());
    }
}
