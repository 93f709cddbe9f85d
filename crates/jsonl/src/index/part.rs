//! What was seen in a stretch of complete lines. Parts of one file are put together in order.

use std::collections::HashMap;
use std::sync::Arc;

use minutebook_core::{Problem, ProblemKind, ReadReport};

use crate::codec::kind::Seen;

/// From how many bytes on a block is closed.
pub(crate) const BLOCK_BYTES: u64 = 64 << 10;

/// A run of lines, read as one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Offset of its first line in the file.
    pub(crate) offset: u64,
    /// Its bytes.
    pub(crate) len: u64,
    /// How many lines come before it.
    pub(crate) first_line: u64,
    /// The lines that are rows.
    pub(crate) rows: u64,
    /// The earliest time of a row, in nanoseconds; meaningless without rows.
    pub(crate) min: i64,
    /// The latest.
    pub(crate) max: i64,
}

impl Block {
    /// A block without lines.
    pub(crate) fn at(offset: u64, first_line: u64) -> Self {
        Self {
            offset,
            len: 0,
            first_line,
            rows: 0,
            min: i64::MAX,
            max: i64::MIN,
        }
    }

    /// Counts a row.
    #[inline]
    pub(crate) fn row(&mut self, nanos: i64) {
        self.rows += 1;
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    /// The offset after its last line.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.len
    }

    /// Whether a row of it may lie in `[start, end)`.
    pub(crate) fn overlaps(&self, start: i64, end: Option<i64>) -> bool {
        self.rows > 0 && start <= self.max && end.is_none_or(|end| self.min < end)
    }

    /// Whether all its rows lie in `[start, end)`.
    pub(crate) fn within(&self, start: i64, end: Option<i64>) -> bool {
        start <= self.min && end.is_none_or(|end| self.max < end)
    }
}

/// A line that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flawed {
    pub(crate) kind: ProblemKind,
    /// How many lines come before it.
    pub(crate) line: u64,
    pub(crate) byte: u64,
    pub(crate) message: String,
}

impl Flawed {
    /// The problem as a report shows it.
    pub(crate) fn problem(&self, resource: &str) -> Problem {
        Problem::new(self.kind, resource, self.message.clone())
            .at_line(self.line + 1)
            .at_byte(self.byte)
    }
}

/// The columns in the order in which they first occurred, each with the types of its values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    list: Vec<(Arc<str>, Seen)>,
    places: HashMap<Arc<str>, usize>,
}

impl Columns {
    /// The place of a column, if it is there.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The place of a column, which is added if it is new.
    pub(crate) fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.find(name) {
            return place;
        }
        let name: Arc<str> = name.into();
        self.list.push((Arc::clone(&name), Seen::NONE));
        self.places.insert(name, self.list.len() - 1);
        self.list.len() - 1
    }

    /// Notes what a value of the column showed.
    #[inline]
    pub(crate) fn note(&mut self, place: usize, seen: Seen) {
        if let Some((_, all)) = self.list.get_mut(place) {
            all.add(seen);
        }
    }

    /// As [`note`](Self::note), by name; the column is added if it is new.
    pub(crate) fn add(&mut self, name: &str, seen: Seen) {
        let place = self.place(name);
        self.note(place, seen);
    }

    /// The columns in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Seen)> {
        self.list.iter().map(|(name, seen)| (&**name, *seen))
    }

    /// The names in order.
    pub(crate) fn iter_shared(&self) -> impl Iterator<Item = &Arc<str>> {
        self.list.iter().map(|(name, _)| name)
    }

    /// What a column's values have shown; `None` if there is no such column.
    pub(crate) fn get(&self, name: &str) -> Option<Seen> {
        let place = self.places.get(name)?;
        self.list.get(*place).map(|(_, seen)| *seen)
    }
}

