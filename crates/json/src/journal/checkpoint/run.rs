//! A run: rows in the order of their keys, in blocks of one size that each prove themselves, so that one is found by a few reads.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};

use minutebook_fs::{Fs, FsFile, OpenMode};

use super::row::{Bytes, Key};

pub(super) const BLOCK: usize = 4096;
/// The sum of what follows, and how many rows there are.
const HEAD: usize = SUM + 2;
const SUM: usize = 8;
/// Written and read through by so many at a time.
const BLOCKS: usize = 64;
/// After so many guesses the rest is halved.
const GUESSES: u32 = 6;

/// What is wrong with a run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damaged {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("block {block} of {run} does not fit its sum")]
    Block { run: String, block: u64 },
    #[error("{run} has a row that cannot be read")]
    Row { run: String },
}

/// A run that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) blocks: u64,
    file: Arc<dyn FsFile>,
    /// Which blocks were proved in this process already.
    proved: Arc<[AtomicBool]>,
}

fn none_proved(blocks: u64) -> Arc<[AtomicBool]> {
    (0..blocks).map(|_| AtomicBool::new(false)).collect()
}

/// The rows of one block.
struct Block {
    bytes: Vec<u8>,
}

impl Run {
    /// Opens a run of so many blocks; `None` if there is no such file, or one of another length.
    pub(super) fn open(
        fs: &dyn Fs,
        dir: &Path,
        name: &str,
        rows: u64,
        blocks: u64,
    ) -> io::Result<Option<Self>> {
        let file = match fs.open(&dir.join(name), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let whole = blocks.checked_mul(BLOCK as u64) == Some(file.len()?);
        Ok(whole.then(|| Self {
            name: name.to_owned(),
            rows,
            blocks,
            file: file.into(),
            proved: none_proved(blocks),
        }))
    }

    /// The bytes of the row with this key.
    pub(super) fn find(&self, key: Key) -> Result<Option<Vec<u8>>, Damaged> {
        // Keys are spread evenly, so where one is can be told within a few blocks.
        let (mut low, mut high) = (0, self.blocks);
        let (mut from, mut to) = (0_u64, u64::MAX);
        let mut guesses = 0;
        while low < high {
            let guess = if guesses < GUESSES && from < to {
                let part = u128::from(key.place().clamp(from, to) - from) * u128::from(high - low)
                    / (u128::from(to - from) + 1);
                low + u64::try_from(part).unwrap_or_default()
            } else {
                low + (high - low) / 2
            };
            guesses += 1;
            let guess = guess.min(high - 1);
            let block = self.block(guess)?;
            let (Some(first), Some(last)) = (block.rows().next(), block.rows().last()) else {
                return Err(self.damaged());
            };
            if key < first.0 {
                (high, to) = (guess, first.0.place());
            } else if key > last.0 {
                (low, from) = (guess + 1, last.0.place());
            } else {
                let found = block.rows().find(|(other, _)| *other == key);
                return Ok(found.map(|(_, bytes)| bytes.to_vec()));
            }
        }
        Ok(None)
    }

    fn block(&self, number: u64) -> Result<Block, Damaged> {
        let mut bytes = vec![0; BLOCK];
        let read = self.file.read_full_at(&mut bytes, number * BLOCK as u64)?;
        bytes.truncate(read);
        let proved = usize::try_from(number)
            .ok()
            .and_then(|n| self.proved.get(n));
        if read == BLOCK && proved.is_some_and(|proved| proved.load(atomic::Ordering::Relaxed)) {
            return Ok(Block { bytes });
        }
        let block = self.proved(number, bytes)?;
        if let Some(proved) = proved {
            proved.store(true, atomic::Ordering::Relaxed);
        }
        Ok(block)
    }

    fn proved(&self, number: u64, bytes: Vec<u8>) -> Result<Block, Damaged> {
        let fits =
            bytes.len() == BLOCK && bytes.get(..SUM) == Some(&sum(&self.name, number, &bytes));
        if fits {
            Ok(Block { bytes })
        } else {
            Err(Damaged::Block {
                run: self.name.clone(),
                block: number,
            })
        }
    }

    pub(super) fn damaged(&self) -> Damaged {
        Damaged::Row {
            run: self.name.clone(),
        }
    }

    /// All rows in order.
    pub(super) fn rows(&self) -> Rows {
        Rows {
            run: self.clone(),
            next: 0,
            ready: VecDeque::new(),
        }
    }
}

impl Block {
    fn rows(&self) -> impl Iterator<Item = (Key, &[u8])> {
        let count = self.bytes.get(SUM..HEAD).and_then(|b| b.try_into().ok());
        let mut left = u16::from_le_bytes(count.unwrap_or_default());
        let mut rest = self.bytes.get(HEAD..).unwrap_or_default();
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (len, after) = rest.split_first_chunk()?;
            let (key, after) = after.split_first_chunk()?;
            let (bytes, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
            rest = after;
            Some((Key(*key), bytes))
        })
    }
}

