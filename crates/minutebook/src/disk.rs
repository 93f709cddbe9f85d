//! Stores on disk: opening and making them.

use std::path::Path;
use std::sync::Arc;

use minutebook_fs::{Durability, Fs, OsFs};

use crate::config::{CONFIG_FILE, Config, Environment, SETTINGS, SettingKind};
use crate::error::{Error, Result};
use crate::layout::{DirectoryKind, Layout, Names};
use crate::store::Parts;
use crate::{Clock, IdSource, Minutebook, SystemClock, UuidV7Source};

/// What a store on disk has beside its parts.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) layout: Layout,
    pub(crate) config: Config,
    pub(crate) fs: Arc<dyn Fs>,
    #[cfg(feature = "jsonl")]
    pub(crate) tick_log: Arc<crate::lazy::Lazy<minutebook_jsonl::JsonlTimeSeriesRepository>>,
    #[cfg(feature = "parquet")]
    pub(crate) series_files:
        Arc<crate::lazy::Lazy<minutebook_parquet::ParquetTimeSeriesRepository>>,
    /// The ticks as [`Tiered`](crate::Tiered), if the settings say so.
    #[cfg(all(feature = "jsonl", feature = "parquet"))]
    pub(crate) tiered: Option<crate::Tiered>,
    #[cfg(feature = "json")]
    pub(crate) decision_files: Arc<crate::lazy::Lazy<minutebook_json::JsonDecisionRepository>>,
}

#[cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
impl Disk {
    /// Every directory below that of the series, itself included.
    pub(crate) fn series_dirs(&self, root: &Path) -> Result<Vec<std::path::PathBuf>> {
        let mut found = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(dir) = open.pop() {
            let entries = match self.fs.read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(crate::error::io("list the directory", &dir, error)),
            };
            let dirs = entries
                .into_iter()
                .filter(|entry| entry.kind == minutebook_fs::FileKind::Dir);
            open.extend(dirs.map(|entry| dir.join(entry.name)));
            found.push(dir);
        }
        Ok(found)
    }
}

/// How a store is opened.
///
/// ```
/// use minutebook::{Minutebook, config::{Config, Durability, Environment}};
///
/// let dir = tempfile::tempdir().map_err(|e| minutebook::Error::invalid(e.to_string()))?;
/// let book = Minutebook::options()
///     .config(Config::new().durability(Durability::Buffered))
///     .environment(Environment::empty())
///     .create(dir.path().join("book"))?;
/// assert!(book.root().is_some_and(|root| root.join("minutebook.toml").is_file()));
/// # Ok::<(), minutebook::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until `open` or `create`"]
pub struct OpenOptions {
    config: Config,
    environment: Option<Environment>,
    clock: Option<Arc<dyn Clock>>,
    ids: Option<Arc<dyn IdSource>>,
    fs: Option<Arc<dyn Fs>>,
}