/// What was seen in a stretch of complete lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// Lines of any kind.
    pub(crate) lines: u64,
    /// Lines that are rows.
    pub(crate) rows: u64,
    /// The blocks with the lines, in order; what is too long to read is in none.
    pub(crate) blocks: Vec<Block>,
    /// The columns apart from the time.
    pub(crate) columns: Columns,
    /// Lines that are no rows: how many, and the first of them.
    pub(crate) flaws: u64,
    pub(crate) kept: Vec<Flawed>,
}

impl Part {
    /// Counts a line that is no row.
    pub(crate) fn flaw(&mut self, flawed: Flawed) {
        self.flaws += 1;
        if self.kept.len() < ReadReport::KEPT {
            self.kept.push(flawed);
        }
    }

    /// Adds the part that follows this one in the file.
    pub(crate) fn append(&mut self, next: Self) {
        let lines = self.lines;
        let mut blocks = next.blocks.into_iter().map(|mut block| {
            block.first_line += lines;
            block
        });
        // A short last block grows instead of staying short for ever under appends of single lines.
        if let Some(last) = self.blocks.last_mut()
            && last.len < BLOCK_BYTES
            && let Some(first) = blocks.next()
        {
            if last.end() == first.offset && first.len < BLOCK_BYTES {
                last.len += first.len;
                last.rows += first.rows;
                last.min = last.min.min(first.min);
                last.max = last.max.max(first.max);
            } else {
                self.blocks.push(first);
            }
        }
        self.blocks.extend(blocks);
        for (name, seen) in next.columns.iter() {
            self.columns.add(name, seen);
        }
        let room = ReadReport::KEPT.saturating_sub(self.kept.len());
        self.kept
            .extend(next.kept.into_iter().take(room).map(|mut flawed| {
                flawed.line += lines;
                flawed
            }));
        self.flaws += next.flaws;
        self.lines += next.lines;
        self.rows += next.rows;
    }

    /// Moves the part to where its lines really are.
    pub(crate) fn shift(&mut self, offset: u64) {
        for block in &mut self.blocks {
            block.offset += offset;
        }
        for flawed in &mut self.kept {
            flawed.byte += offset;
        }
    }

    /// The earliest and the latest time, in nanoseconds.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let filled = || self.blocks.iter().filter(|block| block.rows > 0);
        let min = filled().map(|block| block.min).min()?;
        let max = filled().map(|block| block.max).max()?;
        Some((min, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(offset: u64, len: u64, times: &[i64]) -> Part {
        let mut block = Block::at(offset, 0);
        block.len = len;
        for time in times {
            block.row(*time);
        }
        Part {
            lines: times.len() as u64 + 1,
            rows: times.len() as u64,
            blocks: vec![block],
            flaws: 1,
            kept: vec![Flawed {
                kind: ProblemKind::Malformed,
                line: 0,
                byte: offset,
                message: String::new(),
            }],
            ..Part::default()
        }
    }

    #[test]
    fn parts_count_on() {
        let mut all = part(0, 10, &[5, 7]);
        all.append(part(10, 20, &[3]));
        all.append(part(30, BLOCK_BYTES, &[9]));
        assert_eq!((all.lines, all.rows, all.flaws), (7, 4, 3));
        assert_eq!(all.bounds(), Some((3, 9)));
        assert_eq!(all.blocks.len(), 2);
        assert_eq!((all.blocks[0].len, all.blocks[0].rows), (30, 3));
        assert_eq!(all.blocks[1].first_line, 5);
        assert_eq!(
            all.kept.iter().map(|f| f.line).collect::<Vec<_>>(),
            [0, 3, 5]
        );
    }

    #[test]
    fn an_empty_block_matches_nothing() {
        let block = Block::at(0, 0);
        assert!(!block.overlaps(i64::MIN, None));
        let part = part(0, 1, &[5, 7]);
        let block = part.blocks[0];
        assert!(block.overlaps(7, None) && !block.overlaps(8, None));
        assert!(block.overlaps(0, Some(6)) && !block.overlaps(0, Some(5)));
        assert!(block.within(5, Some(8)) && !block.within(5, Some(7)));
    }
}
