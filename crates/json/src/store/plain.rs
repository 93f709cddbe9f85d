//! Plain files alone: no journal, each document synced by itself.
//!
//! A state's revision is when its file was last modified, with the digest of what it holds. A save sets that time to when the store took
//! it, so it is also when the state was recorded; an edit by another program changes one of the two.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use minutebook_core::time::from_system;
use minutebook_core::{DecisionId, Error, Revision, SaveMode, SaveOutcome, SaveReceipt};
use minutebook_fs::{
    Applied, Durability, FileKind, Fs, FsError, FsFile, OpenMode, remove, replace_dated,
};

use super::plan::{Coming, check_mode, check_revision};
use super::read::{ATTEMPTS, Found, Load, Look, Pick};
use super::refresh::Freshness;
use super::write::Results;
use super::{Done, Op, Store};
use crate::codec::{Digest, Token};
use crate::error::{JsonError, Result};
use crate::journal::Lost;
use crate::layout;

/// A deleted file's time that is further ahead of the clock comes from one that was set back, and not from many changes within a tick.
const DELETED_AHEAD: Duration = Duration::from_hours(1);

/// What came of several mutations so far.
#[derive(Debug, Default)]
struct Run {
    /// Whether there is anything to sync.
    changed: bool,
    /// Whether it was made sure what every file holds.
    looked: bool,
}

/// Refuses what a store without a journal cannot do; `what` says what the journal is for.
pub(crate) fn needs_journal(what: &str) -> Error {
    Error::unsupported(format!(
        "this store keeps no journal (decisions.journal), {what}"
    ))
}

impl Store {
    /// Whether there is no journal, and is to be none.
    pub(crate) fn is_plain(&self) -> bool {
        !self.config.journal
    }

    /// Brings what is known in line with the directory, which must have got no journal meanwhile.
    fn update_plain(&self) -> Result<()> {
        refuse_journal(&*self.fs, &self.dir)?;
        self.check_syncs(Applied::No)?;
        // What another process did in the moment before counts too.
        self.update(Freshness::Names)?;
        self.check_new_files()
    }

    /// Carries out mutations one by one, under the lock.
    pub(super) fn run_plain(&self, ops: Vec<Op>, results: &mut Results) -> Result<()> {
        self.update_plain()?;
        let mut run = Run::default();
        for (op, mutation) in ops.into_iter().enumerate() {
            match mutation {
                Op::Save(coming, mode) | Op::SaveRaw(coming, mode) => {
                    results.note(op, self.save_plain(*coming, &mode, &mut run));
                }
                Op::Delete(id) => results.note(op, self.delete_plain(&id, None, &mut run)),
                Op::DeleteSeen(id, seen) => {
                    results.note(op, self.delete_plain(&id, Some(&seen), &mut run));
                }
                Op::DeleteMatching(filter) => match self.matching(&filter) {
                    Ok(ids) => {
                        results.note(op, Ok(Done::Deleted(0)));
                        for id in ids {
                            results.note(op, self.delete_plain(&id, None, &mut run));
                        }
                    }
                    Err(error) => results.note(op, Err(error)),
                },
            }
        }
        if !run.changed {
            return Ok(());
        }
        let synced = self
            .check_syncs(Applied::Unknown)
            .and_then(|()| self.sync_names());
        if let Err(error) = synced {
            results.fail_all(&error);
        }
        Ok(())
    }

    fn save_plain(&self, coming: Coming, mode: &SaveMode, run: &mut Run) -> Result<Done> {
        let Coming {
            document,
            text,
            exact,
            ..
        } = coming;
        if document.raw {
            let what = "which tells text that is wider than JSON from a damaged file";
            return Err(JsonError::Core(needs_journal(what)));
        }
        let (decision, digest) = (&document.decision, document.digest);
        let id = decision.id();
        let now = self.config.clock.now();
        let usual = layout::file_name(decision.timestamp().unwrap_or(now), id)?;
        let pick = self.find_here(id, Some(&usual))?;
        let current = pick.winner.as_ref();
        check_mode(mode, current)?;
        if let Some(current) = current.filter(|_| pick.others.is_empty()) {
            let same = if exact {
                self.bytes_of(&current.name)?.as_deref() == Some(text.as_bytes())
            } else {
                current.document.digest == digest
                    && current.document.decision.fields() == decision.fields()
            };
            if same {
                self.sync_document(&current.name)?;
                run.changed = true;
                return receipt(current.token, current.at, SaveOutcome::Unchanged);
            }
        }
        let (len, max) = (text.len(), self.config.max_document_bytes);
        if len as u64 > max {
            return Err(JsonError::TooLarge { len, max });
        }
        let own: Vec<&Found> = current.into_iter().chain(&pick.others).collect();
        let name = self.free_name(decision.timestamp().unwrap_or(now), id, &own)?;
        run.changed = true;
        let path = self.path(&name);
        let bytes = text.as_bytes();
        // No two states have one revision, whatever the clock says.
        let after = match own.iter().map(|found| SystemTime::from(found.at)).max() {
            Some(last) => Some(last),
            None => self.last_deleted()?.filter(|last| {
                let ahead = last.duration_since(SystemTime::from(now));
                ahead.unwrap_or_default() <= DELETED_AHEAD
            }),
        };
        let durability = self.config.durability;
        let at = replace_dated(&*self.fs, &path, bytes, now.into(), after, durability)?;
        self.write_state().index.expect(&name.as_str().into(), id);
        let goes = |found: &&Found| *found.name != *name;
        if own.iter().any(goes) {
            // Until the new name lasts, the old one must.
            self.sync_names()?;
            let others = pick.others.iter().filter(goes);
            let counted = current.filter(goes);
            self.remove_files(others, counted).map_err(unsure)?;
        }
        let at = from_system(at);
        let outcome = match current {
            Some(_) => SaveOutcome::Updated,
            None => SaveOutcome::Created,
        };
        receipt(token(at, digest), at, outcome)
    }

