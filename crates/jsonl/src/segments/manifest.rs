//! The manifest: which segments a series has, and the number of the next.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use minutebook_core::{Problem, ProblemKind};
use minutebook_fs::{Durability, Fs, FsError, Metadata, read, replace};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::format::Sealed;
use super::stats::Stats;
use super::{MAX_NUMBER, Member, Paths, SealedFile, member};
use crate::codec::kind::Seen;
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::index::Reading;

const FORMAT: &str = "minutebook-segments";
const VERSION: u32 = 1;
/// More than a manifest of a hundred thousand segments.
const MAX_BYTES: u64 = 256 << 20;

/// More bytes of lines than a series has in its life.
const MAX_TOTAL: u64 = u64::MAX / 4;

/// Which segments a series has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u32,
    /// Tells what is sealed from now on from segments that had the same numbers: those of an earlier series of the same name, and those of this one
    /// before its manifest was lost. Empty as long as a lost one was not written again.
    pub(crate) id: String,
    /// Ids under which segments of this very series were sealed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier: Vec<String>,
    /// It was put together from the segments that were there: which numbers below `next` were given away before, it cannot tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rebuilt: bool,
    /// Numbers of segments that were taken out of the series, and whose files may still be there: they are to be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) leaving: Vec<u64>,
    /// Grows with every change.
    pub(crate) generation: u64,
    /// The number that the plain file gets when it is sealed.
    pub(crate) next: u64,
    /// Bytes of lines that were in segments which are moved away: versions go on from there.
    pub(crate) gone_bytes: u64,
    pub(crate) segments: Vec<Entry>,
}

/// What is known of one segment without opening it. All of it can be found out again by reading the segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The `id` of the manifest under which it was sealed: with the number it is what nothing else is called.
    #[serde(default)]
    pub(crate) id: String,
    pub(crate) number: u64,
    /// Bytes of its lines.
    pub(crate) bytes: u64,
    /// Bytes of the file.
    pub(crate) stored: u64,
    pub(crate) lines: u64,
    pub(crate) rows: u64,
    /// The earliest and the latest time, in nanoseconds.
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    /// Lines that are no rows.
    pub(crate) flaws: u64,
    /// What the values of each column have shown.
    pub(crate) columns: Vec<(String, Seen)>,
    /// The unit of numeric times and the longest line with which all this was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<EpochUnit>,
    pub(crate) max_line_bytes: u64,
    /// BLAKE3 of the lines.
    pub(crate) digest: String,
}

impl Entry {
    /// Whether it was described with the settings with which lines are read now.
    pub(crate) fn is_read_as(&self, reading: Reading) -> bool {
        self.unit == reading.unit && self.max_line_bytes == reading.max_line_bytes as u64
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    /// Of the bytes of `manifest`, as they stand.
    blake3: String,
    manifest: T,
}

impl Manifest {
    /// The manifest of a series whose first segment is still to come.
    pub(crate) fn new(id: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            id,
            earlier: Vec::new(),
            rebuilt: false,
            leaving: Vec::new(),
            generation: 1,
            next: 1,
            gone_bytes: 0,
            segments: Vec::new(),
        }
    }

    /// Bytes of lines before the segment with the next number.
    pub(crate) fn bytes_before(&self) -> u64 {
        self.gone_bytes + self.segments.iter().map(|entry| entry.bytes).sum::<u64>()
    }

    /// Whether files in the directory show that segments were sealed which it does not know: it is an older copy.
    pub(crate) fn is_behind(
        &self,
        fs: &dyn Fs,
        paths: &Paths,
        files: impl Iterator<Item = Member>,
    ) -> bool {
        let shows = |number| misnumbered(fs, paths, number).is_none();
        let (mut next, mut plain) = (false, false);
        for file in files {
            match file {
                Member::Sealed(number) if number > self.next && shows(number) => return true,
                Member::Sealed(number) => next |= number == self.next,
                Member::Raw(number) => plain |= number == self.next,
                Member::Part => {}
            }
        }
        // With the plain segment beside it, it is what a rotation left that was interrupted.
        next && !plain && shows(self.next)
    }

    /// The segment of a number.
    pub(crate) fn get(&self, number: u64) -> Option<&Entry> {
        self.segments.iter().find(|entry| entry.number == number)
    }

    /// Whether a number is neither that of a segment nor that of one that was taken out.
    pub(crate) fn is_unnamed(&self, number: u64) -> bool {
        self.get(number).is_none() && !self.leaving.contains(&number)
    }

    /// Whether each number below `next` that it does not name is one that it gave away.
    pub(crate) fn knows_its_holes(&self) -> bool {
        // Earlier releases left only the former ids.
        !self.rebuilt && self.earlier.is_empty()
    }

