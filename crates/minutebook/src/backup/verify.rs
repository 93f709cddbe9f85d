//! Whether a backup is what it was.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_fs::{Fs, OpenMode, OsFs};

use super::Tell;
use super::copy::read;
use super::manifest::{Entry, Manifest, Piece};
use super::vault::{self, Digest};
use crate::check::{Part, Progress, run};
use crate::error::io;
use crate::{Error, ErrorKind, Result};

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

    /// Whether everything that was looked at can be brought back, and something was.
    pub fn is_whole(&self) -> bool {
        self.damaged_files == 0 && !self.generations.is_empty()
    }

    fn add(&mut self, one: Self, generation: String) {
        self.generations.push(generation);
        self.files += one.files;
        self.bytes += one.bytes;
        self.damaged_files += one.damaged_files;
        self.damaged.extend(one.damaged);
        self.damaged.truncate(Self::KEPT);
    }
}

/// Reads a generation of a backup (the newest unless named; all of them with `"all"`) and compares every file with the digest that it had, without
/// restoring anything. Each object is read once, though several files and generations may have it.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if there is no such generation, or none at all, or if it is removed meanwhile (of all of them those that are left are looked at);
/// [`Corrupt`](crate::ErrorKind::Corrupt) if its list is damaged; [`Unavailable`](crate::ErrorKind::Unavailable) if a list cannot be read.
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
    let names = if all {
        vault::generations(fs, place)?
    } else {
        vec![vault::pick(fs, place, generation)?.header.generation]
    };
    let mut check = BackupCheck::default();
    let mut looked = Looked::default();
    for name in names {
        let found = match Manifest::read(fs, &vault::list_of(place, &name))? {
            Some(manifest) => one(fs, place, &manifest, &check, &mut looked, progress)?,
            None => None,
        };
        match found {
            Some(found) => check.add(found, name),
            // Old generations are being removed, and this one has gone.
            None if all => vault::label(fs, place)?,
            None => {
                let what = format!("generation {name} was removed while it was checked");
                return Err(not_there(place, &what));
            }
        }
    }
    if check.generations.is_empty() {
        return Err(not_there(place, "there is no complete generation here"));
    }
    check.read = looked.read;
    Ok(check)
}

fn not_there(place: &Path, what: &str) -> Error {
    Error::new(ErrorKind::NotFound, what).with_resource(place.display())
}

/// What is known of objects, which several files and generations may have.
#[derive(Default)]
struct Looked {
    objects: HashMap<Digest, Result<(), String>>,
    read: u64,
}

/// Compares the files of one generation; `None` if it is not there any more.
fn one(
    fs: &dyn Fs,
    place: &Path,
    manifest: &Manifest,
    before: &BackupCheck,
    looked: &mut Looked,
    progress: Option<&Tell>,
) -> Result<Option<BackupCheck>> {
    let name = &manifest.header.generation;
    let list = vault::list_of(place, name);
    let mut check = BackupCheck::default();
    for entry in manifest.entries.values() {
        match looked.file(fs, place, entry) {
            Ok(()) => {
                check.files += 1;
                check.bytes += entry.len;
            }
            Err((object, cause)) => {
                match fs.metadata(&list) {
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(io("look at the generation's list", &list, error)),
                }
                check.damaged_files += 1;
                check.damaged.push(Damaged {
                    generation: name.clone(),
                    part: entry.part(),
                    file: entry.path.clone(),
                    object: object.unwrap_or_else(|| list.clone()),
                    cause,
                });
                check.damaged.truncate(BackupCheck::KEPT);
            }
        }
        if let Some(tell) = progress {
            let done = before.bytes + check.bytes;
            tell(Progress {
                part: entry.part(),
                done,
                total: manifest.header.bytes.max(done),
            });
        }
    }
    Ok(Some(check))
}

impl Looked {
    /// Reads what makes up a file, as far as that was not read before. What is at fault, if an object is, and why.
    fn file(
        &mut self,
        fs: &dyn Fs,
        place: &Path,
        entry: &Entry,
    ) -> Result<(), (Option<PathBuf>, String)> {
        let mut whole = blake3::Hasher::new();
        let pieces = entry.objects();
        let alone = pieces.len() == 1;
        for piece in &pieces {
            let digest = vault::digest(&piece.blake3);
            let known = digest.and_then(|digest| self.objects.get(&digest));
            let found = match known {
                Some(known) if alone || known.is_err() => known.clone(),
                _ => {
                    let found = object(fs, place, piece, |bytes| {
                        self.read += bytes.len() as u64;
                        if !alone {
                            whole.update(bytes);
                        }
                    });
                    if let Some(digest) = digest {
                        self.objects.insert(digest, found.clone());
                    }
                    found
                }
            };
            found.map_err(|cause| (Some(vault::object(place, &piece.blake3)), cause))?;
        }
        if pieces.len() > 1 && whole.finalize().to_hex().as_str() != entry.blake3 {
            return Err((None, "its pieces do not make up the file".to_owned()));
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use minutebook_fs::{Fault, OpKind, SimFs};

    use super::*;
    use crate::Minutebook;
    use crate::backup::BackupOptions;
    use crate::backup::vault::Vault;

    const BACKUPS: &str = "/backups";

    async fn backed_up(disk: &SimFs) -> String {
        let book = Minutebook::options()
            .environment(crate::Environment::empty())
            .fs(Arc::new(disk.clone()))
            .create("/store")
            .unwrap();
        let bytes = vec![u8::from(disk.metadata(Path::new(BACKUPS)).is_ok()); 100];
        disk.put("/store/z.csv", &bytes).unwrap();
        let made = book.backup(BACKUPS, &BackupOptions::new()).await;
        made.unwrap().generation
    }

    fn look(disk: &SimFs, generation: Option<&str>, tell: Option<&Tell>) -> Result<BackupCheck> {
        check(disk, Path::new(BACKUPS), generation, tell)
    }

    #[tokio::test]
    async fn a_generation_that_goes_while_it_is_checked_is_not_called_whole() {
        let disk = SimFs::new();
        let first = backed_up(&disk).await;
        let second = backed_up(&disk).await;
        let fs: Arc<dyn Fs> = Arc::new(disk.clone());
        let prune = move |_| {
            let vault = Vault::open(Arc::clone(&fs), Path::new(BACKUPS));
            vault.unwrap().prune(1).unwrap();
        };
        let error = look(&disk, Some(&first), Some(&prune)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("removed while"), "{error}");
        assert_eq!(
            look(&disk, Some("all"), None).unwrap().generations,
            [second]
        );
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_looked_at_is_no_removed_generation() {
        let disk = SimFs::new();
        let name = backed_up(&disk).await;
        let list = vault::list_of(Path::new(BACKUPS), &name);
        let manifest = Manifest::read(&disk, &list).unwrap().unwrap();
        let entry = manifest.entries.values().find(|entry| entry.len > 0);
        let piece = entry.unwrap().objects().remove(0);
        let lost = vault::object(Path::new(BACKUPS), &piece.blake3);
        disk.remove_file(&lost).unwrap();
        for generation in [None, Some("all")] {
            assert!(!look(&disk, generation, None).unwrap().is_whole());
            for place in ["generations", "minutebook-backup.json"] {
                let fault = Fault::on(OpKind::Metadata).at(place);
                disk.inject(fault.error(std::io::ErrorKind::Other));
                let error = look(&disk, generation, None).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{place}: {error}");
            }
        }
        disk.remove_file(&list).unwrap();
        let error = look(&disk, Some("all"), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}