/// A block belongs to one place in one run.
fn sum(run: &str, number: u64, block: &[u8]) -> [u8; SUM] {
    let mut hash = blake3::Hasher::new();
    hash.update(run.as_bytes())
        .update(&number.to_le_bytes())
        .update(block.get(SUM..).unwrap_or_default());
    let hash = hash.finalize();
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Reads a run through, in bounded memory.
#[derive(Debug)]
pub(super) struct Rows {
    run: Run,
    next: u64,
    ready: VecDeque<Bytes>,
}

impl Rows {
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Damaged> {
        if self.ready.is_empty() && self.next < self.run.blocks {
            let count = (self.run.blocks - self.next).min(BLOCKS as u64);
            let mut bytes = vec![0; usize::try_from(count).unwrap_or(BLOCKS) * BLOCK];
            let read = self
                .run
                .file
                .read_full_at(&mut bytes, self.next * BLOCK as u64)?;
            bytes.truncate(read);
            for part in bytes.chunks(BLOCK) {
                let block = self.run.proved(self.next, part.to_vec())?;
                self.ready.extend(block.rows().map(|(key, bytes)| Bytes {
                    key,
                    bytes: bytes.to_vec(),
                }));
                self.next += 1;
            }
        }
        Ok(self.ready.pop_front())
    }
}

/// Writes a run.
pub(super) struct RunWriter {
    name: String,
    file: Box<dyn FsFile>,
    /// Blocks that are full.
    out: Vec<u8>,
    block: Vec<u8>,
    count: u16,
    rows: u64,
    blocks: u64,
}

impl RunWriter {
    pub(super) fn create(fs: &dyn Fs, dir: &Path, name: String) -> io::Result<Self> {
        let file = fs.open(&dir.join(&name), OpenMode::CreateNew)?;
        Ok(Self {
            name,
            file,
            out: Vec::new(),
            block: Vec::with_capacity(BLOCK),
            count: 0,
            rows: 0,
            blocks: 0,
        })
    }

    /// Adds a row; its key follows those before.
    pub(super) fn push(&mut self, row: &Bytes) -> io::Result<()> {
        let len = 2 + Key::LEN + row.bytes.len();
        let limit = BLOCK - HEAD;
        let Some(short) = u16::try_from(row.bytes.len()).ok().filter(|_| len <= limit) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row too long"));
        };
        if self.block.len() + len > limit {
            self.finish_block()?;
        }
        self.block.extend_from_slice(&short.to_le_bytes());
        self.block.extend_from_slice(&row.key.0);
        self.block.extend_from_slice(&row.bytes);
        self.count += 1;
        self.rows += 1;
        Ok(())
    }

    fn finish_block(&mut self) -> io::Result<()> {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; SUM]);
        self.out.extend_from_slice(&self.count.to_le_bytes());
        self.out.append(&mut self.block);
        self.out.resize(start + BLOCK, 0);
        let block = self.out.get_mut(start..).unwrap_or_default();
        let sum = sum(&self.name, self.blocks, block);
        if let Some(place) = block.first_chunk_mut() {
            *place = sum;
        }
        self.blocks += 1;
        self.count = 0;
        if self.out.len() >= BLOCKS * BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// The run as written.
    pub(super) fn finish(mut self) -> io::Result<Run> {
        if self.count > 0 {
            self.finish_block()?;
        }
        self.flush()?;
        Ok(Run {
            name: self.name,
            rows: self.rows,
            blocks: self.blocks,
            file: self.file.into(),
            proved: none_proved(self.blocks),
        })
    }
}

/// Several runs as one: of rows of one key that of the first run counts.
pub(super) struct Merge {
    sources: Vec<(Source, Option<Bytes>)>,
}

pub(super) enum Source {
    Run(Rows),
    Memory(std::vec::IntoIter<Bytes>),
}

impl Source {
    fn next(&mut self) -> Result<Option<Bytes>, Damaged> {
        match self {
            Self::Run(rows) => rows.next(),
            Self::Memory(rows) => Ok(rows.next()),
        }
    }
}

impl Merge {
    /// The newest first.
    pub(super) fn new(sources: Vec<Source>) -> Result<Self, Damaged> {
        let sources = sources.into_iter().map(|mut source| {
            let first = source.next()?;
            Ok((source, first))
        });
        Ok(Self {
            sources: sources.collect::<Result<_, Damaged>>()?,
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Damaged> {
        let mut least: Option<(usize, Key)> = None;
        for (i, (_, head)) in self.sources.iter().enumerate() {
            if let Some(row) = head
                && least.is_none_or(|(_, key)| row.key.cmp(&key) == Ordering::Less)
            {
                least = Some((i, row.key));
            }
        }
        let Some((taken, key)) = least else {
            return Ok(None);
        };
        let mut row = None;
        for (i, (source, head)) in self.sources.iter_mut().enumerate() {
            if head.as_ref().is_some_and(|row| row.key == key) {
                let next = source.next()?;
                let found = std::mem::replace(head, next);
                if i == taken {
                    row = found;
                }
            }
        }
        Ok(row)
    }
}
