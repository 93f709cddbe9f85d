//! Settings as data: what a `minutebook.toml`, the environment or a program says about a store.
//!
//! A [`Config`] holds what was said and leaves open what was not, so that several can be laid over each
//! other: code over environment over file over default.
//!
//! | key | environment | default |
//! | --- | --- | --- |
//! | `durability` | `MINUTEBOOK_DURABILITY` | `"synced"` |
//! | `decisions.storage_path` | `MINUTEBOOK_DECISIONS_STORAGE_PATH` | `decisions` |
//! | `decisions.max_decisions` | `MINUTEBOOK_DECISIONS_MAX_DECISIONS` | the backend's |
//! | `decisions.journal` | `MINUTEBOOK_DECISIONS_JOURNAL` | `true` |
//! | `decisions.max_document_bytes` | `MINUTEBOOK_DECISIONS_MAX_DOCUMENT_BYTES` | the backend's |
//! | `ticks.storage_path` | `MINUTEBOOK_TICKS_STORAGE_PATH` | `ticks` |
//! | `ticks.max_line_bytes` | `MINUTEBOOK_TICKS_MAX_LINE_BYTES` | the backend's |
//! | `ticks.rotate_bytes` | `MINUTEBOOK_TICKS_ROTATE_BYTES` | never |
//! | `ticks.rotate_daily` | `MINUTEBOOK_TICKS_ROTATE_DAILY` | `false` |
//! | `ticks.epoch_unit` | `MINUTEBOOK_TICKS_EPOCH_UNIT` | `"none"` |
//! | `ticks.tiered` | `MINUTEBOOK_TICKS_TIERED` | `false` |
//! | `ticks.columns` | `MINUTEBOOK_TICKS_COLUMNS` | none |
//! | `series.storage_path` | `MINUTEBOOK_SERIES_STORAGE_PATH` | `series` |
//! | `catalog.storage_path` | `MINUTEBOOK_CATALOG_STORAGE_PATH` | `registry.json` |

mod columns;
mod env;
mod file;
mod settings;

use std::path::PathBuf;

use serde::de::value::{BorrowedStrDeserializer, Error as ValueError};
use serde::{Deserialize, Serialize};

pub use columns::{ColumnKind, DeclaredColumns};
pub use env::Environment;
pub use settings::{SETTINGS, Setting, SettingKind};

/// The name of the file in a store's directory that holds its settings.
pub const CONFIG_FILE: &str = "minutebook.toml";

/// What `Ok` of a write promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The change survives a power cut.
    #[default]
    Synced,
    /// The change survives the death of any process; a power cut may lose it.
    Buffered,
}

impl From<Durability> for minutebook_fs::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Synced => Self::Synced,
            Durability::Buffered => Self::Buffered,
        }
    }
}

/// The unit in which a number counts the time since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum EpochUnit {
    /// None: only text is a time.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Thousandths of a second.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Millionths of a second.
    #[serde(rename = "us")]
    Microseconds,
    /// Thousand-millionths of a second.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl std::str::FromStr for EpochUnit {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        named(text).ok_or_else(|| {
            crate::Error::invalid(format!(
                "\"{}\" is no unit of time; write s, ms, us, ns or none",
                text.escape_debug()
            ))
        })
    }
}

/// The value that a file calls so: the names that serde knows are the only ones.
fn named<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    T::deserialize(BorrowedStrDeserializer::<ValueError>::new(text)).ok()
}

#[cfg(feature = "jsonl")]
impl EpochUnit {
    /// As the backend knows it.
    pub(crate) fn of_numbers(self) -> Option<minutebook_jsonl::EpochUnit> {
        use minutebook_jsonl::EpochUnit as Unit;
        match self {
            Self::None => None,
            Self::Seconds => Some(Unit::Seconds),
            Self::Milliseconds => Some(Unit::Milliseconds),
            Self::Microseconds => Some(Unit::Microseconds),
            Self::Nanoseconds => Some(Unit::Nanoseconds),
        }
    }
}

/// Settings of a store. What is `None` is left to the next layer: environment, file, default.
///
/// ```
/// use minutebook::config::{Config, Durability};
///
/// let config = Config::new()
///     .durability(Durability::Buffered)
///     .decisions_path("data/decisions")
///     .max_decisions(5_000);
/// let file = Config::from_toml("durability = \"synced\"\n[ticks]\nstorage_path = \"feed\"\n")?;
/// let both = config.over(file);
/// assert_eq!(both.durability, Some(Durability::Buffered));
/// assert_eq!(both.ticks.storage_path, Some("feed".into()));
/// # Ok::<(), minutebook::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// What `Ok` of every write promises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// The decisions.
    pub decisions: DecisionsConfig,
    /// The ticks.
    pub ticks: TicksConfig,
    /// Bars and all other series.
    pub series: SeriesConfig,
    /// The catalog.
    pub catalog: CatalogConfig,
}

/// Settings of the decisions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DecisionsConfig {
    /// The directory of the documents; relative to the store's directory. `.` is that directory itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_path: Option<PathBuf>,
    /// How many decisions are kept in memory at most. It never deletes any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_decisions: Option<usize>,
    /// Whether there is a journal beside the documents. Without one there is no history and no change feed, and each document is synced by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<bool>,
    /// How long one document may be, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_document_bytes: Option<u64>,
}

