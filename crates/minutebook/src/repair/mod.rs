//! Mending what a check has found, with every byte that is replaced or removed kept in `quarantine/`.

mod files;
mod parts;
mod quarantine;
mod rewrite;

use std::collections::BTreeSet;
use std::path::PathBuf;

use minutebook_core::check::{Finding, Mend, Part};

use crate::check::{VerifyOptions, VerifyReport};
use crate::{Error, Minutebook, Result};
use parts::Round;
pub(crate) use quarantine::Quarantine;
pub use quarantine::{QUARANTINE_DIR, Quarantined};

/// Mending one thing may show another (the statistics of a series that lost a file): so often all is looked at again.
const ROUNDS: usize = 8;

/// What a repair did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was mended, in order.
    pub mended: Vec<Finding>,
    /// What could not be mended now, and why.
    pub failed: Vec<(Finding, Error)>,
    /// Where the bytes are that were replaced or removed, if any were.
    pub quarantine: Option<PathBuf>,
    /// The state of the store afterwards.
    pub after: VerifyReport,
}

/// What the catalog says of data is looked at again when the data is mended: an entry whose file gets its name back was right.
fn causes_first(mut findings: Vec<Finding>) -> Vec<Finding> {
    let of_catalog = |finding: &Finding| finding.kind.part() == Part::Catalog;
    if !findings.iter().all(of_catalog) {
        findings.retain(|finding| !of_catalog(finding));
    }
    findings
}

/// The first step on a file of a series on which this is the second: the newest version goes on without it, then it is taken away with older ones.
fn first_step<'a>(mended: &'a [Finding], second: &Finding) -> Option<&'a Finding> {
    let is_second = second.kind.part() == Part::Series && matches!(second.mend, Mend::MoveAll(_));
    mended.iter().filter(|_| is_second).find(|first| {
        first.mend == Mend::Backend && (first.kind, &first.path) == (second.kind, &second.path)
    })
}

impl RepairReport {
    /// What was mended by doing without data that nothing in the store can bring back. Its bytes, as far as there were any, are in quarantine.
    pub fn lost(&self) -> impl Iterator<Item = &Finding> {
        self.mended.iter().filter(|finding| finding.lost)
    }
}

impl Minutebook {
    /// What [`repair`](Self::repair) would do now: the findings that it would mend, each with [`Finding::kind`]'s remedy. Changes nothing.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn plan_repair(&self, options: &VerifyOptions) -> Result<Vec<Finding>> {
        let report = self.verify(options).await?;
        Ok(report.mendable().cloned().collect())
    }

    /// Mends what [`verify`](Self::verify) finds and can be mended, and looks again until nothing is left to do.
    ///
    /// Every byte that is replaced or removed is first kept in a new folder of `quarantine/` in the store's directory, whose
    /// `manifest.jsonl` says where each file came from and why. Each step is durable before the next, so a repair that was
    /// interrupted is finished by the next one. Steps on decisions, ticks and the registry take the writers' locks; while a series is
    /// mended nobody should write to it. A step is taken only if what it is about is still what was judged; else it is judged anew. One repair goes on at
    /// a time. What the settings call notes stays as it is.
    ///
    /// ```
    /// # async fn example() -> minutebook::Result<()> {
    /// # let dir = tempfile::tempdir().map_err(|e| minutebook::Error::invalid(e.to_string()))?;
    /// use minutebook::{Minutebook, check::VerifyOptions};
    ///
    /// let book = Minutebook::create(dir.path())?;
    /// let report = book.repair(&VerifyOptions::new()).await?;
    /// assert!(report.mended.is_empty() && report.after.is_clean());
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`verify`](Self::verify), [`Locked`](crate::ErrorKind::Locked) if another repair goes on, and [`Unavailable`](crate::ErrorKind::Unavailable) if the quarantine cannot be written: then nothing
    /// was removed. Steps that fail are in the report, and the others are done.
    pub async fn repair(&self, options: &VerifyOptions) -> Result<RepairReport> {
        let disk = self.disk().ok_or_else(|| {
            Error::unsupported("only a store on disk can be repaired").with_operation("repair")
        })?;
        let mut report = RepairReport::default();
        let mut quarantine = Quarantine::new(disk, self.now());
        let mut before: BTreeSet<String> = BTreeSet::new();
        let mut alone = None;
        for round in 0..=ROUNDS {
            report.after = self.verify(options).await?;
            let mut mendable = causes_first(report.after.mendable().cloned().collect());
            for finding in &mut mendable {
                // What the first step came to is known by now.
                if let Some(first) = first_step(&report.mended, finding) {
                    finding.lost = first.lost;
                }
            }
            // With what is to be done: a damaged segment is first left out of the newest version, then taken away with the older ones.
            let now: BTreeSet<String> = mendable
                .iter()
                .map(|finding| format!("{finding} {:?}", finding.mend))
                .collect();
            // What a round did not change the next one would not either.
            if mendable.is_empty() || now == before || round == ROUNDS {
                break;
            }
            before = now;
            if alone.is_none() {
                alone = Some(quarantine.lock()?);
            }
            let seen = std::mem::take(&mut report.after.seen);
            let mut round = Round::new(self, disk, &mut quarantine, &seen);
            round.run(mendable).await?;
            let mut mended = round.mended;
            mended.retain(|it| first_step(&report.mended, it).is_none());
            report.mended.extend(mended);
            report.failed = round.failed;
        }
        // What somebody else has put right meanwhile has not failed.
        let left = &report.after.findings;
        report.failed.retain(|(finding, _)| {
            let same = |it: &Finding| {
                (it.kind, &it.path, &it.subject) == (finding.kind, &finding.path, &finding.subject)
            };
            left.iter().any(same)
        });
        report.quarantine = quarantine.folder().map(ToOwned::to_owned);
        Ok(report)
    }
}
