//! The states that a decision went through, read from the journal, and the present one from its file.

use std::collections::VecDeque;

use minutebook_core::json::push_string;
use minutebook_core::{DecisionId, DecisionState, StateContent};

use super::Store;
use super::read::{ATTEMPTS, Found};
use super::refresh::max_line_bytes;
use crate::error::Result;
use crate::journal::{Lines, Told, detail};

/// Lines that change what others mean begin so, after their hash and number.
const VOID: &[u8] = b"\"op\":\"void\"";
const MARK: &[u8] = b"{\"mark\":";

impl Store {
    /// Every state of a decision that is kept, the oldest first.
    pub(crate) fn history(&self, id: &DecisionId) -> Result<Vec<DecisionState>> {
        let max_line = max_line_bytes(self.config.max_document_bytes);
        let mut lines = Lines::open(&self.fs, &self.dir, 0, max_line)?;
        let mut states = States::of(id);
        let mut attempt = 0;
        loop {
            while let Some(line) = lines.next()? {
                states.take(line.start, line.bytes);
            }
            let present = self.with_raw(id, self.find(id)?)?.winner;
            // What was written since is read too, so that the present state is the last one.
            let mut more = false;
            while let Some(line) = lines.next()? {
                more |= states.take(line.start, line.bytes);
            }
            attempt += 1;
            if !more || attempt >= ATTEMPTS {
                return states.up_to(present.as_ref());
            }
        }
    }
}

/// The states of one decision as lines tell of them.
struct States {
    id: DecisionId,
    /// How a line about it shows the id.
    needle: Vec<u8>,
    /// Carried out, in order.
    done: Vec<DecisionState>,
    /// Journaled, but not yet known to be carried out.
    pending: VecDeque<(u64, DecisionState)>,
}

impl States {
    fn of(id: &DecisionId) -> Self {
        let mut needle = ",\"id\":".to_owned();
        push_string(&mut needle, id.as_str());
        needle.push(',');
        Self {
            id: id.clone(),
            needle: needle.into_bytes(),
            done: Vec::new(),
            pending: VecDeque::new(),
        }
    }

    /// Takes one line; whether it is about the decision.
    fn take(&mut self, offset: u64, line: &[u8]) -> bool {
        let start = line.get(..line.len().min(160)).unwrap_or_default();
        let about = memchr::memmem::find(line, &self.needle).is_some();
        let about_others = start.starts_with(MARK) || memchr::memmem::find(start, VOID).is_some();
        if !about && (!about_others || self.pending.is_empty()) {
            return false;
        }
        let Some(detail) = detail(offset, line) else {
            return false;
        };
        match (detail.told, detail.link) {
            (Told::State(state), Some(link)) if state.id == self.id => {
                self.pending.push_back((link.seq, state));
                return true;
            }
            (Told::Void(void), _) => self.pending.retain(|(seq, _)| !void.contains(seq)),
            (Told::Mark(mark), _) => {
                while self.pending.front().is_some_and(|(seq, _)| *seq <= mark) {
                    self.done
                        .extend(self.pending.pop_front().map(|(_, state)| state));
                }
            }
            _ => {}
        }
        false
    }

    /// The states, the present one last: another program may have brought it, or a writer may be about to.
    fn up_to(self, present: Option<&Found>) -> Result<Vec<DecisionState>> {
        let mut states = self.done;
        match present {
            Some(found) => {
                let state = found.state()?;
                if states.last().map(|last| &last.revision) != Some(&state.revision) {
                    states.push(state);
                }
            }
            None => {
                if let Some(last) = states.last().filter(|last| !last.is_deletion()) {
                    // Its file is gone; who removed it and when is not known.
                    let recorded_at = last.recorded_at;
                    states.push(DecisionState {
                        id: self.id,
                        revision: None,
                        recorded_at,
                        content: StateContent::Deleted,
                    });
                }
            }
        }
        Ok(states)
    }
}