    fn delete_plain(
        &self,
        id: &DecisionId,
        seen: Option<&Revision>,
        run: &mut Run,
    ) -> Result<Done> {
        let mut pick = self.find_here(id, None)?;
        if pick.winner.is_none() && !std::mem::replace(&mut run.looked, true) {
            pick = self.find(id)?;
        }
        let Some(winner) = &pick.winner else {
            // That it is gone may be as new as this call.
            run.changed = true;
            return Ok(Done::Deleted(0));
        };
        if let Some(seen) = seen {
            check_revision(seen, winner)?;
        }
        run.changed = true;
        let last = pick
            .others
            .iter()
            .map(|found| found.at)
            .fold(winner.at, Ord::max);
        self.note_deleted(last);
        let removed = self.remove_files(pick.others.iter(), Some(winner));
        removed.map_err(|error| {
            if pick.others.is_empty() {
                error
            } else {
                // Some of its files are gone.
                unsure(error)
            }
        })?;
        Ok(Done::Deleted(1))
    }

    /// What there is of the decision. What is known was brought in line with the directory when the lock was taken: where nobody tells of
    /// changes, a batch does not list it again for each of its decisions. `usual` is the name that a new file would get.
    fn find_here(&self, id: &DecisionId, usual: Option<&str>) -> Result<Pick> {
        if self.watching.is_watching() {
            return self.find(id);
        }
        for _ in 0..ATTEMPTS {
            let state = self.read_state();
            let mut pick = self.pick(&state, id)?;
            let unknown = usual.filter(|name| state.index.row(name).is_none());
            drop(state);
            let settled = pick.learned.is_empty();
            self.learn(std::mem::take(&mut pick.notes));
            self.learn(std::mem::take(&mut pick.learned));
            if settled {
                let taken = |name: &str| self.fs.metadata(&self.path(name)).is_ok();
                if pick.winner.is_none() && unknown.is_some_and(taken) {
                    break;
                }
                return Ok(pick);
            }
        }
        self.find(id)
    }

