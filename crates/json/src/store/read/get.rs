//! One decision by its id: from its file, if it is known which that is.

use std::sync::Arc;

use minutebook_core::{DecisionId, StoredDecision};
use minutebook_fs::Metadata;

use super::{Found, rank};
use crate::codec;
use crate::error::{JsonError, Result};
use crate::layout;
use crate::store::Store;
use crate::store::index::Stamp;
use crate::store::refresh::Freshness;
use crate::store::state::State;

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
        if let Some(stored) = self.get_settled(&state, id)? {
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

    /// A decision whose file looks as it did when its content was learned: from memory, or read without asking which state it is. What is
    /// asked before a change makes the digest from the bytes.
    fn get_settled(&self, state: &State, id: &DecisionId) -> Result<Option<StoredDecision>> {
        if !cfg!(unix) {
            // Elsewhere programs can set every time that a file has.
            return Ok(None);
        }
        let [row] = state.index.files_of(id) else {
            return Ok(None);
        };
        let (Some(content), Some(stamp)) = (&row.content, row.stamp) else {
            return Ok(None);
        };
        if !content.journaled || !state.overlay.is_empty() || state.is_pending(id) {
            return Ok(None);
        }
        let (path, digest) = (self.path(&row.name), content.token.digest);
        let decision = if let Some(document) = self.cache.promised(&row.name, digest) {
            let meta = self.fs.metadata(&path);
            meta.is_ok_and(|meta| Stamp::from(&meta) == stamp)
                .then(|| document.decision.clone())
        } else {
            let read = minutebook_fs::read_seen(&*self.fs, &path, self.config.max_document_bytes);
            // What is wrong with it otherwise, the closer look tells.
            let same = |(_, seen): &(_, Metadata)| Stamp::from(seen) == stamp;
            let bytes = read.ok().flatten().filter(same);
            bytes.and_then(|(bytes, _)| {
                let document = Arc::new(codec::decode_known(&row.name, &bytes, digest)?);
                self.cache.put_promised(&row.name, bytes, &document);
                Some(document.decision.clone())
            })
        };
        let Some(decision) = decision.filter(|decision| decision.id() == id) else {
            return Ok(None);
        };
        Ok(Some(StoredDecision {
            decision,
            revision: content.token.revision().map_err(JsonError::Core)?,
            recorded_at: content.at,
        }))
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
}
