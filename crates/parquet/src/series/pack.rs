//! Which segments a compaction writes anew, and in which order all of them stand afterwards.

use super::compact::CompactionReason;
use crate::config::ParquetConfig;
use crate::log::Segment;

/// A segment with this share of dead rows is written anew: one in so many.
const DEAD_SHARE: u64 = 5;

/// What becomes of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// It stays.
    Keep(Segment),
    /// These, in the order of their commits, are written anew.
    Pack(CompactionReason, Vec<Segment>),
}

/// Segments whose times overlap, or one that no other does.
struct Cluster {
    segments: Vec<(usize, Segment)>,
    max: i64,
    last_order: usize,
}

impl Cluster {
    fn rows(&self) -> u64 {
        self.segments.iter().map(|(_, s)| s.live_rows()).sum()
    }
}

/// A run of clusters that become full segments and a rest.
#[derive(Default)]
struct Run {
    segments: Vec<(usize, Segment)>,
    overlapping: bool,
    /// Rows in the last segment that is made of it.
    rest: u64,
}

/// Plans for all segments, given in the order of their commits. The answer stands in order of time, so that no two segments overlap once the
/// plan is carried out with segments of exactly the target size; then another plan packs nothing.
pub(super) fn items(segments: Vec<Segment>, config: &ParquetConfig) -> Vec<Item> {
    let target = config.target_segment_rows.max(1) as u64;
    let mut items = Vec::new();
    let mut run = Run::default();
    for cluster in clusters(segments) {
        let rows = cluster.rows();
        let single = cluster.segments.len() == 1;
        let full = cluster
            .segments
            .iter()
            .any(|(_, segment)| segment.bytes >= config.target_segment_bytes);
        // A segment that is large by bytes stays by itself.
        if (single && full) || run.rest + rows > target {
            run.close(&mut items);
        }
        run.overlapping |= !single;
        run.segments.extend(cluster.segments);
        run.rest += rows;
        if run.rest > target {
            run.rest %= target;
        }
        if run.rest == 0 || (single && full) {
            run.close(&mut items);
        }
    }
    run.close(&mut items);
    items
}

impl Run {
    fn close(&mut self, items: &mut Vec<Item>) {
        let mut run = std::mem::take(self);
        let reason = match run.segments.as_slice() {
            [] => return,
            [(_, segment)] if (segment.rows - segment.live_rows()) * DEAD_SHARE >= segment.rows => {
                CompactionReason::DeadRows
            }
            [_] => {
                items.extend(
                    run.segments
                        .into_iter()
                        .map(|(_, segment)| Item::Keep(segment)),
                );
                return;
            }
            _ if run.overlapping => CompactionReason::Overlapping,
            _ => CompactionReason::Small,
        };
        run.segments.sort_unstable_by_key(|(order, _)| *order);
        let segments = run.segments.into_iter().map(|(_, segment)| segment);
        items.push(Item::Pack(reason, segments.collect()));
    }
}

