//! The list of all settings: one place for the file's keys and the environment's names.

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingKind {
    /// A path, relative to the store's directory.
    Path,
    /// A whole number.
    Count,
    /// `synced` or `buffered`.
    Durability,
    /// `true` or `false`.
    Flag,
    /// `s`, `ms`, `us`, `ns` or `none`.
    Unit,
    /// Names with types: a table in the file, `name=type,name=type` in the environment.
    Columns,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Its key in the file, `section.name` or `name`.
    pub key: &'static str,
    /// What its value is.
    pub kind: SettingKind,
    /// Its value where nothing is said.
    pub default: &'static str,
    /// What it does, on one line.
    pub about: &'static str,
}

impl Setting {
    /// The name of the environment variable that overrides it.
    pub fn variable(&self) -> String {
        let mut name = String::from("MINUTEBOOK_");
        name.extend(self.key.chars().map(|c| match c {
            '.' => '_',
            c => c.to_ascii_uppercase(),
        }));
        name
    }
}

/// Every setting that there is.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "durability",
        kind: SettingKind::Durability,
        default: "synced",
        about: "what Ok of a write promises: \"synced\" survives a power cut, \"buffered\" a killed process",
    },
    Setting {
        key: "decisions.storage_path",
        kind: SettingKind::Path,
        default: "decisions",
        about: "the directory of the decision documents",
    },
    Setting {
        key: "decisions.max_decisions",
        kind: SettingKind::Count,
        default: "1000",
        about: "how many parsed decisions are kept in memory at most, 0 for none; never deletes any",
    },
    Setting {
        key: "decisions.journal",
        kind: SettingKind::Flag,
        default: "true",
        about: "whether a journal is kept beside the documents; without it no history, no change feed, and each document is synced by itself",
    },
    Setting {
        key: "decisions.max_document_bytes",
        kind: SettingKind::Count,
        default: "16777216",
        about: "how long one document may be",
    },
    Setting {
        key: "ticks.storage_path",
        kind: SettingKind::Path,
        default: "ticks",
        about: "the directory of the JSON Lines files",
    },
    Setting {
        key: "ticks.max_line_bytes",
        kind: SettingKind::Count,
        default: "67108864",
        about: "how long one line may be",
    },
    Setting {
        key: "ticks.rotate_bytes",
        kind: SettingKind::Count,
        default: "0",
        about: "at how many bytes a tick file is sealed and compressed by the next append, 0 for never",
    },
    Setting {
        key: "ticks.rotate_daily",
        kind: SettingKind::Flag,
        default: "false",
        about: "whether the first append of a UTC day seals and compresses a tick file of the days before",
    },
    Setting {
        key: "ticks.epoch_unit",
        kind: SettingKind::Unit,
        default: "none",
        about: "what a number in the field timestamp of a tick counts since 1970: \"s\", \"ms\", \"us\" or \"ns\"; with \"none\" only text is a time",
    },
    Setting {
        key: "ticks.tiered",
        kind: SettingKind::Flag,
        default: "false",
        about: "whether ticks are read from tick files and from Parquet as one, so that `ticks compact` may move them; for every program on the store",
    },
    Setting {
        key: "ticks.columns",
        kind: SettingKind::Columns,
        default: "{}",
        about: "columns that are read as these types, whatever the entries show, {price=\"float64\"}: int64, float64, boolean, utf8 or timestamp; not where tiered is on",
    },
    Setting {
        key: "series.storage_path",
        kind: SettingKind::Path,
        default: "series",
        about: "the directory of the Parquet series",
    },
    Setting {
        key: "catalog.storage_path",
        kind: SettingKind::Path,
        default: "registry.json",
        about: "the file of the catalog's registry",
    },
];
