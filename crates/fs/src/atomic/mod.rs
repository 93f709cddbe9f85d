//! Whole files: replace, create if absent, rename, remove, read, and directories.

mod names;
mod read;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::durability::Durability;
use crate::error::{Applied, FsError};
use crate::fs::{FileKind, Fs, FsFile, Metadata};
use crate::temp::Temp;

pub use names::{create_dir_all, remove, remove_below, rename, rename_new};
pub use read::{read, read_seen};

/// Attempts with a fresh temporary file after a clean-up of another process removed ours.
const ATTEMPTS: usize = 4;

/// Whether [`create_new`] or [`rename_new`] found the name free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Created {
    /// The name was free and now is ours.
    Created,
    /// The name was taken; nothing was changed. Says nothing about whether what has the name is durable yet.
    AlreadyExists,
}

impl Created {
    /// Whether it was created.
    pub fn is_created(self) -> bool {
        self == Self::Created
    }
}

/// Replaces a file's whole content, or creates the file.
///
/// A temporary file in the same directory is written, synced and renamed over `path`, and the directory is synced, so
/// a reader sees the old content or the new, and so does whoever looks after a crash. The permission bits of an
/// existing file are kept; a new one gets 0600. [`Durability::Buffered`] leaves out the two syncs: then a power cut
/// may leave the file empty or cut short.
///
/// Writers that read, change and replace lose each other's changes unless they hold a lock meanwhile.
///
/// # Errors
///
/// If `path` is not a regular file (symbolic links are not followed), and on any I/O error. The old content is intact
/// if [`FsError::nothing_applied`]; the temporary file is removed.
///
/// ```
/// use minutebook_fs::{Durability, OsFs, read, replace};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("registry.json");
/// replace(&OsFs, &path, b"{}", Durability::Synced)?;
/// assert_eq!(read(&OsFs, &path, 100)?, Some(b"{}".to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn replace(
    fs: &dyn Fs,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), FsError> {
    let mode = mode_of(fs, path)?;
    put_over(fs, path, bytes, durability, mode)
}

/// As [`replace`], but a symbolic link at `path` is replaced by the file, as a rename does it. What it leads to stays as it is.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_link(
    fs: &dyn Fs,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), FsError> {
    let is_link = matches!(fs.metadata(path), Ok(m) if m.kind == FileKind::Symlink);
    let mode = if is_link { None } else { mode_of(fs, path)? };
    put_over(fs, path, bytes, durability, mode)
}

fn put_over(
    fs: &dyn Fs,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
    mode: Option<u32>,
) -> Result<(), FsError> {
    const OP: &str = "replace";
    put(fs, path, bytes, durability, OP, mode, |temp, _| {
        fs.rename(temp, path)
            .map(|()| Created::Created)
            .map_err(|e| rename_error(OP, path, e))
    })
    .map(drop)
}

