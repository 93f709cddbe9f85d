//! What a batch of mutations will write: lines for the journal, and for each decision the files to replace and remove.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::{Decision, DecisionId, Revision, SaveMode, SaveOutcome, SaveReceipt};

use super::read::{Found, Pick};
use super::refresh::Freshness;
use super::{Done, Store};
use crate::codec::{Document, Token};
use crate::error::{JsonError, Result};
use crate::journal::{self, Chain, Delete, Gone, Own, Put, Record};
use crate::layout;

/// Enough for one sync; a larger batch is carried out in parts.
const MAX_BYTES: usize = 8 << 20;

/// One decision's part of a batch.
#[derive(Debug)]
pub(crate) struct Item {
    /// Which of the caller's mutations it belongs to.
    pub(crate) op: usize,
    /// Its line; what replaces it is void if the files cannot be written.
    pub(crate) seq: u64,
    /// The document's file.
    pub(crate) write: Option<Write>,
    /// Files to remove afterwards.
    pub(crate) remove: Vec<Arc<str>>,
    pub(crate) done: Done,
}

/// A document that is to be written.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) name: Arc<str>,
    /// Whether no file of this name was there.
    pub(crate) new: bool,
    pub(crate) text: String,
    pub(crate) document: Arc<Document>,
    pub(crate) token: Token,
    pub(crate) at: DateTime<Utc>,
}

impl Write {
    /// Its effective time.
    pub(crate) fn time(&self) -> DateTime<Utc> {
        self.document.decision.timestamp().unwrap_or(self.at)
    }
}

/// A state that is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct Coming {
    pub(super) document: Arc<Document>,
    /// The document on one line.
    pub(super) compact: String,
    /// What its file is to hold.
    pub(super) text: String,
    /// Whether that is to come back letter for letter, also after a crash.
    pub(super) exact: bool,
}

impl Coming {
    /// A decision with the texts that are stored of it: made by who saves, before anybody waits.
    pub(crate) fn new(decision: Decision) -> Self {
        let compact = decision.to_json();
        let text = decision.to_json_pretty();
        Self {
            document: Arc::new(Document::with_compact(decision, &compact)),
            compact,
            text,
            exact: false,
        }
    }
}

/// Mutations that are journaled with one sync.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) chain: Chain,
    pub(crate) lines: Vec<u8>,
    /// What the lines say, as far as that is known without reading them.
    pub(crate) own: Vec<Own>,
    pub(crate) items: Vec<Item>,
    /// Whether content of other programs is replaced, which is safe only once the journal has it for certain.
    pub(crate) replaces_foreign: bool,
    ids: HashSet<DecisionId>,
    names: HashSet<String>,
    /// Whether it was made sure what every file holds.
    looked: bool,
}

/// Whether a mutation found its place in a plan.
#[derive(Debug)]
pub(crate) enum Planned {
    /// Its result comes when the plan is carried out.
    Later,
    /// There is nothing to do; with the file of which that is said, if what it holds is not in the journal.
    Now(Done, Option<Arc<str>>),
    /// The plan has to be carried out first.
    Full,
}

impl Plan {
    pub(crate) fn new(chain: Chain) -> Self {
        Self {
            chain,
            lines: Vec::new(),
            own: Vec::new(),
            items: Vec::new(),
            replaces_foreign: false,
            ids: HashSet::new(),
            names: HashSet::new(),
            looked: false,
        }
    }

    /// Notes what the line from `start` to the end says.
    fn own(&mut self, start: usize, record: Record) {
        self.own.push(Own {
            start,
            end: self.lines.len(),
            seq: self.chain.seq,
            record,
        });
    }

    /// Whether it is known of all lines what they say.
    pub(crate) fn is_all_own(&self) -> bool {
        let mut end = 0;
        let in_line = |own: &Own| std::mem::replace(&mut end, own.end) == own.start;
        self.own.iter().all(in_line) && end == self.lines.len()
    }

    pub(super) fn is_full_for(&self, id: &DecisionId) -> bool {
        self.lines.len() >= MAX_BYTES || self.ids.contains(id)
    }

    /// Notes what other programs wrote before it goes.
    fn keep_foreign(&mut self, store: &Store, found: &Found) -> Result<()> {
        if found.journaled {
            return Ok(());
        }
        let path = store.dir().join(&*found.name);
        let max = store.config().max_document_bytes;
        let Some(bytes) = minutebook_fs::read(&*store.config().fs, &path, max)? else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(&bytes);
        let now = store.config().clock.now();
        let line = journal::Found {
            id: found.id().clone(),
            file: Arc::clone(&found.name),
            token: found.token,
            at: now,
            time: found.document.decision.timestamp(),
            text: journal::Span::default(),
        };
        self.chain.found(&mut self.lines, &line, &text);
        self.replaces_foreign = true;
        Ok(())
    }
}

