//! What of a store is copied, in which order, and under which locks.

mod decisions;
mod series;
mod ticks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use minutebook_core::SeriesId;
use minutebook_core::check::Part;
use minutebook_fs::{FileKind, Fs, FsFile, LockMode, LockWait, OpenMode, is_temporary};

use super::copy::Copier;
use super::manifest::Stamp;
use super::restore::UNFINISHED;
use super::same::Identity;
use crate::check::run;
use crate::config::{CONFIG_FILE, Config};
use crate::disk::Disk;
use crate::error::io;
use crate::layout::{
    DECISIONS_DIR, DOCUMENTS_DIR, Layout, Names, REGISTRY_FILE, SERIES_DIR, TICKS_DIR,
};
use crate::repair::QUARANTINE_DIR;
use crate::{Error, ErrorKind, Result};

/// How long a backup waits for a writer.
const PATIENCE: Duration = Duration::from_mins(1);
/// So often the store is gone through again because the catalog changed meanwhile; the last time the catalog's writers wait.
const PASSES: usize = 3;

/// A lock that is held as long as the file is open.
type Held = Option<Box<dyn FsFile>>;

/// A store that is backed up.
pub(super) struct Source {
    pub(super) fs: Arc<dyn Fs>,
    layout: Layout,
    root: PathBuf,
    /// Which store it is.
    pub(super) identity: Identity,
    /// Where each part lies in the copy, with `/` behind it; nothing for the root.
    decisions: String,
    ticks: String,
    series: String,
    registry: String,
    /// Settings for the copy, where those of the file would not fit it.
    settings: Option<String>,
}

/// The newest version of each series that a copy of its ticks may go with.
type Limits = BTreeMap<SeriesId, u64>;

impl Source {
    pub(super) fn new(disk: &Disk) -> Result<Self> {
        let layout = disk.layout.clone();
        let root = layout.root.clone();
        let inside = |place: &Path, default: &str| match place.strip_prefix(&root) {
            Ok(inside) => (slashed(inside), false),
            Err(_) => (default.to_owned(), true),
        };
        let (decisions, decisions_moved) = inside(&layout.decisions, DECISIONS_DIR);
        let (ticks, ticks_moved) = inside(&layout.ticks, TICKS_DIR);
        let (series, series_moved) = inside(&layout.series, SERIES_DIR);
        let (registry, registry_moved) = inside(&layout.registry, REGISTRY_FILE);
        let file = Config::read(&*disk.fs, &root.join(CONFIG_FILE))?.unwrap_or_default();
        let names = Names::in_directory(&*disk.fs, &root)?;
        let moved = decisions_moved || ticks_moved || series_moved || registry_moved;
        let by_itself = Layout::new(&root, &file.clone().over(names.implied()));
        let settings = if moved || by_itself != layout {
            let path = |text: &str| {
                if text.is_empty() {
                    ".".to_owned()
                } else {
                    text.to_owned()
                }
            };
            let said = Config::new()
                .decisions_path(path(&decisions))
                .ticks_path(path(&ticks))
                .series_path(path(&series))
                .catalog_path(registry.clone());
            let text = toml::to_string(&said.over(file))
                .map_err(|error| Error::invalid(error.to_string()))?;
            Some(text)
        } else {
            None
        };
        let folder = |name: String| {
            if name.is_empty() {
                name
            } else {
                format!("{name}/")
            }
        };
        Ok(Self {
            fs: Arc::clone(&disk.fs),
            layout,
            identity: Identity::of(&*disk.fs, &root)?,
            root,
            decisions: folder(decisions),
            ticks: folder(ticks),
            series: folder(series),
            registry,
            settings,
        })
    }

    /// Where in the store a file of a generation comes from.
    pub(super) fn place_of(&self, path: &str) -> PathBuf {
        let layout = &self.layout;
        if path == self.registry {
            return layout.registry.clone();
        }
        [
            (&self.decisions, &layout.decisions),
            (&self.ticks, &layout.ticks),
            (&self.series, &layout.series),
        ]
        .into_iter()
        .filter(|(prefix, _)| !prefix.is_empty())
        .find_map(|(prefix, place)| Some(place.join(path.strip_prefix(prefix.as_str())?)))
        .unwrap_or_else(|| self.root.join(path))
    }

    /// Refuses a place for backups that would become part of the next one.
    pub(super) fn accepts(&self, place: &Path) -> Result<()> {
        let place = std::path::absolute(place).map_err(|error| io("find", place, error))?;
        // What is there of it may be reached by a link.
        let real = place
            .ancestors()
            .find_map(|above| {
                let rest = place.strip_prefix(above).ok()?;
                Some(self.fs.canonicalize(above).ok()?.join(rest))
            })
            .unwrap_or_else(|| place.clone());
        let parts = [
            &self.layout.root,
            &self.layout.decisions,
            &self.layout.ticks,
            &self.layout.series,
        ];
        let inside = |part: &PathBuf| {
            let part = self.fs.canonicalize(part).unwrap_or_else(|_| part.clone());
            real.starts_with(part)
        };
        if parts.into_iter().any(inside) {
            return Err(Error::invalid(
                "backups cannot lie in the store itself; name a place outside",
            )
            .with_resource(place.display()));
        }
        Ok(())
    }

