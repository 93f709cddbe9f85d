//! Helpers of the tests that cross crates: copies of fixtures, digests of directories, the shared data.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: what fails here must fail the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A fresh copy of a folder under `tests/fixtures`.
///
/// # Panics
/// If it is not there or cannot be copied.
pub fn fixture(name: &str) -> TempDir {
    copy_of(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name),
    )
}

/// A fresh copy of a folder.
///
/// # Panics
/// If it is not there or cannot be copied.
pub fn copy_of(folder: &Path) -> TempDir {
    let copy = TempDir::new().expect("a temporary directory");
    copy_into(folder, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    let entries = fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    for entry in entries {
        let entry = entry.expect("a directory entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).expect("a new directory");
            copy_into(&entry.path(), &target);
        } else {
            // Read and write instead of `fs::copy`, which would copy a read-only mode too.
            let bytes = fs::read(entry.path()).expect("a readable fixture");
            fs::write(&target, bytes).expect("a written copy");
        }
    }
}

/// Every file below a folder with its bytes, to see that nothing changed.
///
/// # Panics
/// If it cannot be read.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a readable directory") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("a readable file");
                files.insert(path, bytes);
            }
        }
    }
    files
}

/// The folder of real data beside the workspace, for the tests that are run with `--ignored`.
///
/// # Panics
/// If it is not there: such a test was asked for by name and must not pass without its data.
pub fn shared_data(path: &str) -> PathBuf {
    let root = std::env::var_os("MINUTEBOOK_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let path = root.join(path);
    assert!(
        path.exists(),
        "{} is not there; set MINUTEBOOK_SHARED_DATA",
        path.display()
    );
    path
}
