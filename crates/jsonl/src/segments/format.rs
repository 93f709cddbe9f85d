//! The file of a sealed segment: zstd frames of the lines, a skippable frame with the index, and the table of frames.
//!
//! Every frame but the last holds [`FRAME_BYTES`] of lines and has a checksum. The table at the end is that of zstd's seekable format, so
//! `zstdcat` shows the lines and programs that know the format can seek. Nothing that is read here can make more memory be taken than
//! one frame holds.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_fs::FsFile;
use zstd::bulk::{Compressor, Decompressor};

use super::FRAME_BYTES;
use super::stats::Stats;
use crate::error::JsonlError;

/// Of the frame with the index; one of the sixteen numbers of skippable frames.
const INDEX_MAGIC: u32 = 0x184D_2A50;
/// Of the frame with the table of frames.
const TABLE_MAGIC: u32 = 0x184D_2A5E;
/// The last four bytes of a seekable file.
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
const FOOTER: usize = 9;
const HEADER: usize = 8;
const LEVEL: i32 = 3;
/// More than the table of a segment of a terabyte.
const MAX_TABLE: u64 = 64 << 20;
const MAX_INDEX: u64 = 256 << 20;

/// What is wrong with the bytes of a segment.
#[derive(Debug)]
pub(crate) struct Damage {
    path: PathBuf,
    byte: u64,
    what: String,
}

impl Damage {
    /// The damage that an error of reading tells of.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(
            f,
            "the segment {path} is damaged at byte {}: {}",
            self.byte, self.what
        )
    }
}

impl std::error::Error for Damage {}

pub(super) fn damaged(path: &Path, byte: u64, what: impl Into<String>) -> io::Error {
    let damage = Damage {
        path: path.to_owned(),
        byte,
        what: what.into(),
    };
    io::Error::new(io::ErrorKind::InvalidData, damage)
}

/// The lines are not those that were sealed.
pub(super) fn mismatch(path: &Path) -> JsonlError {
    JsonlError::Read(damaged(
        path,
        0,
        "its lines are not those that were sealed: the digest does not match",
    ))
}

/// Writes a segment, frame by frame.
pub(super) struct Writer<'a> {
    file: &'a dyn FsFile,
    compressor: Compressor<'static>,
    /// Bytes in the file and bytes of lines of each frame so far.
    frames: Vec<(u32, u32)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(file: &'a dyn FsFile) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self {
            file,
            compressor,
            frames: Vec::new(),
        })
    }

    /// Adds a frame: [`FRAME_BYTES`] of lines, or what is left of them.
    pub(super) fn frame(&mut self, lines: &[u8]) -> io::Result<()> {
        let frame = self.compressor.compress(lines)?;
        self.put(&frame, lines.len())
    }

    fn put(&mut self, frame: &[u8], lines: usize) -> io::Result<()> {
        let size = |n: usize| u32::try_from(n).map_err(|_| io::ErrorKind::FileTooLarge.into());
        let sizes: io::Result<(u32, u32)> = size(frame.len()).and_then(|n| Ok((n, size(lines)?)));
        self.file.write_all(frame)?;
        self.frames.push(sizes?);
        Ok(())
    }

    /// Adds the index and the table, and makes everything durable.
    pub(super) fn finish(mut self, stats: &[u8]) -> io::Result<()> {
        let mut index = Vec::with_capacity(HEADER + 32 + stats.len());
        push_header(&mut index, INDEX_MAGIC, 32 + stats.len())?;
        index.extend_from_slice(blake3::hash(stats).as_bytes());
        index.extend_from_slice(stats);
        self.put(&index, 0)?;
        let mut table = Vec::with_capacity(HEADER + self.frames.len() * 8 + FOOTER);
        push_header(&mut table, TABLE_MAGIC, self.frames.len() * 8 + FOOTER)?;
        for (stored, lines) in &self.frames {
            table.extend_from_slice(&stored.to_le_bytes());
            table.extend_from_slice(&lines.to_le_bytes());
        }
        let count = u32::try_from(self.frames.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        table.extend_from_slice(&count.to_le_bytes());
        table.push(0);
        table.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
        self.file.write_all(&table)?;
        self.file.sync_all()
    }
}