impl OpenOptions {
    /// Settings that go over those of the environment and of the file.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The environment to take settings from; that of the process unless given.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Takes "now" from here; the system's clock unless given.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Takes new ids from here; `UUIDv7` after the clock unless given.
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// The file system under decisions, ticks, series, catalog and documents; the system's unless given.
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = Some(fs);
        self
    }

    /// Opens a store that is there. Nothing is made on disk before the first write.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the directory is not there or there is no store in it;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for settings that are wrong, with the line or the variable.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Minutebook> {
        let path = path.as_ref();
        let names = Names::in_directory(&*self.file_system(), path)?;
        if names.kind() == DirectoryKind::Other && !self.names_a_place()? {
            return Err(Error::new(
                crate::ErrorKind::NotFound,
                format!(
                    "there is no store in this directory (no {CONFIG_FILE}, no decisions, ticks, series or registry.json); make one with `minutebook init` or Minutebook::create"
                ),
            )
            .with_resource(path.display()));
        }
        self.assemble(path, names)
    }

    /// Opens a store, and makes it first if it is not there: the directory, its parts and a `minutebook.toml` with every setting
    /// and its default. What is there already stays as it is.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Unavailable`](crate::ErrorKind::Unavailable) if something cannot be made.
    pub fn create(self, path: impl AsRef<Path>) -> Result<Minutebook> {
        let path = path.as_ref();
        let fs = self.file_system();
        minutebook_fs::create_dir_all(&*fs, path, Durability::Synced)
            .map_err(|error| crate::error::fs("make the store's directory", path, error))?;
        let names = Names::in_directory(&*fs, path)?;
        let book = self.assemble(path, names)?;
        if let Some(disk) = book.disk() {
            for place in [
                &disk.layout.decisions,
                &disk.layout.ticks,
                &disk.layout.series,
            ] {
                minutebook_fs::create_dir_all(&*fs, place, Durability::Synced)
                    .map_err(|error| crate::error::fs("make the directory", place, error))?;
            }
            let file = path.join(CONFIG_FILE);
            let text = template(&names.implied());
            // Settings that are there already stay as they are.
            let _already =
                minutebook_fs::create_new(&*fs, &file, text.as_bytes(), Durability::Synced)
                    .map_err(|error| crate::error::fs("write the settings", &file, error))?;
        }
        Ok(book)
    }

    fn file_system(&self) -> Arc<dyn Fs> {
        self.fs.clone().unwrap_or_else(|| Arc::new(OsFs))
    }

    /// Settings of code and environment alone.
    fn spoken(&self) -> Result<Config> {
        let environment = match &self.environment {
            Some(given) => Config::from_environment(given)?,
            None => Config::from_environment(&Environment::of_process())?,
        };
        Ok(self.config.clone().over(environment))
    }

    /// Whether code or environment say where a part is: then the directory need not show that it is a store.
    fn names_a_place(&self) -> Result<bool> {
        let said = self.spoken()?;
        Ok(said.decisions.storage_path.is_some()
            || said.ticks.storage_path.is_some()
            || said.series.storage_path.is_some()
            || said.catalog.storage_path.is_some())
    }

    fn assemble(self, path: &Path, names: Names) -> Result<Minutebook> {
        let fs = self.file_system();
        #[cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
        if fs.metadata(&path.join(crate::backup::UNFINISHED)).is_ok() {
            return Err(Error::new(
                crate::ErrorKind::Corrupt,
                "a restore into this directory was not finished; restore into it again",
            )
            .with_resource(path.display()));
        }
        let file = Config::read(&*fs, &path.join(CONFIG_FILE))?.unwrap_or_default();
        let config = self.spoken()?.over(file).over(names.implied());
        config.ticks.check()?;
        // Absolute, so that a program that changes its directory later still means the same store.
        let root = std::path::absolute(path).map_err(|e| crate::error::io("find", path, e))?;
        let layout = Layout::new(&root, &config);
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let ids = self
            .ids
            .unwrap_or_else(|| Arc::new(UuidV7Source::new(Arc::clone(&clock))));
        let backends = crate::backends::Backends {
            config: &config,
            layout: &layout,
            fs: &fs,
            clock: &clock,
        };
        let decisions = backends.decisions();
        let ticks = backends.ticks();
        let series = backends.series();
        #[cfg(all(feature = "jsonl", feature = "parquet"))]
        let tiered = (config.ticks.tiered == Some(true))
            .then(|| crate::Tiered::over_lazy(Arc::clone(&ticks), Arc::clone(&series)));
        #[cfg(not(all(feature = "jsonl", feature = "parquet")))]
        if config.ticks.tiered == Some(true) {
            return Err(Error::unsupported(
                "ticks.tiered needs the features \"jsonl\" and \"parquet\" of the crate minutebook",
            ));
        }
        Ok(Minutebook::from_parts(Parts {
            #[cfg(feature = "parquet")]
            series: Arc::clone(&series) as _,
            #[cfg(not(feature = "parquet"))]
            series,
            catalog: backends.catalog(),
            documents: backends.documents(),
            #[cfg(feature = "json")]
            decisions: Arc::clone(&decisions) as _,
            #[cfg(not(feature = "json"))]
            decisions,
            #[cfg(all(feature = "jsonl", feature = "parquet"))]
            ticks: match &tiered {
                Some(tiered) => Arc::new(tiered.clone()),
                None => Arc::clone(&ticks) as _,
            },
            #[cfg(all(feature = "jsonl", not(feature = "parquet")))]
            ticks: Arc::clone(&ticks) as _,
            #[cfg(not(feature = "jsonl"))]
            ticks,
            clock: Arc::clone(&clock),
            ids,
            disk: Some(Disk {
                #[cfg(feature = "jsonl")]
                tick_log: ticks,
                #[cfg(feature = "parquet")]
                series_files: series,
                #[cfg(all(feature = "jsonl", feature = "parquet"))]
                tiered,
                #[cfg(feature = "json")]
                decision_files: decisions,
                layout,
                config,
                fs,
            }),
        }))
    }
}

