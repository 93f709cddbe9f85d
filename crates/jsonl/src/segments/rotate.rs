//! Sealing the plain file, and compressing what was sealed. Both can be stopped anywhere and are gone on with by whoever comes next ([`finish`](super::finish)).

use std::io;
use std::sync::Arc;

use minutebook_core::ProblemKind;
use minutebook_fs::{
    Durability, FsError, FsFile, Locked, OpenMode, create_dir_all, remove, rename,
};

use super::file::SealedFile;
use super::format::Writer;
use super::stats::Stats;
use super::{Entry, FRAME_BYTES, Guard, Manifest, finish, opened};
use crate::error::JsonlError;
use crate::index::{self, Flawed, Index};
use crate::store::{Series, Store};

/// Seals the plain file and compresses it; first what an interrupted rotation left. `None` if there is nothing in the plain file.
pub(crate) fn rotate(
    store: &Store,
    series: &Series,
    guard: &Guard,
) -> Result<Option<Entry>, JsonlError> {
    finish(store, series, guard)?;
    if seal(store, series, guard, |_| Ok(true))? {
        finish(store, series, guard)
    } else {
        Ok(None)
    }
}

/// Gives the plain file the name that the manifest has announced, if `wanted` says so under the writers' lock. Nothing may be waiting to be compressed.
pub(crate) fn seal(
    store: &Store,
    series: &Series,
    _guard: &Guard,
    wanted: impl FnOnce(&Locked<'_>) -> Result<bool, JsonlError>,
) -> Result<bool, JsonlError> {
    let fs = &*store.config.fs;
    if store
        .metadata(&series.data)?
        .is_none_or(|meta| meta.len == 0)
    {
        return Ok(false);
    }
    let known = manifest(store, series)?;
    let manifest = if let Some(manifest) = known {
        manifest
    } else {
        // Announced before the first segment has the name.
        create_dir_all(fs, &series.sealed.dir, Durability::Synced)?;
        let mut manifest = Manifest::new(new_id(store, series));
        manifest.write(fs, &series.sealed)?;
        Arc::new(manifest)
    };
    opened::make_lock(store, series)?;
    let raw = series.sealed.raw(manifest.next);
    store.log(series).with_lock(Durability::Synced, |log| {
        if log.is_empty() || !wanted(log)? {
            return Ok(false);
        }
        if !log.seal(&raw)?.is_created() {
            return Err(JsonlError::from(FsError::not_applied(
                "rotate",
                "seal",
                &raw,
                io::ErrorKind::AlreadyExists.into(),
            )));
        }
        let mut state = series.state();
        state.segments.raw = state.index.take();
        series.was_sealed();
        Ok(true)
    })
}

pub(super) fn new_id(store: &Store, series: &Series) -> String {
    let unique = format!("{} {}", store.config.fs.temp_name(), series.data.display());
    let hash = blake3::hash(unique.as_bytes()).to_hex();
    hash.chars().take(32).collect()
}

/// The manifest as it is now.
pub(super) fn manifest(
    store: &Store,
    series: &Series,
) -> Result<Option<Arc<Manifest>>, JsonlError> {
    let mut state = series.state();
    let known = &mut state.segments.known;
    known.refresh(&*store.config.fs, &series.sealed)?;
    Ok(known.manifest.clone())
}

/// Compresses a sealed segment, checks what was written, names it in the manifest, and removes the plain one.
pub(super) fn compress(
    store: &Store,
    series: &Series,
    manifest: &mut Manifest,
    number: u64,
) -> Result<Entry, JsonlError> {
    let fs = &*store.config.fs;
    let (raw, target) = (series.sealed.raw(number), series.sealed.sealed(number));
    loop {
        let file: Arc<dyn FsFile> = fs
            .open(&raw, OpenMode::Read)
            .map_err(|error| FsError::not_applied("rotate", "open", &raw, error))?
            .into();
        let (index, unit) = {
            let mut state = series.state();
            state.refresh_types(store, series)?;
            let known = state.take_index(file.metadata().map_err(JsonlError::Read)?.id);
            let reading = state.reading(store);
            drop(state);
            let found = index::refresh(known, &file, reading, None);
            let (index, _) = found.map_err(JsonlError::Read)?;
            (index, reading.unit)
        };
        let known = manifest.get(number);
        if known.is_none() {
            not_another(store, series, (&manifest.id, number), &file)?;
        }
        // One that is sealed anew keeps the name by which others know it.
        let id = known.map_or(&manifest.id, |entry| &entry.id).clone();
        let digest = write(store, series, (&id, number), &file, &index, unit)?;
        rename(fs, &series.sealed.part(number), &target, Durability::Synced)?;
        let entry = checked(store, series, number, &digest, index.len)?;
        if file.len().map_err(JsonlError::Read)? != index.len {
            // A program that takes no lock has appended to it meanwhile: once more.
            continue;
        }
        manifest.segments.retain(|known| known.number != number);
        manifest.segments.push(entry.clone());
        manifest.segments.sort_unstable_by_key(|entry| entry.number);
        manifest.next = manifest.next.max(number + 1);
        manifest.write(fs, &series.sealed)?;
        remove(fs, &raw, Durability::Synced)?;
        if let Some(of_file) = store.metadata(&target)? {
            let mut state = series.state();
            state.segments.keep_index(number, of_file, &index);
        }
        return Ok(entry);
    }
}

/// Makes sure that no other segment is written over: one with this number that the manifest does not name has to be what an interrupted compression of these very lines
/// has left.
fn not_another(
    store: &Store,
    series: &Series,
    (id, number): (&str, u64),
    raw: &Arc<dyn FsFile>,
) -> Result<(), JsonlError> {
    let path = series.sealed.sealed(number);
    let Some(file) = SealedFile::open(&*store.config.fs, &path)? else {
        return Ok(());
    };
    let other = || JsonlError::Older(path.display().to_string());
    let (stats, bytes) = file.stats_and_bytes()?;
    if stats.number != number {
        let path = path.display().to_string();
        return Err(JsonlError::Misnumbered(path, stats.number));
    }
    if stats.id != id || bytes > raw.len().map_err(JsonlError::Read)? {
        return Err(other());
    }
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; FRAME_BYTES];
    let mut at = 0;
    while at < bytes {
        let want = usize::try_from(bytes - at).map_or(FRAME_BYTES, |left| left.min(FRAME_BYTES));
        let lines = buffer.get_mut(..want).unwrap_or_default();
        if raw.read_full_at(lines, at).map_err(JsonlError::Read)? < want {
            return Err(JsonlError::Shrunk);
        }
        hasher.update(lines);
        at += want as u64;
    }
    if hasher.finalize().to_hex().as_str() != stats.digest {
        return Err(other());
    }
    Ok(())
}

