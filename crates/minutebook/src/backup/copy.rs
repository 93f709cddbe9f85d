//! One generation in the making: files of the store, and which objects their bytes are in.

mod bytes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::check::Part;
use minutebook_core::time::format_timestamp;
use minutebook_fs::{FileKind, Fs, FsFile, Metadata, OpenMode};

use super::manifest::{Entry, Header, Manifest, Stamp};
use super::same::Identity;
use super::vault::{Digest, Vault, digest};
use super::{BackupReport, Tell};
use crate::Result;
use crate::check::Progress;
use crate::error::io;
use bytes::{CHUNK, Taken};
pub(super) use bytes::{hash, read};

/// A file that changed so shortly before the backup may change again within the same tick of its time; it is read again by the next one.
const SETTLED_NS: i128 = 3_000_000_000;
/// So often a file is read again that changed while it was read.
const ATTEMPTS: usize = 3;

/// How a file is written by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is replaced as a whole, or never changes.
    Whole,
    /// It is appended to, and is copied up to here.
    Grows(u64),
}

pub(super) struct Copier {
    pub(super) fs: Arc<dyn Fs>,
    vault: Vault,
    generation: String,
    at: DateTime<Utc>,
    before: BTreeMap<String, Entry>,
    /// What an earlier pass of this backup has read.
    earlier: BTreeMap<String, Entry>,
    entries: BTreeMap<String, Entry>,
    dirs: BTreeSet<String>,
    pub(super) journal_head: Option<String>,
    copied_files: u64,
    copied_bytes: u64,
    skipped: BTreeSet<PathBuf>,
    unsteady: BTreeSet<PathBuf>,
    missing: BTreeSet<PathBuf>,
    /// The file system's time when the backup began.
    began_ns: i128,
    /// Read every file, whatever its times say.
    reread: bool,
    part: Part,
    done: u64,
    total: u64,
    tell: Option<Arc<Tell>>,
}

impl Copier {
    pub(super) fn begin(
        fs: Arc<dyn Fs>,
        vault: Vault,
        before: Option<Manifest>,
        at: DateTime<Utc>,
        options: &super::BackupOptions,
        total: u64,
    ) -> Result<Self> {
        Ok(Self {
            fs,
            generation: vault.new_name(at)?,
            began_ns: vault.file_system_time()?,
            vault,
            at,
            before: before.map(|manifest| manifest.entries).unwrap_or_default(),
            earlier: BTreeMap::new(),
            entries: BTreeMap::new(),
            dirs: BTreeSet::new(),
            journal_head: None,
            copied_files: 0,
            copied_bytes: 0,
            skipped: BTreeSet::new(),
            unsteady: BTreeSet::new(),
            missing: BTreeSet::new(),
            reread: options.reread,
            part: Part::Store,
            done: 0,
            total,
            tell: options.progress.clone(),
        })
    }

    /// Begins a pass over the whole store. What an earlier one has read and has not changed is not read again.
    pub(super) fn pass(&mut self) {
        self.earlier.append(&mut self.entries);
        self.dirs.clear();
        self.skipped.clear();
        self.unsteady.clear();
        self.missing.clear();
        self.done = 0;
    }

    /// What is copied from here on belongs to this part.
    pub(super) fn part(&mut self, part: Part) {
        self.part = part;
    }

    /// Copies a file that is replaced as a whole. `false` if it is not there.
    pub(super) fn file(&mut self, from: &Path, to: &str) -> Result<bool> {
        for attempt in 1..=ATTEMPTS {
            let Some((file, before)) = self.open(from)? else {
                return Ok(self.skipped.contains(from));
            };
            let copied = self.open_file(&*file, from, to, Kind::Whole);
            if copied.is_err() && self.vault.is_broken() {
                // Of the copies, not of this file: reading it once more mends nothing.
                return copied.map(|()| true);
            }
            let after = file
                .metadata()
                .map_err(|error| io("look at the file", from, error))?;
            if Stamp::from(&after) == Stamp::from(&before) {
                return copied.map(|()| true);
            }
            // Written in place while it was read, by a program of another kind.
            if attempt == ATTEMPTS {
                copied?;
                self.unsteady.insert(from.to_owned());
            }
        }
        Ok(true)
    }