impl Minutebook {
    /// Opens a store in a directory: `decisions/`, `ticks/`, `series/`, `registry.json` and, if there is one, `minutebook.toml`.
    /// A directory of decision documents or tick files as the original systems kept them is opened as it is.
    ///
    /// Nothing is made on disk before the first write. Settings come from the environment and the file ([`config`](crate::config)).
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the directory is not there or there is no store in it ([`create`](Self::create) makes one);
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for settings that are wrong, with the line or the variable.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// As [`open`](Self::open), with settings that go over those of the environment and of the file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, config: Config) -> Result<Self> {
        Self::options().config(config).open(path)
    }

    /// Opens a store, and makes it first if it is not there. What is there already stays as it is.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Unavailable`](crate::ErrorKind::Unavailable) if something cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().create(path)
    }

    /// Everything that can be said about opening a store.
    pub fn options() -> OpenOptions {
        OpenOptions::default()
    }

    /// Where the parts lie; `None` for a store that was built or is in memory.
    pub fn layout(&self) -> Option<&Layout> {
        self.disk().map(|disk| &disk.layout)
    }

    /// The settings in force, as code, environment and file gave them; `None` for a store that was built or is in memory.
    pub fn config(&self) -> Option<&Config> {
        self.disk().map(|disk| &disk.config)
    }

    /// The tick files themselves, for calls on raw JSON entries. `None` for a store that was built or is in memory. What a compaction has moved to Parquet
    /// is no entry any more: [`ticks`](Self::ticks) reads it, as rows.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the directory cannot be made or opened.
    #[cfg(feature = "jsonl")]
    pub fn tick_log(&self) -> Result<Option<&Arc<minutebook_jsonl::JsonlTimeSeriesRepository>>> {
        self.disk().map(|disk| disk.tick_log.opened()).transpose()
    }

    /// As [`tick_log`](Self::tick_log), but makes nothing: `None` also where there are no ticks yet.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the directory cannot be opened.
    #[cfg(feature = "jsonl")]
    pub fn existing_tick_log(
        &self,
    ) -> Result<Option<&Arc<minutebook_jsonl::JsonlTimeSeriesRepository>>> {
        self.disk()
            .map_or(Ok(None), |disk| disk.tick_log.existing())
    }

    /// A handle that appends ticks on the hot path of a live feed: a bounded queue, and a thread that writes what gathered.
    ///
    /// ```
    /// use minutebook::{Minutebook, jsonl::AppenderOptions};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let book = Minutebook::create(dir.path())?;
    /// let feed = book.tick_appender(AppenderOptions::new())?;
    /// let btc = "BTCUSD@ticks".parse()?;
    /// feed.push_blocking(&btc, r#"{"timestamp": "2025-01-01T00:00:00", "price": 42496.10}"#)?;
    /// feed.close_blocking()?; // it is on the device
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a store that was built or is in memory; [`Unavailable`](crate::ErrorKind::Unavailable) if the directory cannot
    /// be made or opened, or the system gives no thread.
    #[cfg(feature = "jsonl")]
    pub fn tick_appender(
        &self,
        options: minutebook_jsonl::AppenderOptions,
    ) -> Result<minutebook_jsonl::Appender> {
        let log = self.tick_log()?.ok_or_else(|| {
            Error::unsupported(
                "this store keeps its ticks in no JSON Lines files; append through `ticks()`",
            )
        })?;
        log.appender(options)
    }

    /// The files of bars and other series themselves: versions, compaction, snapshots, retention. `None` for a store that was built or is in
    /// memory, and where there are no series yet.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the directory cannot be opened.
    #[cfg(feature = "parquet")]
    pub fn series_files(
        &self,
    ) -> Result<Option<&Arc<minutebook_parquet::ParquetTimeSeriesRepository>>> {
        self.disk()
            .map_or(Ok(None), |disk| disk.series_files.existing())
    }

    /// The ticks as tick files and Parquet files together; `None` unless the setting `ticks.tiered` is on.
    #[cfg(all(feature = "jsonl", feature = "parquet"))]
    pub fn tiered_ticks(&self) -> Option<&crate::Tiered> {
        self.disk().and_then(|disk| disk.tiered.as_ref())
    }

    /// As [`series_files`](Self::series_files), but makes their directory if there is none yet: for what writes.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the directory cannot be made or opened.
    #[cfg(feature = "parquet")]
    pub fn series_files_made(
        &self,
    ) -> Result<Option<&Arc<minutebook_parquet::ParquetTimeSeriesRepository>>> {
        self.disk()
            .map(|disk| disk.series_files.opened())
            .transpose()
    }

    /// The decision files themselves. `None` for a store that was built or is in memory, and where there are no decisions yet.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the directory cannot be opened.
    #[cfg(feature = "json")]
    pub fn decision_files(&self) -> Result<Option<&Arc<minutebook_json::JsonDecisionRepository>>> {
        self.disk()
            .map_or(Ok(None), |disk| disk.decision_files.existing())
    }

    /// As [`decision_files`](Self::decision_files), for who is about to write: the directory is made if it is missing.
    ///
    /// # Errors
    /// As [`decision_files`](Self::decision_files).
    #[cfg(feature = "json")]
    pub fn make_decision_files(
        &self,
    ) -> Result<Option<&Arc<minutebook_json::JsonDecisionRepository>>> {
        self.disk()
            .map_or(Ok(None), |disk| disk.decision_files.opened().map(Some))
    }
}