    /// Removes a decision's files. The one that counts goes last, and only when the others are gone for good: a change that breaks off brings back no
    /// earlier state.
    fn remove_files<'a>(
        &self,
        others: impl Iterator<Item = &'a Found>,
        counts: Option<&Found>,
    ) -> Result<()> {
        let mut removed = false;
        let remove = |found: &Found| -> Result<()> {
            remove(&*self.fs, &self.path(&found.name), Durability::Buffered)?;
            self.write_state().index.remove(&found.name);
            Ok(())
        };
        for found in others {
            remove(found)?;
            removed = true;
        }
        if let Some(found) = counts {
            if removed {
                self.sync_names()?;
            }
            remove(found)?;
        }
        Ok(())
    }

    /// Once a sync has failed, another that does not says nothing of what was written before it.
    pub(super) fn check_syncs(&self, applied: Applied) -> Result<()> {
        if !self.sync_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let error = io::Error::other("an earlier sync failed; open the store again");
        let error = FsError::not_applied("save", "sync", &self.dir, error);
        Err(FsError { applied, ..error }.into())
    }

    /// Makes the names durable, if that is promised.
    pub(super) fn sync_names(&self) -> Result<()> {
        if !self.config.durability.is_synced() {
            return Ok(());
        }
        self.fs.sync_dir(&self.dir).map_err(|error| {
            self.lose(Lost::Names);
            FsError::names("save", &self.dir, error).into()
        })
    }

    /// Makes a document durable that is there already, if that is promised: whoever wrote it may not have come so far.
    pub(super) fn sync_document(&self, name: &str) -> Result<()> {
        if !self.config.durability.is_synced() {
            return Ok(());
        }
        let path = self.path(name);
        let failed = |error| FsError::unknown("save", "sync", &path, error);
        let file = open_to_sync(&*self.fs, &path).map_err(failed)?;
        file.sync_all().map_err(|error| {
            self.lose(Lost::Files);
            failed(error).into()
        })
    }

    /// The greatest time that a file had which was deleted, as far as it is noted: the time of the lock's file, if somebody has set it.
    fn last_deleted(&self) -> Result<Option<SystemTime>> {
        let path = self.path(layout::LOCK);
        let meta = match self.fs.metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(FsError::not_applied("save", "look at the lock", &path, error).into());
            }
        };
        let since = meta.modified.duration_since(SystemTime::UNIX_EPOCH);
        let as_made =
            since.is_ok_and(|since| i128::try_from(since.as_nanos()) == Ok(meta.changed_ns));
        Ok((!as_made).then_some(meta.modified))
    }

    /// Notes the time of a file that goes, so that the same document gets another revision when it is saved again.
    fn note_deleted(&self, at: DateTime<Utc>) {
        let note = || -> Result<()> {
            let at = SystemTime::from(at);
            if self.last_deleted()?.is_some_and(|last| last >= at) {
                return Ok(());
            }
            let path = self.path(layout::LOCK);
            let file = self.fs.open(&path, OpenMode::AppendExisting);
            file.and_then(|file| file.set_modified(at))
                .map_err(|error| {
                    FsError::not_applied("delete", "note the time", &path, error).into()
                })
        };
        // It matters only to who deletes and saves the same within one tick of the file's clock.
        if let Err(error) = note() {
            tracing::debug!(%error, "the time of a deleted file is not noted");
        }
    }

    /// Reads one file and says which state of which decision it is.
    pub(super) fn look_plain(&self, name: &Arc<str>, keep: bool) -> Result<Look> {
        for attempt in 1..=ATTEMPTS {
            let before = self.modified(name)?;
            match self.load(name, keep) {
                Load::Document(document) => {
                    let Some(at) = before else { continue };
                    // Content and time are of one state only if nobody came between.
                    if self.modified(name)? != before {
                        if attempt == ATTEMPTS {
                            return Err(JsonError::Moving);
                        }
                        continue;
                    }
                    let token = token(at, document.digest);
                    let candidate = Found {
                        name: Arc::clone(name),
                        document,
                        token,
                        at,
                        journaled: false,
                        from_journal: false,
                    };
                    return Ok(Look {
                        candidate: Some(candidate),
                        ..Look::default()
                    });
                }
                Load::Absent => break,
                Load::Unreadable(unreadable) => {
                    return Ok(Look {
                        problem: Some(unreadable),
                        ..Look::default()
                    });
                }
            }
        }
        Ok(Look {
            absent: true,
            ..Look::default()
        })
    }

    /// Makes the documents' files and their names durable.
    pub(super) fn sync_plain(&self) -> Result<()> {
        self.check_syncs(Applied::Unknown)?;
        let step = |path: &Path, error| {
            self.lose(Lost::Names);
            JsonError::Fs(FsError::unknown("checkpoint", "sync", path, error))
        };
        let mut paths = Vec::new();
        self.fs
            .visit_dir(&self.dir, &mut |entry| {
                let named = entry.name.to_str().is_some_and(layout::is_document);
                if named && entry.kind == FileKind::File {
                    paths.push(self.dir.join(entry.name));
                }
                true
            })
            .map_err(|error| FsError::unknown("checkpoint", "list", &self.dir, error))?;
        for path in paths {
            let synced = open_to_sync(&*self.fs, &path);
            match synced.and_then(|file| file.sync_all()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(step(&path, error));
                }
                _ => {}
            }
        }
        let synced = self.fs.sync_dir(&self.dir);
        synced.map_err(|error| {
            self.lose(Lost::Names);
            FsError::names("checkpoint", &self.dir, error).into()
        })
    }
}

/// A journal would not learn of what is written without it.
pub(super) fn refuse_journal(fs: &dyn Fs, dir: &Path) -> Result<()> {
    for name in [layout::JOURNAL, layout::RING] {
        let path = dir.join(name);
        match fs.metadata(&path) {
            Ok(_) => return Err(JsonError::HasJournal),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(
                    FsError::not_applied("open", "look for a journal", &path, error).into(),
                );
            }
        }
    }
    Ok(())
}

/// Some systems sync only what may be written.
fn open_to_sync(fs: &dyn Fs, path: &Path) -> io::Result<Box<dyn FsFile>> {
    match fs.open(path, OpenMode::AppendExisting) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs.open(path, OpenMode::Read)
        }
        opened => opened,
    }
}

/// An error after the new state got its name: it may well last.
pub(super) fn unsure(error: JsonError) -> JsonError {
    match error {
        JsonError::Fs(error) => JsonError::Fs(FsError {
            applied: Applied::Unknown,
            ..error
        }),
        other => other,
    }
}

/// The state of a file that was last modified then.
fn token(at: DateTime<Utc>, digest: Digest) -> Token {
    let since = SystemTime::from(at).duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    Token {
        generation: u64::try_from(nanos).unwrap_or(u64::MAX),
        digest,
    }
}

fn receipt(token: Token, recorded_at: DateTime<Utc>, outcome: SaveOutcome) -> Result<Done> {
    Ok(Done::Saved(SaveReceipt {
        revision: token.revision().map_err(JsonError::Core)?,
        recorded_at,
        outcome,
    }))
}
