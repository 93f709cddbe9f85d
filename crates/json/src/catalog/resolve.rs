//! From what an entry says about its place to a path.

use std::path::{Component, Path, PathBuf};

use crate::error::JsonError;

/// Where an entry's `file_path` leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// A file below the data directory.
    Inside(PathBuf),
    /// A file that the user has named by an absolute path.
    Absolute(PathBuf),
    /// A path of another platform (`C:\data\vix.parquet`, `\\server\share\x`), as it was written: it leads nowhere here.
    Foreign(String),
    /// A series of the store, as it was written: `series:BTCUSD@1h`, `ticks:BTCUSD@ticks`.
    Series(String),
}

impl Resolved {
    /// The path on this machine, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Inside(path) | Self::Absolute(path) => Some(path),
            Self::Foreign(_) | Self::Series(_) => None,
        }
    }
}

/// Where an entry's `file_path` leads, seen from a data directory. Looks at the text alone, not at the disk.
///
/// ```
/// use std::path::Path;
/// use minutebook_json::{Resolved, resolve};
///
/// let data = Path::new("/srv/data");
/// assert_eq!(resolve(data, "raw/vix.parquet")?, Resolved::Inside("/srv/data/raw/vix.parquet".into()));
/// assert_eq!(resolve(data, r"C:\data\vix.parquet")?, Resolved::Foreign(r"C:\data\vix.parquet".into()));
/// assert!(resolve(data, "../secret").is_err());
/// # Ok::<(), minutebook_core::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if it is empty, has a NUL, or is relative and leads out of the data directory.
pub fn resolve(data_directory: &Path, file_path: &str) -> minutebook_core::Result<Resolved> {
    let refuse = |error: JsonError| Err(error.into_core("resolve", file_path));
    if file_path.is_empty() || file_path.contains('\0') {
        let error = minutebook_core::Error::invalid("the path is empty or has a NUL");
        return refuse(JsonError::Core(error));
    }
    if file_path.starts_with("series:") || file_path.starts_with("ticks:") {
        return Ok(Resolved::Series(file_path.to_owned()));
    }
    let path = Path::new(file_path);
    if path.is_absolute() {
        return Ok(Resolved::Absolute(path.to_owned()));
    }
    if !cfg!(windows) && is_windows_absolute(file_path) {
        return Ok(Resolved::Foreign(file_path.to_owned()));
    }
    // Python on Windows writes relative paths with backslashes, which are no separators elsewhere.
    let text = file_path.replace('\\', "/");
    let mut inside = PathBuf::new();
    for component in Path::new(&text).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir if inside.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return refuse(JsonError::Outside(data_directory.to_owned()));
            }
        }
    }
    if inside.as_os_str().is_empty() {
        return refuse(JsonError::Outside(data_directory.to_owned()));
    }
    Ok(Resolved::Inside(data_directory.join(inside)))
}

/// `C:\`, `C:/` or `\\server`.
fn is_windows_absolute(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.starts_with("\\\\")
        || matches!(bytes, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_stay_inside() {
        let data = Path::new("/d");
        let inside = |text: &str| {
            resolve(data, text)
                .ok()
                .and_then(|found| found.path().map(Path::to_owned))
        };
        assert_eq!(inside("a/./b/../c.parquet"), Some("/d/a/c.parquet".into()));
        assert_eq!(inside(r"raw\x.parquet"), Some("/d/raw/x.parquet".into()));
        for out in ["..", "a/../../b", ".", "", "a\0b", r"a\..\..\b"] {
            assert!(resolve(data, out).is_err(), "{out:?}");
        }
        assert_eq!(
            resolve(data, r"\\srv\x").unwrap(),
            Resolved::Foreign(r"\\srv\x".to_owned())
        );
        assert_eq!(resolve(data, "series:BTCUSD@1h").unwrap().path(), None);
        #[cfg(unix)]
        assert_eq!(
            resolve(data, "/x/y").unwrap(),
            Resolved::Absolute("/x/y".into())
        );
    }
}
