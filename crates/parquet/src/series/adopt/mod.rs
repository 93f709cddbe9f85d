//! Files of other programs as segments of a series, byte for byte as they are.

mod candidate;
mod directory;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use minutebook_core::series::batch::merge_schemas;
use minutebook_core::{ErrorKind, SeriesId, Version};
use minutebook_fs::task;

pub use self::directory::{AdoptDirectory, AdoptedDirectory, AdoptedSeries};

use self::candidate::{Candidate, candidate};
use super::draft::{Draft, Group};
use super::keys::Keys;
use super::write::{ATTEMPTS, Committed, Patience};
use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::{Fault, Result};
use crate::layout::file_name;
use crate::log::{Log, Metadata, Operation, Segment};

/// So many files are known to have been adopted when no segment is one of them any more.
const REMEMBERED: usize = 1_024;

/// What is remembered of a digest: enough to tell a thousand files apart.
fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

/// What an adoption did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AdoptReport {
    /// The version that has the files; that of before if none could be adopted.
    pub version: Version,
    /// The files that are part of the series now.
    pub adopted: Vec<PathBuf>,
    /// Their rows.
    pub rows: u64,
    /// Rows that were there, with keys that a later file has too: at the same times, unless another key is declared.
    pub replaced: u64,
    /// Files that were adopted before, or are part of the series, byte for byte. They are not added again, even if rows of theirs were replaced or
    /// deleted since, or lost by a repair: to have these back, load the file and upsert it.
    pub already: Vec<PathBuf>,
    /// Files that cannot be part of a series as they are, and why. Load and write them instead.
    pub skipped: Vec<(PathBuf, String)>,
}

impl ParquetTimeSeriesRepository {
    /// Makes files of other programs part of a series without writing their rows anew: each is copied as it is and named by one commit, so that all
    /// are there at once or none. The time index may have any name and unit that [`load_parquet`](crate::load_parquet) finds; without a zone it is UTC.
    /// Where files overlap each other or what the series has, rows of a later file replace those of the same time, or of the same declared key.
    /// A file that is part of the series already, or is one of the last 1,024 that were adopted, is not added again, so that the call may be repeated and adopts what is
    /// new. Another, of which compaction has made new files or of which all rows were replaced, is one that is not there: adopting it again puts its rows over those of the
    /// same keys. A version that is restored brings back what was adopted then.
    ///
    /// A file whose rows are not in ascending order of time, or that has no time, is skipped and named in the report.
    ///
    /// # Errors
    /// [`SchemaMismatch`](minutebook_core::ErrorKind::SchemaMismatch) if a file has a column of another type than the series;
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if a file is damaged. Nothing changes then.
    pub async fn adopt(
        &self,
        series: &SeriesId,
        files: &[PathBuf],
        note: &Metadata,
    ) -> minutebook_core::Result<AdoptReport> {
        let adopted = self.inner.adopt(series, files, note, Care::Strict).await;
        self.inner.explained(series, "adopt", adopted).await
    }
}

/// What a file that is damaged, or does not fit the series, means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// None is adopted.
    Strict,
    /// It is skipped and named.
    Lenient,
}

