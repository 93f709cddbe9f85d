//! Watches of directories on a simulated disk: what was changed is told to each of them.

use std::ffi::OsString;
use std::io;

use super::{Ino, State, Watched};

/// How much a watch keeps: a test can make it overflow.
const MAX_TOLD: usize = 100_000;

impl State {
    pub(in crate::sim) fn watch(&mut self, dir: Ino) -> io::Result<u64> {
        if !self.watchable {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.dir(dir)?;
        let id = self.next_handle();
        let watched = Watched {
            dir,
            names: Vec::new(),
            lost: false,
        };
        self.watches.insert(id, watched);
        Ok(id)
    }

    pub(in crate::sim) fn unwatch(&mut self, id: u64) {
        self.watches.remove(&id);
    }

    /// What changed since the last call, and whether that is all.
    pub(in crate::sim) fn told(&mut self, id: u64) -> (Vec<OsString>, bool) {
        match self.watches.get_mut(&id) {
            Some(watched) => (std::mem::take(&mut watched.names), !watched.lost),
            None => (Vec::new(), false),
        }
    }

    /// From now on no watch that there is tells everything.
    pub(in crate::sim) fn lose_watches(&mut self) {
        for watched in self.watches.values_mut() {
            watched.lost = true;
        }
    }

    pub(super) fn tell(&mut self, dir: Ino, name: &OsString) {
        for watched in self.watches.values_mut().filter(|w| w.dir == dir) {
            if watched.names.len() >= MAX_TOLD {
                watched.lost = true;
            } else if watched.names.last() != Some(name) {
                watched.names.push(name.clone());
            }
        }
    }

    /// A file was written to: under each of its names.
    pub(in crate::sim) fn tell_written(&mut self, ino: Ino) {
        let dirs: Vec<Ino> = self.watches.values().map(|watched| watched.dir).collect();
        for dir in dirs {
            let names = |state: &Self| -> Vec<OsString> {
                let Ok(dir) = state.dir(dir) else {
                    return Vec::new();
                };
                let entries = dir.live.values().filter(|entry| entry.ino == ino);
                entries.map(|entry| entry.name.clone()).collect()
            };
            for name in names(self) {
                self.tell(dir, &name);
            }
        }
    }
}
