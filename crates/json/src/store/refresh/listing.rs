//! The names in the directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use minutebook_core::Decision;
use minutebook_fs::{FileKind, FsError};

use crate::error::Result;
use crate::journal::Known;
use crate::layout;
use crate::store::Store;
use crate::store::index::{Content, Loading};

/// What is in the directory.
#[derive(Debug, Default)]
struct Listing {
    /// Of documents.
    names: Vec<Arc<str>>,
    /// Names like those that are no regular files.
    not_files: BTreeMap<String, FileKind>,
    /// Runs of a checkpoint's table.
    runs: Vec<String>,
}

impl Store {
    /// Lists the directory.
    pub(super) fn list_anew(&self) -> Result<()> {
        let device = self.dir_stamp()?.device();
        let Listing {
            names,
            not_files,
            runs,
        } = self.list()?;
        // Not in the directory, which cannot be written, but in the journal.
        let absent: Vec<(Known, Decision)> = {
            let state = self.read_state();
            let mut absent = Vec::new();
            for id in state.overlay.serve.keys() {
                if let Some(known) = state.known.get(id)? {
                    let decision = self.journaled(&known)?.decision;
                    absent.push((known, decision));
                }
            }
            absent
        };
        let mut state = self.write_state();
        state.runs = runs;
        if state.listed {
            let vanished = state.index.relist(names, not_files);
            for name in vanished {
                state.note_vanished(&name);
            }
        } else {
            let mut loading = Loading::new(names, not_files, device);
            state.known.scan(&mut |entry| loading.take(entry))?;
            let (index, missing) = loading.finish();
            state.index = index;
            state.vanished = missing.into_iter().collect();
        }
        let index = &mut state.index;
        for (known, decision) in absent {
            if index.row(&known.file).is_none() {
                let content = Content {
                    time: known.effective(),
                    at: known.at,
                    token: known.token,
                    journaled: true,
                    facts: index.facts(&decision),
                };
                index.place_absent(&known.file, decision.id().clone(), content);
            }
        }
        state.listed = true;
        Ok(())
    }

    fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        self.fs
            .visit_dir(&self.dir, &mut |entry| {
                // Names that are no text cannot have been written by us or the original.
                let Some(name) = entry.name.to_str() else {
                    return true;
                };
                if layout::is_document(name) {
                    if entry.kind == FileKind::File {
                        listing.names.push(Arc::from(name));
                    } else {
                        listing.not_files.insert(name.to_owned(), entry.kind);
                    }
                } else if layout::is_run(name) {
                    listing.runs.push(name.to_owned());
                }
                true
            })
            .map_err(|error| {
                FsError::not_applied("read", "list the directory", &self.dir, error)
            })?;
        Ok(listing)
    }

    /// Goes through the names of documents.
    pub(in crate::store) fn visit_documents(&self, visit: &mut dyn FnMut(&str)) -> Result<()> {
        let listed = self.fs.visit_dir(&self.dir, &mut |entry| {
            let name = entry.name.to_str().filter(|name| layout::is_document(name));
            if let Some(name) = name.filter(|_| entry.kind == FileKind::File) {
                visit(name);
            }
            true
        });
        listed.map_err(|error| {
            FsError::not_applied("read", "list the directory", &self.dir, error).into()
        })
    }
}
