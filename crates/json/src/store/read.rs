//! Reading one decision: the file first, the journal to say which state it is.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::time::from_system;
use minutebook_core::{
    Decision, DecisionId, DecisionState, Problem, ProblemKind, StateContent, StoredDecision,
};
use minutebook_fs::{FileKind, FsError};

use super::index::{Row, Stamp};
use super::refresh::{Freshness, Learned};
use super::state::State;
use super::{Store, raw};
use crate::codec::{self, Document, Token, Unreadable};
use crate::error::{JsonError, Result};
use crate::journal::Known;
use crate::layout;

/// How often a read starts again when files change under it, before it takes what it has.
pub(crate) const ATTEMPTS: usize = 8;

/// A decision in a file, or in the journal in place of a file.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) name: Arc<str>,
    pub(crate) document: Arc<Document>,
    pub(crate) token: Token,
    pub(crate) at: DateTime<Utc>,
    /// Whether the journal has this state.
    pub(crate) journaled: bool,
    /// Whether the file is damaged or missing and the journal stands in.
    pub(crate) from_journal: bool,
}

impl Found {
    pub(crate) fn id(&self) -> &DecisionId {
        self.document.decision.id()
    }

    /// The effective time.
    pub(crate) fn time(&self) -> DateTime<Utc> {
        self.document.decision.timestamp().unwrap_or(self.at)
    }

    pub(crate) fn state(&self) -> Result<DecisionState> {
        Ok(DecisionState {
            id: self.id().clone(),
            revision: Some(self.token.revision().map_err(JsonError::Core)?),
            recorded_at: self.at,
            content: if self.document.raw {
                StateContent::Raw(self.document.decision.clone())
            } else {
                StateContent::Saved(self.document.decision.clone())
            },
        })
    }

    pub(crate) fn stored(&self) -> Result<StoredDecision> {
        Ok(StoredDecision {
            decision: self.document.decision.clone(),
            revision: self.token.revision().map_err(JsonError::Core)?,
            recorded_at: self.at,
        })
    }
}

/// What a look at one file gave.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) candidate: Option<Found>,
    pub(crate) problem: Option<Unreadable>,
    /// There is no such file.
    pub(crate) absent: bool,
    /// What the file looked like before it was read; for files whose content is to be remembered.
    pub(crate) stamp: Option<Stamp>,
    /// What it was then.
    pub(crate) kind: Option<FileKind>,
}

/// What there is of one decision.
#[derive(Debug, Default)]
pub(crate) struct Pick {
    /// The newest.
    pub(crate) winner: Option<Found>,
    /// Others that claim the same id.
    pub(crate) others: Vec<Found>,
    /// Files that do not hold what was expected; the index has to be mended, and the look repeated.
    pub(crate) learned: Learned,
    /// Files that hold the decision, but at another place in the order: for the index; the answer is right as it is.
    pub(crate) notes: Learned,
    /// The journal went on meanwhile.
    pub(crate) stale: bool,
}

/// What reading a file gave.
pub(crate) enum Load {
    Document(Arc<Document>),
    Absent,
    Unreadable(Unreadable),
}

impl Store {
    /// Reads one decision.
    pub(crate) fn get(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        if !self.read_state().listed
            && let Some(stored) = self.get_by_name(id)?
        {
            return Ok(Some(stored));
        }
        match self.find(id)?.winner {
            Some(found) => found.stored().map(Some),
            None => self.refuse_raw(id).map(|()| None),
        }
    }

    /// Reads one decision if that needs no more than its file; `None` if it may take longer.
    pub(crate) fn get_at_once(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        if !self.read_state().listed {
            return self.get_unlisted(id);
        }
        let Some(state) = self.fresh(Freshness::Light)? else {
            return Ok(None);
        };
        if let Some(stored) = self.get_kept(&state, id)? {
            return Ok(Some(stored));
        }
        let pick = self.pick(&state, id)?;
        drop(state);
        if pick.stale || !pick.learned.is_empty() {
            return Ok(None);
        }
        self.learn(pick.notes);
        pick.winner.as_ref().map(Found::stored).transpose()
    }

