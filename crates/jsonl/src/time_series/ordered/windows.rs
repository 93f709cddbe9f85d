//! The spans of time that a scan in the order of time reads one after another.

use crate::codec::decode::Plan;
use crate::codec::kind::ColumnType;
use crate::time_series::units::Placed;

/// A window is closed as soon as the blocks that begin in it have so many rows.
pub(super) const WINDOW_ROWS: u64 = 1 << 16;

/// Into how many spans of equal length a window that is too large is counted.
const BUCKETS: u64 = 1 << 14;

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: i64,
    pub(super) end: Option<i64>,
    /// What its rows take, if they were counted.
    pub(super) size: Option<Size>,
}

/// What rows take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: u64,
    /// In memory, about.
    pub(super) bytes: u64,
}

/// What a row of a plan takes in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    /// The values of fixed width.
    row: u64,
    /// Whether there is text, which may be as long as the line.
    text: bool,
}

impl Weights {
    pub(super) fn of(plan: &Plan) -> Self {
        let row = plan
            .columns
            .iter()
            .map(|(_, column_type)| match column_type {
                ColumnType::Boolean => 1,
                ColumnType::Utf8 => 4,
                ColumnType::Int64 | ColumnType::Float64 | ColumnType::Time => 8,
            });
        let texts = plan.columns.iter();
        Self {
            // The time, and the places when rows are sorted.
            row: 8 + 24 + row.sum::<u64>(),
            text: texts.clone().any(|(_, known)| *known == ColumnType::Utf8),
        }
    }

    /// Of rows whose lines are so many bytes.
    pub(super) fn size(self, rows: u64, lines: u64) -> Size {
        let text = if self.text { lines } else { 0 };
        Size {
            rows,
            bytes: (rows * self.row).saturating_add(text),
        }
    }
}

impl Window {
    pub(super) fn new(start: i64, end: Option<i64>) -> Self {
        let size = None;
        Self { start, end, size }
    }

    /// Whether all its rows have one time.
    pub(super) fn is_instant(&self) -> bool {
        self.start.checked_add(1) == self.end
    }

    /// The blocks that may have rows of it.
    pub(super) fn of<'a>(&self, blocks: &'a [Placed]) -> impl Iterator<Item = &'a Placed> {
        let (start, end) = (self.start, self.end);
        blocks
            .iter()
            .filter(move |placed| placed.block.overlaps(start, end))
    }

    /// At most what its rows take.
    pub(super) fn most(&self, blocks: &[Placed], weights: Weights) -> Size {
        self.size.unwrap_or_else(|| {
            let sum = self.of(blocks).fold((0, 0), |(rows, lines), placed| {
                (rows + placed.block.rows, lines + placed.block.len)
            });
            weights.size(sum.0, sum.1)
        })
    }
}

/// Windows, one after another, that together are the range. Each is closed when the blocks that begin in it have many rows, or about `bytes`.
pub(super) fn windows(
    blocks: &[Placed],
    (start, end): (i64, Option<i64>),
    weights: Weights,
    bytes: u64,
) -> Vec<Window> {
    let mut begins: Vec<_> = blocks
        .iter()
        .map(|placed| {
            let block = &placed.block;
            (block.min.max(start), weights.size(block.rows, block.len))
        })
        .collect();
    begins.sort_unstable_by_key(|(min, _)| *min);
    let mut windows = Vec::new();
    let (mut from, mut size) = (start, Size::default());
    for (min, more) in begins {
        if (size.rows >= WINDOW_ROWS || size.bytes >= bytes) && min > from {
            windows.push(Window::new(from, Some(min)));
            (from, size) = (min, Size::default());
        }
        size.rows += more.rows;
        size.bytes += more.bytes;
    }
    if !blocks.is_empty() {
        windows.push(Window::new(from, end));
    }
    windows
}

/// Counts the rows of a window by their times, so that it can be split.
#[derive(Debug)]
pub(super) struct Histogram {
    from: i64,
    to: i64,
    width: u64,
    weights: Weights,
    sizes: Vec<Size>,
}

impl Histogram {
    /// Of the rows from one time to another, both of which may occur.
    pub(super) fn new(from: i64, to: i64, weights: Weights) -> Self {
        let span = to.abs_diff(from);
        let width = span / BUCKETS + 1;
        let buckets = usize::try_from(span / width + 1).unwrap_or(1);
        Self {
            from,
            to,
            width,
            weights,
            sizes: vec![Size::default(); buckets],
        }
    }

