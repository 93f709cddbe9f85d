//! Where a repair keeps what it takes away: a folder for each repair, with a manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::check::Finding;
use minutebook_core::time::format_timestamp;
use minutebook_fs::{
    Created, Durability, Fs, FsFile, LockGuard, LockMode, LockWait, OpenMode, create_dir_all,
    rename_new,
};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::error::{fs as fs_error, io};
use crate::{Error, ErrorKind, Result};

/// The directory, in a store's own, that keeps what a repair took away.
pub const QUARANTINE_DIR: &str = "quarantine";
/// The list of what is in a folder of the quarantine.
const MANIFEST: &str = "manifest.jsonl";
/// Held by the repair that goes on.
const LOCK: &str = ".lock";
/// Bytes that are copied at once.
pub(super) const CHUNK: usize = 1 << 20;
/// The most bytes of a file's name that are in the name of its copy.
const LONGEST: usize = 200;
/// Endings that are kept however long a name is; others are what follows the last dot.
const ENDINGS: [&str; 1] = [".jsonl.zst"];

/// One line of a quarantine's `manifest.jsonl`. It is written before the bytes are moved: a line without its file was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// The file's name in the folder.
    pub file: String,
    /// Where it was: relative to the store's directory if it lay inside.
    pub from: PathBuf,
    /// Which bytes of that file these are, one stretch after the other; `null` is all of it.
    pub ranges: Option<Vec<(u64, u64)>>,
    /// When, RFC 3339, UTC.
    pub at: String,
    /// The kind of the finding.
    pub kind: String,
    /// The id, series or dataset that it is about.
    pub subject: Option<String>,
    /// How the finding came about.
    pub cause: String,
    /// Whether what took their place lacks data that these bytes had.
    pub lost: bool,
}

/// The quarantine of one repair; its folder is made when it is needed.
#[derive(Debug)]
pub(crate) struct Quarantine {
    pub(super) fs: Arc<dyn Fs>,
    root: PathBuf,
    at: DateTime<Utc>,
    folder: Option<PathBuf>,
    count: u32,
}

impl Quarantine {
    pub(crate) fn new(disk: &Disk, at: DateTime<Utc>) -> Self {
        Self {
            fs: Arc::clone(&disk.fs),
            root: disk.layout.root.clone(),
            at,
            folder: None,
            count: 0,
        }
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Keeps other repairs away as long as the guard lives.
    pub(super) fn lock(&self) -> Result<LockGuard> {
        let all = self.root.join(QUARANTINE_DIR);
        create_dir_all(&*self.fs, &all, Durability::Synced)
            .map_err(|error| fs_error("make the quarantine", &all, error))?;
        let lock = all.join(LOCK);
        match self.fs.lock(&lock, LockMode::Exclusive, LockWait::Try) {
            Ok(guard) => Ok(guard),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(Error::new(
                ErrorKind::Locked,
                "another repair of this store goes on; wait for its end",
            )
            .with_resource(self.root.display())),
            Err(error) => Err(io("lock the quarantine", &lock, error)),
        }
    }

    fn open(&mut self) -> Result<PathBuf> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let all = self.root.join(QUARANTINE_DIR);
        create_dir_all(&*self.fs, &all, Durability::Synced)
            .map_err(|error| fs_error("make the quarantine", &all, error))?;
        let name = self.at.format("%Y-%m-%dT%H%M%SZ").to_string();
        for attempt in 1_u32.. {
            let folder = match attempt {
                1 => all.join(&name),
                more => all.join(format!("{name}-{more}")),
            };
            match self.fs.create_dir(&folder) {
                Ok(()) => {
                    self.fs
                        .sync_dir(&all)
                        .map_err(|error| io("make the quarantine", &folder, error))?;
                    self.folder = Some(folder.clone());
                    return Ok(folder);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io("make the quarantine", &folder, error)),
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the quarantine has no free name",
        ))
    }

    /// A free name in the folder, noted in the manifest, durably, for what is put there next.
    pub(super) fn announce(
        &mut self,
        finding: &Finding,
        path: &Path,
        ranges: Option<Vec<(u64, u64)>>,
    ) -> Result<PathBuf> {
        let folder = self.open()?;
        self.count += 1;
        let name = path
            .file_name()
            .map_or_else(|| "file".into(), |name| name.to_string_lossy());
        let file = format!("{:05}-{}", self.count, short(&name));
        let line = Quarantined {
            file: file.clone(),
            from: path.strip_prefix(&self.root).unwrap_or(path).to_owned(),
            ranges,
            at: format_timestamp(self.at),
            kind: finding.kind.name().to_owned(),
            subject: finding.subject.clone(),
            cause: finding.cause.clone(),
            lost: finding.lost,
        };
        let mut text = minutebook_core::json::to_text(&line)
            .map_err(|error| Error::invalid(format!("the manifest cannot be written: {error}")))?;
        text.push('\n');
        let manifest = folder.join(MANIFEST);
        let failed = |error| io("write the manifest", &manifest, error);
        let file_of_lines = self.fs.open(&manifest, OpenMode::Append).map_err(failed)?;
        file_of_lines.write_all(text.as_bytes()).map_err(failed)?;
        file_of_lines.sync_all().map_err(failed)?;
        self.fs.sync_dir(&folder).map_err(failed)?;
        Ok(folder.join(file))
    }