fn push_header(out: &mut Vec<u8>, magic: u32, len: usize) -> io::Result<()> {
    let len = u32::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    out.extend_from_slice(&magic.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    Ok(())
}

/// One frame of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    /// Where it stands in the file.
    at: u64,
    stored: usize,
    lines: usize,
}

/// A segment that is open: its table of frames was read and checked.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(super) file: Arc<dyn FsFile>,
    pub(super) path: PathBuf,
    frames: Vec<Frame>,
    /// Where the index stands, and its bytes.
    index: (u64, usize),
    /// Bytes of lines.
    pub(crate) bytes: u64,
    /// Bytes of the file.
    pub(crate) stored: u64,
}

impl Sealed {
    /// Reads the table.
    pub(super) fn open(file: Arc<dyn FsFile>, path: &Path) -> Result<Self, JsonlError> {
        Self::read_table(file, path).map_err(JsonlError::Read)
    }

    fn read_table(file: Arc<dyn FsFile>, path: &Path) -> io::Result<Self> {
        let len = file.len()?;
        let bad = |byte: u64, what: &str| damaged(path, byte, what);
        let footer_at = len
            .checked_sub(FOOTER as u64)
            .ok_or_else(|| bad(0, "it is too short"))?;
        let footer = exact(&*file, footer_at, FOOTER)?;
        if u32_at(&footer, 5) != Some(SEEKABLE_MAGIC) || footer.get(4) != Some(&0) {
            return Err(bad(footer_at, "there is no table of frames at its end"));
        }
        let count = u64::from(u32_at(&footer, 0).unwrap_or(0));
        let table_len = count * 8 + FOOTER as u64;
        let table_at = len
            .checked_sub(table_len + HEADER as u64)
            .filter(|_| table_len <= MAX_TABLE && count > 0)
            .ok_or_else(|| bad(footer_at, "the table of frames does not fit into it"))?;
        let size = usize::try_from(len - table_at).unwrap_or(usize::MAX);
        let table = exact(&*file, table_at, size)?;
        if u32_at(&table, 0) != Some(TABLE_MAGIC)
            || u32_at(&table, 4).map(u64::from) != Some(table_len)
        {
            return Err(bad(table_at, "the table of frames does not begin as one"));
        }
        let mut frames = Vec::new();
        let (mut at, mut bytes, mut index) = (0, 0, None);
        for i in 0..usize::try_from(count).unwrap_or(usize::MAX) {
            let place = HEADER + i * 8;
            let (Some(stored), Some(lines)) = (u32_at(&table, place), u32_at(&table, place + 4))
            else {
                return Err(bad(table_at, "the table of frames is cut short"));
            };
            let (stored, lines) = (stored as usize, lines as usize);
            let last = i as u64 + 1 == count;
            let whole = i as u64 + 2 < count;
            let fits = match (last, whole) {
                (true, _) => lines == 0,
                (false, true) => lines == FRAME_BYTES,
                (false, false) => (1..=FRAME_BYTES).contains(&lines),
            };
            if !fits || stored > zstd::zstd_safe::compress_bound(FRAME_BYTES) && !last {
                return Err(bad(table_at + place as u64, "a frame has a wrong size"));
            }
            if last {
                index = Some((at, stored));
            } else {
                frames.push(Frame { at, stored, lines });
            }
            at += stored as u64;
            bytes += lines as u64;
        }
        let Some(index) = index.filter(|_| at == table_at) else {
            return Err(bad(table_at, "the frames do not fill the file"));
        };
        Ok(Self {
            file,
            path: path.to_owned(),
            frames,
            index,
            bytes,
            stored: len,
        })
    }

