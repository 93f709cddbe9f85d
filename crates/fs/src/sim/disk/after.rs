//! A simulated disk after a power cut, given what became of each change that was not durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{DataChange, Ino, Node, ROOT, State};

impl State {
    /// The files that any of the names, durable or pending, may lead to and that have content at stake.
    pub(in crate::sim) fn files_at_stake(&self) -> Vec<Ino> {
        let dirs = self.inodes.values().filter_map(|inode| match &inode.node {
            Node::Dir(dir) => Some(dir),
            Node::File(_) => None,
        });
        let durable = dirs
            .flat_map(|dir| dir.durable.values())
            .filter_map(|(entry, _)| entry.as_ref());
        let pending = self
            .pending
            .iter()
            .flat_map(|change| &change.sets)
            .filter_map(|(_, _, entry)| entry.as_ref());
        let mut files: Vec<Ino> = durable.chain(pending).map(|entry| entry.ino).collect();
        files.sort_unstable();
        files.dedup();
        files.retain(|ino| self.file(*ino).is_ok_and(|file| !file.pending.is_empty()));
        files
    }

    /// The content of a file that is at stake: what is durable, and what is not.
    pub(in crate::sim) fn stake(&self, ino: Ino) -> Option<(&Arc<Vec<u8>>, &[DataChange])> {
        self.file(ino)
            .ok()
            .map(|file| (&file.durable, file.pending.as_slice()))
    }

    /// The disk after a power cut: with these of the pending name changes, and this content in the files at stake.
    pub(in crate::sim) fn image(
        &self,
        survives: &[bool],
        contents: &BTreeMap<Ino, Arc<Vec<u8>>>,
    ) -> Self {
        let mut image = self.clone();
        image.watches.clear();
        let pending = std::mem::take(&mut image.pending);
        for (change, _) in pending
            .into_iter()
            .zip(survives)
            .filter(|(_, survives)| **survives)
        {
            image.make_durable(change);
        }
        for (ino, inode) in &mut image.inodes {
            inode.locks.clear();
            match &mut inode.node {
                Node::Dir(dir) => {
                    dir.durable.retain(|_, (entry, _)| entry.is_some());
                    dir.live = dir
                        .durable
                        .iter()
                        .filter_map(|(key, (entry, _))| Some((key.clone(), entry.clone()?)))
                        .collect();
                }
                Node::File(file) => {
                    file.live = contents
                        .get(ino)
                        .map_or_else(|| Arc::clone(&file.durable), Arc::clone);
                    file.durable = Arc::clone(&file.live);
                    file.pending.clear();
                }
            }
        }
        image.drop_unreachable();
        image
    }

    pub(super) fn drop_unreachable(&mut self) {
        let mut reached = vec![ROOT];
        let mut i = 0;
        while let Some(ino) = reached.get(i).copied() {
            i += 1;
            if let Ok(dir) = self.dir(ino) {
                reached.extend(dir.live.values().map(|entry| entry.ino));
            }
        }
        reached.sort_unstable();
        self.inodes
            .retain(|ino, _| reached.binary_search(ino).is_ok());
    }
}
