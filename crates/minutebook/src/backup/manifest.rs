//! The list of a generation's files, which makes it complete. See `docs/format/backup.md`.

use std::collections::BTreeMap;
use std::path::Path;

use minutebook_core::check::Part;
use minutebook_fs::{Created, Durability, FileId, Fs, Metadata, create_new, read};
use serde::{Deserialize, Serialize};

use crate::error::fs as fs_error;
use crate::{Error, ErrorKind, Result};

const FORMAT: u32 = 1;
/// More bytes than a list of ten million files has.
const MAX_BYTES: u64 = 8 << 30;

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    /// The form of the list.
    pub(super) backup: u32,
    pub(super) generation: String,
    /// When the backup began, RFC 3339, UTC.
    pub(super) at: String,
    /// The store's directory.
    pub(super) source: String,
    /// Which directory that was. Earlier releases did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) directory: Option<Directory>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// The hash of the last line of the decisions' journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) journal_head: Option<String>,
    /// Directories that are there though they may have no files.
    pub(super) dirs: Vec<String>,
}

/// Which directory a name stood for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Directory {
    device: u64,
    inode: u64,
}

impl From<FileId> for Directory {
    fn from(id: FileId) -> Self {
        Self {
            device: id.device,
            inode: id.inode,
        }
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The part of the store.
    pub(super) part: String,
    /// Relative to the store's directory, with `/` between names.
    pub(super) path: String,
    pub(super) len: u64,
    /// The digest of all its bytes.
    pub(super) blake3: String,
    /// The objects that its bytes are in, one after the other; left out if it is one with this digest, or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pieces: Vec<Piece>,
    /// When the source was modified, in nanoseconds since 1970.
    pub(super) modified: i64,
    /// Its permission bits, where the platform has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<u32>,
    /// By which it is known that the source has not changed since; left out if it had changed so recently that this could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stamp: Option<Stamp>,
}

/// A stretch of a file, which is an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) blake3: String,
    pub(super) len: u64,
}

impl Entry {
    /// The objects that its bytes are in.
    pub(super) fn objects(&self) -> Vec<Piece> {
        if self.pieces.is_empty() && self.len > 0 {
            return vec![Piece {
                blake3: self.blake3.clone(),
                len: self.len,
            }];
        }
        self.pieces.clone()
    }

    pub(super) fn part(&self) -> Part {
        self.part.parse().unwrap_or(Part::Store)
    }
}

/// Which file the source was, how long, and when it last changed: programs cannot set that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    changed: i64,
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            device: meta.id.device,
            inode: meta.id.inode,
            len: meta.len,
            changed: i64::try_from(meta.changed_ns).unwrap_or(i64::MAX),
        }
    }
}

impl Stamp {
    /// Whether it is of the same file with the same bytes, on whichever device: a disk that is mounted again may have another number.
    pub(super) fn same_file(&self, other: &Self) -> bool {
        (self.inode, self.len, self.changed) == (other.inode, other.len, other.changed)
    }
}

#[derive(Serialize, Deserialize)]
struct Sum {
    blake3: String,
}

/// A generation's list.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) header: Header,
    pub(super) entries: BTreeMap<String, Entry>,
}

impl Manifest {
    /// Writes the list, durably: from here on the generation is complete.
    pub(super) fn write(&self, fs: &dyn Fs, path: &Path) -> Result<()> {
        match create_new(fs, path, self.text()?.as_bytes(), Durability::Synced) {
            Ok(Created::Created) => Ok(()),
            Ok(Created::AlreadyExists) => Err(Error::new(
                ErrorKind::Conflict,
                "another backup has completed a generation of this name",
            )
            .with_resource(path.display())),
            Err(error) => Err(fs_error("write the manifest", path, error)),
        }
    }

    fn text(&self) -> Result<String> {
        let mut text = line(&self.header)?;
        for entry in self.entries.values() {
            text.push_str(&line(entry)?);
        }
        let sum = Sum {
            blake3: blake3::hash(text.as_bytes()).to_hex().to_string(),
        };
        text.push_str(&line(&sum)?);
        Ok(text)
    }