/// As [`replace`], and says how the file looks to whoever looks at it next, so that a later look tells whether it was
/// changed since. `None` if another program was so fast that it changed it already, or the platform does not tell.
///
/// Asking takes two calls to the system.
pub fn replace_seen(
    fs: &dyn Fs,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<Option<Metadata>, FsError> {
    const OP: &str = "replace";
    let mode = mode_of(fs, path)?;
    let seen = Cell::new(None);
    put(fs, path, bytes, durability, OP, mode, |temp, file| {
        // Before the file has its name nobody else writes to it. Renaming changes none of these but the time of the change.
        let before = file.metadata().ok();
        fs.rename(temp, path)
            .map_err(|e| rename_error(OP, path, e))?;
        let after = file.metadata().ok();
        seen.set(before.zip(after).and_then(|(before, after)| {
            let same = (before.modified, before.len) == (after.modified, after.len);
            same.then_some(after)
        }));
        Ok(Created::Created)
    })
    .map(|_| seen.get())
}

/// As [`create_new`], and says how the file looks to whoever looks at it next, as [`replace_seen`] does.
///
/// Where the system has files without names this is the cheapest way to make one that nobody sees in part: no temporary name, and a
/// process that dies leaves nothing. The name is not looked at before.
///
/// # Errors
///
/// As [`create_new`].
pub fn create_seen(
    fs: &dyn Fs,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<(Created, Option<Metadata>), FsError> {
    const OP: &str = "create";
    let seen = Cell::new(None);
    let note = |before: Option<Metadata>, file: &dyn FsFile| {
        let after = file.metadata().ok();
        seen.set(before.zip(after).and_then(|(before, after)| {
            let same = (before.modified, before.len) == (after.modified, after.len);
            same.then_some(after)
        }));
    };
    if let Ok(file) = fs.open_unnamed(&parent_of(path)) {
        fill(&*file, bytes, None, durability)
            .map_err(|(step, e)| FsError::not_applied(OP, step, path, e))?;
        let before = file.metadata().ok();
        match file.link_to(path) {
            Ok(()) => {
                note(before, &*file);
                sync_parent(fs, path, durability, OP)?;
                return Ok((Created::Created, seen.get()));
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Ok((Created::AlreadyExists, None));
            }
            // What has no way to name them does it by a temporary name, and what fails otherwise says why.
            Err(error) => tracing::debug!(%error, "a file without a name could not be given one"),
        }
    }
    let created = put(fs, path, bytes, durability, OP, None, |temp, file| {
        let before = file.metadata().ok();
        let created = move_new(fs, temp, path, OP)?;
        note(before, file);
        Ok(created)
    })?;
    Ok((created, seen.get().filter(|_| created.is_created())))
}

/// How much later a time is set than one that it has to differ from, on file systems that keep times ever less exactly.
const LATER: [Duration; 5] = [
    Duration::from_nanos(1),
    Duration::from_micros(1),
    Duration::from_millis(1),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// As [`replace`], but for two things: the file's modification time is set, and the directory is for the caller to sync, once for many files. Gives
/// back the modification time that the file has, which is later than `after`: another than `modified` if that is not later, if the platform cannot
/// set times, or keeps them less exactly.
///
/// # Errors
///
/// As [`replace`], and `Unsupported` if the file cannot get a time that is later than `after`.
pub fn replace_dated(
    fs: &dyn Fs,
    path: &Path,
    bytes: &[u8],
    modified: SystemTime,
    after: Option<SystemTime>,
    durability: Durability,
) -> Result<SystemTime, FsError> {
    const OP: &str = "replace";
    let mode = mode_of(fs, path)?;
    let seen = Cell::new(modified);
    put(
        fs,
        path,
        bytes,
        Durability::Buffered,
        OP,
        mode,
        |temp, file| {
            let step = |step| move |e| FsError::not_applied(OP, step, path, e);
            seen.set(date(file, modified, after).map_err(step("set the time"))?);
            if durability.is_synced() {
                file.sync_all().map_err(step("sync"))?;
            }
            fs.rename(temp, path)
                .map(|()| Created::Created)
                .map_err(|e| rename_error(OP, path, e))
        },
    )
    .map(|_| seen.get())
}

/// Sets the modification time, to one that is later than `after`, and gives the one that the file has.
fn date(
    file: &dyn FsFile,
    modified: SystemTime,
    after: Option<SystemTime>,
) -> io::Result<SystemTime> {
    let later = |by: &Duration| after.and_then(|after| after.checked_add(*by));
    let wanted = Some(modified).filter(|wanted| after.is_none_or(|after| *wanted > after));
    for time in wanted.into_iter().chain(LATER.iter().filter_map(later)) {
        let set = match file.set_modified(time) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => false,
            Err(error) => return Err(error),
        };
        let seen = file.metadata()?.modified;
        if after.is_none_or(|after| seen > after) {
            return Ok(seen);
        }
        if !set {
            break;
        }
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "the file system has no time that tells the new state from the one before it",
    ))
}

/// The permission bits of a regular file, which it keeps.
fn mode_of(fs: &dyn Fs, path: &Path) -> Result<Option<u32>, FsError> {
    const OP: &str = "replace";
    match fs.metadata(path) {
        Ok(m) if m.is_file() => Ok(m.mode),
        Ok(m) => Err(FsError::not_applied(
            OP,
            "look at the file",
            path,
            not_a_file(m.kind),
        )),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FsError::not_applied(OP, "look at the file", path, e)),
    }
}

/// Creates a file with this content if the name is free, in one step: of several callers one gets
/// [`Created::Created`], and nobody ever sees the file without its whole content, not after a crash either.
///
/// # Errors
///
/// On any I/O error, and `Unsupported` on file systems that can neither rename without replacing nor link.
///
/// ```
/// use minutebook_fs::{Created, Durability, OsFs, create_new};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("00000001.json");
/// assert_eq!(create_new(&OsFs, &path, b"mine", Durability::Synced)?, Created::Created);
/// assert_eq!(create_new(&OsFs, &path, b"late", Durability::Synced)?, Created::AlreadyExists);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn create_new(
    fs: &dyn Fs,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<Created, FsError> {
    const OP: &str = "create";
    match fs.metadata(path) {
        Ok(_) => return Ok(Created::AlreadyExists), // saves the temporary file; the rename below decides
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(FsError::not_applied(OP, "look at the file", path, e)),
    }
    put(fs, path, bytes, durability, OP, None, |temp, _| {
        move_new(fs, temp, path, OP)
    })
}