    /// A decision whose document is in memory, if a look at its file shows that it is still that.
    fn get_kept(&self, state: &State, id: &DecisionId) -> Result<Option<StoredDecision>> {
        let [row] = state.index.files_of(id) else {
            return Ok(None);
        };
        let (Some(content), Some(stamp)) = (&row.content, row.stamp) else {
            return Ok(None);
        };
        let settled = content.journaled && state.overlay.is_empty() && !state.is_pending(id);
        let kept = || self.cache.kept(&row.name, content.token.digest);
        let Some(document) = settled.then(kept).flatten() else {
            return Ok(None);
        };
        let meta = self.fs.metadata(&self.path(&row.name));
        if meta.is_ok_and(|meta| Stamp::from(&meta) == stamp) {
            return Ok(Some(StoredDecision {
                decision: document.decision.clone(),
                revision: content.token.revision().map_err(JsonError::Core)?,
                recorded_at: content.at,
            }));
        }
        Ok(None)
    }

    /// Before anything has listed the directory: reads the file that the journal names, or that an id which carries its time
    /// most likely has. `None` if that is not the decision's.
    fn get_unlisted(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        self.follow_journal()?;
        let state = self.read_state();
        if !state.overlay.is_empty() || state.is_pending(id) {
            return Ok(None);
        }
        let known = state.known.get(id)?;
        let name = match (&known, layout::time_of(id)) {
            (Some(known), _) => Arc::clone(&known.file),
            (None, Some(time)) => match layout::file_name(time, id) {
                Ok(name) => name.into(),
                Err(_) => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let look = self.look(&state, &name, true)?;
        let found = look.candidate.filter(|found| found.id() == id);
        // What the journal does not have yet may be a writer's who has just begun.
        let Some(found) = found.filter(|found| found.journaled || known.is_none()) else {
            return Ok(None);
        };
        if !found.journaled && !state.journal.is_current()? {
            return Ok(None);
        }
        found.stored().map(Some)
    }

    /// Before anything has taken over a listing: reads the files whose names tell the id. `None` if none holds the decision, or a
    /// writer is at work.
    fn get_by_name(&self, id: &DecisionId) -> Result<Option<StoredDecision>> {
        let end = layout::name_end(id);
        let mut names: Vec<Arc<str>> = Vec::new();
        self.visit_documents(&mut |name| {
            if layout::may_be_of(name, &end) && layout::id_of(name).as_ref() == Some(id) {
                names.push(name.into());
            }
        })?;
        self.follow_journal()?;
        let state = self.read_state();
        if names.is_empty() || !state.overlay.is_empty() || state.is_pending(id) {
            return Ok(None);
        }
        let mut newest: Option<Found> = None;
        for name in &names {
            let look = self.look(&state, name, true)?;
            let Some(found) = look.candidate.filter(|found| found.id() == id) else {
                return Ok(None);
            };
            if newest
                .as_ref()
                .is_none_or(|newest| rank(newest) < rank(&found))
            {
                newest = Some(found);
            }
        }
        if !state.journal.is_current()? {
            return Ok(None);
        }
        newest.as_ref().map(Found::stored).transpose()
    }

    /// What there is of one decision, looked at until nothing moves; that there is nothing is made sure of.
    pub(crate) fn find(&self, id: &DecisionId) -> Result<Pick> {
        self.find_with(id, Freshness::Contents)
    }

    /// As [`find`](Self::find); `miss` is how much has to be known to say that there is nothing.
    pub(crate) fn find_with(&self, id: &DecisionId, miss: Freshness) -> Result<Pick> {
        let mut freshness = Freshness::Light;
        let mut attempt = 0;
        loop {
            let state = self.refresh(freshness)?;
            let mut pick = self.pick(&state, id)?;
            drop(state);
            let settled = !pick.stale && pick.learned.is_empty();
            let certain = pick.winner.is_some() || miss == Freshness::Light || freshness == miss;
            attempt += 1;
            self.learn(std::mem::take(&mut pick.notes));
            if (settled && certain) || attempt >= ATTEMPTS {
                return Ok(pick);
            }
            self.learn(std::mem::take(&mut pick.learned));
            // What went from one file may have come into another.
            freshness = if settled { miss } else { Freshness::Names };
        }
    }

    /// Looks at every file that may hold the decision.
    pub(crate) fn pick(&self, state: &State, id: &DecisionId) -> Result<Pick> {
        let mut pick = Pick::default();
        let rows = state.index.files_of(id);
        let coming = state.pending_put(id).map(|put| &put.file);
        let coming = coming.filter(|file| !rows.iter().any(|row| row.name == **file));
        let rows = rows.iter().map(|row| (&row.name, Some(row)));
        for (name, row) in rows.chain(coming.map(|name| (name, None))) {
            let look = self.look(state, name, true)?;
            let known = row.and_then(|row| row.times());
            match &look.candidate {
                Some(found) if found.id() == id => {
                    if !found.journaled && !state.journal.is_current()? {
                        pick.stale = true;
                    }
                    let as_known = row.is_none_or(|row| {
                        row.content.is_none() || row.is(found.token, found.time(), found.at)
                    });
                    if !as_known && !state.is_pending(id) {
                        let note = Look {
                            candidate: look.candidate.clone(),
                            ..Look::default()
                        };
                        pick.notes.push((Arc::clone(name), note));
                    }
                    if let Some(found) = look.candidate {
                        pick.others.push(found);
                    }
                }
                _ if row.is_none() => {}
                None if !look.absent && known.is_none() => {
                    if let Some(Unreadable { problem, .. }) = &look.problem {
                        tracing::warn!(%id, %problem, "a file with the decision's name cannot be read as a decision");
                    }
                    if state.index.unread().contains(name) {
                        pick.learned.push((Arc::clone(name), look));
                    }
                }
                _ => pick.learned.push((Arc::clone(name), look)),
            }
        }
        let newest = pick
            .others
            .iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| rank(a).cmp(&rank(b)));
        if let Some(newest) = newest.map(|(i, _)| i) {
            pick.winner = Some(pick.others.swap_remove(newest));
        }
        Ok(pick)
    }

    /// The decision in a file of which everything is known but the document; `None` if it is no longer as known.
    pub(crate) fn document(&self, state: &State, row: &Row) -> Result<Option<Arc<Document>>> {
        let Some(content) = &row.content else {
            return Ok(None);
        };
        if let Some(document) = self.cache.kept(&row.name, content.token.digest) {
            return Ok(Some(document));
        }
        let look = self.look(state, &row.name, true)?;
        let found = look.candidate.filter(|found| {
            Some(found.id()) == row.id.as_ref() && row.is(found.token, found.time(), found.at)
        });
        Ok(found.map(|found| found.document))
    }

    /// Reads one file and says which state of which decision it is.
    pub(crate) fn look(&self, state: &State, name: &Arc<str>, keep: bool) -> Result<Look> {
        if self.is_plain() {
            return self.look_plain(name, keep);
        }
        match self.load(name, keep) {
            Load::Document(document) => {
                if state.overlay.hide.get(name) == Some(&Some(document.digest)) {
                    return Ok(Look {
                        absent: true,
                        ..Look::default()
                    });
                }
                let id = document.decision.id();
                if state.overlay.serve.get(id) == Some(&Some(document.digest))
                    && let Some(known) = state.known.get(id)?
                {
                    return self.stand_in(&known, None);
                }
                self.label(state, name, document)
            }
            Load::Absent => {
                if !state.overlay.serve.is_empty()
                    && let Some((id, known)) = state.known.by_file(name)?
                    && state.overlay.serve.contains_key(&id)
                {
                    return self.stand_in(&known, None);
                }
                Ok(Look {
                    absent: true,
                    ..Look::default()
                })
            }
            Load::Unreadable(unreadable) => {
                let hidden = state.overlay.hide.get(name);
                if hidden.is_some_and(|hidden| hidden.is_none() || *hidden == unreadable.digest) {
                    return Ok(Look {
                        absent: true,
                        ..Look::default()
                    });
                }
                if state.is_raw(name, unreadable.digest)? {
                    return Ok(Look {
                        problem: Some(raw::only(name, unreadable)),
                        ..Look::default()
                    });
                }
                match state.known.by_file(name)? {
                    Some((_, known)) if unreadable.damaged && !known.raw => {
                        self.stand_in(&known, Some(unreadable))
                    }
                    _ => Ok(Look {
                        problem: Some(unreadable),
                        ..Look::default()
                    }),
                }
            }
        }
    }

    /// The journal's document in place of a file that is damaged or missing.
    fn stand_in(&self, known: &Known, unreadable: Option<Unreadable>) -> Result<Look> {
        let document = self.journaled(known)?;
        let candidate = Found {
            name: Arc::clone(&known.file),
            document: Arc::new(document),
            token: known.token,
            at: known.at,
            journaled: true,
            from_journal: true,
        };
        let problem = unreadable.map(|mut unreadable| {
            unreadable
                .problem
                .message
                .push_str("; the journal's version stands in");
            unreadable
        });
        Ok(Look {
            candidate: Some(candidate),
            problem,
            ..Look::default()
        })
    }

    /// The document as the journal has it.
    pub(crate) fn journaled(&self, known: &Known) -> Result<Document> {
        if known.is_foreign() {
            let changed = || JsonError::JournalChanged {
                path: self.log.path().to_owned(),
                offset: known.text.offset,
            };
            let text = self.journaled_text(known)?;
            return codec::decode(&known.file, text.as_bytes()).map_err(|_| changed());
        }
        let text = crate::journal::text(&*self.fs, self.log.path(), known.doc)?;
        let changed = || JsonError::JournalChanged {
            path: self.log.path().to_owned(),
            offset: known.doc.offset,
        };
        let document = Document::new(Decision::from_json(&text).map_err(|_| changed())?);
        if document.digest == known.token.digest {
            Ok(document)
        } else {
            Err(changed())
        }
    }

    pub(super) fn label(
        &self,
        state: &State,
        name: &Arc<str>,
        document: Arc<Document>,
    ) -> Result<Look> {
        let id = document.decision.id();
        let digest = document.digest;
        // What the journal is known to say of this file need not be looked up.
        let row = state
            .index
            .row(name)
            .filter(|row| row.id.as_ref() == Some(id));
        let row = row.and_then(|row| row.content.as_ref());
        if let Some(content) =
            row.filter(|content| content.journaled && content.token.digest == digest)
        {
            return Ok(Look {
                candidate: Some(Found {
                    name: Arc::clone(name),
                    document,
                    token: content.token,
                    at: content.at,
                    journaled: true,
                    from_journal: false,
                }),
                ..Look::default()
            });
        }
        let known = state.known.get(id)?.map(|known| (known.token, known.at));
        let coming = state.pending_put(id).map(|put| (put.token, put.at));
        let labels = [known, coming];
        let fitting = labels
            .into_iter()
            .flatten()
            .find(|(token, _)| token.digest == digest);
        let (token, at, journaled) = match (fitting, known) {
            (Some((token, at)), _) => (token, at, true),
            // Another program changed it: who and when is not known, so the last time that is known stays.
            (None, Some((token, at))) => (Token { digest, ..token }, at, false),
            (None, None) => {
                let at = match document.decision.timestamp() {
                    Some(time) => time,
                    None => match self.modified(name)? {
                        Some(time) => time,
                        None => {
                            return Ok(Look {
                                absent: true,
                                ..Look::default()
                            });
                        }
                    },
                };
                (
                    Token {
                        generation: 0,
                        digest,
                    },
                    at,
                    false,
                )
            }
        };
        let candidate = Found {
            name: Arc::clone(name),
            document,
            token,
            at,
            journaled,
            from_journal: false,
        };
        Ok(Look {
            candidate: Some(candidate),
            ..Look::default()
        })
    }

    /// When the file was last modified; `None` if there is none.
    pub(super) fn modified(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
        let path = self.path(name);
        match self.fs.metadata(&path) {
            Ok(meta) => Ok(Some(from_system(meta.modified))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(FsError::not_applied("read", "look at the file", &path, error).into())
            }
        }
    }

    pub(crate) fn load(&self, name: &Arc<str>, keep: bool) -> Load {
        let bytes = match minutebook_fs::read(
            &*self.fs,
            &self.path(name),
            self.config.max_document_bytes,
        ) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Load::Absent,
            Err(error) => return Load::Unreadable(unreadable(name, &error)),
        };
        if let Some(document) = self.cache.get(name, &bytes) {
            return Load::Document(document);
        }
        match codec::decode(name, &bytes) {
            Ok(document) => {
                let document = Arc::new(document);
                if keep {
                    self.cache.put(name, bytes, &document);
                }
                Load::Document(document)
            }
            Err(unreadable) => Load::Unreadable(unreadable),
        }
    }
}

/// The newest wins, and of two of one time the one with the greater file name.
pub(crate) fn rank(found: &Found) -> (DateTime<Utc>, &str) {
    (found.time(), &found.name)
}

fn unreadable(name: &str, error: &FsError) -> Unreadable {
    let (kind, damaged) = match error.kind() {
        io::ErrorKind::FileTooLarge => (ProblemKind::TooLarge, false),
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => (ProblemKind::NotAFile, false),
        // Opening a symbolic link that must not be followed.
        _ if error.source.raw_os_error() == Some(LOOP) => (ProblemKind::NotAFile, false),
        _ => (ProblemKind::Unreadable, true),
    };
    Unreadable {
        problem: Problem::new(kind, name, error.source.to_string()),
        damaged,
        digest: None,
    }
}

/// ELOOP on Linux; other systems report such files as unreadable, which is right too.
const LOOP: i32 = 40;
