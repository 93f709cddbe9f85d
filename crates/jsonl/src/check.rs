//! A directory of JSON Lines series, looked at without changing it and without opening it for writing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::{ProblemKind, SeriesId};
use minutebook_fs::{
    FileKind, Fs, FsError, FsFile, Item, LineOptions, LineReader, LockMode, LockWait, OpenMode,
    TornTail, is_temporary, stray_temporaries,
};

use crate::codec::fields::Fields;
use crate::config::{EpochUnit, JsonlConfig};
use crate::error::JsonlError;
use crate::index::{Time, is_blank, malformed, text_of};
use crate::layout::{self, Entry, Names};
use crate::types_file::{self, TypesFile};

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
    series: Vec<(String, SeriesId)>,
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
        for (name, id) in &listing.series {
            if self.watch.stopped() {
                break;
            }
            let Ok(names) = layout::names_of(id) else {
                continue;
            };
            checked.series += 1;
            checked.entries += self.series(name, id, &names);
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
                        listing.series.push((name.clone(), id));
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
                    // The sealed segments of a series are checked with it.
                    Entry::Sealed(_) => {}
                    Entry::Foreign => listing.misnamed.push(name.clone()),
                    Entry::Other if is_temporary(&name) => temporary = true,
                    Entry::Other if entry.kind != FileKind::File => {}
                    Entry::Other if name.starts_with('.') => listing.hidden.push(name.clone()),
                    Entry::Other => listing.foreign.push(name.clone()),
                }
                listing.names.insert(name);
                true
            })
            .map_err(|error| {
                FsError::not_applied("verify", "read the directory", self.dir, error)
            })?;
        listing.series.sort();
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
    fn series(&self, name: &str, id: &SeriesId, names: &Names) -> u64 {
        let path = self.dir.join(name);
        let lock = self.dir.join(&names.lock);
        let unit = self.types(&names.types, id).or(self.config.time.unit);
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
            check: self,
            id,
            path: &path,
            lock: &lock,
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

/// The lines of one file as they come by.
struct Lines<'a, 'b> {
    check: &'a Check<'b>,
    id: &'a SeriesId,
    path: &'a PathBuf,
    lock: &'a PathBuf,
    unit: Option<EpochUnit>,
    line: u64,
    entries: u64,
}

impl Lines<'_, '_> {
    fn read(&mut self, reader: &mut LineReader) -> io::Result<()> {
        while let Some(item) = reader.next()? {
            self.line += 1;
            let (offset, end) = (item.offset(), item.end());
            match item {
                Item::Line(line) => match judge(line.bytes, self.unit) {
                    Ok(Some(_)) => self.entries += 1,
                    Ok(None) => {}
                    Err((ProblemKind::BadTimestamp, why)) => {
                        self.entries += 1;
                        self.tell(FindingKind::TickLineUntimed, why, offset, None);
                    }
                    Err((_, why)) => {
                        self.tell(FindingKind::TickLineMalformed, why, offset, Some(end));
                    }
                },
                Item::TooLong { .. } => {
                    let why = format!("a line of {} bytes", end - offset);
                    self.tell(FindingKind::TickLineTooLong, why, offset, None);
                }
            }
            self.check.watch.progress(end - offset);
            if self.line.is_multiple_of(4_096) && self.check.watch.stopped() {
                break;
            }
        }
        Ok(())
    }

    fn tell(&self, kind: FindingKind, why: String, offset: u64, take_out_to: Option<u64>) {
        let mut finding = Finding::new(kind, self.path, why)
            .about(self.id)
            .at_line(self.line)
            .at_byte(offset);
        if let Some(to) = take_out_to {
            finding = finding
                .mended_by(Mend::TakeOut {
                    from: offset,
                    to: Some(to),
                    lock: Some(self.lock.clone()),
                })
                .losing_data();
        }
        self.check.watch.found(finding);
    }

    fn torn(&self, torn: TornTail, bytes: Option<&[u8]>) {
        let whole = bytes.is_some_and(|bytes| matches!(judge(bytes, self.unit), Ok(Some(_))));
        let (cause, mend) = if whole {
            let mend = Mend::CloseLine {
                lock: self.lock.clone(),
            };
            (
                "a whole entry without its newline: a writer died, or another program ended the file so",
                mend,
            )
        } else {
            let mend = Mend::TakeOut {
                from: torn.offset,
                to: None,
                lock: Some(self.lock.clone()),
            };
            ("a part of a line: a writer died while it wrote it", mend)
        };
        self.check.watch.found(
            Finding::new(FindingKind::TickTornTail, self.path, cause)
                .about(self.id)
                .at_line(self.line + 1)
                .at_byte(torn.offset)
                .mended_by(mend),
        );
    }
}

/// The time of the entry on a line; `None` if the line is blank.
fn judge(bytes: &[u8], unit: Option<EpochUnit>) -> Result<Option<i64>, (ProblemKind, String)> {
    let text = text_of(bytes)?;
    if is_blank(text) {
        return Ok(None);
    }
    let mut fields = Fields::new(text);
    let mut time = Time::Missing;
    while let Some(field) = fields.next().map_err(|flaw| malformed(&flaw))? {
        if field.is(TIMESTAMP) {
            time.meet(&field, unit);
        }
    }
    time.instant().map(Some)
}