    /// Counts a row with the bytes of its line.
    #[inline]
    pub(super) fn row(&mut self, nanos: i64, line: usize) {
        let place = nanos.abs_diff(self.from) / self.width;
        let more = self.weights.size(1, line as u64);
        if let Ok(place) = usize::try_from(place)
            && let Some(size) = self.sizes.get_mut(place)
        {
            size.rows += more.rows;
            size.bytes += more.bytes;
        }
    }

    /// The windows of at most so many bytes, if a bucket is not larger by itself; those without rows are left out.
    pub(super) fn split(self, bytes: u64) -> Vec<Window> {
        let mut windows: Vec<Window> = Vec::new();
        let mut open: Option<Window> = None;
        for (place, more) in self.sizes.iter().enumerate() {
            if more.rows == 0 {
                continue;
            }
            let start = self.from.saturating_add_unsigned(place as u64 * self.width);
            let next = start.checked_add_unsigned(self.width);
            // Behind the last row there is none.
            let end = next
                .filter(|end| *end <= self.to)
                .or(self.to.checked_add(1));
            open = match open {
                Some(mut window) => {
                    let sum = window.size.get_or_insert_default();
                    if sum.bytes + more.bytes <= bytes {
                        sum.bytes += more.bytes;
                        sum.rows += more.rows;
                        window.end = end;
                        Some(window)
                    } else {
                        windows.push(window);
                        None
                    }
                }
                None => None,
            }
            .or(Some(Window {
                start,
                end,
                size: Some(*more),
            }));
        }
        windows.extend(open);
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Block;

    const TEXT: Weights = Weights { row: 0, text: true };

    fn placed(min: i64, max: i64, rows: u64) -> Placed {
        let mut block = Block::at(0, 0);
        block.row(min);
        block.row(max);
        block.rows = rows;
        block.len = rows;
        Placed { source: 0, block }
    }

    fn spans(windows: &[Window]) -> Vec<(i64, Option<i64>)> {
        windows
            .iter()
            .map(|window| (window.start, window.end))
            .collect()
    }

    #[test]
    fn windows_follow_each_other_and_are_not_split_at_one_time() {
        let rows = WINDOW_ROWS;
        let blocks = [
            placed(10, 20, rows),
            placed(5, 12, rows),
            placed(10, 30, rows),
            placed(40, 50, 1),
        ];
        let cut = |range, bytes| spans(&windows(&blocks, range, TEXT, bytes));
        let all = [(i64::MIN, Some(10)), (10, Some(40)), (40, None)];
        assert_eq!(cut((i64::MIN, None), u64::MAX), all);
        assert_eq!(
            cut((10, Some(11)), u64::MAX),
            [(10, Some(40)), (40, Some(11))]
        );
        assert!(windows(&[], (0, None), TEXT, 1).is_empty());
    }

    #[test]
    fn windows_are_bounded_by_bytes_too() {
        let blocks = [placed(1, 2, 3), placed(3, 4, 3), placed(5, 6, 3)];
        let cut = |bytes| spans(&windows(&blocks, (0, None), TEXT, bytes));
        assert_eq!(cut(3), [(0, Some(3)), (3, Some(5)), (5, None)]);
        assert_eq!(cut(6), [(0, Some(5)), (5, None)]);
    }

    #[test]
    fn a_histogram_splits_at_the_times_of_its_rows() {
        let mut counted = Histogram::new(-5, 5, TEXT);
        for (time, line) in [(-5, 10), (-5, 10), (0, 10), (4, 5), (5, 5)] {
            counted.row(time, line);
        }
        let split = counted.split(20);
        assert_eq!(spans(&split), [(-5, Some(-4)), (0, Some(6))]);
        assert_eq!(split[1].size, Some(Size { rows: 3, bytes: 20 }));
        assert!(split[0].is_instant());
    }

    #[test]
    fn a_histogram_spans_all_times() {
        let mut counted = Histogram::new(i64::MIN, i64::MAX, TEXT);
        for time in [i64::MIN, 0, 1, i64::MAX] {
            counted.row(time, 1);
        }
        let split = counted.split(1);
        let rows: Vec<_> = split.iter().filter_map(|window| window.size).collect();
        assert_eq!(
            rows.iter().map(|size| size.rows).collect::<Vec<_>>(),
            [1, 2, 1]
        );
        assert_eq!(split.last().and_then(|window| window.end), None);
        assert_eq!(split.first().map(|window| window.start), Some(i64::MIN));
    }
}
