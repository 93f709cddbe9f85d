//! One pass over lines: what they are, when, and of which types.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minutebook_core::ProblemKind;
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_fs::FsFile;

use super::chunks::{Chunk, Chunks};
use super::gather::{Gather, Piece, Wanted};
use super::part::{BLOCK_BYTES, Block, Flawed, Part};
use crate::codec::fields::{Field, Fields, Flaw};
use crate::codec::instant::{self, Instants};
use crate::codec::kind::Seen;
use crate::codec::template::Templates;
use crate::codec::token::Token;
use crate::config::EpochUnit;

/// From how many bytes on a stretch is read by several threads.
const PARALLEL_BYTES: u64 = 2 << 20;
/// About so many bytes a thread takes at a time, of a long stretch more.
const STRETCH_BYTES: u64 = 4 << 20;
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How to read lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) max_line_bytes: usize,
    /// What numbers in the time column count.
    pub(crate) unit: Option<EpochUnit>,
    pub(crate) threads: usize,
}

/// Reads the complete lines from `start`, where a line begins, to `end`, where one ends. Also gives the rows that are wanted, if they are asked for.
pub(crate) fn read_part(
    file: &Arc<dyn FsFile>,
    start: u64,
    end: u64,
    reading: Reading,
    wanted: Option<&Wanted>,
) -> io::Result<(Part, Vec<Piece>)> {
    let threads = reading.threads.max(1) as u64;
    if end.saturating_sub(start) < PARALLEL_BYTES || threads == 1 {
        return read_stretch(&**file, start, end, reading, wanted);
    }
    // More stretches than threads: one that other work holds up is overtaken.
    let stretches = ((end - start) / STRETCH_BYTES).clamp(threads, threads * 4);
    let mut cuts = vec![start];
    for i in 1..stretches {
        let cut = next_line(file, start + (end - start) / stretches * i, end)?;
        if cuts.last().is_some_and(|last| *last < cut) {
            cuts.push(cut);
        }
    }
    cuts.push(end);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(from), Some(to)) = (cuts.get(number), cuts.get(number + 1)) else {
                return Ok(done);
            };
            done.push((number, read_stretch(&**file, *from, *to, reading, wanted)?));
        }
    };
    let mut parts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        done.collect::<io::Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    parts.sort_unstable_by_key(|(number, _)| *number);
    let (mut all, mut pieces) = (Part::default(), Vec::new());
    for (_, (part, found)) in parts {
        let lines = all.lines;
        pieces.extend(found.into_iter().map(|mut piece| {
            piece.place.first_line += lines;
            piece
        }));
        all.append(part);
    }
    Ok((all, pieces))
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
    file: &dyn FsFile,
    start: u64,
    end: u64,
    reading: Reading,
    wanted: Option<&Wanted>,
) -> io::Result<(Part, Vec<Piece>)> {
    let mut chunks = Chunks::new(file, start, end, reading.max_line_bytes);
    let mut builder = Builder::new(reading, start, wanted);
    while let Some(chunk) = chunks.next()? {
        match chunk {
            Chunk::Lines(offset, lines) => builder.lines(offset, lines),
            Chunk::TooLong { offset, end } => builder.too_long(offset, end),
        }
    }
    Ok(builder.finish())
}

/// Collects what the lines show.
#[derive(Debug)]
struct Builder<'w> {
    part: Part,
    block: Block,
    reading: Reading,
    templates: Templates<Place>,
    instants: Instants,
    /// What the last line that was read field by field had at each place: the next one has nearly always the same.
    guesses: Vec<(String, Place)>,
    gather: Option<Gather<'w>>,
}

/// Which column a value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Time,
    Column(usize),
}

impl<'w> Builder<'w> {
    fn new(reading: Reading, offset: u64, wanted: Option<&'w Wanted>) -> Self {
        Self {
            part: Part::default(),
            block: Block::at(offset, 0),
            reading,
            templates: Templates::default(),
            instants: Instants::default(),
            guesses: Vec::new(),
            gather: wanted.map(|wanted| Gather::new(wanted, offset)),
        }
    }

