//! Settings from environment variables, which are handed in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{Config, Durability, SETTINGS, Setting, SettingKind, named};
use crate::error::{Error, Result};

/// Environment variables: those of the process, or any other map in a test.
///
/// ```
/// use minutebook::config::{Config, Environment};
///
/// let environment = Environment::from_iter([("MINUTEBOOK_DECISIONS_MAX_DECISIONS", "500")]);
/// assert_eq!(Config::from_environment(&environment)?.decisions.max_decisions, Some(500));
/// # Ok::<(), minutebook::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// No variable at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The variables of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The text of a variable; an empty one counts as not set.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is no UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.0
            .get(&OsString::from(name))
            .filter(|value| !value.is_empty())
            .map(|value| {
                value
                    .to_str()
                    .ok_or_else(|| Error::invalid("the variable is no UTF-8").with_resource(name))
            })
            .transpose()
    }

    /// The variables whose names begin so.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(|name| name.to_str())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(variables: T) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl Config {
    /// Reads settings from environment variables, `MINUTEBOOK_` and the key: `MINUTEBOOK_DECISIONS_MAX_DECISIONS`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming the variable, for a value that the setting does not take, and for a name
    /// that begins as a section does (`MINUTEBOOK_TICKS_…`) and is no setting. Other variables are left alone.
    pub fn from_environment(environment: &Environment) -> Result<Self> {
        for name in environment.names() {
            refuse_misspelt(name)?;
        }
        let mut config = Self::new();
        for setting in SETTINGS {
            let name = setting.variable();
            if let Some(text) = environment.text(&name)? {
                config
                    .set(setting, text)
                    .map_err(|error| error.with_resource(&name))?;
            }
        }
        Ok(config)
    }

    fn set(&mut self, setting: &Setting, text: &str) -> Result<()> {
        match setting.key {
            "durability" => self.durability = Some(durability(text)?),
            "decisions.storage_path" => self.decisions.storage_path = Some(PathBuf::from(text)),
            "decisions.max_decisions" => self.decisions.max_decisions = Some(count(text, 0)?),
            "decisions.journal" => self.decisions.journal = Some(flag(text)?),
            "decisions.max_document_bytes" => {
                self.decisions.max_document_bytes = Some(count(text, 1)? as u64);
            }
            "ticks.storage_path" => self.ticks.storage_path = Some(PathBuf::from(text)),
            "ticks.max_line_bytes" => self.ticks.max_line_bytes = Some(count(text, 1)?),
            "ticks.rotate_bytes" => self.ticks.rotate_bytes = Some(count(text, 0)? as u64),
            "ticks.rotate_daily" => self.ticks.rotate_daily = Some(flag(text)?),
            "ticks.epoch_unit" => self.ticks.epoch_unit = Some(text.trim().parse()?),
            "ticks.tiered" => self.ticks.tiered = Some(flag(text)?),
            "ticks.columns" => self.ticks.columns = Some(text.parse()?),
            "series.storage_path" => self.series.storage_path = Some(PathBuf::from(text)),
            "catalog.storage_path" => self.catalog.storage_path = Some(PathBuf::from(text)),
            key => return Err(Error::unsupported(format!("{key} cannot be set so"))),
        }
        debug_assert!(matches!(
            (setting.kind, setting.key.ends_with("_path")),
            (SettingKind::Path, true)
                | (
                    SettingKind::Count
                        | SettingKind::Durability
                        | SettingKind::Flag
                        | SettingKind::Unit
                        | SettingKind::Columns,
                    false
                )
        ));
        Ok(())
    }
}

fn durability(text: &str) -> Result<Durability> {
    named(&text.to_ascii_lowercase()).ok_or_else(|| {
        Error::invalid(format!(
            "\"{}\" is no durability; write synced or buffered",
            text.escape_debug()
        ))
    })
}

fn flag(text: &str) -> Result<bool> {
    text.trim().parse().map_err(|_| {
        Error::invalid(format!(
            "\"{}\" is neither true nor false",
            text.escape_debug()
        ))
    })
}

fn count(text: &str, least: usize) -> Result<usize> {
    text.trim()
        .parse()
        .ok()
        .filter(|n| *n >= least)
        .ok_or_else(|| {
            Error::invalid(format!(
                "\"{}\" is no whole number from {least} on",
                text.escape_debug()
            ))
        })
}