/// Settings of the ticks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TicksConfig {
    /// The directory of the JSON Lines files; relative to the store's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_path: Option<PathBuf>,
    /// How long one line may be, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_line_bytes: Option<usize>,
    /// At how many bytes a file is sealed and compressed by the next append; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_bytes: Option<u64>,
    /// Whether the first append of a UTC day seals and compresses a file of the days before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_daily: Option<bool>,
    /// What a number in the field `timestamp` of a tick counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_unit: Option<EpochUnit>,
    /// Whether ticks are read from tick files and from Parquet as one. Every program on the store must have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiered: Option<bool>,
    /// Columns that are read as these types; not together with `tiered`. Those of code, environment and file are not put together: the first of them that says any counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<DeclaredColumns>,
}

impl TicksConfig {
    /// Refuses settings of which one takes away what the other promises.
    pub(crate) fn check(&self) -> crate::Result<()> {
        let columns = self.columns.iter().filter(|columns| !columns.is_empty());
        for columns in columns {
            columns.check()?;
            if self.tiered == Some(true) {
                return Err(crate::Error::invalid(
                    "ticks.columns says how lines are read, and rows that were moved to Parquet have the types that they have; leave it out where ticks.tiered is on",
                ));
            }
        }
        Ok(())
    }
}

/// Settings of the bars and all other series.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SeriesConfig {
    /// The directory of the Parquet series; relative to the store's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_path: Option<PathBuf>,
}

/// Settings of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CatalogConfig {
    /// The registry's file; relative to the store's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_path: Option<PathBuf>,
}

impl Config {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    /// What `Ok` of every write promises.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Where the decisions are.
    #[must_use]
    pub fn decisions_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.decisions.storage_path = Some(path.into());
        self
    }

    /// How many decisions are kept in memory at most.
    #[must_use]
    pub fn max_decisions(mut self, decisions: usize) -> Self {
        self.decisions.max_decisions = Some(decisions);
        self
    }

    /// Whether there is a journal beside the decisions.
    #[must_use]
    pub fn journal(mut self, journal: bool) -> Self {
        self.decisions.journal = Some(journal);
        self
    }

    /// How long one decision's document may be.
    #[must_use]
    pub fn max_document_bytes(mut self, bytes: u64) -> Self {
        self.decisions.max_document_bytes = Some(bytes);
        self
    }

    /// Where the ticks are.
    #[must_use]
    pub fn ticks_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.ticks.storage_path = Some(path.into());
        self
    }

    /// How long one line of ticks may be.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.ticks.max_line_bytes = Some(bytes);
        self
    }

    /// At how many bytes a tick file is sealed and compressed by the next append; 0 for never.
    #[must_use]
    pub fn rotate_bytes(mut self, bytes: u64) -> Self {
        self.ticks.rotate_bytes = Some(bytes);
        self
    }

    /// Whether the first append of a UTC day seals and compresses a tick file of the days before.
    #[must_use]
    pub fn rotate_daily(mut self, daily: bool) -> Self {
        self.ticks.rotate_daily = Some(daily);
        self
    }

    /// What a number in the field `timestamp` of a tick counts.
    #[must_use]
    pub fn epoch_unit(mut self, unit: EpochUnit) -> Self {
        self.ticks.epoch_unit = Some(unit);
        self
    }

    /// Which columns of ticks are read as which types, whatever their entries show.
    #[must_use]
    pub fn columns(mut self, columns: DeclaredColumns) -> Self {
        self.ticks.columns = Some(columns);
        self
    }

    /// Whether ticks are read from tick files and from Parquet as one: see [`Tiered`](crate::Tiered).
    #[must_use]
    pub fn tiered(mut self, tiered: bool) -> Self {
        self.ticks.tiered = Some(tiered);
        self
    }

    /// Where bars and other series are.
    #[must_use]
    pub fn series_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.series.storage_path = Some(path.into());
        self
    }

    /// Where the catalog's registry is.
    #[must_use]
    pub fn catalog_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.catalog.storage_path = Some(path.into());
        self
    }

    /// This, and `below` where this says nothing.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            durability: self.durability.or(below.durability),
            decisions: DecisionsConfig {
                storage_path: self.decisions.storage_path.or(below.decisions.storage_path),
                max_decisions: self
                    .decisions
                    .max_decisions
                    .or(below.decisions.max_decisions),
                journal: self.decisions.journal.or(below.decisions.journal),
                max_document_bytes: self
                    .decisions
                    .max_document_bytes
                    .or(below.decisions.max_document_bytes),
            },
            ticks: TicksConfig {
                storage_path: self.ticks.storage_path.or(below.ticks.storage_path),
                max_line_bytes: self.ticks.max_line_bytes.or(below.ticks.max_line_bytes),
                rotate_bytes: self.ticks.rotate_bytes.or(below.ticks.rotate_bytes),
                rotate_daily: self.ticks.rotate_daily.or(below.ticks.rotate_daily),
                epoch_unit: self.ticks.epoch_unit.or(below.ticks.epoch_unit),
                tiered: self.ticks.tiered.or(below.ticks.tiered),
                columns: self.ticks.columns.or(below.ticks.columns),
            },
            series: SeriesConfig {
                storage_path: self.series.storage_path.or(below.series.storage_path),
            },
            catalog: CatalogConfig {
                storage_path: self.catalog.storage_path.or(below.catalog.storage_path),
            },
        }
    }
}