    /// Everything, so that no part says anything that another one contradicts.
    pub(super) async fn copy(self: &Arc<Self>, disk: &Disk, mut copier: Copier) -> Result<Copier> {
        for pass in 1..=PASSES {
            let last = pass == PASSES;
            let registry_lock = self.registry_lock();
            let held = if last {
                self.lock(&registry_lock)?
            } else {
                None
            };
            let before = self.registry_stamp()?;
            copier.pass();
            let limits;
            (copier, limits) = self.tick_series(disk, copier).await?;
            copier = self.all_series(disk, copier, limits).await?;
            let source = Arc::clone(self);
            let whole;
            (copier, whole) = run(move || {
                source.decisions(&mut copier)?;
                source.rest(&mut copier)?;
                let held = match held {
                    None => source.lock(&registry_lock)?,
                    held => held,
                };
                // What the catalog names was there when it was copied: it said the same before and after.
                let whole = last || source.registry_stamp()? == before;
                if whole {
                    copier.part(Part::Catalog);
                    let registry = &source.layout.registry;
                    copier.file(registry, &source.registry)?;
                }
                drop(held);
                Ok((copier, whole))
            })
            .await?;
            if whole {
                break;
            }
        }
        Ok(copier)
    }

    fn registry_lock(&self) -> PathBuf {
        let registry = &self.layout.registry;
        let name = registry.file_name().unwrap_or_default().to_string_lossy();
        registry.with_file_name(format!(".{name}.lock"))
    }

    fn registry_stamp(&self) -> Result<Option<Stamp>> {
        let registry = &self.layout.registry;
        match self.fs.metadata(registry) {
            Ok(meta) => Ok(Some(Stamp::from(&meta))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("look at the registry", registry, error)),
        }
    }

    /// Everything in the store's directory that belongs to no other part, with the settings and the documents.
    fn rest(&self, copier: &mut Copier) -> Result<()> {
        for dir in [&self.decisions, &self.ticks, &self.series] {
            copier.directory(dir.trim_end_matches('/'));
        }
        let dirs: BTreeSet<&PathBuf> = [
            &self.layout.decisions,
            &self.layout.ticks,
            &self.layout.series,
        ]
        .into();
        let mut open = vec![(self.root.clone(), String::new())];
        while let Some((dir, prefix)) = open.pop() {
            let top = prefix.is_empty();
            for (name, kind, path) in self.entries(copier, &dir)? {
                let own = top && (name == QUARANTINE_DIR || name == UNFINISHED);
                let of_part = dirs.contains(&path)
                    || path == self.layout.registry
                    || (dirs.contains(&dir) && kind == FileKind::File && name != CONFIG_FILE)
                    || (dirs.contains(&dir) && ticks::is_sealed(&name));
                let replaced = top && name == CONFIG_FILE && self.settings.is_some();
                if own || of_part || replaced || is_transient(&name) {
                    continue;
                }
                let to = format!("{prefix}{name}");
                copier.part(if to.starts_with(&format!("{DOCUMENTS_DIR}/")) {
                    Part::Documents
                } else {
                    Part::Store
                });
                match kind {
                    FileKind::Dir => {
                        copier.directory(&to);
                        open.push((path, format!("{to}/")));
                    }
                    FileKind::File => drop(copier.file(&path, &to)?),
                    _ => copier.skip(&path),
                }
            }
        }
        copier.part(Part::Store);
        match &self.settings {
            Some(text) => copier.text(CONFIG_FILE, text),
            None => Ok(()),
        }
    }

    /// What is in a directory, by name.
    fn entries(&self, copier: &mut Copier, dir: &Path) -> Result<Vec<(String, FileKind, PathBuf)>> {
        let found = match self.fs.read_dir(dir) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("list the directory", dir, error)),
        };
        let mut entries = Vec::with_capacity(found.len());
        for entry in found {
            let path = dir.join(&entry.name);
            match entry.name.into_string() {
                Ok(name) => entries.push((name, entry.kind, path)),
                // A list is UTF-8.
                Err(_) => copier.skip(&path),
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    /// A lock of writers, shared; nothing if there never was one.
    fn lock(&self, path: &Path) -> Result<Held> {
        let file = match self.fs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("open the lock", path, error)),
        };
        match file.lock(LockMode::Shared, LockWait::Timeout(PATIENCE)) {
            Ok(()) => Ok(Some(file)),
            Err(error) => Err(Error::new(
                ErrorKind::Locked,
                "a writer holds the lock for too long",
            )
            .with_resource(path.display())
            .with_source(error)),
        }
    }

    /// Whether a path is that of another part or of the settings.
    fn is_else(&self, path: &Path) -> bool {
        path == self.layout.registry || path == self.root.join(CONFIG_FILE)
    }
}

/// Lock files, caches and temporary files: made anew where they are needed.
fn is_transient(name: &str) -> bool {
    is_temporary(name)
        || (name.starts_with('.')
            && [".lock", ".seal", ".index"]
                .iter()
                .any(|end| name.ends_with(end)))
}

fn slashed(path: &Path) -> String {
    let names: Vec<_> = path
        .components()
        .map(|name| name.as_os_str().to_string_lossy().into_owned())
        .collect();
    names.join("/")
}