/// A name under one of our sections that is no setting is a spelling mistake, not somebody else's variable.
fn refuse_misspelt(name: &str) -> Result<()> {
    let sections = ["DECISIONS", "TICKS", "SERIES", "CATALOG"];
    let ours = name
        .strip_prefix("MINUTEBOOK_")
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(section, _)| sections.contains(&section));
    if !ours || SETTINGS.iter().any(|setting| setting.variable() == name) {
        return Ok(());
    }
    let known: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
    Err(Error::invalid(format!(
        "there is no such setting; those that there are: {}",
        known.join(", ")
    ))
    .with_resource(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn read(name: &str, value: &str) -> Result<Config> {
        Config::from_environment(&Environment::from_iter([(name, value)]))
    }

    #[test]
    fn every_setting_can_be_set_by_its_variable() {
        for setting in SETTINGS {
            let value = match setting.kind {
                SettingKind::Path => "some/where",
                SettingKind::Count => "12345",
                SettingKind::Durability => "buffered",
                SettingKind::Flag => "true",
                SettingKind::Unit => "us",
                SettingKind::Columns => "price=float64",
            };
            let config = read(&setting.variable(), value).unwrap();
            let toml: toml::Table = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
            let mut found = &toml::Value::Table(toml);
            for part in setting.key.split('.') {
                found = found.get(part).unwrap_or_else(|| panic!("{}", setting.key));
            }
            let text = match found {
                toml::Value::String(text) => text.clone(),
                toml::Value::Table(columns) => {
                    let columns = columns.iter();
                    let pairs =
                        columns.map(|(name, kind)| format!("{name}={}", kind.as_str().unwrap()));
                    pairs.collect::<Vec<_>>().join(",")
                }
                other => other.to_string(),
            };
            assert_eq!(text, value, "{}", setting.key);
        }
    }

    #[test]
    fn every_field_is_a_setting() {
        // A field without an entry in SETTINGS would have no variable; the file's own error message lists all fields.
        let full = Config::new()
            .durability(Durability::Synced)
            .decisions_path("a")
            .max_decisions(1)
            .journal(true)
            .max_document_bytes(1)
            .ticks_path("b")
            .max_line_bytes(1)
            .rotate_bytes(1)
            .rotate_daily(true)
            .epoch_unit(super::super::EpochUnit::Milliseconds)
            .tiered(true)
            .columns("price=float64".parse().unwrap())
            .series_path("c")
            .catalog_path("d");
        let table: toml::Table = toml::from_str(&toml::to_string(&full).unwrap()).unwrap();
        let keys: usize = table
            .values()
            .map(|value| value.as_table().map_or(1, toml::Table::len))
            .sum();
        assert_eq!(keys, SETTINGS.len());
    }

    #[test]
    fn a_choice_has_the_names_that_a_file_has() {
        use super::super::ColumnKind::{self, Boolean, Float64, Int64, Timestamp, Utf8};
        use super::super::EpochUnit::{Microseconds, Milliseconds, Nanoseconds, None, Seconds};
        let mistake = |name| read(name, "minutes").unwrap_err().to_string();
        let message = mistake("MINUTEBOOK_TICKS_EPOCH_UNIT");
        for unit in [None, Seconds, Milliseconds, Microseconds, Nanoseconds] {
            let name = serde_json::to_value(unit).unwrap();
            let name = name.as_str().unwrap();
            let found = read("MINUTEBOOK_TICKS_EPOCH_UNIT", name).unwrap();
            assert_eq!(found, Config::new().epoch_unit(unit));
            let (_, offered) = message.split_once("; write ").unwrap();
            let mut words = offered.split(|letter: char| !letter.is_alphanumeric());
            assert!(words.any(|word| word == name), "{name}: {message}");
        }
        assert!(read("MINUTEBOOK_TICKS_EPOCH_UNIT", "MS").is_err());
        for durability in [Durability::Synced, Durability::Buffered] {
            let name = serde_json::to_value(durability).unwrap();
            let name = name.as_str().unwrap();
            for text in [name, &name.to_ascii_uppercase()] {
                let found = read("MINUTEBOOK_DURABILITY", text).unwrap();
                assert_eq!(found, Config::new().durability(durability));
            }
            assert!(mistake("MINUTEBOOK_DURABILITY").contains(name));
        }
        let message = "decimal".parse::<ColumnKind>().unwrap_err().to_string();
        for kind in [Int64, Float64, Boolean, Utf8, Timestamp] {
            let name = serde_json::to_value(kind).unwrap();
            let name = name.as_str().unwrap();
            assert_eq!(name.parse::<ColumnKind>().unwrap(), kind);
            assert!(message.contains(name), "{name}: {message}");
        }
    }

    #[test]
    fn mistakes_are_named_and_strangers_left_alone() {
        for (name, value) in [
            ("MINUTEBOOK_DURABILITY", "perhaps"),
            ("MINUTEBOOK_TICKS_MAX_LINE_BYTES", "0"),
            ("MINUTEBOOK_DECISIONS_MAX_DECISIONS", "lots"),
            ("MINUTEBOOK_TICKS_EPOCH_UNIT", "minutes"),
            ("MINUTEBOOK_TICKS_COLUMNS", "price"),
            ("MINUTEBOOK_TICKS_COLUMNS", "price=decimal"),
            ("MINUTEBOOK_TICKS_COLUMNS", "price=int64,price=utf8"),
            ("MINUTEBOOK_TICKS_COLUMNS", "timestamp=int64"),
            ("MINUTEBOOK_DECISIONS_STORAGEPATH", "x"),
        ] {
            let error = read(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(error.resource(), Some(name));
        }
        for name in ["MINUTEBOOK_STORE", "MINUTEBOOK_LOG", "HOME"] {
            assert_eq!(read(name, "x").unwrap(), Config::new());
        }
        assert_eq!(read("MINUTEBOOK_DURABILITY", "").unwrap(), Config::new());
    }
}
