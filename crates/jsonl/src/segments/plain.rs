//! A plain segment that lies where a compressed one of its number is, or was: what it has that the compressed one has not.

use std::path::Path;
use std::time::{Duration, SystemTime};

use minutebook_core::ErrorKind;
use minutebook_fs::{Durability, Fs, FsError, FsFile, Metadata, OpenMode, remove};

use super::finish::left_alone;
use super::rotate::compress;
use super::{Entry, FRAME_BYTES, Manifest, Paths, SealedFile};
use crate::error::JsonlError;
use crate::store::{Series, Store};

/// A file that somebody else brings may be under way as long as it was written to less than this ago: `cp` gives it its name first, and its bytes one after another.
const SETTLED: Duration = Duration::from_mins(1);

/// A plain segment, compared with the compressed one of its number that the manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// The compressed one has the same lines, and is what the manifest says.
    Same,
    /// The compressed one has these lines, and more after them.
    Less,
    /// It has more lines than the compressed one, or that is damaged or missing.
    More,
    /// The compressed one is whole and has other lines.
    Another,
}

/// Compares them. `None` if there is no plain one.
pub(crate) fn beside(
    fs: &dyn Fs,
    paths: &Paths,
    entry: &Entry,
) -> Result<Option<Beside>, JsonlError> {
    let plain = match fs.open(&paths.raw(entry.number), OpenMode::Read) {
        Ok(plain) => plain,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let path = paths.raw(entry.number);
            return Err(FsError::not_applied("rotate", "open", &path, error).into());
        }
    };
    let Some(file) = SealedFile::open(fs, &paths.sealed(entry.number))? else {
        return Ok(Some(Beside::More));
    };
    let digest = match file.whole(entry.number) {
        Ok(Some(found)) => found.digest,
        Ok(None) => return Ok(Some(Beside::More)),
        Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Some(Beside::More)),
        Err(error) => return Err(error),
    };
    let (len, bytes) = (plain.len().map_err(JsonlError::Read)?, file.bytes()?);
    let known = digest == entry.digest;
    Ok(Some(
        if !same(&*plain, &file, len.min(bytes)).map_err(JsonlError::Read)? {
            Beside::Another
        } else if len > bytes {
            Beside::More
        } else if !known {
            // A compression was stopped before the manifest said what it had made.
            if len == bytes {
                Beside::More
            } else {
                Beside::Another
            }
        } else if len == bytes {
            Beside::Same
        } else {
            Beside::Less
        },
    ))
}

/// Whether two files begin with the same bytes.
fn same(a: &dyn FsFile, b: &dyn FsFile, len: u64) -> std::io::Result<bool> {
    let (mut left, mut right) = (vec![0; FRAME_BYTES], vec![0; FRAME_BYTES]);
    let mut at = 0;
    while at < len {
        let want = usize::try_from(len - at).map_or(FRAME_BYTES, |left| left.min(FRAME_BYTES));
        let (Some(left), Some(right)) = (left.get_mut(..want), right.get_mut(..want)) else {
            return Ok(false);
        };
        if a.read_full_at(left, at)? < want || b.read_full_at(right, at)? < want || left != right {
            return Ok(false);
        }
        at += want as u64;
    }
    Ok(true)
}

/// Ends what is left of a plain segment whose number the manifest names: it goes if the compressed one has all its lines, and is compressed if it has more. A
/// whole segment is never written over by one that has fewer lines, or others.
pub(super) fn settle(
    store: &Store,
    series: &Series,
    manifest: &mut Manifest,
    entry: &Entry,
    path: &Path,
) -> Result<(), JsonlError> {
    let fs = &*store.config.fs;
    match beside(fs, &series.sealed, entry)? {
        None => {}
        Some(Beside::Same) => {
            remove(fs, path, Durability::Synced)?;
        }
        Some(Beside::Less) if is_settled(store, path)? => {
            remove(fs, path, Durability::Synced)?;
        }
        Some(Beside::Less) => left_alone(path, UNDER_WAY),
        // A program that takes no lock has appended to it meanwhile, or the compressed one is sealed anew.
        Some(Beside::More) => {
            compress(store, series, manifest, entry.number)?;
        }
        Some(Beside::Another) => left_alone(
            path,
            "the compressed one of its number is whole and has other lines",
        ),
    }
    Ok(())
}

/// Compresses a plain segment that came after the manifest was put together, once it is certain to be there as a whole.
pub(super) fn late(
    store: &Store,
    series: &Series,
    manifest: &mut Manifest,
    number: u64,
    path: &Path,
) -> Result<(), JsonlError> {
    if store.metadata(&series.sealed.sealed(number))?.is_some() {
        // A whole one would have been taken in.
        left_alone(
            path,
            "a compressed one of its number is not whole, or is another one",
        );
    } else if is_settled(store, path)? {
        compress(store, series, manifest, number)?;
    } else {
        left_alone(path, UNDER_WAY);
    }
    Ok(())
}

const UNDER_WAY: &str = "it was written to less than a minute ago, so a copy of it may be going on; a later rotation takes it";

fn is_settled(store: &Store, path: &Path) -> Result<bool, JsonlError> {
    let now = SystemTime::from(store.config.clock.now());
    Ok(store.metadata(path)?.is_some_and(|meta| rests(&meta, now)))
}

/// Whether nobody has written to a file for a while. A time to come says nothing of when that was.
fn rests(meta: &Metadata, now: SystemTime) -> bool {
    match now.duration_since(meta.modified) {
        Ok(age) => age >= SETTLED,
        Err(ahead) => ahead.duration() >= SETTLED,
    }
}