impl Inner {
    async fn adopt(
        &self,
        series: &SeriesId,
        files: &[PathBuf],
        note: &Metadata,
        care: Care,
    ) -> Result<AdoptReport> {
        let log = self.log(series);
        let turn = self.state().entry(series.clone()).or_default().turn.clone();
        let _turn = turn.lock().await;
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let mut draft = self.draft(&log).await?;
            draft.note.clone_from(note);
            let mut report = AdoptReport {
                version: Version(draft.base_version()),
                ..AdoptReport::default()
            };
            let taken = self
                .take_in(&log, &mut draft, files, care, &mut report)
                .await;
            if let Err(fault) = taken {
                self.discard(std::mem::take(&mut draft.written)).await;
                return Err(fault);
            }
            if report.adopted.is_empty() {
                return Ok(report);
            }
            report.version = Version(draft.version());
            match self.commit(&log, draft, Operation::Adopt).await? {
                Committed::Done => return Ok(report),
                missed => patience.again(missed)?,
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    async fn take_in(
        &self,
        log: &Log,
        draft: &mut Draft,
        files: &[PathBuf],
        care: Care,
        report: &mut AdoptReport,
    ) -> Result<()> {
        let mut began = draft.exists() && draft.schema.fields().len() > 1;
        let mut known = self.adopted_files(log, draft).await?;
        let mut past: HashSet<String> = draft.adopted.iter().cloned().collect();
        for digest in known.keys() {
            past.remove(short(digest));
        }
        for path in files {
            let (fs, file) = (std::sync::Arc::clone(&self.config.fs), path.clone());
            let key = draft.key.clone();
            // One file in memory at a time.
            let found = task::blocking(move || candidate(&fs, &file, key.as_ref())).await?;
            let candidate = match found {
                Ok(Ok(candidate)) => candidate,
                Ok(Err(why)) => {
                    report.skipped.push((path.clone(), why));
                    continue;
                }
                Err(fault @ Fault::Corrupt { .. }) if care == Care::Lenient => {
                    report.skipped.push((path.clone(), fault.to_string()));
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            let digest = &candidate.segment.digest;
            if known.contains_key(digest) || past.contains(short(digest)) {
                report.already.push(path.clone());
                continue;
            }
            let schema = if began {
                merge_schemas(&draft.schema, &candidate.schema)
            } else {
                Ok(std::sync::Arc::clone(&candidate.schema))
            };
            let schema = match schema {
                Ok(schema) => schema,
                Err(error) if care == Care::Lenient => {
                    report
                        .skipped
                        .push((path.clone(), error.message().to_owned()));
                    continue;
                }
                Err(error) => return Err(error.with_resource(path.display()).into()),
            };
            let keys = match candidate.keys(draft.key.as_ref(), &schema) {
                Ok(keys) => keys,
                Err(Fault::Core(error)) if error.kind() == ErrorKind::InvalidInput => {
                    report
                        .skipped
                        .push((path.clone(), error.message().to_owned()));
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            draft.schema = schema;
            began = true;
            let (digest, before) = (candidate.segment.digest.clone(), report.replaced);
            self.add_file(log, draft, candidate, &keys, report).await?;
            if report.replaced > before {
                // A file that has lost rows to this one and is given after it comes after it once more.
                let now = self.adopted_files(log, draft).await?;
                known.retain(|digest, dead| now.get(digest) == Some(dead));
            }
            known.insert(digest, Vec::new());
        }
        Ok(())
    }

    async fn add_file(
        &self,
        log: &Log,
        draft: &mut Draft,
        candidate: Candidate,
        keys: &Keys,
        report: &mut AdoptReport,
    ) -> Result<()> {
        report.replaced += draft.remove_keys(self, log, keys).await?;
        let version = draft.version();
        let name = |unique| {
            let file = file_name(version, unique, "parquet");
            let path = log.dir.data(&file);
            (file, path)
        };
        let mut segment = candidate.segment;
        segment.file = self.storage.put_unique(name, &candidate.bytes).await?;
        draft.written.push(log.dir.data(&segment.file));
        report.rows += segment.rows;
        let digest = short(&segment.digest).to_owned();
        draft.adopted.retain(|known| *known != digest);
        draft.adopted.push(digest);
        let old = draft.adopted.len().saturating_sub(REMEMBERED);
        draft.adopted.drain(..old);
        draft.segments.push(segment);
        report.adopted.push(candidate.path);
        Ok(())
    }

    /// The files of a draft by their digests, with what of them is dead.
    async fn adopted_files(&self, log: &Log, draft: &Draft) -> Result<Adopted> {
        let entry = |segment: &Segment| (segment.digest.clone(), segment.dead.clone());
        let mut files: Adopted = draft.segments.iter().map(entry).collect();
        for group in &draft.groups {
            match group {
                Group::Changed(segments) => files.extend(segments.iter().map(entry)),
                Group::Kept(reference) => {
                    let segments = self.group(log, reference).await?;
                    files.extend(segments.iter().map(entry));
                }
            }
        }
        Ok(files)
    }
}

/// Ranges of dead rows by the digest of the file.
type Adopted = HashMap<String, Vec<(u64, u64)>>;
