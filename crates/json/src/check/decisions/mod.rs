//! The directory of decisions, looked at without changing it.
//!
//! All files are read while others write; then what looked wrong is looked at once more under the writers' lock, together with what
//! changed meanwhile, so that a writer at work is not taken for damage.

mod judge;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_core::report::Location;
use minutebook_core::time::from_system;
use minutebook_core::{DecisionId, ProblemKind};
use minutebook_fs::{
    FileKind, Fs, FsError, FsFile, LockMode, LockWait, OpenMode, is_temporary, stray_temporaries,
};

use super::journal::Walk;
use crate::codec::{self, Digest};
use crate::config::JsonDecisionConfig;
use crate::error::Result;
use crate::journal::{Checkpoint, Journal};
use crate::layout;
use crate::store::{max_line_bytes, with_whole_journal};

/// How long a check waits for a writer at work, before it says what it saw without the lock.
const PATIENCE: Duration = Duration::from_secs(5);
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// What a check of decisions saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DecisionsChecked {
    /// Documents that were read.
    pub documents: u64,
    /// Lines of the journal.
    pub journal_lines: u64,
    /// The hash of the journal's last line, to be kept elsewhere: it proves later that nothing before it was cut or changed. `None`
    /// without a journal.
    pub head: Option<String>,
}

/// Checks a directory of decisions: journal, documents, and whether they agree. Changes nothing, and may run beside writers.
///
/// `head` is a hash of a line that the journal must have. `ignore` tells names that belong to something else.
///
/// # Errors
/// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory or the journal cannot be read.
pub fn check_decisions(
    dir: &Path,
    config: &JsonDecisionConfig,
    head: Option<&str>,
    ignore: &dyn Fn(&str) -> bool,
    watch: &dyn Watch,
) -> minutebook_core::Result<DecisionsChecked> {
    // With what a power cut took of the journal and the next open puts back.
    let whole = with_whole_journal(&config.fs, dir)
        .map_err(|error| error.into_core("verify", dir.display()))?;
    let config = &config.clone().fs(whole);
    let mut check = Check::new(dir, config, head, ignore, watch);
    check
        .run()
        .map_err(|error| error.into_core("verify", dir.display()))
}

/// What is in a file.
#[derive(Debug)]
enum Content {
    Document {
        id: DecisionId,
        time: Option<DateTime<Utc>>,
        digest: Digest,
    },
    Bad {
        kind: ProblemKind,
        message: String,
        location: Location,
        /// Whether the bytes are no JSON at all.
        damaged: bool,
        /// Whether it would be a decision without its byte order mark.
        marked: bool,
        /// Of the bytes, if they could be read.
        digest: Option<Digest>,
    },
}

/// A file that claims a decision: its name, by which time it is ordered, and what it holds.
type Claim<'a> = (&'a Arc<str>, DateTime<Utc>, Digest);

struct Check<'a> {
    dir: &'a Path,
    fs: Arc<dyn Fs>,
    config: &'a JsonDecisionConfig,
    ignore: &'a dyn Fn(&str) -> bool,
    watch: &'a dyn Watch,
    walk: Walk,
    files: BTreeMap<Arc<str>, Content>,
}

impl<'a> Check<'a> {
    fn new(
        dir: &'a Path,
        config: &'a JsonDecisionConfig,
        head: Option<&str>,
        ignore: &'a dyn Fn(&str) -> bool,
        watch: &'a dyn Watch,
    ) -> Self {
        let fs = Arc::clone(&config.fs);
        let max_line = max_line_bytes(config.max_document_bytes);
        let walk = Walk::new(Arc::clone(&fs), dir, max_line, head);
        Self {
            dir,
            fs,
            config,
            ignore,
            watch,
            walk,
            files: BTreeMap::new(),
        }
    }

    fn run(&mut self) -> Result<DecisionsChecked> {
        self.walk.go_on(self.watch)?;
        let mut names = self.list(true)?;
        for name in &names {
            if self.watch.stopped() {
                break;
            }
            self.look(name);
        }
        let documents = self.files.len() as u64;
        let suspects = self.suspects();
        let lock = self.lock();
        // Under the lock, or as well as can be without: what came since, and what looked wrong.
        self.walk.go_on(self.watch)?;
        let now = self.list(false)?;
        let gone: Vec<_> = names.difference(&now).cloned().collect();
        for name in gone {
            self.files.remove(&name);
        }
        let again: BTreeSet<_> = now
            .difference(&names)
            .cloned()
            .chain(suspects)
            .chain(self.touched())
            .filter(|name| now.contains(name))
            .collect();
        for name in &again {
            self.look(name);
        }
        names = now;
        self.judge(&names);
        self.checkpoint()?;
        self.walk.finish(self.watch)?;
        if lock.is_some() || !self.dir_has(layout::LOCK) {
            self.unfinished();
        }
        Ok(DecisionsChecked {
            documents,
            journal_lines: self.walk.lines,
            head: self.walk.present.then(|| self.walk.head.clone()),
        })
    }

