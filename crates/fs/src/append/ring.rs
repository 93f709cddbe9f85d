//! A small file of fixed size that is written over and synced in place of a log's end.
//!
//! Syncing a file that has grown makes the file system commit its length, and with it all that was created and renamed meanwhile.
//! Bytes that are written over need none of that. So what a log got since its last sync is copied into the ring, in one frame
//! behind the other, and the ring is synced. When it is full the log itself is synced, and the ring starts anew. After a power cut what
//! the log has lost is put back from it.
//!
//! All of this happens under the log's lock. A handle that finds that others have appended forgets what it knows of the ring, syncs
//! the log, and starts the ring anew: so each frame follows the one before, whoever wrote it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::atomic::parent_of;
use crate::fs::{FileId, FileKind, Fs, FsFile, OpenMode};

use super::group::SyncFailed;

mod copy;
mod frame;

pub(crate) use copy::Copy;
use frame::{Frame, HEAD};

/// How long a ring is, unless told otherwise.
pub(crate) const BYTES: u64 = 1 << 20;
/// More than this is as well synced in the log itself.
const MAX_FRAME: usize = 128 << 10;
/// A log that is synced less often by one handle gets no ring.
const EARLY: u32 = 4;

/// Where the ring is, and which run of the machine this is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    run: [u8; 8],
}

impl Place {
    pub(crate) fn new(path: PathBuf, run: Option<&str>) -> Self {
        let mut hash = [0; 8];
        if let Some(run) = run {
            let bytes = blake3::hash(run.as_bytes());
            hash.copy_from_slice(bytes.as_bytes().first_chunk::<8>().unwrap_or(&[1; 8]));
        }
        Self {
            path,
            bytes: BYTES,
            run: hash,
        }
    }
}

/// What a handle knows of the ring.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    file: Option<Opened>,
    /// It cannot be had, or failed: the log is synced itself.
    off: bool,
    syncs: u32,
    at: Option<At>,
    tail: Option<Tail>,
    /// Which open file of the log has all that the ring has of it, also if an earlier sync of it has failed.
    vouched: Option<u64>,
    /// The open file to which the handle has appended.
    begun: Option<u64>,
}

/// The log's open file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log<'a> {
    pub(crate) id: FileId,
    pub(crate) path: &'a Path,
    pub(crate) opened: u64,
}

/// Where the next frame goes.
#[derive(Debug)]
struct At {
    epoch: [u8; 8],
    offset: u64,
    number: u32,
}

/// What the log got since it was last durable.
#[derive(Debug)]
struct Tail {
    log: FileId,
    offset: u64,
    bytes: Vec<u8>,
}

impl Ring {
    /// Others have appended, or something was taken back.
    pub(crate) fn forget(&mut self) {
        self.at = None;
        self.tail = None;
    }

    /// From now on the log is synced itself, and nothing of it is kept for the ring.
    fn turn_off(&mut self) {
        self.off = true;
        self.forget();
    }

    /// The log itself was synced, up to this length.
    pub(crate) fn restart(&mut self, log: FileId, len: u64) {
        self.syncs = self.syncs.saturating_add(1);
        self.at = None;
        if self.off {
            return;
        }
        let mut bytes = self.tail.take().map(|tail| tail.bytes).unwrap_or_default();
        bytes.clear();
        self.tail = Some(Tail {
            log,
            offset: len,
            bytes,
        });
    }

    /// Whether this is the first that the handle appends to this open file.
    pub(crate) fn begins(&mut self, opened: Option<u64>) -> bool {
        std::mem::replace(&mut self.begun, opened) != opened
    }

    /// Before a handle starts the ring anew, or seals the log, for the first time: writes what the ring has of the log to it once more, and says
    /// whether there was anything. If a sync of the log has failed before, the system may take for written what is in its memory alone, or
    /// have let go of it since, and the ring is then the only place that has it.
    pub(crate) fn vouch(
        &mut self,
        fs: &dyn Fs,
        place: &Place,
        log: &Path,
        opened: u64,
    ) -> io::Result<bool> {
        if self.vouched == Some(opened) {
            return Ok(false);
        }
        Ok(self.restore(fs, place, log, opened)?.is_some())
    }

    /// Writes what the ring has of the log to it, and says where that ends.
    pub(crate) fn restore(
        &mut self,
        fs: &dyn Fs,
        place: &Place,
        log: &Path,
        opened: u64,
    ) -> io::Result<Option<u64>> {
        let mut end = None;
        if let Some(copy) = Copy::read(fs, &place.path)?
            && copy.is_of(fs, log)?
        {
            let file = fs.open(log, OpenMode::Write)?;
            file.write_all_at(copy.bytes(), copy.offset())?;
            end = Some(copy.end());
        }
        self.vouched = Some(opened);
        Ok(end)
    }

    /// These bytes were appended at `offset`.
    pub(crate) fn note(&mut self, offset: u64, bytes: &[u8]) {
        let Some(tail) = &mut self.tail else { return };
        let in_line = tail.offset + tail.bytes.len() as u64 == offset;
        if in_line && tail.bytes.len() + bytes.len() <= MAX_FRAME {
            tail.bytes.extend_from_slice(bytes);
        } else {
            self.tail = None;
        }
    }