impl Store {
    pub(crate) fn plan_save(
        &self,
        plan: &mut Plan,
        op: usize,
        coming: &mut Option<Box<Coming>>,
        mode: &SaveMode,
    ) -> Result<Planned> {
        let Some(document) = coming.as_ref().map(|coming| Arc::clone(&coming.document)) else {
            return Err(JsonError::Abandoned);
        };
        let decision = &document.decision;
        let id = decision.id();
        if plan.is_full_for(id) {
            return Ok(Planned::Full);
        }
        let pick = self.with_raw(id, self.find_for_save(decision)?)?;
        let current = pick.winner.as_ref();
        check_mode(mode, current)?;
        if let Some(current) = current
            && pick.others.is_empty()
            && !current.from_journal
            && !current.document.raw
            && current.document.digest == document.digest
            && current.document.decision.fields() == decision.fields()
        {
            return unchanged(current);
        }
        self.plan_put(plan, op, &pick, coming)
    }

    /// Finds a state that replaces what there is its place in the plan.
    pub(super) fn plan_put(
        &self,
        plan: &mut Plan,
        op: usize,
        pick: &Pick,
        slot: &mut Option<Box<Coming>>,
    ) -> Result<Planned> {
        let Some(coming) = slot.as_ref() else {
            return Err(JsonError::Abandoned);
        };
        let current = pick.winner.as_ref();
        let id = coming.document.decision.id().clone();
        let (max, len) = (self.config().max_document_bytes, coming.text.len());
        if len as u64 > max {
            return Err(JsonError::TooLarge { len, max });
        }
        let at = self.config().clock.now();
        let time = coming.document.decision.timestamp();
        let own: Vec<&Found> = current.into_iter().chain(&pick.others).collect();
        let name = self.free_name(time.unwrap_or(at), &id, &own)?;
        if !plan.names.insert(name.to_lowercase()) {
            return Ok(Planned::Full);
        }
        let Some(coming) = slot.take() else {
            return Err(JsonError::Abandoned);
        };
        let Coming {
            document,
            compact,
            text,
            exact,
        } = *coming;
        for found in &own {
            plan.keep_foreign(self, found)?;
        }
        let new = !own.iter().any(|found| *found.name == *name);
        let token = Token {
            generation: plan.chain.next(),
            digest: document.digest,
        };
        let gone = gone(&own, Some(&name));
        let mut put = Put {
            id: id.clone(),
            file: name.as_str().into(),
            token,
            at,
            time,
            base: current.map(|found| found.token),
            gone,
            doc: journal::Span::default(),
            text: journal::Span::default(),
            raw: document.raw,
        };
        let kept = exact.then_some(text.as_str());
        let start = plan.lines.len();
        (put.doc, put.text) = plan.chain.put(&mut plan.lines, &put, &compact, kept);
        plan.ids.insert(id);
        plan.items.push(Item {
            op,
            seq: plan.chain.seq,
            write: Some(Write {
                name: Arc::clone(&put.file),
                new,
                text,
                document,
                token,
                at,
            }),
            remove: put.gone.iter().map(|gone| Arc::clone(&gone.file)).collect(),
            done: Done::Saved(SaveReceipt {
                revision: token.revision().map_err(JsonError::Core)?,
                recorded_at: at,
                outcome: if current.is_some() {
                    SaveOutcome::Updated
                } else {
                    SaveOutcome::Created
                },
            }),
        });
        plan.own(start, Record::Put(put));
        Ok(Planned::Later)
    }

    pub(crate) fn plan_delete(
        &self,
        plan: &mut Plan,
        op: usize,
        id: &DecisionId,
        seen: Option<&Revision>,
    ) -> Result<Planned> {
        if plan.is_full_for(id) {
            return Ok(Planned::Full);
        }
        // Where nobody tells of changes that is a look at each file: once for many ids that are not there.
        let miss = if plan.looked {
            Freshness::Names
        } else {
            Freshness::Contents
        };
        let Pick { winner, others, .. } = self.with_raw(id, self.find_with(id, miss)?)?;
        let Some(winner) = winner else {
            plan.looked = true;
            return Ok(Planned::Now(Done::Deleted(0), None));
        };
        if let Some(seen) = seen {
            check_revision(seen, &winner)?;
        }
        let own: Vec<&Found> = std::iter::once(&winner).chain(&others).collect();
        for found in &own {
            plan.keep_foreign(self, found)?;
        }
        let delete = Delete {
            id: id.clone(),
            gone: gone(&own, None),
        };
        let start = plan.lines.len();
        plan.chain.delete(
            &mut plan.lines,
            &delete,
            Some(winner.token),
            self.config().clock.now(),
        );
        plan.ids.insert(id.clone());
        plan.items.push(Item {
            op,
            seq: plan.chain.seq,
            write: None,
            remove: delete
                .gone
                .iter()
                .map(|gone| Arc::clone(&gone.file))
                .collect(),
            done: Done::Deleted(1),
        });
        plan.own(start, Record::Delete(delete));
        Ok(Planned::Later)
    }