    /// Complete lines that stand in the file from `offset` on.
    fn lines(&mut self, offset: u64, bytes: &[u8]) {
        // One check for all is cheaper than one a line; where it fails each line is looked at by itself.
        let whole = std::str::from_utf8(bytes).ok();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let quick = whole.and_then(|text| self.templates.line(text, at, &mut tokens));
            let known = quick.filter(|end| end - at <= self.reading.max_line_bytes);
            let next = match known.filter(|_| self.row(&tokens)) {
                Some(end) => end,
                None => self.line(offset, bytes, at),
            };
            self.part.lines += 1;
            self.block.len = offset + next as u64 - self.block.offset;
            if self.block.len >= BLOCK_BYTES {
                self.cut(false);
            }
            at = next;
        }
    }

    /// Takes in a row of simple values; `false` if its time cannot be read.
    #[inline]
    fn row(&mut self, tokens: &[(Place, Token<'_>)]) -> bool {
        let time = tokens.iter().find(|(place, _)| *place == Place::Time);
        let instants = &mut self.instants;
        let Some(nanos) = time.and_then(|(_, token)| instants.nanos(token, self.reading.unit))
        else {
            return false;
        };
        self.take(nanos, tokens);
        true
    }

    #[inline]
    fn take(&mut self, nanos: i64, tokens: &[(Place, Token<'_>)]) {
        self.part.rows += 1;
        self.block.row(nanos);
        let columns = &mut self.part.columns;
        let mut gather = self.gather.as_mut();
        if gather.as_mut().is_some_and(|gather| !gather.row(nanos)) {
            gather = None;
        }
        for (place, token) in tokens {
            let Place::Column(place) = *place else {
                continue;
            };
            let seen = Seen::of(token);
            columns.note(place, seen);
            if let Some(gather) = &mut gather {
                gather.value(place, token, seen, columns);
            }
        }
    }

    /// The line at `at`, read field by field; gives the offset after its newline.
    fn line(&mut self, offset: u64, bytes: &[u8], at: usize) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let next = (at + len + 1).min(bytes.len());
        let place = offset + at as u64;
        if len > self.reading.max_line_bytes {
            self.too_long(place, offset + next as u64);
            // It was counted there.
            self.part.lines -= 1;
            return next;
        }
        let mut line = rest.get(..len).unwrap_or_default();
        if place == 0
            && let Some(rest) = line.strip_prefix(BOM)
        {
            line = rest;
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Err((kind, message)) = self.read(line) {
            let line = self.part.lines;
            self.part.flaw(Flawed {
                kind,
                line,
                byte: place,
                message,
            });
        }
        next
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), (ProblemKind, String)> {
        let text = text_of(bytes)?;
        if is_blank(text) {
            return Ok(());
        }
        let mut fields = Fields::new(text);
        let mut time = Time::Missing;
        let mut found = Vec::with_capacity(self.guesses.len() + 1);
        while let Some(field) = fields.next().map_err(|flaw| malformed(&flaw))? {
            let place = self.place(found.len(), &field);
            if place == Ok(Place::Time) {
                time.meet(&field, self.reading.unit);
            }
            let end = fields.position();
            found.push((end, place, Token::of(field.value), field.value.text.len()));
        }
        let nanos = time.instant()?;
        // Only now it is a row, and its columns are columns.
        let mut tokens = Vec::with_capacity(found.len());
        let mut values = Vec::with_capacity(found.len());
        for (end, place, token, len) in found {
            let place = place.unwrap_or_else(|name| Place::Column(self.part.columns.place(&name)));
            tokens.push((place, token));
            values.push((end - len, end, place));
        }
        self.take(nanos, &tokens);
        // A key that occurs twice is taken apart each time, so that the last one counts.
        let unique = |n: usize| {
            tokens
                .iter()
                .take(n)
                .all(|known| tokens.get(n).is_none_or(|this| this.0 != known.0))
        };
        if self.templates.wants_more() && tokens.len() < 100 && (0..tokens.len()).all(unique) {
            self.templates.learn(text, values);
        }
        Ok(())
    }

    fn too_long(&mut self, offset: u64, end: u64) {
        self.block.len = offset - self.block.offset;
        let line = self.part.lines;
        self.part.flaw(Flawed {
            kind: ProblemKind::TooLarge,
            line,
            byte: offset,
            message: format!(
                "a line longer than {} bytes was skipped",
                self.reading.max_line_bytes
            ),
        });
        self.cut(true);
        self.part.lines += 1;
        self.begin(end);
    }

    /// Closes the block.
    fn cut(&mut self, last: bool) {
        let end = self.block.end();
        if let Some(gather) = &mut self.gather
            && (self.block.len > 0 || last)
        {
            gather.block(&self.block, last, &self.part.columns);
        }
        let lines = self.part.lines;
        let block = std::mem::replace(&mut self.block, Block::at(end, lines));
        if block.len > 0 {
            self.part.blocks.push(block);
        }
        if let Some(gather) = &mut self.gather {
            gather.begin_at_line(end, lines);
        }
    }

    /// The next block begins at `offset`, behind something that is in none.
    fn begin(&mut self, offset: u64) {
        self.block = Block::at(offset, self.part.lines);
        if let Some(gather) = &mut self.gather {
            gather.begin_at(offset, self.part.lines);
        }
    }

    fn finish(mut self) -> (Part, Vec<Piece>) {
        self.cut(true);
        let pieces = self.gather.map(Gather::finish).unwrap_or_default();
        (self.part, pieces)
    }

    /// Which column the field at this place of the line belongs to; its name if it is a new one.
    #[inline]
    fn place(&mut self, i: usize, field: &Field<'_>) -> Result<Place, String> {
        if let Some((name, place)) = self.guesses.get(i)
            && field.is(name)
        {
            return Ok(*place);
        }
        let key = field.key();
        let place = if key == TIMESTAMP {
            Place::Time
        } else if let Some(place) = self.part.columns.find(&key) {
            Place::Column(place)
        } else {
            return Err(key.into_owned());
        };
        remember(&mut self.guesses, i, key.into_owned(), place);
        Ok(place)
    }
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
