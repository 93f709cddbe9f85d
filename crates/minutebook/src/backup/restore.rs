//! From a backup back to a store.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use minutebook_core::check::Part;
use minutebook_fs::{
    Created, Durability, Fs, FsFile, LockGuard, LockMode, LockWait, OpenMode, OsFs, create_dir_all,
    create_new, remove,
};

use super::Tell;
use super::manifest::{Entry, Manifest};
use super::vault::{self, MANY};
use super::verify::object;
use crate::check::{Progress, run};
use crate::config::CONFIG_FILE;
use crate::error::{fs as fs_error, io};
use crate::{Error, ErrorKind, Result};

/// Lies in a directory while a restore into it goes on; a store with it is not opened.
pub(crate) const UNFINISHED: &str = ".minutebook-restore-unfinished";
/// What is in it.
const MARK: &[u8] = b"a restore into this directory is not complete\n";

/// How a backup is restored.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// The generation; the newest complete one unless given.
    pub generation: Option<String>,
    /// These parts only, and the settings; all of them unless given.
    pub parts: Option<Vec<Part>>,
    /// The file system; the system's unless given.
    pub fs: Option<Arc<dyn Fs>>,
    /// Told of progress.
    pub progress: Option<Arc<Tell>>,
}

impl fmt::Debug for RestoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreOptions")
            .field("generation", &self.generation)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl RestoreOptions {
    /// The newest complete generation, with all its parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// This generation.
    #[must_use]
    pub fn generation(mut self, name: impl Into<String>) -> Self {
        self.generation = Some(name.into());
        self
    }

    /// These parts only, and the settings. [`Part::Store`] is what belongs to no other part: data files of the catalog among it.
    #[must_use]
    pub fn parts(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.parts = Some(parts.into_iter().collect());
        self
    }

    /// The file system under backup and store.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = Some(fs);
        self
    }

    /// Tells of progress; called often, from any thread.
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }

    fn wants(&self, entry: &Entry) -> bool {
        entry.path == CONFIG_FILE
            || self
                .parts
                .as_ref()
                .is_none_or(|parts| parts.contains(&entry.part()))
    }
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The generation.
    pub generation: String,
    /// When it was made, RFC 3339, UTC.
    pub at: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The hash of the last line of the decisions' journal when the backup was made.
    pub journal_head: Option<String>,
}

/// Copies a generation of a backup into a directory that is empty or not there, checks every file against the digest that it had, and makes all of it durable.
///
/// Until it is done the directory says so and is not opened as a store. A restore that was stopped is done again by the same call.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no such generation; [`AlreadyExists`](ErrorKind::AlreadyExists) if the directory has something in it;
/// [`Locked`](ErrorKind::Locked) if another restore into it goes on;
/// [`Corrupt`](ErrorKind::Corrupt), naming file and object, if one is not what it was; [`Unavailable`](ErrorKind::Unavailable) if something cannot be read or written.
pub async fn restore(
    target: impl AsRef<Path>,
    into: impl AsRef<Path>,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let fs: Arc<dyn Fs> = options.fs.clone().unwrap_or_else(|| Arc::new(OsFs));
    let (place, into) = (target.as_ref().to_owned(), into.as_ref().to_owned());
    let options = options.clone();
    run(move || bring_back(&*fs, &place, &into, &options))
        .await
        .map_err(|error| error.with_operation("restore"))
}

fn bring_back(
    fs: &dyn Fs,
    place: &Path,
    into: &Path,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let manifest = vault::pick(fs, place, options.generation.as_deref())?;
    let _alone = begin(fs, into, &manifest, options)?;
    let mut dirs: BTreeSet<PathBuf> = [into.to_owned()].into();
    let mut make = |dir: PathBuf| -> Result<()> {
        if dirs.contains(&dir) {
            return Ok(());
        }
        create_dir_all(fs, &dir, Durability::Buffered)
            .map_err(|error| fs_error("make the directory", &dir, error))?;
        let above = dir.ancestors().take_while(|above| *above != into);
        dirs.extend(above.map(Path::to_owned));
        Ok(())
    };
    for dir in &manifest.header.dirs {
        make(into.join(dir))?;
    }
    let wanted: Vec<&Entry> = manifest
        .entries
        .values()
        .filter(|entry| options.wants(entry))
        .collect();
    let total = wanted.iter().map(|entry| entry.len).sum();
    // Many files are synced with one call, where there is one.
    let together = wanted.len() >= MANY && fs.sync_file_system(into).is_ok();
    let (files, mut bytes) = (wanted.len() as u64, 0);
    for entry in wanted {
        let path = into.join(&entry.path);
        make(path.parent().unwrap_or(into).to_owned())?;
        write(fs, place, &path, entry, !together)?;
        bytes += entry.len;
        if let Some(tell) = &options.progress {
            tell(Progress {
                part: entry.part(),
                done: bytes,
                total,
            });
        }
    }
    if together {
        fs.sync_file_system(into)
            .map_err(|error| io("make the files durable", into, error))?;
    }
    for dir in dirs.iter().rev() {
        fs.sync_dir(dir)
            .map_err(|error| io("make the files durable", dir, error))?;
    }
    let marker = into.join(UNFINISHED);
    remove(fs, &marker, Durability::Synced)
        .map_err(|error| fs_error("end the restore", &marker, error))?;
    Ok(RestoreReport {
        generation: manifest.header.generation,
        at: manifest.header.at,
        files,
        bytes,
        journal_head: manifest.header.journal_head,
    })
}