    /// What there is of the decision. A listing is not repeated for a new id, unless its file's name is taken already.
    pub(super) fn find_for_save(&self, decision: &Decision) -> Result<Pick> {
        let id = decision.id();
        if let Some(pick) = self.find_known(decision)? {
            return Ok(pick);
        }
        let pick = self.find_with(id, Freshness::Light)?;
        if pick.winner.is_some() {
            return Ok(pick);
        }
        let time = decision
            .timestamp()
            .unwrap_or_else(|| self.config().clock.now());
        let path = self.dir().join(layout::file_name(time, id)?);
        if self.config().fs.metadata(&path).is_ok() {
            self.find(id)
        } else {
            Ok(pick)
        }
    }

    /// As [`find_for_save`](Self::find_for_save), from what was brought in line with the disk when the lock was taken; `None` if that leaves a question.
    fn find_known(&self, decision: &Decision) -> Result<Option<Pick>> {
        let state = self.read_state();
        if !state.listed || !self.watching.is_watching() {
            return Ok(None);
        }
        let id = decision.id();
        let mut pick = self.pick(&state, id)?;
        if pick.stale || !pick.learned.is_empty() {
            return Ok(None);
        }
        if pick.winner.is_none() {
            let time = decision.timestamp();
            let time = time.unwrap_or_else(|| self.config().clock.now());
            if state.index.row(&layout::file_name(time, id)?).is_some() {
                return Ok(None);
            }
        }
        drop(state);
        self.learn(std::mem::take(&mut pick.notes));
        Ok(Some(pick))
    }

    /// The name for a decision's file that nothing else has: on a case-insensitive disk another id may have the plain one.
    pub(super) fn free_name(
        &self,
        time: DateTime<Utc>,
        id: &DecisionId,
        own: &[&Found],
    ) -> Result<String> {
        let free = |name: &str| -> Result<bool> {
            if own.iter().any(|found| *found.name == *name) {
                return Ok(true);
            }
            // What the journal says is this decision's file, but damaged or of another program now, is free only if it is gone.
            match self.config().fs.metadata(&self.dir().join(name)) {
                Ok(_) => Ok(false),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
                Err(error) => {
                    let path = self.dir().join(name);
                    Err(minutebook_fs::FsError::not_applied(
                        "save",
                        "look at the file",
                        &path,
                        error,
                    )
                    .into())
                }
            }
        };
        let name = layout::file_name(time, id)?;
        if free(&name)? {
            return Ok(name);
        }
        let tagged = layout::tagged_file_name(time, id)?;
        if free(&tagged)? {
            Ok(tagged)
        } else {
            Err(JsonError::NameTaken(tagged))
        }
    }
}

/// The state that is there already is the one that is to be saved.
pub(super) fn unchanged(current: &Found) -> Result<Planned> {
    let receipt = SaveReceipt {
        revision: current.token.revision().map_err(JsonError::Core)?,
        recorded_at: current.at,
        outcome: SaveOutcome::Unchanged,
    };
    let as_found = (!current.journaled).then(|| Arc::clone(&current.name));
    Ok(Planned::Now(Done::Saved(receipt), as_found))
}

pub(super) fn check_mode(mode: &SaveMode, current: Option<&Found>) -> Result<()> {
    match (mode, current) {
        (SaveMode::Create, Some(_)) => Err(JsonError::Exists),
        (SaveMode::Update { .. }, None) => Err(JsonError::Missing),
        (
            SaveMode::Update {
                expected: Some(expected),
            },
            Some(current),
        ) => check_revision(expected, current),
        (SaveMode::Create, None)
        | (SaveMode::Upsert, _)
        | (SaveMode::Update { expected: None }, Some(_)) => Ok(()),
    }
}

pub(super) fn check_revision(expected: &Revision, current: &Found) -> Result<()> {
    let found = current.token.to_string();
    if expected.as_str() == found {
        return Ok(());
    }
    Err(JsonError::Conflict {
        expected: expected.to_string(),
        found,
    })
}

/// The files that go, but for the one that is written.
fn gone(own: &[&Found], written: Option<&str>) -> Vec<Gone> {
    own.iter()
        .filter(|found| Some(&*found.name) != written)
        .map(|found| Gone {
            file: Arc::clone(&found.name),
            digest: (!found.from_journal).then_some(found.document.digest),
        })
        .collect()
}
