//! What other programs do while the changes are followed: recorded, so that the feed has it from the journal; where that cannot be, told
//! of as it is seen.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minutebook_core::{DecisionId, DecisionState, StateContent};

use super::Store;
use super::read::Found;
use crate::codec::Token;
use crate::error::{JsonError, Result};

/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 50;
const LONGEST: Duration = Duration::from_mins(1);

/// What one follower of the changes knows of files that the journal does not have.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    /// What there is at the beginning is no change.
    pub(super) only_new: bool,
    /// What was told of, or was there at the beginning, by file.
    seen: Option<HashMap<Arc<str>, (DecisionId, Token)>>,
    /// Not before this time again.
    next: Option<Instant>,
    /// Why nothing can be recorded.
    refused: bool,
}

impl Unrecorded {
    /// Looks for changes, and gives those that could not be recorded.
    pub(super) fn look(&mut self, store: &Store) -> Result<Vec<DecisionState>> {
        let start = Instant::now();
        if self.next.is_some_and(|next| start < next) {
            return Ok(Vec::new());
        }
        let told = self.look_now(store);
        // Where nobody tells of changes, every file is looked at.
        let now = Instant::now();
        let pause = now.duration_since(start).saturating_mul(SHARE);
        self.next = (!store.watching.is_watching())
            .then(|| now.checked_add(pause.min(LONGEST)))
            .flatten();
        told
    }

    fn look_now(&mut self, store: &Store) -> Result<Vec<DecisionState>> {
        if !self.refused {
            match store.note_foreign_changes() {
                Ok(true) => {
                    self.seen = None;
                    return Ok(Vec::new());
                }
                // Nobody has ever written here, and reading does not begin with it.
                Ok(false) => {
                    self.only_new |= self.seen.is_none();
                }
                Err(JsonError::Fs(error)) if error.is_locked() => return Ok(Vec::new()),
                Err(JsonError::Fs(error)) if is_for_good(error.kind()) => {
                    tracing::warn!(%error, "what other programs do cannot be recorded; it is told of as it is seen");
                    self.refused = true;
                }
                Err(JsonError::Fs(error)) => {
                    tracing::warn!(%error, "what other programs do cannot be recorded now; it is tried again");
                    return Ok(Vec::new());
                }
                Err(error) => return Err(error),
            }
        }
        self.compare(store)
    }

    fn compare(&mut self, store: &Store) -> Result<Vec<DecisionState>> {
        let state = store.refresh(super::refresh::Freshness::Contents)?;
        let mut now = HashMap::new();
        for row in state.unrecorded() {
            if let (Some(id), Some(content)) = (&row.id, &row.content) {
                now.insert(Arc::clone(&row.name), (id.clone(), content.token));
            }
        }
        let mut gone = Vec::new();
        for name in &state.vanished {
            if let Some((id, known)) = state.removed(name)? {
                gone.push((Arc::clone(name), id, known));
            }
        }
        let mut states = Vec::new();
        let before = self.seen.take();
        let is_new = |name: &Arc<str>, token: Token| match &before {
            None => !self.only_new,
            Some(before) => before.get(name).is_none_or(|(_, seen)| *seen != token),
        };
        for (name, (_, token)) in &now {
            if is_new(name, *token) {
                let look = store.look(&state, name, false)?;
                states.extend(look.candidate.as_ref().map(Found::state).transpose()?);
            }
        }
        let deleted = |id: &DecisionId, recorded_at| DecisionState {
            id: id.clone(),
            revision: None,
            recorded_at,
            content: StateContent::Deleted,
        };
        for (name, id, known) in gone {
            if is_new(&name, Token::NONE) {
                states.push(deleted(&id, known.at));
            }
            now.insert(name, (id, Token::NONE));
        }
        // What the journal never had, and is gone again.
        for (name, (id, token)) in before.iter().flatten() {
            let there = state.index.row(name).is_some() || !state.index.files_of(id).is_empty();
            if !there && !now.contains_key(name) && *token != Token::NONE {
                states.push(deleted(id, store.config().clock.now()));
            }
        }
        drop(state);
        states.sort_by(|a, b| (a.recorded_at, &a.id).cmp(&(b.recorded_at, &b.id)));
        self.seen = Some(now);
        Ok(states)
    }
}

/// Whether the directory is not to be written at all.
fn is_for_good(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}