    /// Opens a plain file. `None` if it is not there, or is none and so is left out.
    pub(super) fn open(&mut self, from: &Path) -> Result<Option<(Box<dyn FsFile>, Metadata)>> {
        let fs = Arc::clone(&self.fs);
        self.open_on(&*fs, from)
    }

    /// As [`open`](Self::open), on a file system that shows it otherwise.
    pub(super) fn open_on(
        &mut self,
        fs: &dyn Fs,
        from: &Path,
    ) -> Result<Option<(Box<dyn FsFile>, Metadata)>> {
        match fs.metadata(from) {
            Ok(meta) if meta.kind == FileKind::File => {}
            Ok(_) => {
                self.skip(from);
                return Ok(None);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("look at the file", from, error)),
        }
        match fs.open(from, OpenMode::Read) {
            Ok(file) => {
                let meta = file
                    .metadata()
                    .map_err(|error| io("look at the file", from, error))?;
                Ok(Some((file, meta)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("read the file", from, error)),
        }
    }

    /// Copies a file that is open, whatever becomes of its name.
    pub(super) fn open_file(
        &mut self,
        file: &dyn FsFile,
        from: &Path,
        to: &str,
        kind: Kind,
    ) -> Result<()> {
        let meta = file
            .metadata()
            .map_err(|error| io("look at the file", from, error))?;
        let len = match kind {
            Kind::Whole => meta.len,
            Kind::Grows(len) => len.min(meta.len),
        };
        let settled = len == meta.len && self.began_ns - meta.changed_ns > SETTLED_NS;
        let stamp = settled.then(|| Stamp::from(&meta));
        let known = self.known(to).cloned();
        if let Some(known) = &known
            && !self.reread
            && stamp.is_some()
            && known.stamp == stamp
        {
            self.note(to, known.clone());
            return Ok(());
        }
        let taken = match (&known, kind) {
            (Some(known), Kind::Grows(_)) if known.len <= len => {
                self.grown(file, from, known, len)?
            }
            (Some(known), Kind::Whole) if known.len == len && len > CHUNK as u64 => {
                // Nearly always it is what it was: then nothing need be written to know it.
                let digest = hash(file, from, len)?;
                (blake3::Hash::from(digest).to_hex().as_str() == known.blake3).then(|| Taken {
                    digest,
                    pieces: known.pieces.clone(),
                    new: 0,
                })
            }
            _ => None,
        };
        let taken = match taken {
            Some(taken) => taken,
            None => self.whole(file, from, len)?,
        };
        if taken.new > 0 {
            self.copied_files += 1;
            self.copied_bytes += taken.new;
        }
        let modified = meta
            .modified
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
            });
        let entry = Entry {
            part: self.part.name().to_owned(),
            path: to.to_owned(),
            len,
            blake3: blake3::Hash::from(taken.digest).to_hex().to_string(),
            pieces: taken.pieces,
            modified,
            mode: meta.mode,
            stamp,
        };
        self.note(to, entry);
        Ok(())
    }

    /// What is known of a file, if the vault has its bytes.
    fn known(&self, to: &str) -> Option<&Entry> {
        let has = |entry: &&Entry| {
            let objects = entry.objects();
            let mut objects = objects.iter().filter_map(|piece| digest(&piece.blake3));
            objects.all(|object| self.vault.has(&object))
        };
        [&self.earlier, &self.before]
            .into_iter()
            .filter_map(|entries| entries.get(to))
            .find(has)
    }

    fn note(&mut self, to: &str, entry: Entry) {
        self.done += entry.len;
        self.entries.insert(to.to_owned(), entry);
        if let Some(tell) = &self.tell {
            tell(Progress {
                part: self.part,
                done: self.done,
                total: self.total.max(self.done),
            });
        }
    }

