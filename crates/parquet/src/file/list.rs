//! Listing files.

use std::path::{Path, PathBuf};

use minutebook_core::Result;
use minutebook_fs::{FileKind, Fs, FsError, OsFs, is_temporary};

use crate::error::Fault;

/// The files of a directory whose names match a pattern, sorted. `*` stands for any characters, `?` for one;
/// `*.parquet` is the usual pattern. Sub-directories are not looked into.
///
/// # Errors
/// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such directory.
pub fn list_parquet_files(dir: impl AsRef<Path>, pattern: &str) -> Result<Vec<PathBuf>> {
    let dir = dir.as_ref();
    list(dir, pattern).map_err(|fault| fault.told("list", dir.display()))
}

fn list(dir: &Path, pattern: &str) -> crate::error::Result<Vec<PathBuf>> {
    if pattern.contains(['/', '\\']) {
        return Err(Fault::Invalid(format!(
            "the pattern \"{pattern}\" has a separator; it is for names in one directory"
        )));
    }
    let failed = |e| Fault::Fs(FsError::not_applied("list", "list the directory", dir, e));
    let pattern: Vec<char> = pattern.chars().collect();
    let mut found = Vec::new();
    for entry in OsFs.read_dir(dir).map_err(failed)? {
        let Some(name) = entry.name.to_str() else {
            tracing::warn!(directory = %dir.display(), name = ?entry.name, "a name that is no UTF-8 is left out");
            continue;
        };
        let file = matches!(entry.kind, FileKind::File | FileKind::Symlink) && !is_temporary(name);
        if file && matches(&pattern, &name.chars().collect::<Vec<_>>()) {
            found.push(dir.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a name matches. A star that was tried too short takes one more character: no backtracking beyond the last star is needed.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || name.get(n) == Some(c) => {
                p += 1;
                n += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, n) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let matches = |pattern: &str, name: &str| {
            matches(
                &pattern.chars().collect::<Vec<_>>(),
                &name.chars().collect::<Vec<_>>(),
            )
        };
        for (pattern, name, expected) in [
            ("*.parquet", "a.parquet", true),
            ("*.parquet", ".parquet", true),
            ("*.parquet", "a.parquet.bak", false),
            ("BTC_*_2024?.parquet", "BTC_1h_20240.parquet", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*aab", "aaaab", true),
            ("", "", true),
            ("", "a", false),
            ("**", "abc", true),
            ("?", "ü", true),
            ("[a]", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
