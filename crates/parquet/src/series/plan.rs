//! A scan as a list of pieces: which rows of which segments, one after another or merged.

use std::ops::Range;

use minutebook_core::Take;

use crate::codec::{Segments, without};
use crate::error::Result;
use crate::log::Segment;

/// Rows of one segment.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) segment: Segment,
    /// The place of the segment in the order of commits, which decides between equal times.
    pub(super) order: usize,
    /// Row ranges, ascending and apart.
    pub(super) rows: Vec<Range<u64>>,
    pub(super) count: u64,
    /// Bounds of their times.
    pub(super) min: i64,
    pub(super) max: i64,
}

/// Parts whose times overlap: to be merged. Most have one part.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) parts: Vec<Part>,
    /// Of the merged rows, so many are left out first ...
    pub(super) skip: u64,
    /// ... and then so many taken.
    pub(super) take: u64,
    max: i64,
    last_order: usize,
}

impl Piece {
    pub(super) fn count(&self) -> u64 {
        self.parts.iter().map(|part| part.count).sum()
    }
}

/// The rows of these segments (in the order of their commits) in `[start, end)`.
pub(super) async fn parts(
    reader: &Segments,
    segments: Vec<Segment>,
    (start, end): (i64, Option<i64>),
) -> Result<Vec<Part>> {
    let mut parts = Vec::with_capacity(segments.len());
    for (order, segment) in segments.into_iter().enumerate() {
        let whole = segment.min >= start && end.is_none_or(|end| segment.max < end);
        let rows = if whole {
            without(0..segment.rows, &segment.dead)
        } else {
            reader.live(&segment, start, end).await?
        };
        let count = rows.iter().map(|range| range.end - range.start).sum();
        if count > 0 {
            parts.push(Part {
                order,
                rows,
                count,
                min: segment.min.max(start),
                max: end.map_or(segment.max, |end| segment.max.min(end.saturating_sub(1))),
                segment,
            });
        }
    }
    Ok(parts)
}

/// Orders parts by time, and cuts them to what is to be taken.
pub(super) fn pieces(mut parts: Vec<Part>, take: Take) -> Vec<Piece> {
    parts.sort_by_key(|part| (part.min, part.order));
    let mut pieces: Vec<Piece> = Vec::new();
    for part in parts {
        match pieces.last_mut() {
            // At a common instant the order of commits decides: one after the other is right only if it agrees.
            Some(piece)
                if part.min < piece.max
                    || (part.min == piece.max && part.order < piece.last_order) =>
            {
                piece.max = piece.max.max(part.max);
                piece.last_order = piece.last_order.max(part.order);
                piece.parts.push(part);
            }
            _ => pieces.push(Piece {
                max: part.max,
                last_order: part.order,
                parts: vec![part],
                skip: 0,
                take: u64::MAX,
            }),
        }
    }
    match take {
        Take::First(count) => first(&mut pieces, count as u64),
        Take::Last(count) => last(&mut pieces, count as u64),
        _ => {}
    }
    pieces
}

fn first(pieces: &mut Vec<Piece>, mut left: u64) {
    let mut keep = 0;
    for piece in pieces.iter_mut() {
        if left == 0 {
            break;
        }
        keep += 1;
        if piece.count() > left {
            for part in &mut piece.parts {
                part.rows = head(&part.rows, left);
                part.count = part.count.min(left);
            }
            piece.take = left;
        }
        left = left.saturating_sub(piece.count());
    }
    pieces.truncate(keep);
}

fn last(pieces: &mut Vec<Piece>, mut left: u64) {
    let mut keep = 0;
    for piece in pieces.iter_mut().rev() {
        if left == 0 {
            break;
        }
        keep += 1;
        if piece.count() > left {
            for part in &mut piece.parts {
                let cut = part.count.saturating_sub(left);
                part.rows = tail(&part.rows, cut);
                part.count -= cut;
            }
            piece.skip = piece.count() - left;
        }
        left = left.saturating_sub(piece.count());
    }
    pieces.drain(..pieces.len() - keep);
}

/// The first so many rows.
fn head(rows: &[Range<u64>], mut left: u64) -> Vec<Range<u64>> {
    let mut kept = Vec::new();
    for range in rows {
        let take = left.min(range.end - range.start);
        if take == 0 {
            break;
        }
        kept.push(range.start..range.start + take);
        left -= take;
    }
    kept
}

/// All but the first so many rows.
fn tail(rows: &[Range<u64>], mut cut: u64) -> Vec<Range<u64>> {
    let mut kept = Vec::new();
    for range in rows {
        let skip = cut.min(range.end - range.start);
        cut -= skip;
        if range.start + skip < range.end {
            kept.push(range.start + skip..range.end);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(order: usize, min: i64, max: i64, count: u64) -> Part {
        Part {
            segment: Segment {
                file: String::new(),
                rows: count,
                bytes: 0,
                footer: 0,
                min,
                max,
                digest: String::new(),
                footer_digest: String::new(),
                dead: Vec::new(),
                time: None,
            },
            order,
            rows: std::iter::once(0..count).collect(),
            count,
            min,
            max,
        }
    }

    fn shape(pieces: &[Piece]) -> Vec<Vec<usize>> {
        pieces
            .iter()
            .map(|p| p.parts.iter().map(|part| part.order).collect())
            .collect()
    }

    #[test]
    fn only_overlapping_parts_are_merged() {
        let parts = vec![
            part(0, 10, 20, 5),
            part(1, 0, 9, 5),
            part(2, 15, 30, 5),
            part(3, 40, 50, 5),
        ];
        assert_eq!(
            shape(&pieces(parts, Take::All)),
            vec![vec![1], vec![0, 2], vec![3]]
        );
    }

    #[test]
    fn touching_parts_follow_each_other_only_in_the_order_of_commits() {
        let parts = vec![part(0, 0, 10, 5), part(1, 10, 20, 5)];
        assert_eq!(shape(&pieces(parts, Take::All)), vec![vec![0], vec![1]]);
        let parts = vec![part(0, 10, 20, 5), part(1, 0, 10, 5)];
        assert_eq!(shape(&pieces(parts, Take::All)), vec![vec![1, 0]]);
    }

    #[test]
    fn first_and_last_cut_exactly() {
        let parts = || vec![part(0, 0, 9, 10), part(1, 10, 19, 10), part(2, 15, 25, 10)];
        let cut = pieces(parts(), Take::First(12));
        assert_eq!(shape(&cut), vec![vec![0], vec![1, 2]]);
        assert_eq!((cut[1].take, cut[1].skip, cut[1].count()), (2, 0, 4));
        let cut = pieces(parts(), Take::Last(3));
        assert_eq!(shape(&cut), vec![vec![1, 2]]);
        assert_eq!((cut[0].skip, cut[0].parts[0].rows[0].clone()), (3, 7..10));
        assert_eq!(shape(&pieces(parts(), Take::Last(20))), vec![vec![1, 2]]);
        assert!(pieces(parts(), Take::First(0)).is_empty());
        assert_eq!(tail(&[0..3, 5..9, 10..11], 4), [6..9, 10..11]);
        assert_eq!(head(&[0..3, 5..9], 4), [0..3, 5..6]);
    }
}