    /// Makes the log's bytes up to `len` durable by the ring; `false` if the log has to be synced itself.
    pub(crate) fn sync(
        &mut self,
        fs: &dyn Fs,
        place: &Place,
        log: &Log<'_>,
        len: u64,
    ) -> Result<bool, SyncFailed> {
        let Log {
            id: log,
            path,
            opened,
        } = *log;
        let anew = self.at.is_none();
        let Some(tail) = &mut self.tail else {
            return Ok(false);
        };
        let fits = tail.log == log && tail.offset + tail.bytes.len() as u64 == len;
        if !fits {
            self.forget();
            return Ok(false);
        }
        if let Some((_, id)) = &self.file {
            // Somebody may have removed it, and what is written to it then is nowhere; or cut it, and nobody reads across the hole.
            let there = fs.identify(&place.path).ok();
            if there.is_none_or(|there| there.id != *id || there.len < place.bytes) {
                tracing::warn!(path = %place.path.display(), "the ring was removed or cut; the log itself is synced");
                self.file = None;
                self.forget();
                return Ok(false);
            }
        }
        if self.file.is_none() {
            match open(fs, place, self.syncs >= EARLY) {
                Ok(Some(file)) => self.file = Some(file),
                Ok(None) => return Ok(false),
                Err(failed) => {
                    self.turn_off();
                    if failed.name {
                        // What other names it was to make durable is lost to every later sync of the directory.
                        return Err(failed);
                    }
                    tracing::debug!(path = %place.path.display(), error = %failed.error, "no ring; the log itself is synced");
                    return Ok(false);
                }
            }
        }
        let Some((file, _)) = &self.file else {
            return Ok(false);
        };
        let file = Arc::clone(file);
        if anew && self.vouch(fs, place, path, opened)? {
            self.forget();
            return Ok(false);
        }
        let Some(tail) = &mut self.tail else {
            return Ok(false);
        };
        let at = self.at.get_or_insert_with(|| At {
            epoch: epoch(&*file, place, log, tail.offset),
            offset: 0,
            number: 0,
        });
        let size = (HEAD + tail.bytes.len()) as u64;
        if at.offset + size > place.bytes {
            self.forget();
            return Ok(false);
        }
        let frame = Frame {
            epoch: at.epoch,
            run: place.run,
            log: log.inode,
            offset: tail.offset,
            number: at.number,
        };
        if let Err(error) = file.write_all_at(&frame.encode(&tail.bytes), at.offset) {
            tracing::warn!(path = %place.path.display(), %error, "the ring cannot be written; the log itself is synced");
            self.turn_off();
            return Ok(false);
        }
        if let Err(error) = file.sync_data() {
            self.turn_off();
            return Err(error.into());
        }
        at.offset += size;
        at.number += 1;
        tail.offset = len;
        tail.bytes.clear();
        Ok(true)
    }

    /// Leaves nothing of what was written in the ring: the log is durable, and what it was is to be forgotten.
    pub(crate) fn clear(&mut self, fs: &dyn Fs, place: &Place) -> io::Result<()> {
        self.forget();
        let file = match fs.open(&place.path, OpenMode::Write) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let zeros = vec![0; 64 << 10];
        let mut offset = 0;
        let len = file.len()?;
        while offset < len {
            let part = usize::try_from(len - offset).unwrap_or(zeros.len());
            let part = zeros.get(..part.min(zeros.len())).unwrap_or(&zeros);
            file.write_all_at(part, offset)?;
            offset += part.len() as u64;
        }
        file.sync_data()
    }
}

/// The ring's file, and which one that is.
type Opened = (Arc<dyn FsFile>, FileId);

/// Opens the ring; creates it if it may.
fn open(fs: &dyn Fs, place: &Place, create: bool) -> Result<Option<Opened>, SyncFailed> {
    let path = &place.path;
    let len = match fs.identify(path) {
        Ok(found) if found.kind == FileKind::File => Some(found.len),
        Ok(found) => return Err(crate::atomic::not_a_file(found.kind).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    if len.is_none() && !create {
        return Ok(None);
    }
    if len.is_none_or(|len| len < place.bytes) {
        // Room that is there already: or each sync would have to note where it is.
        let file = fs.open(path, OpenMode::Append)?;
        let missing = place.bytes - len.unwrap_or(0);
        file.write_all(&vec![0; usize::try_from(missing).unwrap_or(0)])?;
        file.sync_all()?;
    }
    // Its name may be another process's of a moment ago.
    fs.sync_dir(&parent_of(path)).map_err(|error| {
        if matches!(Copy::read(fs, path), Ok(None)) {
            // Its name may never last: who comes next makes another.
            let _ = fs.remove_file(path);
        }
        SyncFailed::of_name(error)
    })?;
    let file = fs.open(path, OpenMode::Write)?;
    let id = file.metadata()?.id;
    Ok(Some((Arc::from(file), id)))
}

/// A number that no earlier frame in the ring has.
fn epoch(file: &dyn FsFile, place: &Place, log: FileId, offset: u64) -> [u8; 8] {
    let mut first = [0; HEAD];
    let before = file.read_full_at(&mut first, 0).unwrap_or(0);
    let mut hash = blake3::Hasher::new();
    hash.update(first.get(..before).unwrap_or_default());
    hash.update(&place.run);
    hash.update(&log.inode.to_le_bytes());
    hash.update(&offset.to_le_bytes());
    let hash = hash.finalize();
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}
