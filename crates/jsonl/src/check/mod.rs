//! A directory of JSON Lines series, looked at without changing it and without opening it for writing.

mod lines;
mod sealed;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minutebook_core::SeriesId;
use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_fs::{
    FileKind, Fs, FsError, FsFile, LineOptions, LineReader, LockMode, LockWait, OpenMode,
    is_temporary, stray_temporaries,
};

use self::lines::Lines;
use crate::config::{EpochUnit, JsonlConfig};
use crate::error::JsonlError;
use crate::index;
use crate::layout::{self, Entry, Names};
use crate::types_file::{self, TypesFile};

pub(crate) use self::lines::judge;

/// How the file of types of a series ends.
const TYPES: &str = ".types";
/// How long a check waits for a writer at work before it believes a torn tail without the lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a check of a directory saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TicksChecked {
    /// Series.
    pub series: u64,
    /// Lines that are entries.
    pub entries: u64,
}

/// Checks a directory of series: every line of every file, torn tails, side files, names. Changes nothing, and may run beside writers.
/// `ignore` tells names that belong to something else.
///
/// # Errors
/// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory cannot be read. A file that cannot be read is a finding.
pub fn check_ticks(
    dir: &Path,
    config: &JsonlConfig,
    ignore: &dyn Fn(&str) -> bool,
    watch: &dyn Watch,
) -> minutebook_core::Result<TicksChecked> {
    let check = Check { dir, config, watch };
    check.run(ignore).map_err(|error| {
        JsonlError::from(error)
            .of("verify")
            .with_resource(dir.display())
    })
}

struct Check<'a> {
    dir: &'a Path,
    config: &'a JsonlConfig,
    watch: &'a dyn Watch,
}

/// What is in the directory.
#[derive(Debug, Default)]
struct Listing {
    /// With the name of the plain file, if that is there.
    series: BTreeMap<SeriesId, Option<String>>,
    /// Every name.
    names: BTreeSet<String>,
    misnamed: Vec<String>,
    /// Names that may be side files.
    hidden: Vec<String>,
    foreign: Vec<String>,
}

