//! Mending that is asked for: documents written again from the journal, and a journal founded anew.

use std::io;
use std::path::{Path, PathBuf};

use minutebook_core::{DecisionId, Error};
use minutebook_fs::{Durability, FsError, LockMode, OpenMode, create_new, rename, rename_new};

use super::Store;
use super::read::Load;
use super::refresh::{Freshness, max_line_bytes};
use crate::check::Walk;
use crate::error::{JsonError, Result};
use crate::journal::{Chain, Found, GENESIS, Known, Mark, Put, text};
use crate::layout;

/// The new journal is written in pieces of about this size.
const CHUNK: usize = 1 << 20;

impl Store {
    /// Carries out what a writer that died has left, and writes the documents of these decisions again as the journal has them. Gives those
    /// that it has.
    pub(crate) fn restore(&self, ids: &[DecisionId]) -> Result<Vec<DecisionId>> {
        if self.is_plain() {
            return Ok(Vec::new());
        }
        self.follow_journal()?;
        if self.read_state().journal.offset == 0 {
            return Ok(Vec::new());
        }
        self.locked(Durability::Buffered, |log| {
            self.update(Freshness::Light)?;
            self.recover_locked(log)?;
            let mut restored = Vec::with_capacity(ids.len());
            if ids.is_empty() {
                return Ok(restored);
            }
            self.mark_before_change(log)?;
            for id in ids {
                let Some(known) = self.read_state().known.get(id)? else {
                    continue;
                };
                let text = self.journaled_text(&known)?;
                let path = self.path(&known.file);
                if let Load::Document(document) = self.load(&known.file, false)
                    && document.decision.id() != id
                {
                    let holds = document.decision.id();
                    tracing::warn!(%id, %holds, file = %known.file, "a document is not restored: its file is another decision's by now");
                    continue;
                }
                minutebook_fs::replace(&*self.fs, &path, text.as_bytes(), Durability::Synced)?;
                tracing::info!(%id, file = %known.file, "a document was restored from the journal");
                restored.push(id.clone());
            }
            let seq = self.read_state().journal.chain.seq;
            self.mark(log, seq, None);
            self.update(Freshness::Light)?;
            Ok(restored)
        })
    }

    /// Founds the journal anew from its intact lines: the last state of each decision, with its revision and when it was taken. The journal as it
    /// was gets the name `keep`, which must be free, and its sealed files theirs. Those come last: a new journal with the sealed files of the old one
    /// beside it is not sealed, and the next repair moves them.
    pub(crate) fn refound(&self, keep: &Path, sealed: &[(PathBuf, PathBuf)]) -> Result<u64> {
        const OP: &str = "repair";
        if self.is_plain() {
            return Err(JsonError::Core(Error::unsupported(
                "this store keeps no journal (decisions.journal)",
            )));
        }
        let lock_path = self.path(layout::LOCK);
        let _lock = self
            .fs
            .lock(&lock_path, LockMode::Exclusive, self.config.lock_wait)
            .map_err(|error| FsError::not_applied(OP, "lock", &lock_path, error))?;
        let journal = self.path(layout::JOURNAL);
        let max_line = max_line_bytes(self.config.max_document_bytes);
        let mut walk = Walk::new(std::sync::Arc::clone(&self.fs), &self.dir, max_line, None);
        walk.go_on(&Unheard)?;
        walk.settle();
        let mut known: Vec<(&DecisionId, &Known)> = walk.known.iter().collect();
        known.sort_by(|a, b| (a.1.at, a.0).cmp(&(b.1.at, b.0)));

        let temporary = self.path(&self.fs.temp_name());
        let step = |error| FsError::not_applied(OP, "write the new journal", &temporary, error);
        let file = self
            .fs
            .open(&temporary, OpenMode::CreateNew)
            .map_err(step)?;
        let mut chain = Chain {
            seq: 0,
            head: GENESIS.to_owned(),
        };
        let mut out = Vec::new();
        for (id, known) in known {
            if out.len() >= CHUNK {
                file.write_all(&out).map_err(step)?;
                out.clear();
            }
            if known.is_foreign() {
                let found = Found::again(id, known);
                chain.found(&mut out, &found, &self.journaled_text(known)?);
                continue;
            }
            let document = text(&*self.fs, &journal, known.doc)?;
            let put = Put::again(id, known);
            let exact = match known.text.len {
                0 => None,
                _ => Some(self.journaled_text(known)?),
            };
            chain.put(&mut out, &put, &document, exact.as_deref());
        }
        let dir = self.dir_stamp()?.nanos();
        // What a sync has lost it has lost.
        let mark = Mark {
            failed: self.boot.clone().zip(self.lost_by_sync()),
            ..Mark::new(chain.seq, self.boot.clone(), dir.zip(dir))
        };
        out.extend_from_slice(mark.to_line().as_bytes());
        file.write_all(&out).map_err(step)?;
        file.sync_all().map_err(step)?;

        self.keep_as(&journal, keep)?;
        minutebook_fs::remove(
            &*self.fs,
            &self.path(layout::CHECKPOINT),
            Durability::Synced,
        )?;
        rename(&*self.fs, &temporary, &journal, Durability::Synced)?;
        for (from, to) in sealed {
            if self.fs.identify(from).is_ok() {
                let _free = rename_new(&*self.fs, from, to, Durability::Synced)?;
            }
        }
        tracing::warn!(dir = %self.dir.display(), lines = chain.seq, "the journal was founded anew");
        Ok(chain.seq)
    }

    /// Gives a file a second name, or makes a copy where the file system has no second names.
    fn keep_as(&self, path: &Path, keep: &Path) -> Result<()> {
        const OP: &str = "repair";
        let step = |error| FsError::not_applied(OP, "keep the journal as it was", keep, error);
        match self.fs.hard_link(path, keep) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(JsonError::Fs(step(error)));
            }
            Err(_) => {
                let bytes = minutebook_fs::read(&*self.fs, path, u64::MAX)?.unwrap_or_default();
                let _new = create_new(&*self.fs, keep, &bytes, Durability::Synced)?;
            }
        }
        let dir = keep.parent().unwrap_or(keep);
        self.fs
            .sync_dir(dir)
            .map_err(|error| FsError::names(OP, keep, error))?;
        Ok(())
    }
}

/// Findings were told by the check before.
#[derive(Debug)]
struct Unheard;

impl minutebook_core::check::Watch for Unheard {
    fn found(&self, _: minutebook_core::Finding) {}
}
