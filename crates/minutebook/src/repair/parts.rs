//! One round over the findings of all parts, in the order in which the parts rest on each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minutebook_core::check::{Finding, FindingKind, Mend, Part};
use minutebook_core::{DecisionId, SeriesId};
use minutebook_fs::{Durability, replace};
use minutebook_json::salvage_registry;
use minutebook_parquet::LeftOut;

use super::files::{self, Outcomes, copy};
use super::quarantine::Quarantine;
use super::rewrite::locked;
use crate::check::{Seen, judge};
use crate::disk::Disk;
use crate::error::fs as fs_error;
use crate::tiered::Held;
use crate::{Error, ErrorKind, Minutebook, Result};

/// More bytes than a registry has.
const MAX_REGISTRY: u64 = 1 << 30;

pub(super) struct Round<'a> {
    book: &'a Minutebook,
    disk: &'a Disk,
    quarantine: &'a mut Quarantine,
    seen: &'a Seen,
    pub(super) mended: Vec<Finding>,
    pub(super) failed: Vec<(Finding, Error)>,
}

fn name_of(finding: &Finding) -> String {
    let name = finding.path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What became of a series, in the words of a cause.
fn outcome(left: &LeftOut) -> String {
    let back = left.went_back_to.map_or_else(String::new, |version| {
        format!(
            "; the series went back to the files of version {}",
            version.0
        )
    });
    match left.lost_rows {
        0 => format!("{back}; none of its rows is lost"),
        lost => format!(
            "{back}; {lost} rows are lost, and {} could be read",
            left.saved_rows
        ),
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(
        book: &'a Minutebook,
        disk: &'a Disk,
        quarantine: &'a mut Quarantine,
        seen: &'a Seen,
    ) -> Self {
        Self {
            book,
            disk,
            quarantine,
            seen,
            mended: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub(super) async fn run(&mut self, findings: Vec<Finding>) -> Result<()> {
        let (backend, files): (Vec<Finding>, Vec<Finding>) = findings
            .into_iter()
            .partition(|finding| finding.mend == Mend::Backend);
        let decisions = &self.disk.layout.decisions;
        let (in_decisions, elsewhere): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|finding| finding.path.parent() == Some(decisions));
        let lock = decisions.join(".decisions.lock");
        let lock = self.disk.fs.metadata(&lock).is_ok().then_some(lock);
        let done = files::mend(self.quarantine, self.seen, in_decisions, lock.as_ref());
        self.note(done);
        let elsewhere = self.made_durable(elsewhere).await;
        let done = files::mend(self.quarantine, self.seen, elsewhere, None);
        self.note(done);

        let mut by_part: BTreeMap<Part, Vec<Finding>> = BTreeMap::new();
        for finding in backend {
            by_part
                .entry(finding.kind.part())
                .or_default()
                .push(finding);
        }
        for (part, findings) in by_part {
            match part {
                Part::Decisions => self.decisions(findings).await,
                Part::Series => self.series(findings).await,
                Part::Ticks => self.segments(findings).await,
                _ => self.catalog(findings).await,
            }
        }
        Ok(())
    }

    /// Earlier versions of a series are taken away for the newest one, which may have been written without syncs. Gives the findings that can be gone on with.
    async fn made_durable(&mut self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut synced: BTreeMap<String, Result<()>> = BTreeMap::new();
        let mut left = Vec::with_capacity(findings.len());
        for finding in findings {
            let of_versions = matches!(finding.mend, Mend::MoveAll(_));
            let series = finding.subject.as_ref().filter(|_| of_versions);
            let Some(series) = series.filter(|_| finding.kind.part() == Part::Series) else {
                left.push(finding);
                continue;
            };
            if !synced.contains_key(series) {
                synced.insert(series.clone(), self.sync(series).await);
            }
            match synced.get(series) {
                Some(Err(error)) => self.failed.push((finding, copy(error))),
                _ => left.push(finding),
            }
        }
        left
    }

    async fn sync(&self, series: &str) -> Result<()> {
        self.disk
            .series_files
            .opened()?
            .sync(&series.parse()?)
            .await
    }

    fn note(&mut self, outcomes: Outcomes) {
        for (finding, done) in outcomes {
            match done {
                Ok(()) => self.mended.push(finding),
                Err(error) => self.failed.push((finding, error)),
            }
        }
    }

    /// One outcome for several findings.
    fn note_all(&mut self, findings: Vec<Finding>, done: &Result<()>) {
        for finding in findings {
            match done {
                Ok(()) => self.mended.push(finding),
                Err(error) => self.failed.push((finding, copy(error))),
            }
        }
    }

    async fn decisions(&mut self, findings: Vec<Finding>) {
        let (journal, documents): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| {
            matches!(
                finding.kind,
                FindingKind::JournalLineDamaged | FindingKind::JournalChainBroken
            )
        });
        if !documents.is_empty() {
            let done = self.restore(&documents).await;
            self.note_all(documents, &done);
        }
        if let Some(first) = journal.first() {
            let done = self.refound(first).await;
            self.note_all(journal, &done);
        }
    }

    async fn restore(&mut self, findings: &[Finding]) -> Result<()> {
        let mut ids = Vec::new();
        for finding in findings {
            if finding.kind == FindingKind::DecisionUnfinished {
                continue;
            }
            if finding.kind != FindingKind::DecisionMissing {
                self.quarantine.keep(finding, &finding.path, None)?;
            }
            if let Some(id) = &finding.subject {
                ids.push(DecisionId::new(id)?);
            }
        }
        let repository = self.disk.decision_files.opened()?;
        let wanted = ids.len();
        let restored = repository.restore_documents(ids).await?;
        if restored.len() < wanted {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the journal changed meanwhile; run the repair again",
            ));
        }
        Ok(())
    }

    async fn refound(&mut self, finding: &Finding) -> Result<()> {
        let keep = self.quarantine.announce(finding, &finding.path, None)?;
        let repository = self.disk.decision_files.opened()?;
        let mut sealed = Vec::new();
        for path in repository.sealed_journal_files().await? {
            let keep = self.quarantine.announce(finding, &path, None)?;
            sealed.push((path, keep));
        }
        repository.refound_journal(&keep, sealed).await.map(drop)
    }

    async fn series(&mut self, findings: Vec<Finding>) {
        let mut by_series: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        for finding in findings {
            let series = finding.subject.clone().unwrap_or_default();
            by_series.entry(series).or_default().push(finding);
        }
        for (series, mut findings) in by_series {
            let done = self.leave_out(&series, &findings).await;
            if let Ok(left) = &done {
                for finding in &mut findings {
                    finding.lost = left.lost_in.contains(&name_of(finding));
                    finding.cause.push_str(&outcome(left));
                }
            }
            self.note_all(findings, &done.map(drop));
        }
    }

    async fn leave_out(&mut self, series: &str, findings: &[Finding]) -> Result<LeftOut> {
        let id: SeriesId = series.parse()?;
        let files: Vec<String> = findings.iter().map(name_of).collect();
        let cold = self.disk.series_files.opened()?;
        // A segment that was taken over and is still among the ticks has its rows twice. Held until the end, so that no compaction removes it meanwhile.
        let ticks = match self.disk.tick_log.existing()? {
            Some(log) if matches!(id, SeriesId::Ticks { .. }) => log.hand_over(&id).await?,
            _ => None,
        };
        let held = Held {
            log: &self.disk.tick_log,
            series: &id,
        };
        let left = cold.leave_out_beside(&id, &files, &held).await;
        drop(ticks);
        left
    }

    /// Sealed segments of ticks, series by series.
    async fn segments(&mut self, findings: Vec<Finding>) {
        let mut by_series: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        for finding in findings {
            let series = finding.subject.clone().unwrap_or_default();
            by_series.entry(series).or_default().push(finding);
        }
        for (series, findings) in by_series {
            let done = self.seal_anew(&series, &findings).await;
            self.note_all(findings, &done);
        }
    }

    async fn seal_anew(&mut self, series: &str, findings: &[Finding]) -> Result<()> {
        let id: SeriesId = series.parse()?;
        let mut files: Vec<String> = Vec::new();
        for finding in findings {
            let unfinished = finding.kind == FindingKind::SealingUnfinished;
            let name = finding.path.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            if unfinished || files.contains(&name) {
                continue;
            }
            if self.disk.fs.metadata(&finding.path).is_ok() {
                self.quarantine.keep(finding, &finding.path, None)?;
            }
            files.push(name);
        }
        self.disk
            .tick_log
            .opened()?
            .mend_segments(&id, &files)
            .await
    }

    async fn catalog(&mut self, findings: Vec<Finding>) {
        let (drifted, others): (Vec<_>, Vec<_>) = findings
            .into_iter()
            .partition(|finding| finding.kind == FindingKind::EntryDrifted);
        if !others.is_empty() {
            match self.registry(&others).await {
                Ok(mended) => self.mended.extend(mended),
                Err(error) => self.note_all(others, &Err(error)),
            }
        }
        for finding in drifted {
            let done = self.refresh(&finding).await;
            self.note(vec![(finding, done)]);
        }
    }

    async fn refresh(&self, finding: &Finding) -> Result<()> {
        let name = finding.subject.as_deref().unwrap_or_default();
        self.book.refresh(&name.parse()?).await.map(drop)
    }

    /// Writes the registry without some entries, or with those alone that can be read. Gives those findings that still held.
    async fn registry(&mut self, findings: &[Finding]) -> Result<Vec<Finding>> {
        let path = self.disk.layout.registry.clone();
        let fs = std::sync::Arc::clone(&self.disk.fs);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let lock: PathBuf = path.with_file_name(format!(".{name}.lock"));
        let _lock = locked(&*fs, Some(&lock))?;
        // An entry, or its data, may have been put right since it was judged.
        let names: Vec<String> = findings
            .iter()
            .filter_map(|finding| finding.subject.clone())
            .collect();
        let now = judge(self.book, &names).await?;
        let still: Vec<Finding> = findings
            .iter()
            .filter(|finding| {
                now.iter()
                    .any(|it| (it.kind, &it.subject) == (finding.kind, &finding.subject))
            })
            .cloned()
            .collect();
        let Some(first) = still.first() else {
            return Ok(still);
        };
        let failed = |error| fs_error("read the registry", &path, error);
        let Some(bytes) = minutebook_fs::read(&*fs, &path, MAX_REGISTRY).map_err(failed)? else {
            return Ok(Vec::new());
        };
        let names: Vec<&str> = still
            .iter()
            .filter_map(|finding| finding.subject.as_deref())
            .collect();
        let saved = salvage_registry(&bytes, &names);
        self.quarantine.keep(first, &path, None)?;
        replace(&*fs, &path, saved.text.as_bytes(), Durability::Synced)
            .map_err(|error| fs_error("write the registry", &path, error))?;
        Ok(still)
    }
}
