//! Names on a simulated disk: directories, links, renames, and what of them is durable.

use std::ffi::OsString;
use std::io;

use super::{DirData, Entry, FileData, Ino, Inode, NameChange, Node, ROOT, State};
use crate::fs::{DirEntry, FileKind};

impl State {
    pub(super) fn dir(&self, ino: Ino) -> io::Result<&DirData> {
        match self.inodes.get(&ino).map(|inode| &inode.node) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn dir_mut(&mut self, ino: Ino) -> Option<&mut DirData> {
        match self.inodes.get_mut(&ino).map(|inode| &mut inode.node) {
            Some(Node::Dir(dir)) => Some(dir),
            _ => None,
        }
    }

    pub(in crate::sim) fn lookup(&self, path: &[OsString]) -> io::Result<Ino> {
        let mut ino = ROOT;
        for name in path {
            let entry = self.dir(ino)?.live.get(&self.key(name));
            ino = entry.ok_or(io::ErrorKind::NotFound)?.ino;
        }
        Ok(ino)
    }

    /// The directory that holds a name, and the name.
    pub(super) fn parent(&self, path: &[OsString]) -> io::Result<(Ino, OsString)> {
        let (name, parent) = path.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        if name.len() > crate::names::MAX_LEN {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let dir = self.lookup(parent)?;
        self.dir(dir)?;
        Ok((dir, name.clone()))
    }

    /// Whether `path` is below the directory `dir`.
    pub(super) fn is_below(&self, dir: &[OsString], path: &[OsString]) -> bool {
        let mut pairs = dir.iter().zip(path);
        path.len() > dir.len() && pairs.all(|(a, b)| self.key(a) == self.key(b))
    }

    pub(super) fn change(&mut self, what: String, sets: Vec<(Ino, OsString, Option<Entry>)>) {
        self.seq += 1;
        let now = self.tick();
        for (dir, key, entry) in &sets {
            let gone = self.dir(*dir).ok().and_then(|dir| dir.live.get(key));
            let name = entry.as_ref().or(gone).map(|entry| entry.name.clone());
            if let Some(name) = name {
                self.tell(*dir, &name);
            }
            if let Some(inode) = self.inodes.get_mut(dir) {
                inode.modified = now;
                inode.changed = now;
            }
            if let Some(dir) = self.dir_mut(*dir) {
                match entry {
                    Some(entry) => drop(dir.live.insert(key.clone(), entry.clone())),
                    None => drop(dir.live.remove(key)),
                }
            }
        }
        self.pending.push(NameChange {
            seq: self.seq,
            what,
            sets,
            lost: false,
        });
    }

    pub(super) fn add(&mut self, node: Node, mode: u32) -> Ino {
        let ino = self.next_ino;
        self.next_ino += 1;
        let now = self.tick();
        self.inodes.insert(
            ino,
            Inode {
                node,
                modified: now,
                changed: now,
                mode,
                locks: Vec::new(),
            },
        );
        ino
    }

    pub(in crate::sim) fn create_file(&mut self, path: &[OsString]) -> io::Result<Ino> {
        let (dir, name) = self.parent(path)?;
        let ino = self.add(Node::File(FileData::default()), 0o600);
        let what = format!("create {}", name.display());
        self.change(
            what,
            vec![(dir, self.key(&name), Some(Entry { name, ino }))],
        );
        Ok(ino)
    }

    /// A file without a name, which no crash leaves.
    pub(in crate::sim) fn create_unnamed(&mut self, dir: &[OsString]) -> io::Result<Ino> {
        self.dir(self.lookup(dir)?)?;
        Ok(self.add(Node::File(FileData::default()), 0o600))
    }

    pub(in crate::sim) fn create_dir(&mut self, path: &[OsString]) -> io::Result<()> {
        if self.lookup(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (dir, name) = self.parent(path)?;
        let ino = self.add(Node::Dir(DirData::default()), 0o700);
        let what = format!("create directory {}", name.display());
        self.change(
            what,
            vec![(dir, self.key(&name), Some(Entry { name, ino }))],
        );
        Ok(())
    }

    pub(in crate::sim) fn rename(
        &mut self,
        from: &[OsString],
        to: &[OsString],
        replace: bool,
    ) -> io::Result<()> {
        // The checks in the order in which Linux makes them.
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let ino = self.lookup(from)?;
        let (from_key, to_key) = (self.key(&from_name), self.key(&to_name));
        let target = self.dir(to_dir)?.live.get(&to_key);
        let same_entry = from_dir == to_dir && from_key == to_key;
        // On a disk that folds case a name may be changed into itself.
        if target.is_some() && !replace && !(same_entry && from_name != to_name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.is_below(from, to) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.is_below(to, from) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if let Some(target) = target.filter(|_| !same_entry) {
            if target.ino == ino {
                return Ok(()); // two names of one file: POSIX does nothing
            }
            match (self.is_dir(ino), self.is_dir(target.ino)) {
                (false, true) => return Err(io::ErrorKind::IsADirectory.into()),
                (true, false) => return Err(io::ErrorKind::NotADirectory.into()),
                (true, true) if !self.dir(target.ino)?.live.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                _ => {}
            }
        }
        if same_entry && from_name == to_name {
            return Ok(());
        }
        let what = format!("rename {} to {}", from_name.display(), to_name.display());
        let mut sets = vec![(from_dir, from_key, None)];
        sets.push((to_dir, to_key, Some(Entry { name: to_name, ino })));
        self.change(what, sets);
        self.touch_changed(ino);
        Ok(())
    }

    pub(in crate::sim) fn link(&mut self, from: &[OsString], to: &[OsString]) -> io::Result<()> {
        let ino = self.lookup(from)?;
        self.link_file(ino, to)
    }

    pub(in crate::sim) fn link_file(&mut self, ino: Ino, to: &[OsString]) -> io::Result<()> {
        let (dir, name) = self.parent(to)?;
        if self.lookup(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.is_dir(ino) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let what = format!("link {}", name.display());
        self.change(
            what,
            vec![(dir, self.key(&name), Some(Entry { name, ino }))],
        );
        self.touch_changed(ino);
        Ok(())
    }

    pub(in crate::sim) fn remove(&mut self, path: &[OsString], kind: FileKind) -> io::Result<()> {
        let ino = self.lookup(path)?;
        let (dir, name) = self.parent(path)?;
        match (self.is_dir(ino), kind) {
            (true, FileKind::File) => return Err(io::ErrorKind::IsADirectory.into()),
            (false, FileKind::Dir) => return Err(io::ErrorKind::NotADirectory.into()),
            (true, _) if !self.dir(ino)?.live.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        let what = format!("remove {}", name.display());
        self.change(what, vec![(dir, self.key(&name), None)]);
        self.touch_changed(ino);
        Ok(())
    }

    pub(in crate::sim) fn list(&self, path: &[OsString]) -> io::Result<Vec<DirEntry>> {
        let dir = self.dir(self.lookup(path)?)?;
        Ok(dir
            .live
            .values()
            .map(|entry| DirEntry {
                name: entry.name.clone(),
                kind: self.kind(entry.ino),
            })
            .collect())
    }

    pub(in crate::sim) fn sync_dir(&mut self, ino: Ino) -> io::Result<()> {
        self.dir(ino)?;
        let (done, left) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|change| !change.lost && change.sets.iter().any(|(dir, _, _)| *dir == ino));
        self.pending = left;
        for change in done {
            self.make_durable(change);
        }
        Ok(())
    }

    /// A sync of a directory failed.
    pub(in crate::sim) fn lose_dir(&mut self, ino: Ino) {
        for change in &mut self.pending {
            change.lost |= change.sets.iter().any(|(dir, _, _)| *dir == ino);
        }
    }

    pub(super) fn make_durable(&mut self, change: NameChange) {
        for (dir, key, entry) in change.sets {
            if let Some(dir) = self.dir_mut(dir) {
                let old = dir.durable.get(&key).map_or(0, |(_, seq)| *seq);
                if old < change.seq {
                    dir.durable.insert(key, (entry, change.seq));
                }
            }
        }
    }
}