/// The directory that holds the name.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

pub(crate) fn not_a_file(kind: FileKind) -> io::Error {
    let (error_kind, what) = match kind {
        FileKind::Dir => (io::ErrorKind::IsADirectory, "is a directory"),
        FileKind::Symlink => (
            io::ErrorKind::InvalidInput,
            "is a symbolic link, which is not followed",
        ),
        FileKind::File | FileKind::Other => (io::ErrorKind::InvalidInput, "is not a regular file"),
    };
    io::Error::new(error_kind, what)
}

/// Writes a temporary file beside `path`, lets `publish` give it its name, and syncs both.
fn put(
    fs: &dyn Fs,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
    op: &'static str,
    mode: Option<u32>,
    publish: impl Fn(&Path, &dyn FsFile) -> Result<Created, FsError>,
) -> Result<Created, FsError> {
    let dir = parent_of(path);
    let mut attempt = 1;
    loop {
        let temp = Temp::create(fs, &dir)
            .map_err(|e| FsError::not_applied(op, "create a temporary file", path, e))?;
        fill(temp.file(), bytes, mode, durability)
            .map_err(|(step, e)| FsError::not_applied(op, step, path, e))?;
        match publish(temp.path(), temp.file()) {
            Ok(Created::Created) => temp.disarm(),
            Ok(Created::AlreadyExists) => return Ok(Created::AlreadyExists),
            // A clean-up may have taken our file in the instant before we locked it.
            Err(e) if e.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {
                attempt += 1;
                continue;
            }
            Err(e) => return Err(e),
        }
        return sync_parent(fs, path, durability, op).map(|()| Created::Created);
    }
}

fn fill(
    file: &dyn FsFile,
    bytes: &[u8],
    mode: Option<u32>,
    durability: Durability,
) -> Result<(), (&'static str, io::Error)> {
    if let Some(mode) = mode.filter(|mode| *mode != 0o600) {
        file.set_mode(mode)
            .map_err(|e| ("set the permissions", e))?;
    }
    file.write_all(bytes).map_err(|e| ("write", e))?;
    if durability.is_synced() {
        file.sync_all().map_err(|e| ("sync", e))?;
    }
    Ok(())
}

/// Moves to a free name in one step.
fn move_new(fs: &dyn Fs, from: &Path, to: &Path, op: &'static str) -> Result<Created, FsError> {
    match fs.rename_no_replace(from, to) {
        Ok(()) => return Ok(Created::Created),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(Created::AlreadyExists),
        Err(e) if e.kind() == io::ErrorKind::Unsupported => {}
        Err(e) => return Err(rename_error(op, to, e)),
    }
    match fs.hard_link(from, to) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(Created::AlreadyExists),
        Err(e) => {
            return Err(FsError {
                step: "link",
                ..rename_error(op, to, e)
            });
        }
    }
    // The new name stands; a second name that stays is a left-over, not a failure.
    if let Err(error) = fs.remove_file(from) {
        tracing::warn!(path = %from.display(), %error, "a second name of a file is left over");
    }
    Ok(Created::Created)
}

fn sync_parent(
    fs: &dyn Fs,
    path: &Path,
    durability: Durability,
    op: &'static str,
) -> Result<(), FsError> {
    if durability.is_synced() {
        let synced = fs.sync_dir(&parent_of(path));
        synced.map_err(|e| FsError::names(op, path, e))?;
    }
    Ok(())
}

/// An error of a call that changes names: most kinds say that the call was refused, the rest (EIO) say nothing.
fn rename_error(op: &'static str, path: &Path, source: io::Error) -> FsError {
    use io::ErrorKind as K;
    let refused = matches!(
        source.kind(),
        K::NotFound
            | K::PermissionDenied
            | K::AlreadyExists
            | K::InvalidInput
            | K::InvalidFilename
            | K::NotADirectory
            | K::IsADirectory
            | K::DirectoryNotEmpty
            | K::ReadOnlyFilesystem
            | K::StorageFull
            | K::QuotaExceeded
            | K::CrossesDevices
            | K::TooManyLinks
            | K::ResourceBusy
            | K::Unsupported
    );
    FsError {
        op,
        step: "change the name",
        path: path.to_owned(),
        applied: if refused {
            Applied::No
        } else {
            Applied::Unknown
        },
        source,
    }
}
