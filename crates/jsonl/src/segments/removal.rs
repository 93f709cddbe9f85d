//! Taking segments out of a series: first the manifest forgets them, then their files go.

use minutebook_fs::{Durability, FsError, remove};

use super::rotate::manifest;
use super::{Guard, Manifest, Member, member, opened};
use crate::error::JsonlError;
use crate::store::{Segments, Series, State, Store};

/// Deletes all segments. Under both locks.
pub(crate) fn delete(
    store: &Store,
    series: &Series,
    state: &mut State,
    _guard: &Guard,
) -> Result<(), JsonlError> {
    let fs = &*store.config.fs;
    let known = &mut state.segments.known;
    known.refresh(fs, &series.sealed)?;
    let Some(manifest) = &known.manifest else {
        return Ok(());
    };
    let mut manifest = (**manifest).clone();
    let dir = &series.sealed.dir;
    let mut found = Vec::new();
    fs.visit_dir(dir, &mut |entry| {
        let path = dir.join(entry.name);
        if let Some(member) = member(&path) {
            if let Member::Sealed(number) | Member::Raw(number) = member {
                manifest.leaves(number);
            }
            found.push(path);
        }
        true
    })
    .map_err(|error| FsError::not_applied("delete", "read the directory", dir, error))?;
    // They go in one step: no number that lies in the directory is one of the series any more.
    manifest.segments.clear();
    manifest.next += 1;
    manifest.write(fs, &series.sealed)?;
    state.segments = Segments::default();
    for path in found {
        store.root.remove(&path, store.config.durability)?;
    }
    let manifest = series.sealed.manifest();
    store.root.remove(&manifest, store.config.durability)?;
    match store.root.remove_dir(dir) {
        Ok(()) => {}
        // What is none of ours stays, and its directory with it.
        Err(error) => {
            tracing::debug!(path = %dir.display(), %error, "the directory of the segments stays");
        }
    }
    Ok(())
}

/// Takes segments out of the series whose rows are kept elsewhere now. Gives how many bytes of files were removed: a file that a read of many segments may still come
/// to is removed by whoever rotates or compacts when that read has ended.
pub(crate) fn drop_segments(
    store: &Store,
    series: &Series,
    _guard: &Guard,
    numbers: &[u64],
) -> Result<u64, JsonlError> {
    let Some(known) = manifest(store, series)? else {
        return Ok(0);
    };
    let mut manifest = (*known).clone();
    manifest
        .segments
        .retain(|entry| !numbers.contains(&entry.number));
    if manifest.segments.len() == known.segments.len() {
        return Ok(0);
    }
    // Of those that left before, most files are gone by now.
    let mut left = Vec::new();
    for number in std::mem::take(&mut manifest.leaving) {
        if store.metadata(&series.sealed.sealed(number))?.is_some() {
            left.push(number);
        }
    }
    manifest.leaving = left;
    for entry in &known.segments {
        if numbers.contains(&entry.number) {
            manifest.gone_bytes += entry.bytes;
            manifest.leaves(entry.number);
        }
    }
    manifest.write(&*store.config.fs, &series.sealed)?;
    remove_leaving(store, series, &mut manifest)
}

/// Removes the files of segments that were taken out of the series, unless a read of many segments may still come to them. Gives how many bytes they were.
pub(super) fn remove_leaving(
    store: &Store,
    series: &Series,
    manifest: &mut Manifest,
) -> Result<u64, JsonlError> {
    if manifest.leaving.is_empty() {
        return Ok(0);
    }
    let Some(_reads) = opened::if_nobody_reads(store, series)? else {
        tracing::debug!(path = %series.sealed.dir.display(), "a read goes on; segments that were moved away are removed later");
        return Ok(0);
    };
    let mut freed = 0;
    for number in std::mem::take(&mut manifest.leaving) {
        // It may be named again: then it was sealed anew under its number.
        if manifest.get(number).is_none() {
            for path in [series.sealed.sealed(number), series.sealed.raw(number)] {
                if let Some(meta) = store.metadata(&path)? {
                    remove(&*store.config.fs, &path, Durability::Synced)?;
                    freed += meta.len;
                }
            }
        }
        series.state().segments.forget_index(number);
    }
    Ok(freed)
}
