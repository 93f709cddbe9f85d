//! Every file that may hold a decision, and which of them counts.

use std::sync::Arc;

use minutebook_core::DecisionId;

use super::{ATTEMPTS, Look, Pick, rank};
use crate::codec::Unreadable;
use crate::error::Result;
use crate::store::Store;
use crate::store::refresh::Freshness;
use crate::store::state::State;

impl Store {
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
}