    /// What the index says.
    pub(super) fn stats(&self) -> Result<Stats, JsonlError> {
        self.read_index().map_err(JsonlError::Read)
    }

    fn read_index(&self) -> io::Result<Stats> {
        let (at, len) = self.index;
        let bad = |what: &str| damaged(&self.path, at, what);
        if len as u64 > MAX_INDEX {
            return Err(bad("the index is too large"));
        }
        let bytes = exact(&*self.file, at, len)?;
        let payload = bytes
            .get(HEADER..)
            .filter(|_| {
                u32_at(&bytes, 0) == Some(INDEX_MAGIC)
                    && u32_at(&bytes, 4).map(|len| len as usize + HEADER) == Some(len)
            })
            .ok_or_else(|| bad("the index does not begin as one"))?;
        let (digest, stats) = payload
            .split_at_checked(32)
            .ok_or_else(|| bad("the index is cut short"))?;
        if blake3::hash(stats).as_bytes() != digest {
            return Err(bad("the digest of the index does not match it"));
        }
        serde_json::from_slice(stats)
            .map_err(|error| bad(&format!("the index does not parse: {error}")))
    }

    /// How many frames of lines there are.
    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }

    /// The lines of one frame.
    pub(super) fn frame(&self, number: usize) -> io::Result<Vec<u8>> {
        let Some(frame) = self.frames.get(number) else {
            return Ok(Vec::new());
        };
        let stored = exact(&*self.file, frame.at, frame.stored)?;
        let mut lines = Vec::with_capacity(frame.lines);
        let mut decompressor = Decompressor::new()?;
        let read = decompressor.decompress_to_buffer(&stored, &mut lines);
        match read {
            Ok(read) if read == frame.lines && lines.len() == read => Ok(lines),
            Ok(_) => Err(damaged(
                &self.path,
                frame.at,
                "a frame has another length than the table says",
            )),
            Err(error) => Err(damaged(
                &self.path,
                frame.at,
                format!("a frame cannot be decompressed: {error}"),
            )),
        }
    }
}

/// Gives the lines of each frame that can still be read, in order, and `None` where frames are missing between them.
pub(super) fn salvage(
    file: &Arc<dyn FsFile>,
    path: &Path,
    give: &mut dyn FnMut(Option<&[u8]>) -> io::Result<()>,
) -> io::Result<()> {
    match Sealed::read_table(Arc::clone(file), path) {
        Ok(sealed) => {
            for number in 0..sealed.frames() {
                match sealed.frame(number) {
                    Ok(lines) => give(Some(&lines))?,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => give(None)?,
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => in_a_row(&**file, give),
        Err(error) => Err(error),
    }
}

/// The frames from the first on, as far as each begins where the one before ends: without a table nothing tells where to go on behind a damaged one.
fn in_a_row(
    file: &dyn FsFile,
    give: &mut dyn FnMut(Option<&[u8]>) -> io::Result<()>,
) -> io::Result<()> {
    let mut window = vec![0; zstd::zstd_safe::compress_bound(FRAME_BYTES) + HEADER];
    let mut at = 0;
    loop {
        let read = file.read_full_at(&mut window, at)?;
        let there = window.get(..read).unwrap_or_default();
        let is_skippable = u32_at(there, 0).is_some_and(|magic| magic >> 4 == INDEX_MAGIC >> 4);
        let size = zstd::zstd_safe::find_frame_compressed_size(there);
        let Some(frame) = size.ok().and_then(|size| there.get(..size)) else {
            return Ok(());
        };
        if is_skippable || frame.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::with_capacity(FRAME_BYTES);
        if Decompressor::new()?
            .decompress_to_buffer(frame, &mut lines)
            .is_err()
        {
            return Ok(());
        }
        at += frame.len() as u64;
        give(Some(&lines))?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn exact(file: &dyn FsFile, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = file.read_full_at(&mut bytes, at)?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}