    /// The documents' names. `first` tells of everything else that is in the directory.
    fn list(&self, first: bool) -> Result<BTreeSet<Arc<str>>> {
        let mut names = BTreeSet::new();
        let mut temporary = false;
        self.fs
            .visit_dir(self.dir, &mut |entry| {
                let Some(name) = entry.name.to_str() else {
                    return true;
                };
                if (self.ignore)(name) {
                    return true;
                }
                if is_temporary(name) {
                    temporary = true;
                } else if layout::is_document(name) {
                    if entry.kind == FileKind::File {
                        names.insert(Arc::from(name));
                    } else if first {
                        let what = match entry.kind {
                            FileKind::Dir => "a directory",
                            FileKind::Symlink => "a symbolic link, which is not followed",
                            FileKind::File | FileKind::Other => "no regular file",
                        };
                        self.watch.found(
                            self.finding(FindingKind::NotAFile, name, format!("it is {what}"))
                                .mended_by(Mend::MoveAway),
                        );
                    }
                } else if first && entry.kind == FileKind::File && !is_ours(name) {
                    self.watch.found(self.finding(
                        FindingKind::ForeignFile,
                        name,
                        "it is neither a document nor the journal",
                    ));
                }
                true
            })
            .map_err(|error| {
                FsError::not_applied("verify", "list the directory", self.dir, error)
            })?;
        if first && temporary {
            strays(&*self.fs, self.dir, self.watch)?;
        }
        Ok(names)
    }

    fn finding(&self, kind: FindingKind, name: &str, cause: impl Into<String>) -> Finding {
        Finding::new(kind, self.dir.join(name), cause)
    }

    /// Reads one file.
    fn look(&mut self, name: &Arc<str>) {
        let path = self.dir.join(&**name);
        let max = self.config.max_document_bytes;
        let content = match minutebook_fs::read(&*self.fs, &path, max) {
            Ok(None) => {
                self.files.remove(name);
                return;
            }
            Ok(Some(bytes)) => {
                self.watch.progress(bytes.len() as u64);
                content_of(name, &bytes)
            }
            Err(error) => {
                let (kind, damaged) = match error.kind() {
                    io::ErrorKind::FileTooLarge => (ProblemKind::TooLarge, false),
                    _ => (ProblemKind::Unreadable, false),
                };
                Content::Bad {
                    kind,
                    message: error.source.to_string(),
                    location: Location::default(),
                    damaged,
                    marked: false,
                    digest: None,
                }
            }
        };
        self.files.insert(Arc::clone(name), content);
    }

