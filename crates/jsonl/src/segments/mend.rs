//! Mending segments: what can still be read of them is sealed anew, and what is lost is no longer named.

use minutebook_core::{Result, SeriesId};
use minutebook_fs::{Durability, FsError, OpenMode, remove, rename};

use super::rotate::{compress, manifest};
use super::{Entry, Guard, Manifest, SealedFile, finish, format};
use crate::check::judge;
use crate::error::JsonlError;
use crate::store::{Series, Store};
use crate::time_series::JsonlTimeSeriesRepository;

impl JsonlTimeSeriesRepository {
    /// Mends the sealed segments of a series as a check found them ([`check_ticks`](crate::check_ticks)): what an interrupted rotation left is finished,
    /// a list of segments that was lost is written again, and of the segments with these file names every line that can still be read and is an entry,
    /// or would be one with another setting, is sealed anew under the same number; one of which nothing is left is no longer named. Copies have to be kept
    /// before, if they are wanted.
    ///
    /// # Errors
    /// [`Locked`](minutebook_core::ErrorKind::Locked) if another process seals or compacts the series for longer than the configuration waits;
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the disk fails: the call can be made again.
    pub async fn mend_segments(&self, series: &SeriesId, files: &[String]) -> Result<()> {
        let files = files.to_vec();
        self.segment_work("repair", series, move |store, series| {
            let guard = Guard::exclusive(store, series)?;
            finish(store, series, &guard)?;
            let Some(known) = manifest(store, series)? else {
                return Ok(());
            };
            let mut manifest = (*known).clone();
            for entry in &known.segments {
                let path = series.sealed.sealed(entry.number);
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if files.iter().any(|file| *file == name) {
                    mend(store, series, &guard, &mut manifest, entry)?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn mend(
    store: &Store,
    series: &Series,
    _guard: &Guard,
    manifest: &mut Manifest,
    entry: &Entry,
) -> std::result::Result<(), JsonlError> {
    let fs = &*store.config.fs;
    let (path, raw) = (
        series.sealed.sealed(entry.number),
        series.sealed.raw(entry.number),
    );
    let is_another = |file: &SealedFile| {
        let stats = file.stats();
        stats.is_ok_and(|stats| (stats.number, &stats.id) != (entry.number, &entry.id))
    };
    let left = match SealedFile::open(fs, &path)? {
        // Put in its place: what it says is said elsewhere.
        Some(file) if is_another(&file) => 0,
        Some(_) => saved(store, series, entry.number)?,
        None => 0,
    };
    series.state().segments.forget_index(entry.number);
    // For the version, they have been there.
    manifest.gone_bytes += entry.bytes.saturating_sub(left);
    if left > 0 {
        rename(
            fs,
            &series.sealed.part(entry.number),
            &raw,
            Durability::Synced,
        )?;
        compress(store, series, manifest, entry.number).map(drop)
    } else {
        manifest
            .segments
            .retain(|known| known.number != entry.number);
        manifest.leaves(entry.number);
        manifest.write(fs, &series.sealed)?;
        remove(fs, &path, Durability::Synced)?;
        remove(fs, &series.sealed.part(entry.number), Durability::Synced)?;
        Ok(())
    }
}

/// Writes the lines of a segment that can be saved beside it, and gives how many bytes they are.
fn saved(store: &Store, series: &Series, number: u64) -> std::result::Result<u64, JsonlError> {
    let fs = &*store.config.fs;
    let (path, part) = (series.sealed.sealed(number), series.sealed.part(number));
    let file = fs
        .open(&path, OpenMode::Read)
        .map_err(|error| FsError::not_applied("repair", "open", &path, error))?;
    let step = |error| FsError::not_applied("repair", "write the lines", &part, error);
    remove(fs, &part, Durability::Buffered)?;
    let out = fs.open(&part, OpenMode::CreateNew).map_err(step)?;
    let mut lines = Lines::default();
    let mut written = 0;
    format::salvage(&file.into(), &path, &mut |frame| {
        lines.take(frame, &mut |good| {
            written += good.len() as u64;
            out.write_all(good)
        })
    })
    .map_err(JsonlError::Read)?;
    out.sync_all().map_err(step)?;
    Ok(written)
}

/// Puts lines together from frames some of which are missing.
#[derive(Default)]
struct Lines {
    held: Vec<u8>,
    /// Frames are missing before what comes, so it begins within a line.
    torn: bool,
    begun: bool,
}

impl Lines {
    fn take(
        &mut self,
        frame: Option<&[u8]>,
        put: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let Some(mut bytes) = frame else {
            self.held.clear();
            self.torn = true;
            return Ok(());
        };
        if self.torn {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                return Ok(());
            };
            bytes = bytes.get(end + 1..).unwrap_or_default();
            self.torn = false;
        }
        self.held.extend_from_slice(bytes);
        let whole = memchr::memrchr(b'\n', &self.held).map_or(0, |end| end + 1);
        let mut good = Vec::with_capacity(whole);
        for line in self
            .held
            .get(..whole)
            .unwrap_or_default()
            .split_inclusive(|b| *b == b'\n')
        {
            let text = if self.begun {
                line
            } else {
                line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
            };
            self.begun = true;
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            let malformed = minutebook_core::ProblemKind::Malformed;
            if !matches!(judge(text, None), Err((kind, _)) if kind == malformed) {
                good.extend_from_slice(line);
            }
        }
        self.held.drain(..whole);
        put(&good)
    }
}
