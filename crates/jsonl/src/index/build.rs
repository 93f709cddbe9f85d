//! One pass over lines: what they are, when, and of which types.

use std::io;
use std::sync::Arc;

use minutebook_core::ProblemKind;
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_fs::{FsFile, Item, LineOptions, LineReader};

use super::part::{BLOCK_BYTES, Block, Flawed, Part};
use crate::codec::fields::{Field, Fields, Flaw};
use crate::codec::instant;
use crate::codec::kind::Seen;
use crate::codec::template::Token;
use crate::config::EpochUnit;

/// From how many bytes on a stretch is read by several threads.
const PARALLEL_BYTES: u64 = 8 << 20;
const CHUNK_BYTES: usize = 1 << 20;

/// How to read lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) max_line_bytes: usize,
    /// What numbers in the time column count.
    pub(crate) unit: Option<EpochUnit>,
    pub(crate) threads: usize,
}

/// Reads the complete lines from `start`, where a line begins, to `end`, where one ends.
pub(crate) fn read_part(
    file: &Arc<dyn FsFile>,
    start: u64,
    end: u64,
    reading: Reading,
) -> io::Result<Part> {
    let threads = reading.threads.max(1) as u64;
    if end.saturating_sub(start) < PARALLEL_BYTES || threads == 1 {
        return read_stretch(file, start, end, reading);
    }
    let mut cuts = vec![start];
    for i in 1..threads {
        let cut = next_line(file, start + (end - start) / threads * i, end)?;
        if cuts.last().is_some_and(|last| *last < cut) {
            cuts.push(cut);
        }
    }
    cuts.push(end);
    let parts = std::thread::scope(|scope| {
        let workers: Vec<_> = cuts
            .windows(2)
            .filter_map(|pair| pair.first().copied().zip(pair.last().copied()))
            .map(|(from, to)| scope.spawn(move || read_stretch(file, from, to, reading)))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect::<io::Result<Vec<_>>>()
    })?;
    let mut all = Part::default();
    for part in parts {
        all.append(part);
    }
    Ok(all)
}

/// Where the next line after an offset begins.
fn next_line(file: &Arc<dyn FsFile>, from: u64, end: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut at = from;
    while at < end {
        let read = file.read_full_at(&mut buffer, at)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if let Some(newline) = memchr::memchr(b'\n', bytes) {
            return Ok((at + newline as u64 + 1).min(end));
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    Ok(end)
}

fn read_stretch(
    file: &Arc<dyn FsFile>,
    start: u64,
    end: u64,
    reading: Reading,
) -> io::Result<Part> {
    let options = LineOptions::default()
        .start(start)
        .end(end)
        .max_line_bytes(reading.max_line_bytes)
        .chunk_bytes(CHUNK_BYTES.min(usize::try_from(end - start).unwrap_or(CHUNK_BYTES)));
    let mut lines = LineReader::new(Arc::clone(file), options);
    let mut builder = Builder::new(reading.unit, start);
    while let Some(item) = lines.next()? {
        match item {
            Item::Line(line) => builder.line(line.bytes, line.offset, line.end),
            Item::TooLong { offset, end } => {
                builder.too_long(offset, end, reading.max_line_bytes);
            }
        }
    }
    if builder.block.end() < end {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file was cut while it was read",
        ));
    }
    Ok(builder.finish())
}

/// Collects what the lines show.
#[derive(Debug)]
struct Builder {
    part: Part,
    block: Block,
    unit: Option<EpochUnit>,
    /// What the last line had at each place: the next line has nearly always the same.
    guesses: Vec<(String, Place)>,
    /// What the line at hand shows, until it is known to be a row.
    row: Vec<(usize, Seen)>,
    /// Its columns that are new.
    new: Vec<(String, Seen)>,
}

impl Builder {
    fn new(unit: Option<EpochUnit>, offset: u64) -> Self {
        Self {
            part: Part::default(),
            block: Block::at(offset, 0),
            unit,
            guesses: Vec::new(),
            row: Vec::new(),
            new: Vec::new(),
        }
    }

    fn line(&mut self, bytes: &[u8], offset: u64, end: u64) {
        match self.row_of(bytes) {
            Ok(Some(nanos)) => {
                for (place, seen) in self.row.drain(..) {
                    self.part.columns.note(place, seen);
                }
                for (name, seen) in self.new.drain(..) {
                    self.part.columns.add(&name, seen);
                }
                self.part.rows += 1;
                self.block.row(nanos);
            }
            Ok(None) => {}
            Err((kind, message)) => {
                let line = self.part.lines;
                self.part.flaw(Flawed {
                    kind,
                    line,
                    byte: offset,
                    message,
                });
            }
        }
        self.part.lines += 1;
        self.block.len = end - self.block.offset;
        if self.block.len >= BLOCK_BYTES {
            self.cut(end);
        }
    }