    /// Moves a file, a link or a directory here.
    pub(super) fn take(&mut self, finding: &Finding, path: &Path) -> Result<()> {
        if let Err(error) = self.fs.metadata(path) {
            return match error.kind() {
                // Moved by an earlier step, or gone by itself.
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(io("look at the file", path, error)),
            };
        }
        let target = self.announce(finding, path, None)?;
        match rename_new(&*self.fs, path, &target, Durability::Synced) {
            Ok(Created::Created) => Ok(()),
            Ok(Created::AlreadyExists) => Err(Error::new(
                ErrorKind::Conflict,
                "the name in the quarantine is taken",
            )
            .with_resource(target.display())),
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                self.copy(path, &target, None)?;
                minutebook_fs::remove(&*self.fs, path, Durability::Synced)
                    .map(drop)
                    .map_err(|error| fs_error("remove the file", path, error))
            }
            Err(error) => Err(fs_error("move it to quarantine", path, error)),
        }
    }

    /// Keeps a copy of a file, or of stretches of it, durably.
    pub(super) fn keep(
        &mut self,
        finding: &Finding,
        path: &Path,
        ranges: Option<Vec<(u64, u64)>>,
    ) -> Result<()> {
        let target = self.announce(finding, path, ranges.clone())?;
        self.copy(path, &target, ranges)
    }

    fn copy(&self, path: &Path, target: &Path, ranges: Option<Vec<(u64, u64)>>) -> Result<()> {
        let failed = |error| io("keep a copy in quarantine", path, error);
        let source = self.fs.open(path, OpenMode::Read).map_err(failed)?;
        let whole = || source.len().map(|len| vec![(0, len)]);
        let ranges = ranges.map_or_else(whole, Ok).map_err(failed)?;
        let file = self.fs.open(target, OpenMode::CreateNew).map_err(failed)?;
        for (from, to) in ranges {
            copy_range(&*source, &*file, from, to).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        let folder = target.parent().unwrap_or(target);
        self.fs.sync_dir(folder).map_err(failed)
    }
}

/// A name that leaves room for a number, with its ending.
fn short(name: &str) -> String {
    // A first dot would hide it.
    let name = name.trim_start_matches('.');
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let known = ENDINGS.iter().find_map(|end| name.strip_suffix(end));
    let stem = known.or_else(|| Some(name.rsplit_once('.')?.0));
    let ending = stem.and_then(|stem| name.get(stem.len()..));
    let ending = ending.filter(|ending| ending.len() < LONGEST / 2);
    let ending = ending.unwrap_or_default();
    let stem = name.get(..name.floor_char_boundary(LONGEST - ending.len()));
    format!("{}{ending}", stem.unwrap_or_default())
}

/// Appends a stretch of one file to another.
pub(super) fn copy_range(
    source: &dyn FsFile,
    target: &dyn FsFile,
    from: u64,
    to: u64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = from;
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(CHUNK).min(CHUNK);
        let piece = buffer.get_mut(..want).unwrap_or_default();
        let read = source.read_full_at(piece, at)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        target.write_all(piece.get(..read).unwrap_or_default())?;
        at += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_ending() {
        assert_eq!(short(".decisions.ring"), "decisions.ring");
        let whole = format!("{}.json", "é".repeat(95));
        assert_eq!(short(&whole), whole);
        for end in [".json", ".parquet", ".jsonl.zst"] {
            for stem in ["é".repeat(110), "x".repeat(220)] {
                let name = short(&format!("{stem}{end}"));
                let kept = name.strip_suffix(end).unwrap();
                assert!(stem.starts_with(kept) && (LONGEST - 1..=LONGEST).contains(&name.len()));
            }
        }
        let all_ending = format!("a.{}", "b".repeat(240));
        assert_eq!(short(&all_ending), all_ending[..LONGEST]);
        assert_eq!(short(&"c".repeat(240)), "c".repeat(LONGEST));
    }
}
