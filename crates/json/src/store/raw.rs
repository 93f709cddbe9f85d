//! Documents whose text is kept letter for letter, also where it is wider than JSON: journaled, restored, compared and deleted as
//! every other, but read as bytes alone.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::{Decision, DecisionId, ProblemKind, Revision, SaveMode};

use super::Store;
use super::plan::{Coming, Plan, Planned, check_mode, unchanged};
use super::read::{ATTEMPTS, Found, Load, Pick};
use crate::codec::{self, Digest, Document, Token, Unreadable};
use crate::error::{JsonError, Result};
use crate::journal::Known;
use crate::{layout, wide};

/// Text that is to be saved as it is.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The document, or what is known of it where the text is wider than JSON.
    document: Document,
    text: String,
}

/// The bytes of a document's file.
#[derive(Debug)]
pub(crate) struct RawBytes {
    pub(crate) file: Arc<str>,
    pub(crate) bytes: Vec<u8>,
    /// Which state it is and when it was taken; `None` for a file that is no decision's for all that is known.
    pub(crate) state: Option<(Revision, DateTime<Utc>)>,
}

/// A document that is kept as raw text.
#[derive(Debug)]
pub(crate) struct RawEntry {
    pub(crate) known: Decision,
    pub(crate) bytes: RawBytes,
}

impl From<Raw> for Coming {
    fn from(raw: Raw) -> Self {
        let Raw { document, text } = raw;
        Self {
            compact: document.decision.to_json(),
            document: Arc::new(document),
            text,
            exact: true,
        }
    }
}

impl Raw {
    /// Looks at the text: one that reads as a decision is one, and the others have to be JSON as Python writes it at least.
    pub(crate) fn new(known: &Decision, text: String) -> Result<Self> {
        let document = match codec::decode("the text", text.as_bytes()) {
            Ok(document) if document.decision.id() != known.id() => {
                return Err(JsonError::OtherId {
                    inside: document.decision.id().to_string(),
                });
            }
            Ok(document) => document,
            Err(_) => {
                if let Err(error) = wide::fields(&text) {
                    return Err(JsonError::NotWide {
                        at: error.at,
                        message: error.message,
                    });
                }
                Document {
                    decision: known.clone(),
                    digest: Digest::of(&text),
                    raw: true,
                }
            }
        };
        Ok(Self { document, text })
    }
}

/// A file that is as it should be, but no JSON as we read it.
pub(crate) fn only(name: &str, mut unreadable: Unreadable) -> Unreadable {
    unreadable.problem.kind = ProblemKind::RawOnly;
    name.clone_into(&mut unreadable.problem.resource);
    "it was saved as raw text, which is wider than JSON, and can be read as bytes alone"
        .clone_into(&mut unreadable.problem.message);
    unreadable
}

impl Store {
    pub(crate) fn plan_save_raw(
        &self,
        plan: &mut Plan,
        op: usize,
        coming: &mut Option<Box<Coming>>,
        mode: &SaveMode,
    ) -> Result<Planned> {
        let Some(saved) = coming.as_ref() else {
            return Err(JsonError::Abandoned);
        };
        let decision = &saved.document.decision;
        if plan.is_full_for(decision.id()) {
            return Ok(Planned::Full);
        }
        let pick = self.with_raw(decision.id(), self.find_for_save(decision)?)?;
        let current = pick.winner.as_ref();
        check_mode(mode, current)?;
        if let Some(current) = current
            && pick.others.is_empty()
            && !current.from_journal
            && self.bytes_of(&current.name)?.as_deref() == Some(saved.text.as_bytes())
        {
            return unchanged(current);
        }
        self.plan_put(plan, op, &pick, coming)
    }

    /// What there is of a decision, its raw text included.
    pub(crate) fn with_raw(&self, id: &DecisionId, mut pick: Pick) -> Result<Pick> {
        let Some(raw) = self.raw_state(id)? else {
            return Ok(pick);
        };
        match &pick.winner {
            None => pick.winner = Some(raw),
            Some(winner) if winner.name != raw.name => pick.others.push(raw),
            Some(_) => {}
        }
        Ok(pick)
    }

    /// The raw text of this id as a state like others, what was told of it in the document's place.
    fn raw_state(&self, id: &DecisionId) -> Result<Option<Found>> {
        let known = self.read_state().known.get(id)?;
        let Some(known) = known.filter(|known| known.raw) else {
            return Ok(None);
        };
        let unreadable = match self.load(&known.file, false) {
            Load::Unreadable(unreadable) => unreadable,
            // A decision is found as such; a file that is gone was removed by another program.
            Load::Document(_) | Load::Absent => return Ok(None),
        };
        let as_known = unreadable.digest == Some(known.token.digest);
        // What broke off is no state of its own: the journal's is the last.
        let own = as_known || unreadable.damaged;
        let token = match unreadable.digest {
            Some(digest) if !own => Token {
                digest,
                ..known.token
            },
            _ => known.token,
        };
        let document = Document {
            decision: self.told_of(&known)?,
            digest: token.digest,
            raw: true,
        };
        Ok(Some(Found {
            name: Arc::clone(&known.file),
            document: Arc::new(document),
            token,
            at: known.at,
            journaled: own,
            from_journal: own && !as_known,
        }))
    }