/// Parts segments by time. Between clusters, rows of equal time stand in the order of their commits.
fn clusters(segments: Vec<Segment>) -> Vec<Cluster> {
    let mut ordered: Vec<(usize, Segment)> = segments.into_iter().enumerate().collect();
    ordered.sort_by_key(|(order, segment)| (segment.min, *order));
    let mut clusters: Vec<Cluster> = Vec::new();
    for (order, segment) in ordered {
        match clusters.last_mut() {
            Some(last)
                if segment.min < last.max
                    || (segment.min == last.max && order < last.last_order) =>
            {
                last.max = last.max.max(segment.max);
                last.last_order = last.last_order.max(order);
                last.segments.push((order, segment));
            }
            _ => clusters.push(Cluster {
                max: segment.max,
                last_order: order,
                segments: vec![(order, segment)],
            }),
        }
    }
    clusters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(unique: u64, min: i64, max: i64, rows: u64) -> Segment {
        Segment {
            file: crate::layout::file_name(1, unique, "parquet"),
            rows,
            bytes: 1,
            footer: 1,
            min,
            max,
            digest: String::new(),
            footer_digest: String::new(),
            dead: Vec::new(),
            time: None,
        }
    }

    fn shape(items: &[Item]) -> Vec<Vec<i64>> {
        items
            .iter()
            .map(|item| match item {
                Item::Keep(segment) => vec![segment.min],
                Item::Pack(_, segments) => {
                    let mut mins = vec![-1];
                    mins.extend(segments.iter().map(|segment| segment.min));
                    mins
                }
            })
            .collect()
    }

    #[test]
    fn small_ones_are_packed_and_full_ones_stay() {
        let config = ParquetConfig::default().target_segment_rows(1_024);
        let given = vec![
            segment(1, 0, 9, 1_000),
            segment(2, 10, 19, 20),
            segment(3, 20, 29, 20),
            segment(4, 30, 39, 1_024),
            segment(5, 40, 49, 5),
        ];
        assert_eq!(
            shape(&items(given, &config)),
            [vec![-1, 0, 10], vec![20], vec![30], vec![40]]
        );
    }

    #[test]
    fn overlapping_ones_are_packed_whatever_their_size() {
        let config = ParquetConfig::default().target_segment_rows(1_024);
        let given = vec![
            segment(1, 0, 99, 1_000),
            segment(2, 100, 199, 1_000),
            segment(3, 50, 60, 1_000),
            segment(4, 200, 210, 10),
        ];
        // The rest of 976 rows and the thousand after them do not fit together; the ten do.
        assert_eq!(
            shape(&items(given, &config)),
            [vec![-1, 0, 50], vec![-1, 100, 200]]
        );
    }

    #[test]
    fn equal_times_keep_the_order_of_commits() {
        let config = ParquetConfig::default().target_segment_rows(1_024);
        let given = vec![segment(1, 10, 20, 5), segment(2, 0, 10, 5)];
        let Item::Pack(_, packed) = &items(given, &config)[0] else {
            panic!("nothing is packed");
        };
        assert_eq!(packed.iter().map(|s| s.min).collect::<Vec<_>>(), [10, 0]);
    }

    #[test]
    fn what_a_plan_makes_needs_no_plan() {
        let mut seed = 7_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..2_000 {
            let target = 1_024;
            let config = ParquetConfig::default().target_segment_rows(1_024);
            let given: Vec<Segment> = (0..random(12))
                .map(|i| {
                    let min = i64::try_from(random(400)).unwrap();
                    let max = min + i64::try_from(random(60)).unwrap();
                    let mut made = segment(i, min, max, 1 + random(target));
                    if made.rows > 4 && random(3) == 0 {
                        made.dead = vec![(1, 1 + random(made.rows - 2))];
                        made.dead.retain(|(from, to)| from < to);
                    }
                    made
                })
                .collect();
            let mut made: Vec<Segment> = Vec::new();
            for item in items(given, &config) {
                match item {
                    Item::Keep(segment) => made.push(segment),
                    Item::Pack(_, segments) => {
                        // Spread over the time from the first to the last, cut at the target.
                        let mut rows: u64 = segments.iter().map(Segment::live_rows).sum();
                        let min = segments.iter().map(|s| s.min).min().unwrap();
                        let max = segments.iter().map(|s| s.max).max().unwrap();
                        let mut at = min;
                        while rows > 0 {
                            let take = rows.min(target);
                            rows -= take;
                            let end = if rows == 0 { max } else { at };
                            made.push(segment(100 + made.len() as u64, at, end, take));
                            at = end;
                        }
                    }
                }
            }
            let again = items(made.clone(), &config);
            let kept: Vec<Segment> = again
                .into_iter()
                .map(|item| match item {
                    Item::Keep(segment) => segment,
                    Item::Pack(reason, segments) => panic!("{reason:?} {segments:?} of {made:?}"),
                })
                .collect();
            assert_eq!(kept, made);
        }
    }
}
