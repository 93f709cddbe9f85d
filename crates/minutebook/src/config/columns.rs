//! Columns of ticks whose types are declared.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::named;
use crate::error::{Error, Result};

/// The type of a declared column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ColumnKind {
    /// Whole numbers of 64 bits.
    Int64,
    /// Numbers.
    Float64,
    /// `true` and `false`.
    Boolean,
    /// Text.
    Utf8,
    /// Instants in UTC, to the nanosecond: as text, or as numbers of the series' unit.
    Timestamp,
}

impl FromStr for ColumnKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text).ok_or_else(|| {
            Error::invalid(format!(
                "\"{}\" is no type of a column; write int64, float64, boolean, utf8 or timestamp",
                text.escape_debug()
            ))
        })
    }
}

/// Columns that are read as these types, by name, and that every series of ticks has, also where no entry shows them. Numbers in strings become numbers; what does
/// not fit its type is null, and reported. An Arrow batch that is appended must have these types.
///
/// In a file a table, `[ticks.columns]` and `price = "float64"`; as text `price=float64,side=utf8`.
///
/// ```
/// use minutebook::config::{ColumnKind, Config, DeclaredColumns};
///
/// let said: DeclaredColumns = "price=float64, side=utf8".parse()?;
/// let made = DeclaredColumns::new().with("price", ColumnKind::Float64).with("side", ColumnKind::Utf8);
/// assert_eq!(said, made);
/// let file = Config::from_toml("[ticks.columns]\nprice = \"float64\"\nside = \"utf8\"\n")?;
/// assert_eq!(file, Config::new().columns(made));
/// # Ok::<(), minutebook::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeclaredColumns(BTreeMap<String, ColumnKind>);

impl DeclaredColumns {
    /// No columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same and this column. One that is there already gets the new type.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, kind: ColumnKind) -> Self {
        self.0.insert(name.into(), kind);
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The columns in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ColumnKind)> {
        self.0.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Refuses what is no column of ticks.
    pub(super) fn check(&self) -> Result<()> {
        const TIME: &str = minutebook_core::series::batch::TIMESTAMP;
        if self.0.contains_key(TIME) {
            return Err(Error::invalid(format!(
                "ticks.columns names \"{TIME}\", which is the time of every tick and has no other type"
            )));
        }
        Ok(())
    }

    /// As the backend knows them; `None` if there are none.
    #[cfg(feature = "jsonl")]
    pub(crate) fn schema(&self) -> Option<arrow_schema::SchemaRef> {
        use arrow_schema::{DataType, Field, Schema};

        let fields = self.iter().map(|(name, kind)| {
            let data_type = match kind {
                ColumnKind::Int64 => DataType::Int64,
                ColumnKind::Float64 => DataType::Float64,
                ColumnKind::Boolean => DataType::Boolean,
                ColumnKind::Utf8 => DataType::Utf8,
                ColumnKind::Timestamp => minutebook_core::series::batch::timestamp_type(),
            };
            Field::new(name, data_type, true)
        });
        let fields: Vec<_> = fields.collect();
        (!fields.is_empty()).then(|| Schema::new(fields).into())
    }
}

impl FromStr for DeclaredColumns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut columns = Self::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (name, kind) = part.split_once('=').ok_or_else(|| {
                let part = part.trim().escape_debug();
                Error::invalid(format!(
                    "\"{part}\" has no type; write name=type, and a comma between columns"
                ))
            })?;
            let (name, kind) = (name.trim(), kind.trim().parse()?);
            if columns.0.insert(name.to_owned(), kind).is_some() {
                return Err(Error::invalid(format!(
                    "the column \"{}\" is declared twice",
                    name.escape_debug()
                )));
            }
        }
        columns.check()?;
        Ok(columns)
    }
}
