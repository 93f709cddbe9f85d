//! Runs the command as a user would, in a directory of its own.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is not as it should be"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A directory with a store in it.
pub(crate) struct World {
    dir: tempfile::TempDir,
    store: PathBuf,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// With an empty store.
    pub(crate) fn new() -> Self {
        let world = Self::bare();
        world.ok(&["init"]);
        world
    }

    /// Without a store.
    pub(crate) fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("book");
        Self { dir, store }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// Writes a file beside the store and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The command, on this store and with nothing of the environment that could change it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minutebook"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MINUTEBOOK_") {
                command.env_remove(name);
            }
        }
        command
            .env("MINUTEBOOK_STORE", &self.store)
            .current_dir(self.dir.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: impl AsRef<[u8]>) -> Ran {
        let mut command = self.command();
        command.args(args);
        finish(command, stdin.as_ref())
    }

    /// Runs what must succeed, and gives its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.ok_with(args, "")
    }

    pub(crate) fn ok_with(&self, args: &[&str], stdin: impl AsRef<[u8]>) -> String {
        let ran = self.run_with(args, stdin);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Runs what must succeed, and gives its lines of JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        self.ok(&args)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Runs what must fail with this code, with one line on standard error that says all of `says`, and without changing a file.
    #[track_caller]
    pub(crate) fn refused(&self, args: &[&str], stdin: &str, code: i32, says: &[&str]) {
        let before = contents(self.dir());
        let ran = self.run_with(args, stdin);
        assert_eq!(ran.code, code, "{args:?}: {} {}", ran.stdout, ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        for text in says {
            assert!(
                ran.stderr.contains(text),
                "{args:?} does not say {text:?}: {}",
                ran.stderr
            );
        }
        assert!(
            contents(self.dir()) == before,
            "{args:?} has changed a file"
        );
    }
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command, stdin: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    // In a thread of its own: a command that fails early does not read all of it.
    let writer = std::thread::spawn(move || {
        let _ = pipe.write_all(&bytes);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Every file below a directory with its bytes, and every directory.
pub(crate) fn contents(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.insert(path.clone(), None);
                waiting.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).ok());
            }
        }
    }
    found
}

/// The bytes, compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The directory of shared sample data, beside the workspace.
pub(crate) fn shared_data() -> PathBuf {
    let path = std::env::var_os("MINUTEBOOK_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    assert!(
        path.is_dir(),
        "there is no {}; set MINUTEBOOK_SHARED_DATA",
        path.display()
    );
    path.canonicalize().unwrap()
}
