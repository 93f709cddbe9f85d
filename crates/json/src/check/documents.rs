//! The directory of documents, looked at without changing it.

use std::path::{Path, PathBuf};

use minutebook_core::DocumentName;
use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_fs::{DirEntry, FileKind, FsError, is_temporary, names, read, stray_temporaries};

use crate::documents::{JsonDocumentsConfig, SUFFIX};
use crate::error::{JsonError, Result};

/// So often a file is read again that does not parse: a program that writes in place may be at it.
const ATTEMPTS: usize = 3;

/// What a check of documents saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DocumentsChecked {
    /// Documents.
    pub documents: u64,
}

/// Reads every document below a directory, and tells of those that are damaged, of left-overs and of what is no document. Changes nothing, and may run beside
/// writers, who replace files as a whole.
///
/// # Errors
/// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if a directory cannot be listed. What cannot be read is a finding.
pub fn check_documents(
    directory: &Path,
    config: &JsonDocumentsConfig,
    watch: &dyn Watch,
) -> minutebook_core::Result<DocumentsChecked> {
    check(directory, config, watch).map_err(|error| error.into_core("verify", directory.display()))
}

fn check(
    directory: &Path,
    config: &JsonDocumentsConfig,
    watch: &dyn Watch,
) -> Result<DocumentsChecked> {
    let fs = &*config.fs;
    let mut checked = DocumentsChecked::default();
    let mut open = vec![(directory.to_owned(), String::new())];
    while let Some((dir, prefix)) = open.pop() {
        let mut entries = match fs.read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let step = "list the directory";
                return Err(JsonError::from(FsError::not_applied(
                    "verify", step, &dir, error,
                )));
            }
        };
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if entries
            .iter()
            .any(|entry| is_temporary(&entry.name.to_string_lossy()))
        {
            for path in stray_temporaries(fs, &dir)? {
                let cause = "its writer died, or was killed, before it gave the file its name";
                watch.found(
                    Finding::new(FindingKind::StrayTemporary, path, cause)
                        .mended_by(Mend::MoveAway),
                );
            }
        }
        for entry in entries {
            if watch.stopped() {
                return Ok(checked);
            }
            let path = dir.join(&entry.name);
            match what(&entry, &prefix) {
                What::Temporary => {}
                What::Directory(below) => open.push((path, below)),
                What::Document(name) => {
                    checked.documents += 1;
                    if let Some(finding) = look(config, &path, &name, watch) {
                        watch.found(finding.about(&name));
                    }
                }
                What::NoFile => {
                    let cause = "a document of this name would have its file here";
                    watch.found(
                        Finding::new(FindingKind::NotAFile, path, cause).mended_by(Mend::MoveAway),
                    );
                }
                What::Foreign => {
                    let cause = "it is not called like the file of a document";
                    watch.found(Finding::new(FindingKind::ForeignFile, path, cause));
                }
            }
        }
    }
    Ok(checked)
}

/// What a name in a directory of documents stands for.
enum What {
    Document(DocumentName),
    /// With the beginning of the names in it.
    Directory(String),
    Temporary,
    NoFile,
    Foreign,
}

fn what(entry: &DirEntry, prefix: &str) -> What {
    let Some(text) = entry.name.to_str() else {
        return What::Foreign;
    };
    if is_temporary(text) {
        return What::Temporary;
    }
    let document = text
        .strip_suffix(SUFFIX)
        .and_then(|part| names::decode(part).ok())
        .and_then(|part| DocumentName::new(format!("{prefix}{part}")).ok());
    match (entry.kind, document) {
        (FileKind::File, Some(name)) => What::Document(name),
        (_, Some(_)) => What::NoFile,
        (FileKind::Dir, None) => match names::decode(text) {
            Ok(part) if DocumentName::new(format!("{prefix}{part}")).is_ok() => {
                What::Directory(format!("{prefix}{part}/"))
            }
            _ => What::Foreign,
        },
        (_, None) => What::Foreign,
    }
}

/// What is the matter with a document.
fn look(
    config: &JsonDocumentsConfig,
    path: &PathBuf,
    name: &DocumentName,
    watch: &dyn Watch,
) -> Option<Finding> {
    let mut cause = String::new();
    for _ in 0..ATTEMPTS {
        let bytes = match read(&*config.fs, path, config.max_document_bytes) {
            Ok(Some(bytes)) => bytes,
            // Removed meanwhile.
            Ok(None) => return None,
            Err(error) => {
                let what = format!("{name}: {error}");
                return Some(Finding::new(FindingKind::Unreadable, path, what));
            }
        };
        cause = match parses(&bytes) {
            Ok(()) => {
                watch.progress(bytes.len() as u64);
                return None;
            }
            Err(cause) => cause,
        };
    }
    let finding = Finding::new(FindingKind::DocumentTorn, path, cause);
    Some(finding.losing_data().mended_by(Mend::MoveAway))
}

fn parses(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is no UTF-8: {error}"))?;
    minutebook_core::json::check(text).map_err(|error| format!("it does not parse: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use minutebook_fs::{Durability, Fs, SimFs, create_dir_all, replace};

    use super::*;

    #[derive(Debug, Default)]
    struct Seen(Mutex<Vec<(FindingKind, String)>>);

    impl Watch for Seen {
        fn found(&self, finding: Finding) {
            let file = finding.path.file_name().unwrap_or_default().to_owned();
            let seen = (finding.kind, file.to_string_lossy().into_owned());
            self.0.lock().unwrap().push(seen);
        }
    }

    #[test]
    fn what_is_no_whole_document_is_told() {
        let fs = SimFs::new();
        let dir = Path::new("/documents/runs");
        create_dir_all(&fs, dir, Durability::Synced).unwrap();
        for (name, text) in [
            ("good.json", "{\"a\": [1, 2]}"),
            ("empty.json", ""),
            ("cut.json", "{\"a\": ["),
            ("two.json", "1 2"),
            ("notes.txt", "mine"),
            ("%zz.json", "1"),
        ] {
            replace(&fs, &dir.join(name), text.as_bytes(), Durability::Synced).unwrap();
        }
        replace(
            &fs,
            &dir.join("latin.json"),
            b"\"\xe9\"",
            Durability::Synced,
        )
        .unwrap();
        fs.create_dir(&dir.join("taken.json")).unwrap();
        let config = JsonDocumentsConfig::default().fs(Arc::new(fs.clone()));
        let seen = Seen::default();
        let checked = check_documents(Path::new("/documents"), &config, &seen).unwrap();
        assert_eq!(checked.documents, 5);
        let torn = |name: &str| (FindingKind::DocumentTorn, name.to_owned());
        assert_eq!(
            *seen.0.lock().unwrap(),
            [
                (FindingKind::ForeignFile, "%zz.json".to_owned()),
                torn("cut.json"),
                torn("empty.json"),
                torn("latin.json"),
                (FindingKind::ForeignFile, "notes.txt".to_owned()),
                (FindingKind::NotAFile, "taken.json".to_owned()),
                torn("two.json"),
            ]
        );
        let nowhere = check_documents(Path::new("/nowhere"), &config, &seen).unwrap();
        assert_eq!(nowhere, DocumentsChecked::default());
    }
}