    /// Notes that the segment of a number is no longer one of the series.
    pub(crate) fn leaves(&mut self, number: u64) {
        if !self.leaving.contains(&number) {
            self.leaving.push(number);
        }
    }

    /// Names a segment that lies in the directory, in its place.
    pub(crate) fn take_in(&mut self, entry: Entry) {
        if !self.is_of(&entry.id) {
            self.earlier.push(entry.id.clone());
        }
        self.segments.push(entry);
        self.segments.sort_unstable_by_key(|entry| entry.number);
    }

    /// Writes the manifest as a later one than it was.
    pub(crate) fn write(&mut self, fs: &dyn Fs, paths: &Paths) -> Result<(), FsError> {
        self.generation += 1;
        let path = paths.manifest();
        let step = |error: serde_json::Error| {
            FsError::not_applied("rotate", "write the manifest as JSON", &path, error.into())
        };
        let manifest = serde_json::value::to_raw_value(self).map_err(step)?;
        let blake3 = blake3::hash(manifest.get().as_bytes()).to_hex().to_string();
        let mut bytes = serde_json::to_vec(&Envelope { blake3, manifest }).map_err(step)?;
        bytes.push(b'\n');
        replace(fs, &path, &bytes, Durability::Synced)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let envelope: Envelope<&RawValue> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let text = envelope.manifest.get();
        if blake3::hash(text.as_bytes()).to_hex().as_str() != envelope.blake3 {
            return Err("its digest does not match it".to_owned());
        }
        let mut manifest: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for entry in &mut manifest.segments {
            if entry.id.is_empty() {
                entry.id.clone_from(&manifest.id);
            }
        }
        let mut last = 0;
        let ascending = manifest.segments.iter().all(|entry| {
            let ascends = entry.number > last;
            last = entry.number;
            ascends
        });
        let bytes = manifest.segments.iter().map(|entry| entry.bytes);
        let total = bytes.fold(manifest.gone_bytes, u64::saturating_add);
        if !ascending || last >= manifest.next || manifest.next > MAX_NUMBER || total > MAX_TOTAL {
            return Err("its numbers contradict each other".to_owned());
        }
        Ok(manifest)
    }

    /// Whether segments that this series has, or goes on with, were sealed under an id.
    pub(crate) fn is_of(&self, id: &str) -> bool {
        self.id == id || self.earlier.iter().any(|earlier| earlier == id)
    }

    /// Puts a manifest together from the segments that lie in the directory: their files say what is in them.
    ///
    /// Which numbers were given before cannot be told: a segment that was moved away has left nothing. So it has no id, and gets another one when it
    /// is written. A file that says it has another number than its name is a copy, or was renamed: it is left out, and given as name and number.
    fn rebuilt(fs: &dyn Fs, paths: &Paths) -> Result<Option<(Self, LeftOut)>, JsonlError> {
        let mut numbers = Vec::new();
        let mut raw = Vec::new();
        for member in listed(fs, paths)? {
            match member {
                Member::Sealed(number) => numbers.push(number),
                Member::Raw(number) => raw.push(number),
                Member::Part => {}
            }
        }
        if numbers.is_empty() && raw.is_empty() {
            return Ok(None);
        }
        numbers.sort_unstable();
        let mut left_out = Vec::new();
        numbers.retain(|number| match misnumbered(fs, paths, *number) {
            Some(says) => {
                left_out.push((paths.sealed(*number), says));
                false
            }
            None => true,
        });
        let after = numbers.last().map_or(1, |last| last + 1);
        let mut manifest = Self::new(String::new());
        manifest.rebuilt = true;
        // Of what is sealed and not compressed the manifest had announced the number.
        raw.retain(|number| *number >= after);
        manifest.next = raw.into_iter().min().unwrap_or(after);
        for number in numbers {
            let path = paths.sealed(number);
            let file = fs
                .open(&path, minutebook_fs::OpenMode::Read)
                .map_err(|error| FsError::not_applied("read", "open", &path, error))?;
            let sealed = Sealed::open(file.into(), &path)?;
            let stats: Stats = sealed.stats()?;
            manifest.take_in(stats.entry(number, &sealed));
        }
        Ok(Some((manifest, left_out)))
    }
}

/// Files of segments that have another number than their names.
type LeftOut = Vec<(PathBuf, u64)>;

