//! The simulated disk answers as the operating system does: random operations on both, compared one by one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests"
)]
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use minutebook_fs::{FileKind, Fs, FsFile, LockMode, LockWait, OpenMode, OsFs, SimFs};
use proptest::prelude::*;

const PATHS: [&str; 8] = ["a", "b", "d", "d/a", "d/b", "e", "e/a", "d/e"];

#[derive(Debug, Clone)]
enum Op {
    Open(usize, OpenMode),
    Close(usize),
    Append(usize, Vec<u8>),
    SetLen(usize, u64),
    ReadAt(usize, u64, usize),
    Sync(usize, bool),
    Lock(usize, LockMode),
    Unlock(usize),
    Rename(usize, usize),
    RenameNoReplace(usize, usize),
    Link(usize, usize),
    Remove(usize),
    CreateDir(usize),
    RemoveDir(usize),
    SyncDir(usize),
    List(usize),
    Look(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let path = || 0..PATHS.len();
    let file = || 0..4_usize;
    let mode = prop::sample::select(vec![
        OpenMode::Read,
        OpenMode::Append,
        OpenMode::Append,
        OpenMode::AppendExisting,
        OpenMode::CreateNew,
        OpenMode::Lock,
    ]);
    let lock = prop::sample::select(vec![LockMode::Shared, LockMode::Exclusive]);
    prop_oneof![
        4 => (path(), mode).prop_map(|(p, m)| Op::Open(p, m)),
        1 => file().prop_map(Op::Close),
        4 => (file(), prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(f, b)| Op::Append(f, b)),
        1 => (file(), 0..9_u64).prop_map(|(f, n)| Op::SetLen(f, n)),
        2 => (file(), 0..9_u64, 0..9_usize).prop_map(|(f, o, n)| Op::ReadAt(f, o, n)),
        1 => (file(), any::<bool>()).prop_map(|(f, a)| Op::Sync(f, a)),
        2 => (file(), lock).prop_map(|(f, m)| Op::Lock(f, m)),
        1 => file().prop_map(Op::Unlock),
        3 => (path(), path()).prop_map(|(a, b)| Op::Rename(a, b)),
        2 => (path(), path()).prop_map(|(a, b)| Op::RenameNoReplace(a, b)),
        2 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        2 => path().prop_map(Op::Remove),
        3 => path().prop_map(Op::CreateDir),
        1 => path().prop_map(Op::RemoveDir),
        1 => path().prop_map(Op::SyncDir),
        1 => path().prop_map(Op::List),
        2 => path().prop_map(Op::Look),
    ]
}

type Answer = Result<String, io::ErrorKind>;

struct Side<F> {
    fs: F,
    root: PathBuf,
    files: Vec<Box<dyn FsFile>>,
}

impl<F: Fs> Side<F> {
    fn path(&self, i: usize) -> PathBuf {
        self.root.join(PATHS[i])
    }

    fn file(&self, i: usize) -> io::Result<&dyn FsFile> {
        self.files
            .get(i)
            .map(|file| &**file)
            .ok_or_else(|| io::ErrorKind::Other.into())
    }

    fn run(&mut self, op: &Op) -> Answer {
        self.answer(op).map_err(|e| match (op, e.kind()) {
            // The system says EINVAL both to a directory that is moved into itself and to a flag that it does not know.
            (Op::RenameNoReplace(..), io::ErrorKind::InvalidInput) => io::ErrorKind::Unsupported,
            (_, kind) => kind,
        })
    }

    fn answer(&mut self, op: &Op) -> io::Result<String> {
        let done = |()| String::new();
        match op {
            Op::Open(p, mode) => {
                let file = self.fs.open(&self.path(*p), *mode)?;
                self.files.push(file);
                if self.files.len() > 4 {
                    self.files.remove(0);
                }
                Ok(String::new())
            }
            Op::Close(f) => {
                if *f < self.files.len() {
                    self.files.remove(*f);
                }
                Ok(String::new())
            }
            Op::Append(f, bytes) => self.file(*f)?.append(bytes).map(|n| n.to_string()),
            Op::SetLen(f, len) => self.file(*f)?.set_len(*len).map(done),
            Op::ReadAt(f, offset, n) => {
                let mut buf = vec![0; *n];
                let n = self.file(*f)?.read_at(&mut buf, *offset)?;
                Ok(format!("{:?}", &buf[..n]))
            }
            Op::Sync(f, all) => if *all {
                self.file(*f)?.sync_all()
            } else {
                self.file(*f)?.sync_data()
            }
            .map(done),
            Op::Lock(f, mode) => self.file(*f)?.lock(*mode, LockWait::Try).map(done),
            Op::Unlock(f) => self.file(*f)?.unlock().map(done),
            Op::Rename(a, b) => self.fs.rename(&self.path(*a), &self.path(*b)).map(done),
            Op::RenameNoReplace(a, b) => self
                .fs
                .rename_no_replace(&self.path(*a), &self.path(*b))
                .map(done),
            Op::Link(a, b) => self.fs.hard_link(&self.path(*a), &self.path(*b)).map(done),
            Op::Remove(p) => self.fs.remove_file(&self.path(*p)).map(done),
            Op::CreateDir(p) => self.fs.create_dir(&self.path(*p)).map(done),
            Op::RemoveDir(p) => self.fs.remove_dir(&self.path(*p)).map(done),
            Op::SyncDir(p) => self.fs.sync_dir(&self.path(*p)).map(done),
            Op::List(p) => {
                let mut entries = self.fs.read_dir(&self.path(*p))?;
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(format!("{entries:?}"))
            }
            Op::Look(p) => {
                let m = self.fs.metadata(&self.path(*p))?;
                let len = if m.is_file() { m.len } else { 0 };
                Ok(format!(
                    "{:?} {len} {:o}",
                    m.kind,
                    m.mode.unwrap_or_default()
                ))
            }
        }
    }

    /// Everything that is there, and which names are one file.
    fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut tree = BTreeMap::new();
        self.walk(&self.root, Path::new(""), &mut tree);
        tree
    }

    fn walk(&self, dir: &Path, at: &Path, tree: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
        for entry in self.fs.read_dir(dir).unwrap() {
            let (path, at) = (dir.join(&entry.name), at.join(&entry.name));
            if entry.kind == FileKind::Dir {
                tree.insert(at.clone(), None);
                self.walk(&path, &at, tree);
            } else {
                let file = self.fs.open(&path, OpenMode::Read).unwrap();
                let mut bytes = vec![0; 1000];
                let n = file.read_full_at(&mut bytes, 0).unwrap();
                bytes.truncate(n);
                tree.insert(at, Some(bytes));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn both_answer_alike(ops in prop::collection::vec(op(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let sim = SimFs::new();
        sim.create_dir(Path::new("/root")).unwrap();
        let mut sim = Side { fs: sim, root: "/root".into(), files: Vec::new() };
        let mut os = Side { fs: OsFs, root: dir.path().into(), files: Vec::new() };
        for op in &ops {
            prop_assert_eq!(sim.run(op), os.run(op), "{:?}", op);
        }
        prop_assert_eq!(sim.tree(), os.tree());
    }
}
