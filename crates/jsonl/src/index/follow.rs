//! Keeps an index in step with a file that grows, that other programs write, and that may be replaced.

use std::io;
use std::sync::Arc;

use minutebook_fs::{FileId, FsFile, Metadata, complete_len};

use super::build::{Reading, read_part};
use super::gather::{Piece, Wanted};
use super::part::Part;

/// How much of the file's begin and of its end is kept, to notice that it was rewritten in place.
const PROBE_BYTES: u64 = 256;

/// From so many bytes on that nothing is known of, reading them may take long.
const FAR_BYTES: u64 = 1 << 20;

/// What is known of a file.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(super) file: FileId,
    /// The file's length when it was last looked at, a torn tail included.
    pub(crate) len: u64,
    /// When the file last changed, if it was looked at since this process appended to it.
    pub(super) changed_ns: Option<i128>,
    /// The offset after the last complete line.
    pub(crate) end: u64,
    pub(crate) part: Part,
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

impl Index {
    /// The index of a file that does not change, from what is known of its lines.
    pub(crate) fn of_part(part: Part, len: u64) -> Self {
        Self {
            file: FileId {
                device: 0,
                inode: 0,
            },
            len,
            changed_ns: None,
            end: len,
            part,
            head: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Whether it is of this file.
    pub(crate) fn is_of(&self, file: FileId) -> bool {
        self.file == file
    }

    /// Whether the file is as it was, by all that can be seen without reading it.
    pub(crate) fn is_current(&self, meta: &Metadata) -> bool {
        self.file == meta.id && self.len == meta.len && self.changed_ns == Some(meta.changed_ns)
    }

    /// Whether reading what is new may take long.
    pub(crate) fn is_far(&self, meta: &Metadata) -> bool {
        self.file != meta.id || meta.len.saturating_sub(self.len) >= FAR_BYTES
    }

    /// Whether both are of the same file.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// Whether all differences can come from appends.
    fn may_follow(&self, meta: &Metadata) -> bool {
        // Of the same length, but changed: by this process, which knows what it wrote, or rewritten in place.
        let explained = self.len != meta.len || self.changed_ns.is_none();
        self.file == meta.id && meta.len >= self.end && explained
    }

    /// Takes in what this process appended at `offset`, in pieces. `false` if something else came between: then the index stays as it is.
    pub(crate) fn absorb(&mut self, mut part: Part, offset: u64, written: &Ends) -> bool {
        if self.end != offset {
            return false;
        }
        part.shift(offset);
        self.part.append(part);
        self.end = offset + written.len;
        self.len = self.end;
        self.changed_ns = None;
        self.tail.extend_from_slice(&written.tail);
        let surplus = self.tail.len().saturating_sub(probe_len(self.end));
        self.tail.drain(..surplus);
        let room = probe_len(self.end).saturating_sub(self.head.len());
        self.head.extend(written.head.iter().take(room));
        true
    }
}

/// How what was appended begins and ends.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) len: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Ends {
    /// Adds what follows.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.len += piece.len() as u64;
        let room = probe_len(PROBE_BYTES).saturating_sub(self.head.len());
        self.head.extend(piece.iter().take(room));
        self.tail.extend_from_slice(last(piece));
        let surplus = self.tail.len().saturating_sub(probe_len(PROBE_BYTES));
        self.tail.drain(..surplus);
    }
}

fn probe_len(end: u64) -> usize {
    usize::try_from(end.min(PROBE_BYTES)).unwrap_or(0)
}

fn last(bytes: &[u8]) -> &[u8] {
    let from = bytes.len().saturating_sub(probe_len(PROBE_BYTES));
    bytes.get(from..).unwrap_or_default()
}

/// Brings an index in step with an open file: reads what is new, or everything if the file is another one or was rewritten. Then the rows that are
/// wanted are kept on the way.
pub(crate) fn refresh(
    known: Option<Arc<Index>>,
    file: &Arc<dyn FsFile>,
    reading: Reading,
    wanted: Option<&Wanted>,
) -> io::Result<(Arc<Index>, Option<Vec<Piece>>)> {
    let meta = file.metadata()?;
    if let Some(known) = known {
        if known.is_current(&meta) {
            return Ok((known, None));
        }
        if known.may_follow(&meta) && probes_match(&known, file)? {
            return follow(known, file, &meta, reading, None);
        }
        tracing::debug!(
            end = known.end,
            len = meta.len,
            "the file is another one or was rewritten; it is read from its start"
        );
    }
    let empty = Index {
        file: meta.id,
        len: 0,
        changed_ns: None,
        end: 0,
        part: Part::default(),
        head: Vec::new(),
        tail: Vec::new(),
    };
    follow(Arc::new(empty), file, &meta, reading, wanted)
}

/// Whether the file begins as it did, and has where its end was what was there.
pub(crate) fn probes_match(known: &Index, file: &Arc<dyn FsFile>) -> io::Result<bool> {
    Ok(probe(file, 0, probe_len(known.end))? == known.head && ends_match(known, file)?)
}

/// Whether the file has where its end was what was there.
pub(crate) fn ends_match(known: &Index, file: &Arc<dyn FsFile>) -> io::Result<bool> {
    let len = probe_len(known.end);
    Ok(probe(file, known.end - len as u64, len)? == known.tail)
}

fn probe(file: &Arc<dyn FsFile>, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = file.read_full_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn follow(
    mut known: Arc<Index>,
    file: &Arc<dyn FsFile>,
    meta: &Metadata,
    reading: Reading,
    wanted: Option<&Wanted>,
) -> io::Result<(Arc<Index>, Option<Vec<Piece>>)> {
    let end = complete_len(&**file)?;
    let index = Arc::make_mut(&mut known);
    if end < index.end {
        // Cut between the two looks at it.
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file was cut while it was read",
        ));
    }
    let mut kept = wanted.map(|_| Vec::new());
    if end > index.end {
        let len = probe_len(end);
        let tail = probe(file, end - len as u64, len)?;
        let (part, pieces) = read_part(file, index.end, end, reading, wanted)?;
        let now = probe(file, end - len as u64, len)?;
        if now != tail {
            // A batch was taken back, and others stand in its place.
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file was cut while it was read",
            ));
        }
        kept = wanted.map(|_| pieces);
        index.part.append(part);
        index.end = end;
        index.head = probe(file, 0, probe_len(end))?;
        index.tail = tail;
    }
    // As of before the read: what came meanwhile is found by the next look.
    index.len = meta.len.max(end);
    index.changed_ns = (index.len == meta.len).then_some(meta.changed_ns);
    Ok((known, kept))
}