/// A file of settings in which every setting is explained and none but `said` is set.
fn template(said: &Config) -> String {
    use std::fmt::Write as _;

    let mut text = String::from(
        "# Settings of this store. Every one can also be set by an environment variable,\n\
         # MINUTEBOOK_ and its name: MINUTEBOOK_DECISIONS_MAX_DECISIONS=5000.\n\
         # Paths are relative to this directory.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (in_section, key) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if in_section != section {
            section = in_section;
            let _ = write!(text, "\n[{section}]\n");
        }
        let default = match setting.kind {
            SettingKind::Count | SettingKind::Flag | SettingKind::Columns => {
                setting.default.to_owned()
            }
            SettingKind::Path | SettingKind::Durability | SettingKind::Unit => {
                format!("{:?}", setting.default)
            }
        };
        let here = (setting.key == "decisions.storage_path"
            && said.decisions.storage_path.is_some())
            || (setting.key == "ticks.storage_path" && said.ticks.storage_path.is_some());
        let line = if here {
            format!("{key} = \".\"")
        } else {
            format!("# {key} = {default}")
        };
        let _ = write!(text, "# {}\n{line}\n", setting.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_parses_and_says_nothing_but_what_it_should() {
        assert_eq!(
            Config::from_toml(&template(&Config::new())).unwrap(),
            Config::new()
        );
        let bare = Config::new().decisions_path(".");
        assert_eq!(Config::from_toml(&template(&bare)).unwrap(), bare);
    }

    #[test]
    fn every_default_of_the_template_is_valid() {
        let text = template(&Config::new()).replace("\n# ", "\n#");
        let settings: String = text
            .lines()
            .filter_map(|line| {
                let line = line.strip_prefix('#').unwrap_or(line);
                (line.starts_with('[') || line.contains(" = ")).then(|| format!("{line}\n"))
            })
            .collect();
        let config = Config::from_toml(&settings).unwrap();
        assert_eq!(config.catalog.storage_path, Some("registry.json".into()));
        assert_eq!(config.ticks.storage_path, Some("ticks".into()));
    }
}
