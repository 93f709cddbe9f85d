//! The directory of backups: objects by their digest, and a list for each generation.
//!
//! | name | what |
//! | --- | --- |
//! | `minutebook-backup.json` | says what the directory is |
//! | `generations/{time}.jsonl` | the list of a complete generation |
//! | `objects/ab/ab12…` | bytes, under their BLAKE3 digest |
//! | `incoming/` | bytes that are not durable yet; of no worth to anyone but the backup that is under way |
//!
//! Bytes get their name in `objects/` when they are durable, and a generation gets its list when all its objects have their names. So what is in
//! `objects/` is whole, whatever was interrupted.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_fs::{
    Durability, FileKind, Fs, FsFile, LockGuard, LockMode, LockWait, OpenMode, create_dir_all,
    create_new, remove,
};

use super::manifest::Manifest;
use crate::error::{fs as fs_error, io};
use crate::{Error, ErrorKind, Result};

const GENERATIONS: &str = "generations";
const OBJECTS: &str = "objects";
const INCOMING: &str = "incoming";
const LIST: &str = ".jsonl";
/// Says what the directory is.
const LABEL: &str = "minutebook-backup.json";
const LABEL_TEXT: &str = "{\"minutebook_backup\":1}\n";
const LOCK: &str = ".minutebook-backup.lock";
/// So many objects, or bytes, are made durable together: what a backup that is killed has to do again.
const BATCH_FILES: usize = 4096;
const BATCH_BYTES: u64 = 1 << 30;
/// From so many on one sync of the file system costs less than one of each file.
pub(super) const MANY: usize = 64;

pub(super) type Digest = [u8; 32];

/// The digest that a name of 64 digits says.
pub(super) fn digest(text: &str) -> Option<Digest> {
    blake3::Hash::from_hex(text).ok().map(Into::into)
}

/// Where the list of a generation is.
pub(super) fn list_of(place: &Path, generation: &str) -> PathBuf {
    place.join(GENERATIONS).join(format!("{generation}{LIST}"))
}

/// Where an object is.
pub(super) fn object(place: &Path, digest: &str) -> PathBuf {
    place
        .join(OBJECTS)
        .join(digest.get(..2).unwrap_or_default())
        .join(digest)
}

/// Whether the directory is one of backups.
pub(super) fn label(fs: &dyn Fs, place: &Path) -> Result<()> {
    let label = place.join(LABEL);
    match fs.metadata(&label) {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => Err(Error::new(
            ErrorKind::NotFound,
            "there is no backup in this directory",
        )
        .with_resource(place.display())),
        Err(error) => Err(io("look at the directory of backups", &label, error)),
    }
}

