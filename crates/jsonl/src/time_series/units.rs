//! Which blocks a scan reads, and in what pieces.

use minutebook_core::Take;

use crate::index::Block;

/// The most bytes that are decoded as one piece, unless a single block is larger.
const UNIT_BYTES: u64 = 4 << 20;

/// A block of one of a series' files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Which of the files, counted from 0.
    pub(crate) source: usize,
    pub(crate) block: Block,
}

/// Neighbouring blocks that are decoded as one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Which of the files, counted from 0.
    pub(crate) source: usize,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// How many lines come before it.
    pub(crate) first_line: u64,
    /// Its rows, in the range or not.
    pub(crate) rows: u64,
}

impl Placed {
    /// The block alone as a piece.
    pub(crate) fn unit(&self) -> Unit {
        Unit {
            source: self.source,
            offset: self.block.offset,
            len: self.block.len,
            first_line: self.block.first_line,
            rows: self.block.rows,
        }
    }
}

/// The blocks of a file that may have rows in `[start, end)`.
pub(crate) fn chosen(
    source: usize,
    blocks: &[Block],
    start: i64,
    end: Option<i64>,
) -> impl Iterator<Item = Placed> {
    let overlapping = blocks
        .iter()
        .filter(move |block| block.overlaps(start, end));
    overlapping
        .copied()
        .map(move |block| Placed { source, block })
}

/// The blocks that a scan needs, and how many rows in the range to pass over before the first that counts.
///
/// `rows_in` counts the rows of a block that lie in the range; it is asked only about blocks that the range cuts.
///
/// # Errors
/// What `rows_in` answers with.
pub(crate) fn taken<E>(
    mut blocks: Vec<Placed>,
    take: Take,
    (start, end): (i64, Option<i64>),
    mut rows_in: impl FnMut(&Placed) -> Result<u64, E>,
) -> Result<(Vec<Placed>, u64), E> {
    match take {
        Take::First(wanted) => {
            let mut sure = 0;
            let enough = blocks.iter().position(|block| {
                sure += if block.block.within(start, end) {
                    block.block.rows
                } else {
                    0
                };
                sure >= wanted as u64
            });
            if let Some(last) = enough {
                blocks.truncate(last + 1);
            }
            Ok((blocks, 0))
        }
        Take::Last(wanted) => {
            let mut rows = 0;
            let mut from = blocks.len();
            while rows < wanted as u64 && from > 0 {
                from -= 1;
                if let Some(block) = blocks.get(from) {
                    rows += if block.block.within(start, end) {
                        block.block.rows
                    } else {
                        rows_in(block)?
                    };
                }
            }
            Ok((blocks.split_off(from), rows.saturating_sub(wanted as u64)))
        }
        _ => Ok((blocks, 0)),
    }
}

/// Puts neighbours together, up to about `rows` rows a piece.
pub(crate) fn units(blocks: &[Placed], rows: usize) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for placed in blocks {
        let block = &placed.block;
        if let Some(unit) = units.last_mut()
            && unit.source == placed.source
            && unit.offset + unit.len == block.offset
            && unit.len + block.len <= UNIT_BYTES
            && unit.rows + block.rows <= rows as u64
        {
            unit.len += block.len;
            unit.rows += block.rows;
            continue;
        }
        units.push(placed.unit());
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(times: &[&[i64]]) -> Vec<Block> {
        let mut offset = 0;
        let mut line = 0;
        let mut blocks = Vec::new();
        for times in times {
            let mut block = Block::at(offset, line);
            for time in *times {
                block.row(*time);
            }
            block.len = 10;
            offset += 10;
            line += times.len() as u64;
            blocks.push(block);
        }
        blocks
    }

    fn take(blocks: &[Block], take: Take, range: (i64, Option<i64>)) -> (Vec<u64>, u64) {
        let chosen = chosen(0, blocks, range.0, range.1).collect();
        let count = |_: &Placed| Ok::<_, ()>(1);
        let (taken, skip) = taken(chosen, take, range, count).unwrap();
        let offsets = taken.iter().map(|placed| placed.block.offset);
        (offsets.collect(), skip)
    }

    #[test]
    fn only_blocks_in_the_range_are_read() {
        let all = blocks(&[&[1, 2], &[3, 9], &[], &[5, 6], &[7, 8]]);
        assert_eq!(take(&all, Take::All, (i64::MIN, None)).0, [0, 10, 30, 40]);
        assert_eq!(take(&all, Take::All, (4, Some(7))).0, [10, 30]);
        assert_eq!(take(&all, Take::All, (10, None)).0, [] as [u64; 0]);
    }

    #[test]
    fn only_as_many_blocks_as_needed_are_read() {
        let all = blocks(&[&[1, 2], &[3, 9], &[5, 6], &[7, 8]]);
        let open = (i64::MIN, None);
        assert_eq!(take(&all, Take::First(2), open), (vec![0], 0));
        assert_eq!(take(&all, Take::First(3), open), (vec![0, 10], 0));
        assert_eq!(take(&all, Take::Last(2), open), (vec![30], 0));
        assert_eq!(take(&all, Take::Last(3), open), (vec![20, 30], 1));
        assert_eq!(take(&all, Take::Last(0), open), (vec![], 0));
        assert_eq!(take(&all, Take::Last(99), open), (vec![0, 10, 20, 30], 0));
        // The range cuts the block at 10, which is counted: one row.
        assert_eq!(take(&all, Take::Last(3), (2, Some(7))), (vec![10, 20], 0));
        assert_eq!(take(&all, Take::First(1), (3, Some(7))), (vec![10, 20], 0));
    }

    #[test]
    fn neighbours_are_read_together() {
        let all = blocks(&[&[1, 2], &[3, 9], &[], &[5, 6], &[7, 8]]);
        let placed: Vec<_> = chosen(0, &all, i64::MIN, None).collect();
        let made = units(&placed, 4);
        let shape: Vec<_> = made
            .iter()
            .map(|u| (u.offset, u.len, u.first_line, u.rows))
            .collect();
        assert_eq!(shape, [(0, 20, 0, 4), (30, 20, 4, 4)]);
        let mut placed: Vec<_> = chosen(0, &all[..1], i64::MIN, None).collect();
        placed.extend(chosen(1, &all[1..2], i64::MIN, None));
        assert_eq!(units(&placed, 4).len(), 2);
    }
}