impl Check<'_> {
    fn run(&self, ignore: &dyn Fn(&str) -> bool) -> Result<TicksChecked, FsError> {
        let listing = self.list(ignore)?;
        for name in &listing.misnamed {
            self.misnamed(name, &listing);
        }
        for name in &listing.foreign {
            self.tell(FindingKind::ForeignFile, name, "it is no file of a series");
        }
        let mut ours: BTreeMap<String, Names> = BTreeMap::new();
        let mut checked = TicksChecked::default();
        for (id, name) in &listing.series {
            if self.watch.stopped() {
                break;
            }
            let Ok(names) = layout::names_of(id) else {
                continue;
            };
            checked.series += 1;
            let unit = self.types(&names.types, id).or(self.config.time.unit);
            if listing.names.contains(&names.sealed) {
                checked.entries += self.sealed(id, &names, unit);
            }
            if let Some(name) = name {
                checked.entries += self.series(name, id, &names, unit);
            }
            self.index(id, &names);
            ours.insert(names.types.clone(), names);
        }
        for name in &listing.hidden {
            if name.strip_suffix(TYPES).is_some() && !ours.contains_key(name) {
                self.orphaned(name, &listing);
            }
        }
        Ok(checked)
    }

    fn list(&self, ignore: &dyn Fn(&str) -> bool) -> Result<Listing, FsError> {
        let mut listing = Listing::default();
        let mut temporary = false;
        self.config
            .fs
            .visit_dir(self.dir, &mut |entry| {
                let name = entry.name.to_string_lossy().into_owned();
                if ignore(&name) {
                    return true;
                }
                match layout::entry(&name) {
                    Entry::Series(id) if entry.kind == FileKind::File => {
                        listing.series.insert(id, Some(name.clone()));
                    }
                    Entry::Series(_) => {
                        let what = match entry.kind {
                            FileKind::Dir => "it is a directory",
                            FileKind::Symlink => "it is a symbolic link, which is not followed",
                            FileKind::File | FileKind::Other => "it is no regular file",
                        };
                        self.watch.found(
                            Finding::new(FindingKind::NotAFile, self.dir.join(&name), what)
                                .mended_by(Mend::MoveAway),
                        );
                    }
                    Entry::Sealed(id) if entry.kind == FileKind::Dir => {
                        listing.series.entry(id).or_insert(None);
                    }
                    Entry::Foreign => listing.misnamed.push(name.clone()),
                    Entry::Other if is_temporary(&name) => temporary = true,
                    Entry::Other if entry.kind != FileKind::File => {}
                    Entry::Other if name.starts_with('.') => listing.hidden.push(name.clone()),
                    Entry::Sealed(_) | Entry::Other => listing.foreign.push(name.clone()),
                }
                listing.names.insert(name);
                true
            })
            .map_err(|error| {
                FsError::not_applied("verify", "read the directory", self.dir, error)
            })?;
        if temporary {
            for path in stray_temporaries(&*self.config.fs, self.dir)? {
                let cause = "its writer died, or was killed, before it gave the file its name";
                self.watch.found(
                    Finding::new(FindingKind::StrayTemporary, path, cause)
                        .mended_by(Mend::MoveAway),
                );
            }
        }
        Ok(listing)
    }

    fn tell(&self, kind: FindingKind, name: &str, cause: impl Into<String>) {
        self.watch
            .found(Finding::new(kind, self.dir.join(name), cause));
    }

    /// A file whose name is like a series' and none's: that of another case, or one with an escape too many.
    fn misnamed(&self, name: &str, listing: &Listing) {
        let wanted = name.to_ascii_lowercase();
        let cause = match layout::entry(&wanted) {
            Entry::Series(id) if !listing.names.contains(&wanted) => {
                let cause = format!("the series that it means has its file at {wanted}");
                self.watch.found(
                    Finding::new(FindingKind::TickFileMisnamed, self.dir.join(name), cause)
                        .about(id)
                        .mended_by(Mend::Rename(self.dir.join(wanted))),
                );
                return;
            }
            Entry::Series(id) => format!("it means {id}, which has the file {wanted} already"),
            _ => "no series has this name".to_owned(),
        };
        self.tell(FindingKind::TickFileForeign, name, cause);
    }

    /// Checks one series, and gives the number of its entries.
    fn series(&self, name: &str, id: &SeriesId, names: &Names, unit: Option<EpochUnit>) -> u64 {
        let path = self.dir.join(name);
        let lock = self.dir.join(&names.lock);
        let file: Arc<dyn FsFile> = match self.config.fs.open(&path, OpenMode::Read) {
            Ok(file) => file.into(),
            // Deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return 0,
            Err(error) => {
                self.unreadable(&path, id, &error);
                return 0;
            }
        };
        let mut lines = Lines {
            watch: self.watch,
            told: None,
            id,
            path: &path,
            lock: Some(&lock),
            unit,
            line: 0,
            entries: 0,
        };
        let options = LineOptions::default().max_line_bytes(self.config.max_line_bytes);
        let mut reader = LineReader::new(file, options);
        if let Err(error) = lines.read(&mut reader) {
            self.unreadable(&path, id, &error);
            return lines.entries;
        }
        if reader.torn_tail().is_some() {
            // A writer at work, or one that died: the lock tells.
            let held = self.lock(&lock);
            if let Err(error) = lines.read(&mut reader) {
                self.unreadable(&path, id, &error);
                return lines.entries;
            }
            if let Some(torn) = reader.torn_tail() {
                lines.torn(torn, reader.torn_tail_bytes());
            }
            drop(held);
        }
        lines.entries
    }

    fn unreadable(&self, path: &Path, id: &SeriesId, error: &io::Error) {
        self.watch.found(
            Finding::new(FindingKind::Unreadable, path, error.to_string())
                .about(id)
                .mended_by(Mend::Hopeless),
        );
    }

    fn lock(&self, path: &Path) -> Option<Box<dyn FsFile>> {
        let file = self.config.fs.open(path, OpenMode::Read).ok()?;
        match file.lock(LockMode::Shared, LockWait::Timeout(PATIENCE)) {
            Ok(()) => Some(file),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "a check goes on without the lock");
                None
            }
        }
    }

    /// What the side file says that numbers in the time column count.
    fn types(&self, name: &str, id: &SeriesId) -> Option<EpochUnit> {
        let path = self.dir.join(name);
        match types_file::look(&*self.config.fs, &path) {
            Ok(TypesFile::Absent) => None,
            Ok(TypesFile::Read(types)) => types.epoch_unit,
            Ok(TypesFile::Newer(version)) => {
                let cause = format!("it has version {version}, which a newer release wrote");
                self.tell(FindingKind::ForeignFile, name, cause);
                None
            }
            Ok(TypesFile::Damaged(why)) => {
                self.watch.found(
                    Finding::new(FindingKind::TypesDamaged, path, why)
                        .about(id)
                        .mended_by(Mend::MoveAway)
                        .losing_data(),
                );
                None
            }
            Err(error) => {
                self.unreadable(&path, id, &error.source);
                None
            }
        }
    }

    /// The index beside the plain file. One that is behind, or of a file that was sealed since, is as it may be.
    fn index(&self, id: &SeriesId, names: &Names) {
        let path = self.dir.join(&names.index);
        let damage = match index::damage(&*self.config.fs, &path) {
            Ok(Some(_)) => {
                // Who writes it renames it into place, so a second look sees another.
                index::damage(&*self.config.fs, &path)
            }
            whole => whole,
        };
        match damage {
            Ok(None) => {}
            Ok(Some(why)) => self.watch.found(
                Finding::new(FindingKind::TickIndexDamaged, path, why)
                    .about(id)
                    .mended_by(Mend::MoveAway),
            ),
            Err(error) => self.unreadable(&path, id, &error.source),
        }
    }

    /// A side file that belongs to no series in the listing.
    fn orphaned(&self, name: &str, listing: &Listing) {
        let stem = name.trim_start_matches('.').trim_end_matches(TYPES);
        let is_ours = |file: &str| {
            matches!(layout::entry(file), Entry::Series(id)
                if layout::names_of(&id).is_ok_and(|names| names.types == name))
        };
        let data = [format!("{stem}_timeseries.jsonl"), format!("{stem}~.jsonl")];
        let Some(data) = data.iter().find(|file| is_ours(file)) else {
            self.tell(FindingKind::ForeignFile, name, "it is no file of a series");
            return;
        };
        // The first append writes the types before the lines.
        let held = self.lock(&self.dir.join(format!(".{stem}.lock")));
        let sealed = format!("{stem}~sealed");
        let there = |file: &str| self.config.fs.metadata(&self.dir.join(file)).is_ok();
        if !there(data) && there(name) && !listing.names.contains(&sealed) {
            let cause = format!("there is no {data} that it could belong to");
            self.watch.found(
                Finding::new(FindingKind::TypesOrphaned, self.dir.join(name), cause)
                    .mended_by(Mend::MoveAway),
            );
        }
        drop(held);
    }
}