/// Whether nothing of that name is there, nor can be.
fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// The names of the complete generations, the oldest first.
pub(super) fn generations(fs: &dyn Fs, place: &Path) -> Result<Vec<String>> {
    label(fs, place)?;
    let dir = place.join(GENERATIONS);
    let mut found: Vec<String> = entries(fs, &dir)?
        .into_iter()
        .filter(|(_, kind)| *kind == FileKind::File)
        .filter_map(|(name, _)| Some(name.strip_suffix(LIST)?.to_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    found.sort();
    Ok(found)
}

/// The generation of this name, or the newest.
pub(super) fn pick(fs: &dyn Fs, place: &Path, name: Option<&str>) -> Result<Manifest> {
    let names = generations(fs, place)?;
    let found = match name {
        Some(name) => names.iter().find(|known| *known == name),
        None => names.last(),
    };
    let missing = || {
        let what = match name {
            Some(name) => format!("there is no generation {name} here"),
            None => "there is no complete generation here".to_owned(),
        };
        Error::new(ErrorKind::NotFound, what).with_resource(place.display())
    };
    let found = found.ok_or_else(missing)?;
    Manifest::read(fs, &list_of(place, found))?.ok_or_else(missing)
}

/// Names and kinds in a directory; nothing if it is not there.
fn entries(fs: &dyn Fs, dir: &Path) -> Result<Vec<(String, FileKind)>> {
    match fs.read_dir(dir) {
        Ok(entries) => Ok(entries
            .into_iter()
            .filter_map(|entry| Some((entry.name.into_string().ok()?, entry.kind)))
            .collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io("list the directory", dir, error)),
    }
}

/// Bytes on their way into the vault.
#[derive(Debug)]
pub(super) struct Incoming {
    path: PathBuf,
    file: Box<dyn FsFile>,
}

impl Incoming {
    pub(super) fn write(&self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|error| io("write the copy", &self.path, error))
    }
}

/// A directory of backups that is written, by one process at a time.
#[derive(Debug)]
pub(super) struct Vault {
    pub(super) fs: Arc<dyn Fs>,
    place: PathBuf,
    /// Objects that are there.
    known: HashSet<Digest>,
    /// Bytes that have no name yet, and the one that they will get.
    pending: Vec<(PathBuf, String)>,
    pending_digests: HashSet<Digest>,
    pending_bytes: u64,
    count: u64,
    /// Copies could not be made durable. What is lost of them is not known, and no generation may be built on it.
    broken: bool,
    _lock: LockGuard,
}

impl Vault {
    /// Opens a directory of backups, and makes it if it is not there.
    pub(super) fn open(fs: Arc<dyn Fs>, place: &Path) -> Result<Self> {
        let failed = |error| fs_error("make the directory of backups", place, error);
        create_dir_all(&*fs, place, Durability::Synced).map_err(failed)?;
        let label = place.join(LABEL);
        if fs.metadata(&label).is_err()
            && entries(&*fs, place)?
                .iter()
                .any(|(name, _)| name != LOCK && !minutebook_fs::is_temporary(name))
        {
            return Err(Error::invalid(
                "the directory has other things in it; name one that is empty or not there, or one of backups",
            )
            .with_resource(place.display()));
        }
        let lock = fs
            .lock(&place.join(LOCK), LockMode::Exclusive, LockWait::Try)
            .map_err(|error| {
                Error::new(ErrorKind::Locked, "another backup goes into this directory")
                    .with_resource(place.display())
                    .with_source(error)
            })?;
        let _there =
            create_new(&*fs, &label, LABEL_TEXT.as_bytes(), Durability::Synced).map_err(failed)?;
        for dir in [GENERATIONS, OBJECTS, INCOMING] {
            create_dir_all(&*fs, &place.join(dir), Durability::Synced).map_err(failed)?;
        }
        let mut vault = Self {
            fs,
            place: place.to_owned(),
            known: HashSet::new(),
            pending: Vec::new(),
            pending_digests: HashSet::new(),
            pending_bytes: 0,
            count: 0,
            broken: false,
            _lock: lock,
        };
        vault.clear_incoming()?;
        vault.known = vault.listed()?;
        Ok(vault)
    }

    /// What a backup that was stopped had begun.
    fn clear_incoming(&self) -> Result<()> {
        let dir = self.place.join(INCOMING);
        for (name, _) in entries(&*self.fs, &dir)? {
            let path = dir.join(name);
            self.fs
                .remove_file(&path)
                .map_err(|error| io("remove what an earlier backup has begun", &path, error))?;
        }
        // Lists on their way to a name.
        minutebook_fs::remove_stray_temporaries(&*self.fs, &self.place.join(GENERATIONS))
            .map(drop)
            .map_err(|error| fs_error("remove what an earlier backup has begun", &dir, error))
    }

    fn listed(&self) -> Result<HashSet<Digest>> {
        let all = self.place.join(OBJECTS);
        let mut found = HashSet::new();
        for (dir, kind) in entries(&*self.fs, &all)? {
            if kind == FileKind::Dir {
                let names = entries(&*self.fs, &all.join(dir))?;
                found.extend(names.iter().filter_map(|(name, _)| digest(name)));
            }
        }
        Ok(found)
    }

    /// The newest generation whose list can be read.
    pub(super) fn newest(&self) -> Result<Option<Manifest>> {
        for name in generations(&*self.fs, &self.place)?.into_iter().rev() {
            // One whose list is damaged is none to build upon; verification tells of it.
            if let Ok(Some(manifest)) = Manifest::read(&*self.fs, &list_of(&self.place, &name)) {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    /// A name for a new generation. Names ascend.
    pub(super) fn new_name(&self, at: DateTime<Utc>) -> Result<String> {
        let name = at.format("%Y-%m-%dT%H%M%S%.3fZ").to_string();
        Ok(match generations(&*self.fs, &self.place)?.pop() {
            // The clock went back, or two began in one instant.
            Some(last) if last >= name => after(&last),
            _ => name,
        })
    }

    /// The time by the clock of the file system.
    pub(super) fn file_system_time(&self) -> Result<i128> {
        let incoming = self.begin()?;
        let failed = |error| io("look at the file", &incoming.path, error);
        let time = incoming.file.metadata().map_err(failed)?.changed_ns;
        self.discard(incoming)?;
        Ok(time)
    }

    /// Whether an object is there, or will be.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.known.contains(digest) || self.pending_digests.contains(digest)
    }

    /// A file for bytes of which the digest is not known yet.
    pub(super) fn begin(&self) -> Result<Incoming> {
        let path = self.place.join(INCOMING).join(self.count.to_string());
        let file = self
            .fs
            .open(&path, OpenMode::CreateNew)
            .map_err(|error| io("write the copy", &path, error))?;
        Ok(Incoming { path, file })
    }

    /// Takes bytes in; `false` if they were there.
    pub(super) fn take(&mut self, incoming: Incoming, name: Digest, len: u64) -> Result<bool> {
        if self.has(&name) {
            self.discard(incoming)?;
            return Ok(false);
        }
        self.count += 1;
        let text = blake3::Hash::from(name).to_hex().to_string();
        self.pending.push((incoming.path, text));
        self.pending_digests.insert(name);
        self.pending_bytes += len;
        drop(incoming.file);
        if self.pending.len() >= BATCH_FILES || self.pending_bytes >= BATCH_BYTES {
            self.settle()?;
        }
        Ok(true)
    }

    pub(super) fn discard(&self, incoming: Incoming) -> Result<()> {
        let Incoming { path, file } = incoming;
        drop(file);
        self.fs
            .remove_file(&path)
            .map_err(|error| io("remove the copy", &path, error))
    }

    /// Whether copies could not be made durable.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Makes what was taken in durable, and then gives it its name. After a failure it is not tried again: what a sync has failed for, the next one
    /// takes for done.
    pub(super) fn settle(&mut self) -> Result<()> {
        if self.broken {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "copies could not be made durable before; there is no new generation",
            )
            .with_resource(self.place.display()));
        }
        let settled = self.name_pending();
        self.broken = settled.is_err();
        settled
    }

    fn name_pending(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let incoming = self.place.join(INCOMING);
        sync_files(
            &*self.fs,
            &incoming,
            pending.iter().map(|(path, _)| path.clone()).collect(),
        )?;
        let all = self.place.join(OBJECTS);
        let mut dirs = BTreeSet::new();
        for (path, name) in &pending {
            let to = object(&self.place, name);
            let dir = to.parent().unwrap_or(&all).to_owned();
            if dirs.insert(dir.clone()) {
                create_dir_all(&*self.fs, &dir, Durability::Synced)
                    .map_err(|error| fs_error("make the directory", &dir, error))?;
            }
            self.fs
                .rename(path, &to)
                .map_err(|error| io("name the copy", &to, error))?;
        }
        for dir in dirs {
            self.fs
                .sync_dir(&dir)
                .map_err(|error| io("make the copy durable", &dir, error))?;
        }
        self.known.extend(self.pending_digests.drain());
        self.pending_bytes = 0;
        Ok(())
    }

    /// Makes a generation complete.
    pub(super) fn complete(&mut self, manifest: &Manifest) -> Result<()> {
        self.settle()?;
        manifest.write(
            &*self.fs,
            &list_of(&self.place, &manifest.header.generation),
        )
    }

    /// Removes all but the newest generations, then the objects that none of those needs. Gives the names of the generations.
    pub(super) fn prune(&mut self, keep: usize) -> Result<Vec<String>> {
        let mut old = generations(&*self.fs, &self.place)?;
        let kept = old.split_off(old.len().saturating_sub(keep.max(1)));
        let mut needed = HashSet::new();
        for name in &kept {
            let manifest = pick(&*self.fs, &self.place, Some(name))?;
            for entry in manifest.entries.values() {
                needed.extend(
                    entry
                        .objects()
                        .iter()
                        .filter_map(|piece| digest(&piece.blake3)),
                );
            }
        }
        for name in &old {
            let list = list_of(&self.place, name);
            remove(&*self.fs, &list, Durability::Synced)
                .map_err(|error| fs_error("remove the generation", &list, error))?;
        }
        // Also those of a backup that was stopped, and of an earlier removal that was.
        let unneeded: Vec<Digest> = self.known.difference(&needed).copied().collect();
        for name in unneeded {
            let path = object(&self.place, blake3::Hash::from(name).to_hex().as_str());
            self.fs
                .remove_file(&path)
                .map_err(|error| io("remove what no generation needs", &path, error))?;
            self.known.remove(&name);
        }
        Ok(old)
    }
}

/// The name after this one, which is not longer for being the thousandth: `{time}+000001`.
fn after(last: &str) -> String {
    let (time, number) = last.split_once('+').unwrap_or((last, ""));
    let number = number.parse().unwrap_or(0_u64).saturating_add(1);
    format!("{time}+{number:06}")
}

/// Makes the content of files below a directory durable.
fn sync_files(fs: &dyn Fs, dir: &Path, files: Vec<PathBuf>) -> Result<()> {
    if files.len() >= MANY {
        match fs.sync_file_system(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(error) => return Err(io("make the copy durable", dir, error)),
        }
    }
    for path in files {
        let failed = |error| io("make the copy durable", &path, error);
        let file = fs.open(&path, OpenMode::AppendExisting).map_err(failed)?;
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ascend_and_stay_short() {
        let mut last = "2031-01-01T000000.000Z".to_owned();
        for _ in 0..1_200 {
            let next = after(&last);
            assert!(next > last && next.len() < 40, "{last} {next}");
            last = next;
        }
        // As earlier releases wrote them.
        for old in ["2031-01-01T000000.000Z+", "2031-01-01T000000.000Z++++"] {
            assert!(after(old).as_str() > old, "{old}");
        }
    }
}