/// Marks a directory as one that is being restored into, if nothing else is in it.
fn begin(
    fs: &dyn Fs,
    into: &Path,
    manifest: &Manifest,
    options: &RestoreOptions,
) -> Result<LockGuard> {
    create_dir_all(fs, into, Durability::Synced)
        .map_err(|error| fs_error("make the directory", into, error))?;
    let marker = into.join(UNFINISHED);
    let read_marker = || {
        minutebook_fs::read(fs, &marker, 1_000)
            .map_err(|error| fs_error("begin the restore", &marker, error))
    };
    let before = read_marker()?;
    let begun = before.is_some();
    look(fs, into, begun.then_some((manifest, options)))?;
    // What was to become the mark of a restore that was stopped.
    minutebook_fs::remove_stray_temporaries(fs, into)
        .map_err(|error| fs_error("remove what an earlier restore has begun", into, error))?;
    // If another one was first its lock tells.
    let made = !begun
        && create_new(fs, &marker, MARK, Durability::Synced)
            .map_err(|error| fs_error("begin the restore", &marker, error))?
            == Created::Created;
    let alone = fs
        .lock(&marker, LockMode::Exclusive, LockWait::Try)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Error::new(
                ErrorKind::Locked,
                "another restore into this directory goes on",
            )
            .with_resource(into.display()),
            _ => io("begin the restore", &marker, error),
        })?;
    // The other one may have come to its end right now and taken its mark away; then locking has made an empty one.
    if read_marker()?.is_none_or(|now| now.is_empty() && before.is_none_or(|it| !it.is_empty())) {
        remove(fs, &marker, Durability::Synced)
            .map_err(|error| fs_error("end the restore", &marker, error))?;
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "another restore into this directory was completed",
        )
        .with_resource(into.display()));
    }
    // Another one may have come and gone, or died, before the lock was taken.
    if let Err(occupied) = look(fs, into, (!made).then_some((manifest, options))) {
        if made {
            remove(fs, &marker, Durability::Synced)
                .map_err(|error| fs_error("end the restore", &marker, error))?;
        }
        return Err(occupied);
    }
    Ok(alone)
}

/// Refuses a directory that has something in it; where a restore was `begun`, something that this one does not bring.
fn look(fs: &dyn Fs, into: &Path, begun: Option<(&Manifest, &RestoreOptions)>) -> Result<()> {
    let occupied = |what: String| {
        Err(Error::new(ErrorKind::AlreadyExists, what).with_resource(into.display()))
    };
    let mut open = vec![(into.to_owned(), String::new())];
    while let Some((dir, prefix)) = open.pop() {
        let entries = fs
            .read_dir(&dir)
            .map_err(|error| io("list the directory", &dir, error))?;
        for entry in entries {
            let name = entry.name.to_string_lossy();
            let ours =
                prefix.is_empty() && name == UNFINISHED || minutebook_fs::is_temporary(&name);
            if ours {
                continue;
            }
            let inside = format!("{prefix}{name}");
            let Some((manifest, options)) = begun else {
                return occupied(format!(
                    "the directory has something in it ({inside}); restore into one that is empty or not there"
                ));
            };
            // What the restore that was stopped has left may only be what is written anew now.
            if entry.kind == minutebook_fs::FileKind::Dir {
                open.push((dir.join(&entry.name), format!("{inside}/")));
            } else if !manifest
                .entries
                .get(&inside)
                .is_some_and(|entry| options.wants(entry))
            {
                return occupied(format!(
                    "a restore into the directory was stopped, and it has something that this one does not bring ({inside}); restore the same again, or empty it first"
                ));
            }
        }
    }
    Ok(())
}

fn write(fs: &dyn Fs, place: &Path, to: &Path, entry: &Entry, sync: bool) -> Result<()> {
    // What a restore that was stopped has left.
    remove(fs, to, Durability::Buffered).map_err(|error| fs_error("write the file", to, error))?;
    let failed = |error| io("write the file", to, error);
    let file = fs.open(to, OpenMode::CreateNew).map_err(failed)?;
    let mut whole = blake3::Hasher::new();
    let mut written = Ok(());
    for piece in entry.objects() {
        let damaged = |why: &str| {
            let text = format!(
                "the backup is damaged: {} needs {why}; restore another generation, or without this part",
                entry.path
            );
            let object = vault::object(place, &piece.blake3);
            Error::new(ErrorKind::Corrupt, text).with_resource(object.display())
        };
        object(fs, place, &piece, |bytes| {
            whole.update(bytes);
            if written.is_ok() {
                written = file.write_all(bytes);
            }
        })
        .map_err(|why| damaged(&format!("this object, and {why}")))?;
    }
    written.map_err(failed)?;
    if whole.finalize().to_hex().as_str() != entry.blake3 {
        let text = format!(
            "the backup is damaged: the pieces of {} do not make it up; restore another generation",
            entry.path
        );
        return Err(Error::new(ErrorKind::Corrupt, text).with_resource(place.display()));
    }
    settle(&*file, entry).map_err(failed)?;
    if sync {
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// Permissions and time, as they were.
fn settle(file: &dyn FsFile, entry: &Entry) -> std::io::Result<()> {
    if let Some(mode) = entry.mode {
        file.set_mode(mode & 0o777)?;
    }
    let modified = Duration::from_nanos(u64::try_from(entry.modified).unwrap_or(0));
    match file.set_modified(SystemTime::UNIX_EPOCH + modified) {
        // Only documents that carry no time of their own go by it.
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(()),
        done => done,
    }
}
