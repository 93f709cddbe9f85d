//! The journal: what is read of it on opening, and what came since.

use std::sync::Arc;

use crate::error::Result;
use crate::journal::{CaughtUp, Chain, Checkpoint, Journal, Own, Table};
use crate::layout;
use crate::store::Store;
use crate::store::state::State;

impl Store {
    /// Takes over the lines that came since the last look.
    pub(crate) fn follow_journal(&self) -> Result<()> {
        if self.read_state().journal.is_current()? {
            return Ok(());
        }
        let mut state = self.write_state();
        let mut events = Vec::new();
        let caught_up = state.journal.catch_up(&mut |event| events.push(event))?;
        match caught_up {
            CaughtUp::Lines(_) => {
                for event in events {
                    state.apply(event);
                }
            }
            CaughtUp::Replaced => {
                tracing::warn!(dir = %self.dir.display(), "the journal is not the one that was read before; it is read again");
                let again = self.load_state()?;
                let put_off = !state.doubt.is_empty();
                let in_doubt = state.tail.is_some() || put_off || !state.overlay.is_empty();
                let stands_in = !state.overlay.is_empty();
                let fine_times = state.fine_times;
                // If the files were compared before, they need not be again: only writers of ours close a torn line.
                let tail = if in_doubt { again.tail } else { None };
                *state = State { tail, ..again };
                state.fine_times = fine_times;
                drop(state);
                if in_doubt {
                    self.take_tail()?;
                }
                if put_off {
                    self.put_off();
                } else if stands_in {
                    self.stand_in_for_files();
                }
            }
        }
        Ok(())
    }

    /// Takes over lines that this handle has just appended.
    pub(in crate::store) fn absorb(&self, offset: u64, lines: &[u8]) -> Result<()> {
        {
            let mut state = self.write_state();
            let mut events = Vec::new();
            if state
                .journal
                .absorb(offset, lines, &mut |event| events.push(event))
            {
                for event in events {
                    state.apply(event);
                }
                return Ok(());
            }
        }
        self.follow_journal()
    }

    /// As [`absorb`](Self::absorb), for lines of which it is known what they say.
    pub(in crate::store) fn absorb_own(
        &self,
        offset: u64,
        lines: Vec<Own>,
        chain: &Chain,
    ) -> Result<()> {
        {
            let mut state = self.write_state();
            let mut events = Vec::with_capacity(lines.len());
            let sink = &mut |event| events.push(event);
            if state.journal.absorb_own(offset, lines, chain.clone(), sink) {
                for event in events {
                    state.apply(event);
                }
                return Ok(());
            }
        }
        self.follow_journal()
    }

    /// Reads checkpoint and journal from the start.
    pub(crate) fn load_state(&self) -> Result<State> {
        let mut state = State::new(self.new_journal(), self.boot.clone());
        if let Some(Checkpoint { head, table }) = Checkpoint::load(&*self.fs, &self.dir)? {
            match state.journal.proof(head.offset) {
                Ok(proof) if proof == head.proof => {
                    state.begun = head.chain.seq > 0;
                    state.durable = head.durable;
                    state.start = head.offset;
                    self.stand_on(&mut state, table, head.offset);
                    state.journal.start_at(head);
                }
                _ => {
                    tracing::warn!(dir = %self.dir.display(), "a checkpoint of another journal is left aside");
                }
            }
        }
        loop {
            let mut events = Vec::new();
            match state.journal.catch_up(&mut |event| events.push(event))? {
                CaughtUp::Lines(_) => {
                    for event in events {
                        state.apply(event);
                    }
                    return Ok(state);
                }
                // It was replaced while it was read, or cut behind the checkpoint.
                CaughtUp::Replaced => state = State::new(self.new_journal(), self.boot.clone()),
            }
        }
    }

    /// What is known up to this offset of the journal is in the table from now on.
    pub(in crate::store) fn stand_on(&self, state: &mut State, table: Table, end: u64) {
        let journal = self.log.path().to_owned();
        let max_line = max_line_bytes(self.config.max_document_bytes);
        let fs = Arc::clone(&self.fs);
        state.known.stand_on(table, end, fs, journal, max_line);
    }

    /// The journal, of which nothing was read yet.
    pub(in crate::store) fn new_journal(&self) -> Journal {
        let max_line = max_line_bytes(self.config.max_document_bytes);
        Journal::new(Arc::clone(&self.fs), self.path(layout::JOURNAL), max_line)
    }
}

/// The longest line of the journal: a document, the same as a string with every byte escaped, and what stands beside them.
pub(crate) fn max_line_bytes(max_document_bytes: u64) -> usize {
    let limit = max_document_bytes
        .saturating_mul(3)
        .saturating_add(64 << 10);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
