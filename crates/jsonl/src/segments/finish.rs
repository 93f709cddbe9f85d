//! Going on with what was interrupted, and taking in what came late: so each rotation and compaction begins.

use std::path::{Path, PathBuf};

use minutebook_fs::{Durability, FsError, remove};

use super::plain::{late, settle};
use super::removal::remove_leaving;
use super::rotate::{compress, manifest, new_id};
use super::{Entry, Guard, Known, Manifest, Member, SealedFile, member, misnumbered};
use crate::error::JsonlError;
use crate::store::{Series, Store};

/// Compresses what is sealed and not yet compressed, and clears away what an interruption left. Gives the newest segment, if one was made.
pub(crate) fn finish(
    store: &Store,
    series: &Series,
    _guard: &Guard,
) -> Result<Option<Entry>, JsonlError> {
    let fs = &*store.config.fs;
    let Some(known) = manifest(store, series)? else {
        return Ok(None);
    };
    let mut manifest = (*known).clone();
    if series.state().segments.known.problem.is_some() {
        // What the segments say is written down again.
        if manifest.id.is_empty() {
            manifest.id = new_id(store, series);
        }
        manifest.write(fs, &series.sealed)?;
    }
    let found = members(store, series)?;
    if manifest.is_behind(fs, &series.sealed, found.iter().map(|(member, _)| *member)) {
        manifest = newer(store, series, &found)?;
    }
    remove_leaving(store, series, &mut manifest)?;
    let mut made = None;
    for (member, path) in found {
        match member {
            Member::Part => {
                remove(fs, &path, Durability::Synced)?;
            }
            // One of the next number has a plain one beside it: what somebody else's compression made of that, or an own one before the list was lost.
            Member::Sealed(number)
                if manifest.is_unnamed(number)
                    && (number < manifest.next || !manifest.knows_its_holes()) =>
            {
                take_in(store, series, &mut manifest, number, &path)?;
            }
            Member::Sealed(number) if manifest.is_unnamed(number) => {
                if let Some(says) = misnumbered(fs, &series.sealed, number) {
                    left_alone(&path, &format!("it says that it is segment {says}"));
                }
            }
            Member::Sealed(_) => {}
            Member::Raw(number) if number == manifest.next => {
                made = Some(compress(store, series, &mut manifest, number)?);
            }
            Member::Raw(number) => match manifest.get(number).cloned() {
                Some(entry) => settle(store, series, &mut manifest, &entry, &path)?,
                None if manifest.leaving.contains(&number) => {
                    remove(fs, &path, Durability::Synced)?;
                }
                // It came after the manifest was put together.
                None if !manifest.knows_its_holes() => {
                    late(store, series, &mut manifest, number, &path)?;
                }
                None => left_alone(&path, "the manifest does not know it"),
            },
        }
    }
    Ok(made)
}

/// What lies in the directory, by name.
fn members(store: &Store, series: &Series) -> Result<Vec<(Member, PathBuf)>, JsonlError> {
    let mut found = Vec::new();
    let dir = &series.sealed.dir;
    let listed = store.config.fs.visit_dir(dir, &mut |entry| {
        let path = dir.join(entry.name);
        found.extend(member(&path).map(|member| (member, path)));
        true
    });
    listed.map_err(|error| FsError::not_applied("rotate", "read the directory", dir, error))?;
    // A compressed segment before the plain one of its number, which may be what is left of it.
    found.sort_unstable_by_key(|(member, _)| match member {
        Member::Part => (0, 0),
        Member::Sealed(number) => (*number, 1),
        Member::Raw(number) => (*number, 2),
    });
    Ok(found)
}

/// The manifest anew, where it was told late that it is older than the segments: files came into the directory since it was read. Now it is put together from the segments.
fn newer(
    store: &Store,
    series: &Series,
    found: &[(Member, PathBuf)],
) -> Result<Manifest, JsonlError> {
    let older = || JsonlError::Older(series.sealed.dir.display().to_string());
    series.state().segments.known = Known::default();
    let mut manifest = (*manifest(store, series)?.ok_or_else(older)?).clone();
    let fs = &*store.config.fs;
    if manifest.is_behind(fs, &series.sealed, found.iter().map(|(member, _)| *member)) {
        return Err(older());
    }
    if manifest.id.is_empty() {
        manifest.id = new_id(store, series);
    }
    manifest.write(fs, &series.sealed)?;
    Ok(manifest)
}

/// Names a segment that came into the directory after the manifest was put together from those that were there, if it is whole.
fn take_in(
    store: &Store,
    series: &Series,
    manifest: &mut Manifest,
    number: u64,
    path: &Path,
) -> Result<(), JsonlError> {
    if manifest.knows_its_holes() {
        left_alone(path, "it was moved away before");
        return Ok(());
    }
    let Some(file) = SealedFile::open(&*store.config.fs, path)? else {
        return Ok(());
    };
    match file.whole(number) {
        Ok(Some(entry)) => {
            manifest.take_in(entry);
            manifest.next = manifest.next.max(number + 1);
            manifest.write(&*store.config.fs, &series.sealed)?;
        }
        Ok(None) => left_alone(path, "it is not whole, or is another one"),
        Err(error) => left_alone(path, &error.to_string()),
    }
    Ok(())
}

pub(super) fn left_alone(path: &Path, why: &str) {
    tracing::warn!(path = %path.display(), why, "a file of a segment was left alone");
}
