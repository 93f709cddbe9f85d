//! Listing a directory tree as objects.

use std::io;

use minutebook_fs::{FileKind, FsError, Root, is_temporary};
use object_store::path::Path;
use object_store::{ListResult, ObjectMeta, Result};

use super::durable::{object_meta, told};

/// One directory deep is one series; a tree deeper than this is not ours.
const MAX_DEPTH: usize = 64;

/// Every object below a prefix.
pub(super) fn walk(root: &Root, prefix: &Path) -> Result<Vec<ObjectMeta>> {
    let mut found = Vec::new();
    let mut open = vec![prefix.clone()];
    while let Some(dir) = open.pop() {
        let level = level(root, &dir)?;
        found.extend(level.objects);
        if dir.parts().count() < MAX_DEPTH {
            open.extend(level.common_prefixes);
        }
    }
    found.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(found)
}

/// The objects and directories right below a prefix. Temporary files, links and devices are no objects.
pub(super) fn level(root: &Root, prefix: &Path) -> Result<ListResult> {
    let parts: Vec<String> = prefix.parts().map(|p| p.as_ref().to_owned()).collect();
    let mut probe = parts.clone();
    probe.push("x".to_owned());
    // Resolving a name inside checks that no directory on the way is a link that leads out.
    let dir = match root.resolve(&probe) {
        Ok(path) => path.parent().unwrap_or(root.path()).to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty()),
        Err(error) => return Err(told(prefix, error)),
    };
    let wrong = |e| {
        told(
            prefix,
            FsError::not_applied("list", "list the directory", &dir, e),
        )
    };
    let entries = match root.fs().read_dir(&dir) {
        Ok(entries) => entries,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(empty());
        }
        Err(e) => return Err(wrong(e)),
    };
    let mut result = empty();
    for entry in entries {
        let Some(name) = entry.name.to_str() else {
            continue; // no name that this store writes
        };
        let Ok(part) = object_store::path::PathPart::parse(name) else {
            continue;
        };
        let mut location = prefix.as_ref().to_owned();
        if !location.is_empty() {
            location.push('/');
        }
        location.push_str(part.as_ref());
        let Ok(location) = Path::parse(&location) else {
            continue;
        };
        match entry.kind {
            FileKind::Dir => result.common_prefixes.push(location),
            FileKind::File if !is_temporary(name) => match root.fs().metadata(&dir.join(name)) {
                Ok(meta) => result.objects.push(object_meta(location, &meta)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {} // removed meanwhile
                Err(e) => return Err(wrong(e)),
            },
            _ => {}
        }
    }
    result.common_prefixes.sort();
    result.objects.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(result)
}

fn empty() -> ListResult {
    ListResult {
        common_prefixes: Vec::new(),
        objects: Vec::new(),
    }
}