/// The number that the compressed segment with the name of a number says that it has, if it says another one: somebody copied or renamed it. What it says
/// may not be readable; then it is as its name says, and damaged.
pub(crate) fn misnumbered(fs: &dyn Fs, paths: &Paths, number: u64) -> Option<u64> {
    let file = SealedFile::open(fs, &paths.sealed(number)).ok()??;
    let says = file.stats().ok()?.number;
    (says != number).then_some(says)
}

/// The manifest as it was last read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// Why the file could not be used, if it could not.
    pub(crate) problem: Option<Problem>,
    meta: Option<Metadata>,
}

impl Known {
    /// Reads the manifest if it changed since it was read last. Whether it had.
    pub(crate) fn refresh(&mut self, fs: &dyn Fs, paths: &Paths) -> Result<bool, JsonlError> {
        /// So many changes in a row may come between before a look is given up.
        const ATTEMPTS: usize = 64;
        let before = self.manifest.clone();
        for _ in 0..ATTEMPTS {
            if self.refresh_once(fs, paths)? {
                return Ok(self.manifest != before);
            }
        }
        Err(JsonlError::Moved)
    }

    /// As [`refresh`](Self::refresh); `false` if the manifest was replaced meanwhile.
    fn refresh_once(&mut self, fs: &dyn Fs, paths: &Paths) -> Result<bool, JsonlError> {
        let path = paths.manifest();
        let look = |path: &std::path::Path| match fs.metadata(path) {
            Ok(meta) => Ok(Some(meta)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(FsError::not_applied("read", "look at it", path, error)),
        };
        let meta = look(&path)?;
        if meta.is_some() && meta == self.meta {
            return Ok(true);
        }
        *self = Self::default();
        if meta.is_none() && look(&paths.dir)?.is_none_or(|dir| !dir.is_dir()) {
            return Ok(true);
        }
        let why = match read(fs, &path, MAX_BYTES)? {
            None => "the manifest of the segments is missing".to_owned(),
            Some(bytes) => match Manifest::parse(&bytes) {
                Ok(manifest) if manifest.format == FORMAT && manifest.version == VERSION => {
                    let files = listed(fs, paths)?;
                    if !manifest.is_behind(fs, paths, files.into_iter()) {
                        self.manifest = Some(Arc::new(manifest));
                        self.meta = meta;
                        return Ok(true);
                    }
                    // Who seals names a segment before the plain one goes, so the manifest may be another one by now.
                    if look(&path)? != meta {
                        return Ok(false);
                    }
                    "the manifest is older than the segments".to_owned()
                }
                Ok(manifest) => {
                    return Err(JsonlError::Newer {
                        path: path.display().to_string(),
                        version: manifest.version,
                    });
                }
                Err(why) => format!("the manifest of the segments is damaged ({why})"),
            },
        };
        if let Some((manifest, left_out)) = Manifest::rebuilt(fs, paths)? {
            self.manifest = Some(Arc::new(manifest));
            let mut without = String::new();
            for (path, says) in left_out {
                let name = path.file_name().unwrap_or_default().display();
                without =
                    format!("{without}, without {name}, which says that it is segment {says}");
                tracing::warn!(path = %path.display(), says, "a segment with the name of another one was left out");
            }
            let message =
                format!("{why}; what the segments themselves say was read instead{without}");
            tracing::warn!(path = %path.display(), why, "the manifest is put together from the segments");
            let kind = ProblemKind::DigestMismatch;
            self.problem = Some(Problem::new(kind, path.display().to_string(), message));
        }
        Ok(true)
    }
}

/// What lies in the directory.
fn listed(fs: &dyn Fs, paths: &Paths) -> Result<Vec<Member>, JsonlError> {
    let mut files = Vec::new();
    fs.visit_dir(&paths.dir, &mut |entry| {
        files.extend(member(&paths.dir.join(entry.name)));
        true
    })
    .map_err(|error| FsError::not_applied("read", "read the directory", &paths.dir, error))?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutebook_fs::SimFs;

    #[test]
    fn a_manifest_is_kept_and_every_flipped_bit_is_found() {
        let fs = SimFs::new();
        let paths = Paths {
            dir: "/x~sealed".into(),
        };
        fs.create_dir(&paths.dir).unwrap();
        let mut known = Known::default();
        assert!(!known.refresh(&fs, &paths).unwrap());
        let mut manifest = Manifest::new("a".to_owned());
        manifest.write(&fs, &paths).unwrap();
        assert!(known.refresh(&fs, &paths).unwrap());
        assert_eq!(known.manifest.as_deref(), Some(&manifest));
        let bytes = read(&fs, &paths.manifest(), 1 << 20).unwrap().unwrap();
        for at in 0..(bytes.len() - 1) * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            assert!(Manifest::parse(&damaged).is_err(), "bit {at}");
        }
    }
}