    /// The writers' lock, shared; `None` if it cannot be had.
    fn lock(&self) -> Option<Box<dyn FsFile>> {
        let path = self.dir.join(layout::LOCK);
        let file = self.fs.open(&path, OpenMode::Read).ok()?;
        match file.lock(LockMode::Shared, LockWait::Timeout(PATIENCE)) {
            Ok(()) => Some(file),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "a check goes on without the lock");
                None
            }
        }
    }

    fn dir_has(&self, name: &str) -> bool {
        self.fs.metadata(&self.dir.join(name)).is_ok()
    }

    /// Files by the decision in them.
    fn by_id(&self) -> HashMap<&DecisionId, Vec<Claim<'_>>> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for (name, content) in &self.files {
            if let Content::Document { id, time, digest } = content {
                found
                    .entry(id)
                    .or_default()
                    .push((name, self.time_of(name, id, *time), *digest));
            }
        }
        found
    }

    /// By which time a document is ordered.
    fn time_of(&self, name: &str, id: &DecisionId, time: Option<DateTime<Utc>>) -> DateTime<Utc> {
        time.or_else(|| self.walk.known.get(id).map(|known| known.at))
            .or_else(|| {
                let meta = self.fs.metadata(&self.dir.join(name)).ok()?;
                Some(from_system(meta.modified))
            })
            .unwrap_or_default()
    }

    /// Names of files of which a second look is due: unreadable ones, those of decisions with several files or none, and edited ones.
    fn suspects(&self) -> BTreeSet<Arc<str>> {
        let mut names: BTreeSet<Arc<str>> = self
            .files
            .iter()
            .filter(|(_, content)| matches!(content, Content::Bad { .. }))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        let by_id = self.by_id();
        for (id, files) in &by_id {
            let known = self.walk.known.get(*id);
            let fits = match (files.as_slice(), known) {
                ([(_, _, digest)], Some(known)) => *digest == known.token.digest,
                ([_], None) => true,
                _ => false,
            };
            if !fits {
                names.extend(files.iter().map(|(name, ..)| Arc::clone(name)));
                names.extend(known.map(|known| Arc::clone(&known.file)));
            }
        }
        for (id, known) in &self.walk.known {
            if !by_id.contains_key(id) {
                names.insert(Arc::clone(&known.file));
            }
        }
        names
    }

    /// Files of decisions that changed since they were read.
    fn touched(&self) -> Vec<Arc<str>> {
        let touched: HashSet<_> = self.walk.touched.iter().collect();
        let files = self
            .files
            .iter()
            .filter_map(|(name, content)| match content {
                Content::Document { id, .. } if touched.contains(id) => Some(Arc::clone(name)),
                _ => None,
            });
        let known = touched
            .iter()
            .filter_map(|id| Some(Arc::clone(&self.walk.known.get(*id)?.file)));
        files.chain(known).collect()
    }

    /// Whether the checkpoint can be used.
    fn checkpoint(&self) -> Result<()> {
        if !self.dir_has(layout::CHECKPOINT) {
            return Ok(());
        }
        let tell = |kind, cause: &str| {
            self.watch.found(
                self.finding(kind, layout::CHECKPOINT, cause)
                    .mended_by(Mend::MoveAway),
            );
        };
        if !self.walk.present {
            let cause = "it speaks of a journal, and there is none";
            self.watch.found(
                self.finding(FindingKind::JournalMissing, layout::CHECKPOINT, cause)
                    .mended_by(Mend::MoveAway)
                    .losing_data(),
            );
            return Ok(());
        }
        let found = Checkpoint::load(&*self.fs, self.dir)?;
        let whole = found.filter(|checkpoint| checkpoint.table.prove().is_ok());
        let Some(Checkpoint { head, .. }) = whole else {
            tell(
                FindingKind::CheckpointDamaged,
                "its sum does not fit its content, or it is of another format",
            );
            return Ok(());
        };
        let max_line = max_line_bytes(self.config.max_document_bytes);
        let journal = Journal::new(
            Arc::clone(&self.fs),
            self.dir.join(layout::JOURNAL),
            max_line,
        );
        if journal.proof(head.offset)? != head.proof {
            tell(
                FindingKind::CheckpointDamaged,
                "the journal's bytes before it are not those that it was made from",
            );
        }
        Ok(())
    }

    /// Lines that no mark covers, while no writer is at work.
    fn unfinished(&self) {
        if let Some((seq, _)) = self.walk.pending.first() {
            let cause = format!(
                "{} lines from number {seq} on were journaled, and no mark says that the files have followed",
                self.walk.pending.len()
            );
            self.watch.found(
                self.finding(FindingKind::DecisionUnfinished, layout::JOURNAL, cause)
                    .mended_by(Mend::Backend),
            );
        }
    }
}

fn content_of(name: &str, bytes: &[u8]) -> Content {
    match codec::decode(name, bytes) {
        Ok(document) => Content::Document {
            id: document.decision.id().clone(),
            time: document.decision.timestamp(),
            digest: document.digest,
        },
        Err(unreadable) => Content::Bad {
            kind: unreadable.problem.kind,
            message: unreadable.problem.message,
            location: unreadable.problem.location,
            damaged: unreadable.damaged,
            marked: bytes
                .strip_prefix(MARK)
                .is_some_and(|rest| codec::decode(name, rest).is_ok()),
            digest: unreadable.digest,
        },
    }
}

fn is_ours(name: &str) -> bool {
    [layout::JOURNAL, layout::LOCK, layout::CHECKPOINT].contains(&name)
        || name.starts_with("decisions.journal.")
        || name.starts_with(".decisions.")
}

/// Tells of temporary files whose writers are dead.
pub(super) fn strays(fs: &dyn Fs, dir: &Path, watch: &dyn Watch) -> Result<()> {
    let found: Vec<PathBuf> = stray_temporaries(fs, dir)?;
    for path in found {
        let cause = "its writer died, or was killed, before it gave the file its name";
        watch.found(
            Finding::new(FindingKind::StrayTemporary, path, cause).mended_by(Mend::MoveAway),
        );
    }
    Ok(())
}
