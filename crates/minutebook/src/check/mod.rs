//! One pass over everything that a store on disk has: what is damaged, left over, missing, or does not agree.
//!
//! [`Minutebook::verify`] changes nothing and may run beside writers, on a store that cannot be written too. What it finds is a
//! [`Finding`]; [`repair`](crate::repair) mends what can be mended. The kinds are listed in `docs/verify.md`.

mod catalog;
mod collect;
mod parts;
mod seen;
mod size;

use std::fmt;
use std::sync::Arc;

pub use minutebook_core::check::{Finding, FindingKind, Mend, Part, Severity, Watch};
pub use minutebook_json::DecisionsChecked;

use crate::{Error, Minutebook, Result};

pub(crate) use catalog::judge;
pub(crate) use collect::Collect;
pub(crate) use parts::run;
pub(crate) use seen::Seen;
pub(crate) use size::of as size_of;

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The part that is looked at.
    pub part: Part,
    /// Bytes looked at so far, over all parts.
    pub done: u64,
    /// Bytes that there were when the check began.
    pub total: u64,
}

type Tell = dyn Fn(Progress) + Send + Sync;

/// What to check.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// These parts only; all of them unless given.
    pub parts: Option<Vec<Part>>,
    /// A hash that a line of the decisions' journal must have, as an earlier check gave it
    /// ([`VerifyReport::journal_head`]): a journal whose end was cut is noticed by it.
    pub head: Option<String>,
    /// Told of progress.
    pub progress: Option<Arc<Tell>>,
}

impl fmt::Debug for VerifyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("parts", &self.parts)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl VerifyOptions {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// These parts only.
    #[must_use]
    pub fn parts(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.parts = Some(parts.into_iter().collect());
        self
    }

    /// The journal must have a line with this hash.
    #[must_use]
    pub fn head(mut self, hash: impl Into<String>) -> Self {
        self.head = Some(hash.into());
        self
    }

    /// Tells of progress; called often, from any thread.
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }

    fn wants(&self, part: Part) -> bool {
        self.parts
            .as_ref()
            .is_none_or(|parts| parts.contains(&part))
    }
}

/// What a check found, and how much it looked at.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The first [`VerifyReport::KEPT`] findings, by part and then as they were met.
    pub findings: Vec<Finding>,
    /// Notes, of which nothing has to be done.
    pub notes: u64,
    /// What is untidy, and loses nothing.
    pub untidy: u64,
    /// Damage.
    pub damage: u64,
    /// Places that the storage could not read, counted in `damage` too.
    pub unreadable: u64,
    /// Documents of decisions.
    pub decisions: u64,
    /// Lines of the decisions' journal.
    pub journal_lines: u64,
    /// The hash of the journal's last line. Kept elsewhere it proves, given as [`VerifyOptions::head`], that nothing up to it was cut or changed.
    pub journal_head: Option<String>,
    /// Tick series.
    pub tick_series: u64,
    /// Entries in them.
    pub tick_entries: u64,
    /// Bars and other series.
    pub series: u64,
    /// Rows decoded of all their kept versions.
    pub rows: u64,
    /// Entries of the catalog.
    pub datasets: u64,
    /// Documents.
    pub documents: u64,
    /// Bytes looked at.
    pub bytes: u64,
    /// What a repair holds its steps against.
    pub(crate) seen: Seen,
}

impl VerifyReport {
    /// How many findings are kept in full; all are counted.
    pub const KEPT: usize = 10_000;

    /// Whether nothing is damaged and nothing is left to tidy.
    pub fn is_clean(&self) -> bool {
        self.damage == 0 && self.untidy == 0
    }

    /// Findings in all.
    pub fn total(&self) -> u64 {
        self.notes + self.untidy + self.damage
    }

    /// The findings, of those that are kept, that [`repair`](Minutebook::repair) mends.
    pub fn mendable(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_mendable())
    }
}

impl Minutebook {
    /// Looks at everything that the store has: every document, every line of the journal and of the ticks, every version and every byte
    /// of the series, every entry of the catalog with the data that it names, and every document.
    ///
    /// Nothing is changed. Writers may go on: what looks wrong is looked at again under their locks. Memory is bounded by the largest document, line
    /// and segment, and about 300 bytes for each decision.
    ///
    /// ```
    /// # async fn example() -> minutebook::Result<()> {
    /// # let dir = tempfile::tempdir().map_err(|e| minutebook::Error::invalid(e.to_string()))?;
    /// use minutebook::{Minutebook, check::VerifyOptions};
    ///
    /// let book = Minutebook::create(dir.path())?;
    /// let report = book.verify(&VerifyOptions::new()).await?;
    /// assert!(report.is_clean());
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a store that is not on disk. What the storage cannot read is a finding
    /// ([`FindingKind::Unreadable`]), and the check goes on.
    pub async fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport> {
        let disk = self.disk().ok_or_else(|| {
            Error::unsupported("only a store on disk can be checked").with_operation("verify")
        })?;
        let total = match &options.progress {
            Some(_) => size::of(disk).await?,
            None => 0,
        };
        let fs = Arc::clone(&disk.fs);
        let collect = Arc::new(Collect::new(fs, options.progress.clone(), total));
        let mut report = VerifyReport::default();
        for part in Part::ALL.iter().filter(|part| options.wants(**part)) {
            collect.begin(*part);
            let done = match part {
                Part::Store => parts::store(disk, &collect).await,
                Part::Decisions => {
                    parts::decisions(disk, options.head.clone(), &collect, &mut report).await
                }
                Part::Ticks => parts::ticks(disk, &collect, &mut report).await,
                Part::Series => parts::series(disk, &collect, &mut report).await,
                Part::Catalog => catalog::check(self, disk, &collect, &mut report).await,
                Part::Documents => parts::documents(disk, &collect, &mut report).await,
                _ => Ok(()),
            };
            if let Err(error) = done {
                collect.unreadable(parts::place(disk, *part), &error);
            }
        }
        collect.finish(&mut report);
        Ok(report)
    }
}
