//! What was read of a file that its writers may still take lines back from: by it, the last line is found that is still there.
//!
//! A call that appends many lines and fails takes all of them back, and who follows may have read some. The others that were appended since then begin where
//! the call began, which is the last line end that both have.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use minutebook_fs::{FsFile, Item, LineOptions, LineReader};

/// So many lines are kept and let go of together.
const LEG_LINES: usize = 1 << 14;
/// More lines of one call are not remembered: four bytes of each.
const MOST_LEGS: usize = 64;

/// Lines that stand one after another, by their checksums.
#[derive(Debug, Default)]
pub(super) struct Trail {
    legs: VecDeque<Leg>,
    /// The offset after the last of them.
    end: u64,
}

#[derive(Debug)]
struct Leg {
    start: u64,
    sums: Vec<u32>,
}

/// How much of a trail is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Common {
    /// The offset after the last line that is.
    pub(super) end: u64,
    /// How many lines are not.
    pub(super) gone: u64,
}

impl Trail {
    /// Adds a line. One that does not follow the last begins a new trail.
    pub(super) fn add(&mut self, item: &Item<'_>) {
        if item.offset() != self.end {
            self.legs.clear();
        }
        self.end = item.end();
        let sum = sum(item);
        match self.legs.back_mut() {
            Some(leg) if leg.sums.len() < LEG_LINES => leg.sums.push(sum),
            _ => {
                if self.legs.len() == MOST_LEGS {
                    self.legs.pop_front();
                }
                let start = item.offset();
                let sums = vec![sum];
                self.legs.push_back(Leg { start, sums });
            }
        }
    }

    /// Whether what was read last ends here.
    pub(super) fn ends_at(&self, offset: u64) -> bool {
        self.end == offset
    }

    /// Begins anew behind what cannot be taken back.
    pub(super) fn begin(&mut self, offset: u64) {
        self.legs.clear();
        self.end = offset;
    }

    /// How many lines are kept.
    pub(super) fn lines(&self) -> usize {
        self.legs.iter().map(|leg| leg.sums.len()).sum()
    }

    /// Forgets all lines: they stay where they are.
    pub(super) fn settle(&mut self) {
        self.legs.clear();
    }

    /// How much of it is still in the file, if its end was at `end`. `None` if that cannot be said: nothing is known of what was read up to there, or the
    /// file does not even reach to where the trail begins.
    pub(super) fn common(
        &mut self,
        file: &Arc<dyn FsFile>,
        end: u64,
        options: LineOptions,
    ) -> io::Result<Option<Common>> {
        let Some(first) = self.legs.front().filter(|_| self.end == end) else {
            return Ok(None);
        };
        let start = first.start;
        if start > 0 {
            let mut before = [0];
            let read = file.read_full_at(&mut before, start - 1)?;
            if read == 0 || before != *b"\n" {
                return Ok(None);
            }
        }
        let mut lines = LineReader::new(Arc::clone(file), options.start(start));
        let mut found = start;
        let mut left = self.lines() as u64;
        for known in self.legs.iter().flat_map(|leg| &leg.sums) {
            match lines.next()? {
                Some(item) if sum(&item) == *known => found = item.end(),
                _ => break,
            }
            left -= 1;
        }
        // What is read again, if it is, is noted again.
        if left > 0 {
            self.cut(left);
            self.end = found;
        }
        Ok(Some(Common {
            end: found,
            gone: left,
        }))
    }

    /// Takes the last lines away.
    fn cut(&mut self, mut lines: u64) {
        while lines > 0
            && let Some(leg) = self.legs.back_mut()
        {
            let has = leg.sums.len();
            let off = usize::try_from(lines).unwrap_or(has).min(has);
            leg.sums.truncate(has - off);
            lines -= off as u64;
            if off == has {
                self.legs.pop_back();
            }
        }
    }
}

fn sum(item: &Item<'_>) -> u32 {
    match item {
        Item::Line(line) => crc32fast::hash(line.bytes),
        Item::TooLong { offset, end } => crc32fast::hash(&(end - offset).to_le_bytes()),
    }
}
