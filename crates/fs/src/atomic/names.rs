//! Names: rename, remove, directories.

use std::io;
use std::path::Path;

use super::{Created, move_new, not_a_file, parent_of, rename_error, sync_parent};
use crate::durability::Durability;
use crate::error::FsError;
use crate::fs::{FileKind, Fs};

/// Gives a file another name, replacing what had it, and syncs the directories (target first, so that a crash
/// never loses the file). The content must have been synced before by whoever wrote it.
pub fn rename(fs: &dyn Fs, from: &Path, to: &Path, durability: Durability) -> Result<(), FsError> {
    const OP: &str = "rename";
    fs.rename(from, to).map_err(|e| rename_error(OP, from, e))?;
    sync_both(fs, from, to, durability, OP)
}

/// As [`rename`], but changes nothing if `to` exists.
pub fn rename_new(
    fs: &dyn Fs,
    from: &Path,
    to: &Path,
    durability: Durability,
) -> Result<Created, FsError> {
    const OP: &str = "rename";
    let created = move_new(fs, from, to, OP)?;
    if created.is_created() {
        sync_both(fs, from, to, durability, OP)?;
    }
    Ok(created)
}

/// Removes a file; `false` if there was none. Under [`Durability::Synced`] its absence is durable in both cases.
pub fn remove(fs: &dyn Fs, path: &Path, durability: Durability) -> Result<bool, FsError> {
    const OP: &str = "remove";
    let removed = match fs.remove_file(path) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(rename_error(OP, path, e)),
    };
    match sync_parent(fs, path, durability, OP) {
        // Nor is there a directory that could hold the name.
        Err(e) if !removed && e.kind() == io::ErrorKind::NotFound => {}
        result => result?,
    }
    Ok(removed)
}

/// As [`remove`], for a file strictly below a directory: no component between them is followed if it is a symbolic link, not even one
/// that was put there while this runs ([`Fs::open_dir_below`]). What is no regular file is left alone.
///
/// # Errors
///
/// `InvalidInput` if `below` does not lead down only, or is no regular file; `NotADirectory` for a component that is a link or no directory.
pub fn remove_below(
    fs: &dyn Fs,
    root: &Path,
    below: &Path,
    durability: Durability,
) -> Result<bool, FsError> {
    const OP: &str = "remove";
    let path = root.join(below);
    let refuse = |step, e| FsError::not_applied(OP, step, &path, e);
    let (Some(parent), Some(name)) = (below.parent(), below.file_name()) else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "names no file");
        return Err(refuse("look at the path", error));
    };
    let dir = match fs.open_dir_below(root, parent) {
        Ok(dir) => dir,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(refuse("open the directory", e)),
    };
    let removed = match dir.kind(name) {
        Ok(FileKind::File) => match dir.remove_file(name) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(rename_error(OP, &path, e)),
        },
        Ok(kind) => return Err(refuse("look at it", not_a_file(kind))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(refuse("look at it", e)),
    };
    if durability.is_synced() {
        dir.sync().map_err(|e| FsError::names(OP, &path, e))?;
    }
    Ok(removed)
}

/// Creates a directory and its missing parents. Under [`Durability::Synced`] their names are durable afterwards, and
/// so is the name of `path` itself if it existed already.
///
/// Existing parents further up are taken to be durable; [`Root`](crate::Root) makes sure of it for a whole tree.
pub fn create_dir_all(fs: &dyn Fs, path: &Path, durability: Durability) -> Result<(), FsError> {
    const OP: &str = "create directory";
    let mut missing: Vec<&Path> = Vec::new();
    let mut existing = path;
    loop {
        match fs.metadata(existing) {
            // A symbolic link may lead to a directory; if it does not, creating below it fails.
            Ok(m) if m.is_dir() || (m.kind == FileKind::Symlink && !missing.is_empty()) => break,
            Ok(m) if m.kind == FileKind::Symlink => {
                // The last component: only if it leads to a directory is there nothing to do.
                fs.visit_dir(existing, &mut |_| false)
                    .map_err(|e| FsError::not_applied(OP, "look at it", existing, e))?;
                break;
            }
            Ok(_) => {
                let error = io::Error::new(
                    io::ErrorKind::NotADirectory,
                    "exists and is not a directory",
                );
                return Err(FsError::not_applied(OP, "look at it", existing, error));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing.push(existing),
            Err(e) => return Err(FsError::not_applied(OP, "look at it", existing, e)),
        }
        match existing.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => existing = parent,
            _ => break,
        }
    }
    if missing.is_empty() && path.file_name().is_some() {
        sync_parent(fs, path, durability, OP)?;
    }
    for dir in missing.into_iter().rev() {
        match fs.create_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {} // another was faster
            result => result.map_err(|e| rename_error(OP, dir, e))?,
        }
        sync_parent(fs, dir, durability, OP)?;
    }
    Ok(())
}

fn sync_both(
    fs: &dyn Fs,
    from: &Path,
    to: &Path,
    durability: Durability,
    op: &'static str,
) -> Result<(), FsError> {
    sync_parent(fs, to, durability, op)?;
    if parent_of(from) != parent_of(to) {
        sync_parent(fs, from, durability, op)?;
    }
    Ok(())
}
