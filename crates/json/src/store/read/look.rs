//! What one file holds, and which state of which decision that is.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::time::from_system;
use minutebook_core::{Decision, Problem, ProblemKind};
use minutebook_fs::FsError;

use super::{Found, Load, Look};
use crate::codec::{self, Document, Token, Unreadable};
use crate::error::{JsonError, Result};
use crate::journal::Known;
use crate::store::index::Row;
use crate::store::state::State;
use crate::store::{Store, raw};

impl Store {
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

    pub(in crate::store) fn label(
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
    pub(in crate::store) fn modified(&self, name: &str) -> Result<Option<DateTime<Utc>>> {
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
