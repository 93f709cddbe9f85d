//! Where a store's parts lie on disk, and what a directory that is opened turns out to be.

use std::path::{Path, PathBuf};

use minutebook_fs::{Fs, OsFs};

use crate::config::{CONFIG_FILE, Config};
use crate::error::{Error, ErrorKind, Result, io};

/// The directory of the decisions inside a store.
pub const DECISIONS_DIR: &str = "decisions";
/// The directory of the ticks inside a store.
pub const TICKS_DIR: &str = "ticks";
/// The directory of bars and other series inside a store.
pub const SERIES_DIR: &str = "series";
/// The directory of the documents inside a store.
pub const DOCUMENTS_DIR: &str = "documents";
/// The file of the catalog inside a store.
pub const REGISTRY_FILE: &str = "registry.json";

/// Where a store's parts lie.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// The store's directory.
    pub root: PathBuf,
    /// The directory of the decisions.
    pub decisions: PathBuf,
    /// The directory of the ticks.
    pub ticks: PathBuf,
    /// The directory of bars and other series.
    pub series: PathBuf,
    /// The catalog's file.
    pub registry: PathBuf,
    /// The directory of the documents.
    pub documents: PathBuf,
}

impl Layout {
    /// The places that settings give, relative ones inside `root`.
    pub fn new(root: &Path, config: &Config) -> Self {
        let place = |path: &Option<PathBuf>, default: &str| match path {
            Some(path) if path.as_os_str() == "." => root.to_owned(),
            Some(path) => root.join(path),
            None => root.join(default),
        };
        Self {
            root: root.to_owned(),
            decisions: place(&config.decisions.storage_path, DECISIONS_DIR),
            ticks: place(&config.ticks.storage_path, TICKS_DIR),
            series: place(&config.series.storage_path, SERIES_DIR),
            registry: place(&config.catalog.storage_path, REGISTRY_FILE),
            documents: root.join(DOCUMENTS_DIR),
        }
    }
}

/// What a directory turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectoryKind {
    /// A store: a `minutebook.toml` or one of the parts is in it.
    Store,
    /// Nothing is in it; a store can begin here.
    Empty,
    /// Decision documents (`{date}_{id}.json`) directly inside, as the original system kept them.
    Decisions,
    /// Tick files (`{symbol}_timeseries.jsonl`) directly inside, as the original system kept them.
    Ticks,
    /// Other files.
    Other,
}

impl DirectoryKind {
    /// Looks into a directory, at names alone.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it is not there, [`InvalidInput`](ErrorKind::InvalidInput) if it is no directory,
    /// [`Unavailable`](ErrorKind::Unavailable) if it cannot be read.
    pub fn of(path: &Path) -> Result<Self> {
        Ok(Names::in_directory(&OsFs, path)?.kind())
    }
}

/// What the names in a directory say.
#[allow(
    clippy::struct_excessive_bools,
    reason = "one question each, and their combinations count"
)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Names {
    any: bool,
    settings: bool,
    decisions_dir: bool,
    ticks_dir: bool,
    other_part: bool,
    decision_files: bool,
    tick_files: bool,
}

impl Names {
    pub(crate) fn in_directory(fs: &dyn Fs, path: &Path) -> Result<Self> {
        // Who names a link means the directory that it leads to.
        let directory = match fs.canonicalize(path) {
            Ok(directory) => directory,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(missing(path));
            }
            Err(error) => return Err(io("open the store's directory", path, error)),
        };
        let metadata = fs
            .metadata(&directory)
            .map_err(|e| io("open the store's directory", path, e))?;
        if !metadata.is_dir() {
            return Err(
                Error::invalid("this is no directory; name a store's directory")
                    .with_resource(path.display()),
            );
        }
        let mut names = Self::default();
        let entries = fs
            .read_dir(&directory)
            .map_err(|e| io("list the directory", path, e))?;
        for entry in entries {
            names.any = true;
            match entry.name.to_str() {
                Some(CONFIG_FILE) => names.settings = true,
                Some(DECISIONS_DIR) => names.decisions_dir = true,
                Some(TICKS_DIR) => names.ticks_dir = true,
                Some(SERIES_DIR | REGISTRY_FILE | DOCUMENTS_DIR) => names.other_part = true,
                Some(name) => {
                    names.decision_files |= is_decision_file(name);
                    names.tick_files |= name.ends_with("_timeseries.jsonl");
                }
                None => {}
            }
        }
        Ok(names)
    }

    /// Whether decision documents lie directly inside, and nothing says that they belong elsewhere.
    fn bare_decisions(self) -> bool {
        self.decision_files && !self.settings && !self.decisions_dir
    }

    /// The same for tick files.
    fn bare_ticks(self) -> bool {
        self.tick_files && !self.settings && !self.ticks_dir
    }

    pub(crate) fn kind(self) -> DirectoryKind {
        if self.bare_decisions() {
            DirectoryKind::Decisions
        } else if self.bare_ticks() {
            DirectoryKind::Ticks
        } else if self.settings || self.decisions_dir || self.ticks_dir || self.other_part {
            DirectoryKind::Store
        } else if self.any {
            DirectoryKind::Other
        } else {
            DirectoryKind::Empty
        }
    }

    /// The settings that a directory implies, below all others.
    pub(crate) fn implied(self) -> Config {
        let mut config = Config::new();
        if self.bare_decisions() {
            config = config.decisions_path(".");
        }
        if self.bare_ticks() {
            config = config.ticks_path(".");
        }
        config
    }
}

/// Whether a name is `{date}_{id}.json`.
fn is_decision_file(name: &str) -> bool {
    name.strip_suffix(".json")
        .and_then(|stem| stem.split_once('_'))
        .is_some_and(|(date, id)| {
            !id.is_empty() && chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok()
        })
}

pub(crate) fn missing(path: &Path) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "there is no such directory; make a store there with `minutebook init` or Minutebook::create",
    )
    .with_resource(path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_places_lie_inside_and_absolute_ones_where_they_say() {
        let config = Config::new()
            .decisions_path(".")
            .ticks_path("/feed")
            .series_path("a/b");
        let layout = Layout::new(Path::new("/store"), &config);
        assert_eq!(layout.decisions, Path::new("/store"));
        assert_eq!(layout.ticks, Path::new("/feed"));
        assert_eq!(layout.series, Path::new("/store/a/b"));
        assert_eq!(layout.registry, Path::new("/store/registry.json"));
    }

    #[test]
    fn a_directory_is_told_by_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let kind = || DirectoryKind::of(dir.path()).unwrap();
        let touch = |name: &str| std::fs::write(dir.path().join(name), "").unwrap();
        assert_eq!(kind(), DirectoryKind::Empty);
        touch("notes.txt");
        touch("x_y.json");
        assert_eq!(kind(), DirectoryKind::Other);
        touch("btcusd_timeseries.jsonl");
        assert_eq!(kind(), DirectoryKind::Ticks);
        touch("2025-01-01_a.json");
        assert_eq!(kind(), DirectoryKind::Decisions);
        // Other parts that were begun here later change nothing about it.
        touch("registry.json");
        touch("series");
        assert_eq!(kind(), DirectoryKind::Decisions);
        touch("minutebook.toml");
        assert_eq!(kind(), DirectoryKind::Store);
    }

    #[test]
    fn what_is_no_directory_is_an_error_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let error = DirectoryKind::of(&dir.path().join("nope")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("minutebook init"));
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(
            DirectoryKind::of(&file).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
}