/// Writes the compressed segment beside its place, durably. Gives the digest of its lines.
fn write(
    store: &Store,
    series: &Series,
    id: (&str, u64),
    file: &Arc<dyn FsFile>,
    index: &Index,
    unit: Option<crate::config::EpochUnit>,
) -> Result<String, JsonlError> {
    let fs = &*store.config.fs;
    let path = series.sealed.part(id.1);
    let step = |step| {
        let path = path.clone();
        move |error| JsonlError::from(FsError::not_applied("rotate", step, &path, error))
    };
    remove(fs, &path, Durability::Buffered)?;
    let out = fs
        .open(&path, OpenMode::CreateNew)
        .map_err(step("create the segment"))?;
    let mut writer = Writer::new(&*out).map_err(step("start the compression"))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; FRAME_BYTES];
    let mut at = 0;
    while at < index.len {
        let want =
            usize::try_from(index.len - at).map_or(FRAME_BYTES, |left| left.min(FRAME_BYTES));
        let frame = buffer.get_mut(..want).unwrap_or_default();
        let read = file.read_full_at(frame, at).map_err(JsonlError::Read)?;
        if read < want {
            return Err(JsonlError::Shrunk);
        }
        hasher.update(frame);
        writer.frame(frame).map_err(step("write"))?;
        at += read as u64;
    }
    let digest = hasher.finalize().to_hex().to_string();
    let limit = store.config.max_line_bytes as u64;
    let mut part = index.part.clone();
    if index.end < index.len {
        // Whatever takes the rows over must not take the segment for nothing but rows.
        part.flaw(Flawed {
            kind: ProblemKind::Malformed,
            line: part.lines,
            byte: index.end,
            message: format!(
                "{} bytes after the last newline: a line that was not completed",
                index.len - index.end
            ),
        });
    }
    let stats = Stats::new(id, digest.clone(), unit, limit, &part);
    let stats =
        serde_json::to_vec(&stats).map_err(|error| step("write the index")(error.into()))?;
    writer.finish(&stats).map_err(step("write"))?;
    Ok(digest)
}

/// Reads a compressed segment back, all of it.
fn checked(
    store: &Store,
    series: &Series,
    number: u64,
    digest: &str,
    bytes: u64,
) -> Result<Entry, JsonlError> {
    let path = series.sealed.sealed(number);
    let file = SealedFile::open(&*store.config.fs, &path)?.ok_or(JsonlError::Moved)?;
    let (found, len) = file.digest()?;
    if found != digest || len != bytes {
        return Err(JsonlError::Input(format!(
            "{} does not read back as it was written; the plain segment stays",
            path.display()
        )));
    }
    file.entry(number)
}
