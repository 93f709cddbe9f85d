//! Whether a backup is what it was.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_fs::{Fs, OpenMode, OsFs};

use super::Tell;
use super::copy::read;
use super::manifest::Piece;
use super::vault::{self, Digest};
use crate::check::{Part, Progress, run};
use crate::{ErrorKind, Result};

/// A file of a generation that cannot be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damaged {
    /// The generation.
    pub generation: String,
    /// The part of the store.
    pub part: Part,
    /// The file in the store, relative to its directory.
    pub file: String,
    /// The object of the backup that is at fault.
    pub object: PathBuf,
    /// Why.
    pub cause: String,
}

/// What a check of a backup found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupCheck {
    /// The generations that were looked at.
    pub generations: Vec<String>,
    /// Files in them that are what they were.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were read.
    pub read: u64,
    /// The first [`BackupCheck::KEPT`] files that cannot be brought back.
    pub damaged: Vec<Damaged>,
    /// How many there are in all.
    pub damaged_files: u64,
}

impl BackupCheck {
    /// How many damaged files are kept in full; all are counted.
    pub const KEPT: usize = 10_000;

    /// Whether everything can be brought back.
    pub fn is_whole(&self) -> bool {
        self.damaged_files == 0
    }
}

/// Reads a generation of a backup (the newest unless named; all of them with `"all"`) and compares every file with the digest that it had, without
/// restoring anything. Each object is read once, though several files and generations may have it.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if there is no such generation, [`Corrupt`](crate::ErrorKind::Corrupt) if its list is damaged.
pub async fn check_backup(
    target: impl AsRef<Path>,
    generation: Option<&str>,
    progress: Option<Arc<Tell>>,
) -> Result<BackupCheck> {
    let (place, name) = (target.as_ref().to_owned(), generation.map(str::to_owned));
    run(move || check(&OsFs, &place, name.as_deref(), progress.as_deref()))
        .await
        .map_err(|error| error.with_operation("verify the backup"))
}

pub(super) fn check(
    fs: &dyn Fs,
    place: &Path,
    generation: Option<&str>,
    progress: Option<&Tell>,
) -> Result<BackupCheck> {
    let all = generation == Some("all");
    let names = match generation {
        Some("all") => vault::generations(fs, place)?,
        one => vec![vault::pick(fs, place, one)?.header.generation],
    };
    let mut check = BackupCheck::default();
    let mut looked: HashMap<Digest, Result<(), String>> = HashMap::new();
    'generations: for name in names {
        let manifest = match vault::pick(fs, place, Some(&name)) {
            Err(error) if all && error.kind() == ErrorKind::NotFound => continue,
            found => found?,
        };
        for entry in manifest.entries.values() {
            let mut whole = blake3::Hasher::new();
            let pieces = entry.objects();
            let mut fault = None;
            for piece in &pieces {
                let alone = pieces.len() == 1;
                let known = vault::digest(&piece.blake3).and_then(|digest| looked.get(&digest));
                let found = match known {
                    Some(known) if alone || known.is_err() => known.clone(),
                    _ => {
                        let found = object(fs, place, piece, |bytes| {
                            check.read += bytes.len() as u64;
                            if !alone {
                                whole.update(bytes);
                            }
                        });
                        if let Some(digest) = vault::digest(&piece.blake3) {
                            looked.insert(digest, found.clone());
                        }
                        found
                    }
                };
                if let Err(cause) = found {
                    fault = Some((vault::object(place, &piece.blake3), cause));
                    break;
                }
            }
            if fault.is_none()
                && pieces.len() > 1
                && whole.finalize().to_hex().as_str() != entry.blake3
            {
                let list = vault::list_of(place, &name);
                fault = Some((list, "its pieces do not make up the file".to_owned()));
            }
            if fault.is_some() && fs.metadata(&vault::list_of(place, &name)).is_err() {
                // Old generations are being removed, and this one has gone.
                continue 'generations;
            }
            match fault {
                None => {
                    check.files += 1;
                    check.bytes += entry.len;
                }
                Some((object, cause)) => {
                    check.damaged_files += 1;
                    if check.damaged.len() < BackupCheck::KEPT {
                        check.damaged.push(Damaged {
                            generation: name.clone(),
                            part: entry.part(),
                            file: entry.path.clone(),
                            object,
                            cause,
                        });
                    }
                }
            }
            if let Some(tell) = progress {
                tell(Progress {
                    part: entry.part(),
                    done: check.bytes,
                    total: manifest.header.bytes.max(check.bytes),
                });
            }
        }
        check.generations.push(name);
    }
    Ok(check)
}

/// Reads one object, and tells whether it is what its name says.
pub(super) fn object(
    fs: &dyn Fs,
    place: &Path,
    piece: &Piece,
    mut each: impl FnMut(&[u8]),
) -> Result<(), String> {
    let path = vault::object(place, &piece.blake3);
    let file = fs.open(&path, OpenMode::Read).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            "it is not there".to_owned()
        } else {
            error.to_string()
        }
    })?;
    let len = file.len().map_err(|error| error.to_string())?;
    if len != piece.len {
        return Err(format!("it has {len} bytes and had {}", piece.len));
    }
    let mut hasher = blake3::Hasher::new();
    read(&*file, &path, 0, len, |bytes| {
        hasher.update(bytes);
        each(bytes);
        Ok(())
    })
    .map_err(|error| error.to_string())?;
    if hasher.finalize().to_hex().as_str() == piece.blake3 {
        Ok(())
    } else {
        Err("its bytes do not fit its digest".to_owned())
    }
}

/// The damaged files of each generation.
impl BackupCheck {
    /// How many files of each generation cannot be brought back, of those that are kept in full.
    pub fn by_generation(&self) -> BTreeMap<&str, u64> {
        let mut found = BTreeMap::new();
        for damaged in &self.damaged {
            *found.entry(damaged.generation.as_str()).or_default() += 1;
        }
        found
    }
}