    /// What was told of a raw document.
    fn told_of(&self, known: &Known) -> Result<Decision> {
        let text = crate::journal::text(&*self.fs, self.log.path(), known.doc)?;
        Decision::from_json(&text).map_err(|_| JsonError::JournalChanged {
            path: self.log.path().to_owned(),
            offset: known.doc.offset,
        })
    }

    /// The text of a document's file as the journal has it.
    pub(crate) fn journaled_text(&self, known: &Known) -> Result<String> {
        if known.text.len == 0 {
            return Ok(self.journaled(known)?.decision.to_json_pretty());
        }
        let changed = || JsonError::JournalChanged {
            path: self.log.path().to_owned(),
            offset: known.text.offset,
        };
        let literal = crate::journal::text(&*self.fs, self.log.path(), known.text)?;
        let text: String = serde_json::from_str(&literal).map_err(|_| changed())?;
        let digest = match codec::decode(&known.file, text.as_bytes()) {
            Ok(document) => Some(document.digest),
            Err(unreadable) => unreadable.digest,
        };
        if digest == Some(known.token.digest) {
            Ok(text)
        } else {
            Err(changed())
        }
    }

    /// Whether a file whose letters are kept lacks the last of them: what is left may well read as a whole document.
    pub(crate) fn is_cut_short(&self, known: &Known) -> bool {
        if known.text.len == 0 {
            return false;
        }
        match (self.bytes_of(&known.file), self.journaled_text(known)) {
            (Ok(Some(bytes)), Ok(text)) => {
                bytes.len() < text.len() && text.as_bytes().starts_with(&bytes)
            }
            _ => false,
        }
    }

    pub(super) fn bytes_of(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let max = self.config().max_document_bytes;
        Ok(minutebook_fs::read(&*self.fs, &self.path(name), max)?)
    }

    /// Fails for an id that has a raw text and nothing else: that it is not there would be wrong.
    pub(crate) fn refuse_raw(&self, id: &DecisionId) -> Result<()> {
        match self.raw_state(id)? {
            Some(_) => Err(JsonError::RawOnly),
            None => Ok(()),
        }
    }

    /// The bytes of a decision's file, whether they can be read as a decision or not.
    pub(crate) fn get_raw(&self, id: &DecisionId) -> Result<Option<RawBytes>> {
        for _ in 0..ATTEMPTS {
            let found = self.with_raw(id, self.find(id)?)?.winner;
            let Some(found) = found else {
                return self.claimed(id);
            };
            if let Some(bytes) = self.bytes_as(&found)? {
                return Ok(Some(RawBytes {
                    file: Arc::clone(&found.name),
                    bytes,
                    state: Some((found.token.revision().map_err(JsonError::Core)?, found.at)),
                }));
            }
        }
        Err(JsonError::Moving)
    }

    /// The bytes that hold this state; `None` if the file has changed since it was looked at.
    fn bytes_as(&self, found: &Found) -> Result<Option<Vec<u8>>> {
        if found.from_journal {
            let known = self.read_state().known.get(found.id())?;
            return match known.filter(|known| known.token == found.token) {
                Some(known) => Ok(Some(self.journaled_text(&known)?.into_bytes())),
                None => Ok(None),
            };
        }
        let Some(bytes) = self.bytes_of(&found.name)? else {
            return Ok(None);
        };
        let digest = match codec::decode(&found.name, &bytes) {
            Ok(document) => Some(document.digest),
            Err(unreadable) => unreadable.digest,
        };
        Ok((digest == Some(found.token.digest)).then_some(bytes))
    }

    /// A file whose name claims the id, although what is in it cannot be read.
    fn claimed(&self, id: &DecisionId) -> Result<Option<RawBytes>> {
        let names: Vec<_> = {
            let state = self.read_state();
            let rows = state.index.files_of(id).iter();
            rows.map(|row| Arc::clone(&row.name)).collect()
        };
        for file in names.into_iter().rev() {
            if let Some(bytes) = self.bytes_of(&file)? {
                return Ok(Some(RawBytes {
                    file,
                    bytes,
                    state: None,
                }));
            }
        }
        Ok(None)
    }

    /// The bytes of a file by its name.
    pub(crate) fn get_raw_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if !layout::is_document(name) || name.contains(['/', '\\']) {
            return Err(JsonError::NoDocument(name.to_owned()));
        }
        self.bytes_of(name)
    }

    /// Every document that is kept as raw text, in ascending order of the ids.
    pub(crate) fn raw_entries(&self) -> Result<Vec<RawEntry>> {
        self.follow_journal()?;
        let mut ids: Vec<DecisionId> = Vec::new();
        self.read_state().known.scan(&mut |entry| match entry {
            None => ids.clear(),
            Some(entry) if entry.known.raw => ids.push(entry.id),
            Some(_) => {}
        })?;
        ids.sort_unstable();
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(found) = self.raw_state(&id)? else {
                continue;
            };
            let Some(bytes) = self.bytes_as(&found)? else {
                continue;
            };
            entries.push(RawEntry {
                known: found.document.decision.clone(),
                bytes: RawBytes {
                    file: Arc::clone(&found.name),
                    bytes,
                    state: Some((found.token.revision().map_err(JsonError::Core)?, found.at)),
                },
            });
        }
        Ok(entries)
    }
}
