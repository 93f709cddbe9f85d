//! What the lines of a series do not tell: the type of a column whose values are all null, and the unit of numeric times.
//!
//! The file is written under the writers' lock and only when there is something to say. Without it every value still reads as it is;
//! a column of nulls then reads as text, and numeric times need the unit from the configuration.

use std::path::Path;

use minutebook_core::{Problem, ProblemKind};
use minutebook_fs::{Durability, Fs, FsError, Metadata, Root, read, replace};
use serde::{Deserialize, Serialize};

use crate::codec::kind::ColumnType;
use crate::config::EpochUnit;

const FORMAT: &str = "minutebook-types";
const VERSION: u32 = 1;
const MAX_BYTES: u64 = 16 << 20;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Types {
    format: String,
    version: u32,
    /// What a number in `timestamp` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epoch_unit: Option<EpochUnit>,
    /// Columns whose type the lines did not show when they were first written.
    #[serde(default)]
    columns: Vec<Typed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Typed {
    name: String,
    #[serde(rename = "type")]
    column_type: ColumnType,
}

impl Default for Types {
    fn default() -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            epoch_unit: None,
            columns: Vec::new(),
        }
    }
}

impl Types {
    /// The types of columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        self.columns
            .iter()
            .map(|typed| (typed.name.as_str(), typed.column_type))
    }

    /// The type of a column.
    pub(crate) fn get(&self, name: &str) -> Option<ColumnType> {
        self.columns()
            .find(|(known, _)| *known == name)
            .map(|(_, column_type)| column_type)
    }

    /// Adds a column's type.
    pub(crate) fn add(&mut self, name: &str, column_type: ColumnType) {
        self.columns.push(Typed {
            name: name.to_owned(),
            column_type,
        });
    }

    /// Writes the file.
    pub(crate) fn write(
        &self,
        fs: &dyn Fs,
        path: &Path,
        durability: Durability,
    ) -> Result<(), FsError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| {
            FsError::not_applied("replace", "write the types as JSON", path, error.into())
        })?;
        text.push('\n');
        replace(fs, path, text.as_bytes(), durability)
    }
}

/// What a look at the file gave.
#[derive(Debug)]
pub(crate) enum TypesFile {
    Absent,
    Read(Types),
    /// A later release wrote it.
    Newer(u32),
    Damaged(String),
}

/// Looks at the file, once.
pub(crate) fn look(fs: &dyn Fs, path: &Path) -> Result<TypesFile, FsError> {
    let Some(bytes) = read(fs, path, MAX_BYTES)? else {
        return Ok(TypesFile::Absent);
    };
    Ok(match serde_json::from_slice::<Types>(&bytes) {
        Ok(types) if types.format == FORMAT && types.version == VERSION => TypesFile::Read(types),
        Ok(types) if types.format == FORMAT => TypesFile::Newer(types.version),
        Ok(types) => TypesFile::Damaged(format!("its format is {:?}", types.format)),
        Err(error) => TypesFile::Damaged(error.to_string()),
    })
}

/// The file as it was last read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) types: Types,
    /// Why the file could not be used, if it could not.
    pub(crate) problem: Option<Problem>,
    meta: Option<Metadata>,
}

impl Known {
    /// Reads the file if it changed since it was read last.
    pub(crate) fn refresh(&mut self, fs: &dyn Fs, path: &Path) -> Result<(), FsError> {
        let meta = match fs.metadata(path) {
            Ok(meta) => Some(meta),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(FsError::not_applied("read", "look at it", path, error)),
        };
        if meta == self.meta {
            return Ok(());
        }
        *self = Self::default();
        if let Some(bytes) = read(fs, path, MAX_BYTES)? {
            match serde_json::from_slice::<Types>(&bytes) {
                Ok(types) if types.format == FORMAT && types.version == VERSION => {
                    self.types = types;
                }
                Ok(types) => self.refuse(path, &format!("it has the version {}", types.version)),
                Err(error) => self.refuse(path, &error.to_string()),
            }
        }
        self.meta = meta;
        Ok(())
    }

    fn refuse(&mut self, path: &Path, why: &str) {
        let message = format!("the file of column types was left aside: {why}");
        tracing::warn!(path = %path.display(), why, "the file of column types was left aside");
        let resource = path.display().to_string();
        self.problem = Some(Problem::new(ProblemKind::Malformed, resource, message));
    }

    /// Removes the file, so that no new series inherits it.
    pub(crate) fn remove(
        &mut self,
        root: &Root,
        path: &Path,
        durability: Durability,
    ) -> Result<(), FsError> {
        root.remove(path, durability)?;
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use minutebook_fs::SimFs;

    use super::*;

    #[test]
    fn types_are_kept_and_found_again() {
        let fs = SimFs::new();
        let path = Path::new("/.x.types");
        let mut known = Known::default();
        known.refresh(&fs, path).unwrap();
        assert_eq!(known.types, Types::default());
        let mut types = Types::default();
        types.add("size", ColumnType::Float64);
        types.epoch_unit = Some(EpochUnit::Milliseconds);
        types.write(&fs, path, Durability::Synced).unwrap();
        known.refresh(&fs, path).unwrap();
        assert_eq!(known.types, types);
        assert_eq!(known.types.get("size"), Some(ColumnType::Float64));
    }

    #[test]
    fn a_file_of_another_kind_is_left_aside_and_told() {
        let fs = SimFs::new();
        let path = Path::new("/.x.types");
        for text in ["", "{}", "{\"format\":\"minutebook-types\",\"version\":2}"] {
            replace(&fs, path, text.as_bytes(), Durability::Synced).unwrap();
            let mut known = Known::default();
            known.refresh(&fs, path).unwrap();
            assert_eq!(known.types, Types::default());
            assert!(known.problem.is_some(), "{text}");
        }
    }
}
