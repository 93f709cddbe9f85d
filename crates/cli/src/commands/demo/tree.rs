//! What is in a directory, with sizes, on a few lines.

use std::fs;
use std::io;
use std::path::Path;

use crate::output::format;

/// A line of the listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) size: String,
}

/// How many entries of a directory are named before the rest is only counted.
const NAMED: usize = 3;

/// The entries of a directory and of those below it, sorted, long directories cut.
pub(super) fn list(root: &Path) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    walk(root, 0, &mut lines)?;
    Ok(lines)
}

fn walk(directory: &Path, depth: usize, lines: &mut Vec<Line>) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    // Locks and caches, whose names begin with a dot, say nothing to who looks for the data.
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.sort_by_key(fs::DirEntry::file_name);
    let (directories, files): (Vec<_>, Vec<_>) =
        entries.iter().partition(|entry| entry.path().is_dir());
    for entry in directories {
        let (count, bytes) = total(&entry.path())?;
        lines.push(Line {
            name: format!("{indent}{}/", entry.file_name().to_string_lossy()),
            size: format!("{}, {}", format::plural(count, "file"), format::size(bytes)),
        });
        walk(&entry.path(), depth + 1, lines)?;
    }
    let shown = if files.len() > NAMED + 1 {
        NAMED
    } else {
        files.len()
    };
    for entry in &files[..shown] {
        lines.push(Line {
            name: format!("{indent}{}", entry.file_name().to_string_lossy()),
            size: format::size(entry.metadata()?.len()),
        });
    }
    if shown < files.len() {
        lines.push(Line {
            name: format!("{indent}… {} more", files.len() - shown),
            size: String::new(),
        });
    }
    Ok(())
}

/// The number of files below a directory, and their bytes.
pub(super) fn total(directory: &Path) -> io::Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.path().is_dir() {
            let (more, size) = total(&entry.path())?;
            count += more;
            bytes += size;
        } else {
            count += 1;
            bytes += entry.metadata()?.len();
        }
    }
    Ok((count, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_directories_are_cut_and_all_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        for i in 0..9 {
            fs::write(dir.path().join(format!("d/{i}.json")), "xx").unwrap();
        }
        fs::write(dir.path().join("a.toml"), "x").unwrap();
        fs::write(dir.path().join("d/.lock"), "x").unwrap();
        let lines: Vec<_> = list(dir.path())
            .unwrap()
            .into_iter()
            .map(|line| (line.name, line.size))
            .collect();
        let line = |name: &str, size: &str| (name.to_owned(), size.to_owned());
        assert_eq!(
            lines,
            [
                line("d/", "9 files, 18 B"),
                line("  0.json", "2 B"),
                line("  1.json", "2 B"),
                line("  2.json", "2 B"),
                line("  … 6 more", ""),
                line("a.toml", "1 B"),
            ]
        );
    }
}