    /// Reads a list; `None` if there is none.
    pub(super) fn read(fs: &dyn Fs, path: &Path) -> Result<Option<Self>> {
        let bytes = read(fs, path, MAX_BYTES)
            .map_err(|error| fs_error("read the manifest", path, error))?;
        match bytes {
            None => Ok(None),
            Some(bytes) => Self::parse(&bytes)
                .map(Some)
                .map_err(|why| Error::new(ErrorKind::Corrupt, why).with_resource(path.display())),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let text = text.strip_suffix('\n').ok_or("the manifest breaks off")?;
        let start = text.rfind('\n').ok_or("the manifest breaks off")? + 1;
        let (content, sum) = text.split_at(start);
        let sum: Sum = parsed(sum).map_err(|_| "the manifest breaks off")?;
        if sum.blake3 != blake3::hash(content.as_bytes()).to_hex().as_str() {
            return Err("the manifest's sum does not fit it".to_owned());
        }
        let mut lines = content.lines();
        let header: Header = parsed(lines.next().unwrap_or_default())?;
        if header.backup != FORMAT {
            return Err(format!(
                "the manifest has form {} and this release reads form {FORMAT}; use a newer release",
                header.backup
            ));
        }
        if let Some(dir) = header.dirs.iter().find(|dir| !is_inside(dir)) {
            return Err(format!("the manifest names {dir:?}, which leads out of it"));
        }
        let mut entries = BTreeMap::new();
        for line in lines {
            let entry: Entry = parsed(line)?;
            if !is_inside(&entry.path) {
                return Err(format!(
                    "the manifest names {:?}, which leads out of it",
                    entry.path
                ));
            }
            let pieces = entry.objects();
            let whole = pieces
                .iter()
                .try_fold(0_u64, |sum, piece| sum.checked_add(piece.len));
            if whole != Some(entry.len) || !pieces.iter().all(|piece| is_digest(&piece.blake3)) {
                return Err(format!("the pieces of {:?} are not its bytes", entry.path));
            }
            entries.insert(entry.path.clone(), entry);
        }
        Ok(Self { header, entries })
    }
}

impl Header {
    pub(super) const FORMAT: u32 = FORMAT;
}

fn line(value: &impl Serialize) -> Result<String> {
    let mut text = minutebook_core::json::to_text(value)
        .map_err(|error| Error::invalid(format!("the manifest cannot be written: {error}")))?;
    text.push('\n');
    Ok(text)
}

fn parsed<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Whether a text is the name of an object.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether a path of a list stays where it belongs.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|name| {
            !name.is_empty() && name != "." && name != ".." && !name.contains(['\\', '\0'])
        })
}

#[cfg(test)]
mod tests {
    use minutebook_fs::SimFs;

    use super::*;

    fn sample() -> Manifest {
        let digest = "0".repeat(64);
        let entry = |path: &str, len: u64, pieces: Vec<u64>| Entry {
            part: "ticks".to_owned(),
            path: path.to_owned(),
            len,
            blake3: digest.clone(),
            pieces: pieces
                .into_iter()
                .map(|len| Piece {
                    blake3: digest.clone(),
                    len,
                })
                .collect(),
            modified: 7,
            mode: Some(0o600),
            stamp: None,
        };
        let entries = [
            entry("ticks/a.jsonl", 3, Vec::new()),
            entry("ticks/b.jsonl", 3, vec![1, 2]),
            entry("ticks/c.jsonl", 0, Vec::new()),
        ];
        Manifest {
            header: Header {
                backup: FORMAT,
                generation: "g".to_owned(),
                at: "2025-01-01T00:00:00Z".to_owned(),
                source: "/s".to_owned(),
                directory: None,
                files: 3,
                bytes: 6,
                journal_head: None,
                dirs: vec!["ticks".to_owned()],
            },
            entries: entries
                .into_iter()
                .map(|entry| (entry.path.clone(), entry))
                .collect(),
        }
    }

    #[test]
    fn a_list_comes_back_and_every_change_is_noticed() {
        let (fs, path) = (SimFs::new(), Path::new("/list.jsonl"));
        let manifest = sample();
        assert!(Manifest::read(&fs, path).unwrap().is_none());
        manifest.write(&fs, path).unwrap();
        let back = Manifest::read(&fs, path).unwrap().unwrap();
        assert_eq!(back.entries, manifest.entries);
        let pieces: Vec<_> = back.entries.values().map(|e| e.objects().len()).collect();
        assert_eq!(pieces, [1, 2, 0]);
        let again = manifest.write(&fs, path).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Conflict);
        let bytes = read(&fs, path, 1 << 20).unwrap().unwrap();
        for i in 0..bytes.len() - 1 {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(Manifest::parse(&changed).is_err(), "byte {i}");
            assert!(Manifest::parse(&bytes[..i]).is_err(), "cut at {i}");
        }
    }

    #[test]
    fn what_a_list_says_is_checked_though_its_sum_fits() {
        let mut manifest = sample();
        let entry = manifest.entries.get_mut("ticks/b.jsonl").unwrap();
        entry.len = 4;
        let error = Manifest::parse(manifest.text().unwrap().as_bytes()).unwrap_err();
        assert!(error.contains("not its bytes"), "{error}");
        let mut manifest = sample();
        let entry = manifest.entries.get_mut("ticks/b.jsonl").unwrap();
        entry.pieces[0].blake3 = "../../x".to_owned();
        assert!(Manifest::parse(manifest.text().unwrap().as_bytes()).is_err());
        let mut manifest = sample();
        manifest.entries.get_mut("ticks/a.jsonl").unwrap().path = "../a".to_owned();
        assert!(Manifest::parse(manifest.text().unwrap().as_bytes()).is_err());
        let mut manifest = sample();
        manifest.header.backup = 2;
        let error = Manifest::parse(manifest.text().unwrap().as_bytes()).unwrap_err();
        assert!(error.contains("newer release"), "{error}");
    }

    #[test]
    fn paths_stay_inside() {
        for path in ["", "/etc/passwd", "a/../b", "..", "a//b", "./a", "a\\b"] {
            assert!(!is_inside(path), "{path}");
        }
        assert!(is_inside("series/@named/x/1h/log/1.json"));
    }
}
