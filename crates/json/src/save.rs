//! Any value as a JSON file: what run logs and parameters are kept in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_core::json::to_text;
use minutebook_core::{Error, ErrorKind, Result};
use minutebook_fs::{Durability, Fs, OsFs, create_dir_all};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{BACKEND, JsonError};
use crate::text;

/// How [`save_json`] writes and [`load_json_with`] reads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JsonOptions {
    /// Blanks a level; `None` puts everything on one line. 2.
    pub indent: Option<usize>,
    /// Whether the keys of every object come in ascending order. Yes.
    pub sort_keys: bool,
    /// What `Ok` promises. [`Durability::Synced`].
    pub durability: Durability,
    /// The largest file that is read, in bytes. 256 MiB.
    pub max_bytes: u64,
    /// The file system. The operating system's.
    pub fs: Arc<dyn Fs>,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self {
            indent: Some(2),
            sort_keys: true,
            durability: Durability::Synced,
            max_bytes: 256 << 20,
            fs: Arc::new(OsFs),
        }
    }
}

impl JsonOptions {
    /// Sets the blanks a level; `None` puts everything on one line.
    #[must_use]
    pub fn indent(mut self, indent: Option<usize>) -> Self {
        self.indent = indent;
        self
    }

    /// Sets whether keys are sorted.
    #[must_use]
    pub fn sort_keys(mut self, sort: bool) -> Self {
        self.sort_keys = sort;
        self
    }

    /// Sets what `Ok` promises.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the largest file that is read, in bytes.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the file system.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }
}

/// Writes a value as JSON in UTF-8, whole or not at all, and returns the path. Missing directories are created.
///
/// ```
/// use minutebook_json::{JsonOptions, load_json, save_json};
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("runs/2025/params.json");
/// save_json(&serde_json::json!({"window": 20, "assets": ["BTCUSD"]}), &path, &JsonOptions::default())?;
/// assert_eq!(std::fs::read_to_string(&path)?, "{\n  \"assets\": [\n    \"BTCUSD\"\n  ],\n  \"window\": 20\n}");
/// let back: serde_json::Value = load_json(&path)?;
/// assert_eq!(back["window"], 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) for what JSON cannot hold (NaN and infinity, keys that are no strings);
/// [`Unavailable`](ErrorKind::Unavailable) if the file cannot be written; what was there before is then still there.
pub fn save_json(
    value: &(impl Serialize + ?Sized),
    path: impl AsRef<Path>,
    options: &JsonOptions,
) -> Result<PathBuf> {
    const OPERATION: &str = "save_json";
    let path = path.as_ref();
    let invalid = |error: serde_json::Error| {
        Error::invalid(format!("the value cannot be written as JSON: {error}"))
            .with_source(error)
            .with_backend(BACKEND)
            .with_operation(OPERATION)
            .with_resource(path.display())
    };
    let mut out = to_text(value).map_err(invalid)?;
    if options.sort_keys {
        out = text::sorted(&out).map_err(invalid)?;
    }
    if let Some(indent) = options.indent {
        out = text::indented(&out, indent);
    }
    let failed = |error| JsonError::Fs(error).into_core(OPERATION, path.display());
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        create_dir_all(&*options.fs, parent, options.durability).map_err(failed)?;
    }
    minutebook_fs::replace(&*options.fs, path, out.as_bytes(), options.durability)
        .map_err(failed)?;
    Ok(path.to_owned())
}

/// Reads a JSON file, as [`load_json_with`] does with the default options.
///
/// # Errors
/// As [`load_json_with`].
pub fn load_json<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<T> {
    load_json_with(path, &JsonOptions::default())
}

/// Reads a JSON file.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is none, [`Corrupt`](ErrorKind::Corrupt) with line and column if it is no JSON or does
/// not fit the type, [`Unavailable`](ErrorKind::Unavailable) if it cannot be read.
pub fn load_json_with<T: DeserializeOwned>(
    path: impl AsRef<Path>,
    options: &JsonOptions,
) -> Result<T> {
    const OPERATION: &str = "load_json";
    let path = path.as_ref();
    let named = |error: Error| {
        error
            .with_backend(BACKEND)
            .with_operation(OPERATION)
            .with_resource(path.display())
    };
    let bytes = minutebook_fs::read(&*options.fs, path, options.max_bytes)
        .map_err(|error| JsonError::Fs(error).into_core(OPERATION, path.display()))?
        .ok_or_else(|| {
            let source = io::Error::from(io::ErrorKind::NotFound);
            named(Error::new(ErrorKind::NotFound, "there is no such file").with_source(source))
        })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        named(Error::new(ErrorKind::Corrupt, format!("cannot be read: {error}")).with_source(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutebook_fs::SimFs;

    fn options() -> JsonOptions {
        JsonOptions::default().fs(Arc::new(SimFs::new()))
    }

    #[test]
    fn what_json_cannot_hold_is_refused_and_nothing_is_written() {
        let options = options();
        let error = save_json(&vec![1.0, f64::NAN], "/a/x.json", &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = load_json_with::<Vec<f64>>("/a/x.json", &options).unwrap_err();
        assert_eq!(
            (error.kind(), error.resource()),
            (ErrorKind::NotFound, Some("/a/x.json"))
        );
    }

    #[test]
    fn order_and_layout_are_as_asked() {
        let options = options();
        let value = serde_json::json!({"b": "é", "a": 1.5});
        let text = |options: &JsonOptions| {
            save_json(&value, "/x.json", options).unwrap();
            String::from_utf8(
                minutebook_fs::read(&*options.fs, Path::new("/x.json"), 100)
                    .unwrap()
                    .unwrap(),
            )
            .unwrap()
        };
        assert_eq!(text(&options), "{\n  \"a\": 1.5,\n  \"b\": \"é\"\n}");
        assert_eq!(
            text(&options.clone().indent(None).sort_keys(false)),
            "{\"b\":\"é\",\"a\":1.5}"
        );
    }

    #[test]
    fn dates_and_paths_are_strings() {
        #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
        struct Run {
            started: chrono::DateTime<chrono::Utc>,
            day: chrono::NaiveDate,
            output: PathBuf,
        }
        let run = Run {
            started: chrono::DateTime::UNIX_EPOCH,
            day: chrono::NaiveDate::default(),
            output: "data/é.parquet".into(),
        };
        let options = options();
        save_json(&run, "/run.json", &options).unwrap();
        let text: serde_json::Value = load_json_with("/run.json", &options).unwrap();
        assert_eq!(text["started"], "1970-01-01T00:00:00Z");
        assert_eq!(text["output"], "data/é.parquet");
        assert_eq!(text["day"], "1970-01-01");
        assert_eq!(load_json_with::<Run>("/run.json", &options).unwrap(), run);
    }

    #[test]
    fn a_file_that_does_not_fit_is_named_with_its_place() {
        let options = options();
        minutebook_fs::replace(
            &*options.fs,
            Path::new("/x.json"),
            b"{\n \"a\": }",
            Durability::Synced,
        )
        .unwrap();
        let error = load_json_with::<serde_json::Value>("/x.json", &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("line 2 column 7"), "{error}");
        assert!(load_json_with::<serde_json::Value>("/x.json", &options.max_bytes(3)).is_err());
    }
}