    /// Adds a file of ours with this text.
    pub(super) fn text(&mut self, to: &str, text: &str) -> Result<()> {
        let name: Digest = blake3::hash(text.as_bytes()).into();
        if !text.is_empty() && !self.vault.has(&name) {
            let incoming = self.vault.begin()?;
            let written = incoming.write(text.as_bytes());
            self.take(incoming, written, name, text.len() as u64)?;
        }
        let entry = Entry {
            part: self.part.name().to_owned(),
            path: to.to_owned(),
            len: text.len() as u64,
            blake3: blake3::Hash::from(name).to_hex().to_string(),
            pieces: Vec::new(),
            modified: 0,
            mode: None,
            stamp: None,
        };
        self.note(to, entry);
        Ok(())
    }

    /// Takes a file that this backup or the one before has read and that has not changed since. `false` if it is to be copied.
    pub(super) fn keep_if_same(&mut self, to: &str, from: &Path) -> Result<bool> {
        let meta = match self.fs.metadata(from) {
            Ok(meta) if meta.is_file() => meta,
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io("look at the file", from, error)),
        };
        let trusted = !self.reread || self.earlier.contains_key(to);
        let known = self.known(to).filter(|_| trusted);
        // Without a stamp it had changed lately: it is read again, which costs little for what is small.
        let same = known.filter(|entry| entry.stamp == Some(Stamp::from(&meta)));
        match same.cloned() {
            Some(entry) => {
                self.note(to, entry);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// What was copied so far to this name counts as read before, and no more.
    pub(super) fn forget(&mut self, to: &str) {
        if let Some(entry) = self.entries.remove(to) {
            self.done -= entry.len;
            self.earlier.insert(to.to_owned(), entry);
        }
    }

    /// As [`forget`](Self::forget), of all files of a part.
    pub(super) fn forget_part(&mut self, part: Part) {
        let of_part = |entry: &&Entry| entry.part == part.name();
        let names: Vec<String> = self
            .entries
            .values()
            .filter(of_part)
            .map(|entry| entry.path.clone())
            .collect();
        for name in names {
            self.forget(&name);
        }
    }

    /// As [`forget`](Self::forget), of all files whose name begins so.
    pub(super) fn forget_below(&mut self, prefix: &str) {
        let names: Vec<String> = self
            .entries
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.forget(&name);
        }
    }

    /// What is no file and so is left out.
    pub(super) fn skip(&mut self, path: &Path) {
        self.skipped.insert(path.to_owned());
    }

    /// What a part names and is not there.
    pub(super) fn miss(&mut self, path: &Path) {
        self.missing.insert(path.to_owned());
    }

    /// A directory that is to be there, though it may have no files.
    pub(super) fn directory(&mut self, to: &str) {
        if !to.is_empty() {
            self.dirs.insert(to.to_owned());
        }
    }

    /// Makes everything durable, and the generation complete.
    pub(super) fn complete(
        mut self,
        source: &Identity,
        keep: Option<usize>,
    ) -> Result<BackupReport> {
        let manifest = Manifest {
            header: Header {
                backup: Header::FORMAT,
                generation: self.generation.clone(),
                at: format_timestamp(self.at),
                source: source.path.display().to_string(),
                directory: Some(source.directory),
                files: self.entries.len() as u64,
                bytes: self.entries.values().map(|entry| entry.len).sum(),
                journal_head: self.journal_head.clone(),
                dirs: self.dirs.into_iter().collect(),
            },
            entries: self.entries,
        };
        self.vault.complete(&manifest)?;
        let removed = match keep {
            Some(keep) => self.vault.prune(keep).map_err(|error| {
                error.with_operation("remove old generations after a complete backup")
            })?,
            None => Vec::new(),
        };
        Ok(BackupReport {
            generation: self.generation,
            files: manifest.header.files,
            bytes: manifest.header.bytes,
            copied_files: self.copied_files,
            copied_bytes: self.copied_bytes,
            journal_head: self.journal_head,
            skipped: self.skipped.into_iter().collect(),
            unsteady: self.unsteady.into_iter().collect(),
            missing: self.missing.into_iter().collect(),
            removed,
        })
    }
}