    fn too_long(&mut self, offset: u64, end: u64, limit: usize) {
        self.block.len = offset - self.block.offset;
        let line = self.part.lines;
        self.part.flaw(Flawed {
            kind: ProblemKind::TooLarge,
            line,
            byte: offset,
            message: format!("a line longer than {limit} bytes was skipped"),
        });
        self.part.lines += 1;
        self.cut(end);
    }

    /// Closes the block; the next one begins at `offset`.
    fn cut(&mut self, offset: u64) {
        let next = Block::at(offset, self.part.lines);
        let block = std::mem::replace(&mut self.block, next);
        if block.len > 0 {
            self.part.blocks.push(block);
        }
    }

    fn finish(mut self) -> Part {
        let end = self.block.end();
        self.cut(end);
        self.part
    }

    /// The row's time; `None` for a blank line.
    fn row_of(&mut self, bytes: &[u8]) -> Result<Option<i64>, (ProblemKind, String)> {
        self.row.clear();
        self.new.clear();
        let text = text_of(bytes)?;
        if is_blank(text) {
            return Ok(None);
        }
        let mut fields = Fields::new(text);
        let mut time = Time::Missing;
        let mut i = 0;
        while let Some(field) = fields.next().map_err(|flaw| malformed(&flaw))? {
            match self.place(i, &field) {
                Place::Known(place) => self.row.push((place, Seen::of(&Token::of(field.value)))),
                Place::Time => time.meet(&field, self.unit),
                Place::New => {
                    let seen = Seen::of(&Token::of(field.value));
                    self.new.push((field.key().into_owned(), seen));
                }
            }
            i += 1;
        }
        time.instant().map(Some)
    }

    /// Which column the field at this place of the line belongs to.
    #[inline]
    fn place(&mut self, i: usize, field: &Field<'_>) -> Place {
        if let Some((name, place)) = self.guesses.get(i)
            && field.is(name)
        {
            return *place;
        }
        let key = field.key();
        let place = if key == TIMESTAMP {
            Place::Time
        } else if let Some(place) = self.part.columns.find(&key) {
            Place::Known(place)
        } else {
            return Place::New;
        };
        remember(&mut self.guesses, i, key.into_owned(), place);
        place
    }
}

/// What a field belongs to.
#[derive(Debug, Clone, Copy)]
enum Place {
    Time,
    Known(usize),
    New,
}

/// Notes what a line had at a place, so that the next line's field is found without a look-up.
pub(crate) fn remember<T: Clone>(guesses: &mut Vec<(String, T)>, i: usize, name: String, place: T) {
    // Lines with ever more fields must not make this grow without bound.
    const MOST: usize = 1_000;
    if let Some(guess) = guesses.get_mut(i) {
        *guess = (name, place);
    } else if i == guesses.len() && i < MOST {
        guesses.push((name, place));
    }
}

/// The time of a line as its fields come by.
#[derive(Debug)]
pub(crate) enum Time {
    Missing,
    Read(i64),
    Unreadable(String),
    Twice,
}

impl Time {
    /// Meets the time column.
    #[inline]
    pub(crate) fn meet(&mut self, field: &Field<'_>, unit: Option<EpochUnit>) {
        *self = match self {
            Self::Missing => match instant::nanos(&Token::of(field.value), unit) {
                Some(nanos) => Self::Read(nanos),
                None => Self::Unreadable(field.value.text.chars().take(60).collect()),
            },
            _ => Self::Twice,
        };
    }

    /// The instant, or what is wrong with it.
    #[inline]
    pub(crate) fn instant(self) -> Result<i64, (ProblemKind, String)> {
        let message = match self {
            Self::Read(nanos) => return Ok(nanos),
            Self::Missing => "an entry without a timestamp was left out".to_owned(),
            Self::Twice => "an entry with two timestamps was left out".to_owned(),
            Self::Unreadable(text) => {
                format!("an entry was left out: {text} is no timestamp")
            }
        };
        Err((ProblemKind::BadTimestamp, message))
    }
}

/// The line as text.
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, (ProblemKind, String)> {
    std::str::from_utf8(bytes).map_err(|error| {
        let message = format!(
            "a line was skipped: it is not UTF-8 at its byte {}",
            error.valid_up_to()
        );
        (ProblemKind::Malformed, message)
    })
}

/// Whether a line has nothing in it.
#[inline]
pub(crate) fn is_blank(text: &str) -> bool {
    !text.starts_with('{') && text.trim().is_empty()
}

#[cold]
pub(crate) fn malformed(flaw: &Flaw) -> (ProblemKind, String) {
    let message = format!("a line was skipped: {} at its byte {}", flaw.what, flaw.at);
    (ProblemKind::Malformed, message)
}
