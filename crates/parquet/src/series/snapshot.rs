//! Which version to read, and which of its segments.

use std::sync::Arc;

use minutebook_core::time::from_nanos;
use minutebook_core::{SeriesId, SeriesSummary, Snapshot, Take, Version};

use super::{CACHED_GROUPS, Inner};
use crate::error::{Fault, Result};
use crate::log::{Commit, GroupRef, Known, Log, Segment};

/// A closed span of time with so many rows in it.
#[derive(Debug, Clone, Copy)]
struct Span {
    min: i64,
    max: i64,
    rows: u64,
}

impl Inner {
    /// The newest version, a deletion included.
    pub(super) async fn newest(&self, log: &Log) -> Result<Option<Known>> {
        let known = self
            .state()
            .get(&log.series)
            .and_then(|state| state.known.clone());
        let found = log.newest(known.as_ref()).await?;
        self.remember(&log.series, found.clone());
        Ok(found)
    }

    pub(super) fn remember(&self, series: &SeriesId, known: Option<Known>) {
        let mut state = self.state();
        match known {
            Some(known) => state.entry(series.clone()).or_default().known = Some(known),
            None => {
                if let Some(state) = state.get_mut(series) {
                    state.known = None;
                }
            }
        }
    }

    /// The newest version, unless there is none or the series is deleted.
    pub(super) async fn current(&self, log: &Log) -> Result<Option<Arc<Commit>>> {
        let newest = self.newest(log).await?.map(|known| known.commit);
        Ok(newest.filter(|commit| !commit.deleted))
    }

    /// The version that a query asks for.
    pub(super) async fn snapshot(&self, log: &Log, snapshot: Snapshot) -> Result<Arc<Commit>> {
        let Some(newest) = self.current(log).await? else {
            // Of a series that was deleted named snapshots may still know a version.
            if let Snapshot::Version(Version(version)) = snapshot
                && let Some(commit) = self.pinned_version(log, version).await?
            {
                return Ok(commit);
            }
            return Err(Fault::NoSeries);
        };
        let commit = match snapshot {
            Snapshot::Latest => newest,
            Snapshot::Version(Version(version)) if version == newest.version => newest,
            Snapshot::Version(Version(version)) => {
                let kept = (newest.oldest..newest.version).contains(&version);
                let mut read = if kept { log.read(version).await? } else { None };
                if read.is_none() {
                    read = self.pinned_version(log, version).await?;
                }
                read.ok_or_else(|| {
                    let newest = newest.version;
                    Fault::NoVersion(format!(
                        "version {version} is not kept; the newest is {newest}"
                    ))
                })?
            }
            Snapshot::Time(time) => log.as_of(&newest, time).await?,
            other => {
                return Err(Fault::Unsupported {
                    message: format!("this release cannot read {other:?}"),
                });
            }
        };
        Ok(commit)
    }

    /// The segments that may have rows in `[start, end)` that `take` wants, in the order of their commits.
    pub(super) async fn overlapping(
        &self,
        log: &Log,
        commit: &Commit,
        (start, end): (i64, Option<i64>),
        take: Take,
    ) -> Result<Vec<Segment>> {
        let inside = |span: &Span| span.max >= start && end.is_none_or(|end| span.min < end);
        let whole = |span: &Span| span.min >= start && end.is_none_or(|end| span.max < end);
        // Which of them can be left out is found from groups and segments alike; then once more from segments alone.
        let spans = commit
            .groups
            .iter()
            .map(span_of_group)
            .chain(commit.segments.iter().map(span_of));
        let spans: Vec<Span> = spans.filter(inside).collect();
        let needed = needed(&spans, whole, take);
        let wanted = |span: &Span| inside(span) && needed(span);
        let mut segments = Vec::new();
        for group in commit
            .groups
            .iter()
            .filter(|group| wanted(&span_of_group(group)))
        {
            let group = self.group(log, group).await?;
            segments.extend(group.iter().filter(|s| wanted(&span_of(s))).cloned());
        }
        segments.extend(
            commit
                .segments
                .iter()
                .filter(|s| wanted(&span_of(s)))
                .cloned(),
        );
        let spans: Vec<Span> = segments.iter().map(span_of).collect();
        let needed = self::needed(&spans, whole, take);
        segments.retain(|segment| needed(&span_of(segment)));
        Ok(segments)
    }

    /// A group's segments, from memory where they were read before.
    pub(super) async fn group(&self, log: &Log, group: &GroupRef) -> Result<Arc<Vec<Segment>>> {
        let key = log.dir.group(&group.file).to_string();
        if let Some(segments) = self.group_cache().get(&key) {
            return Ok(Arc::clone(segments));
        }
        let segments = Arc::new(log.group(group).await?);
        let mut cache = self.group_cache();
        if cache.len() >= CACHED_GROUPS {
            cache.clear();
        }
        cache.insert(key, Arc::clone(&segments));
        Ok(segments)
    }
}

fn span_of(segment: &Segment) -> Span {
    Span {
        min: segment.min,
        max: segment.max,
        rows: segment.live_rows(),
    }
}

fn span_of_group(group: &GroupRef) -> Span {
    Span {
        min: group.min,
        max: group.max,
        rows: group.rows,
    }
}

/// Tells which spans can hold one of the first or last so many rows: once spans that lie wholly in the range have that
/// many rows between them, what lies beyond all of these spans cannot.
fn needed(spans: &[Span], whole: impl Fn(&Span) -> bool, take: Take) -> impl Fn(&Span) -> bool {
    let (last, count) = match take {
        Take::First(count) => (false, count as u64),
        Take::Last(count) => (true, count as u64),
        _ => (false, u64::MAX),
    };
    let mut sure: Vec<&Span> = spans.iter().filter(|span| whole(span)).collect();
    if last {
        sure.sort_unstable_by_key(|span| std::cmp::Reverse(span.min));
    } else {
        sure.sort_unstable_by_key(|span| span.max);
    }
    let mut rows = 0_u64;
    let edge = sure.iter().find_map(|span| {
        rows = rows.saturating_add(span.rows);
        (rows >= count).then_some(if last { span.min } else { span.max })
    });
    move |span| match edge {
        None => true,
        Some(edge) if last => span.max >= edge,
        Some(edge) => span.min <= edge,
    }
}

/// What a version says of the series.
pub(super) fn summary(commit: &Commit) -> SeriesSummary {
    SeriesSummary {
        rows: commit.rows,
        first: commit.first.map(from_nanos),
        last: commit.last.map(from_nanos),
        bytes: commit.bytes,
        schema: Arc::clone(&commit.schema),
        version: Version(commit.version),
        key: commit.key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(list: &[(i64, i64, u64)]) -> Vec<Span> {
        list.iter()
            .map(|&(min, max, rows)| Span { min, max, rows })
            .collect()
    }

    #[test]
    fn only_what_can_hold_the_last_rows_is_needed() {
        let all = spans(&[(0, 9, 10), (10, 19, 10), (5, 30, 3), (20, 29, 10)]);
        let kept = |take| {
            let needed = needed(&all, |_| true, take);
            all.iter().map(needed).collect::<Vec<_>>()
        };
        assert_eq!(kept(Take::Last(1)), [false, false, true, true]);
        assert_eq!(kept(Take::Last(11)), [false, true, true, true]);
        assert_eq!(kept(Take::First(1)), [true, false, true, false]);
        assert_eq!(kept(Take::All), [true; 4]);
        assert_eq!(kept(Take::Last(1_000)), [true; 4]);
    }

    #[test]
    fn spans_that_are_cut_by_the_range_prove_nothing() {
        let all = spans(&[(0, 9, 10), (10, 19, 10)]);
        let needed = needed(&all, |span| span.max < 15, Take::Last(1));
        assert!(needed(&all[0]) && needed(&all[1]));
    }
}
