//! Proving that a series is whole.

use minutebook_core::{ErrorKind, Problem, ProblemKind, ReadReport, SeriesId, Snapshot, Take};

use super::{Inner, ParquetTimeSeriesRepository};
use crate::codec::{Wanted, without};
use crate::error::{Fault, Result};
use crate::log::{Log, Segment};

/// What a verification found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Segments looked at.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows decoded.
    pub rows: u64,
    /// What is damaged, by file.
    pub problems: ReadReport,
}

impl ParquetTimeSeriesRepository {
    /// Reads every byte of the newest version: digests of all files, page checksums, and every value decoded.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such series; [`Corrupt`](ErrorKind::Corrupt) if the log itself is damaged. Damaged
    /// segments are in the report.
    pub async fn verify(&self, series: &SeriesId) -> minutebook_core::Result<VerifyReport> {
        let report = self.inner.verify(series).await;
        report.map_err(|fault| fault.told("verify", series))
    }
}

impl Inner {
    async fn verify(&self, series: &SeriesId) -> Result<VerifyReport> {
        let log = self.log(series);
        let commit = self.snapshot(&log, Snapshot::Latest).await?;
        let mut report = VerifyReport::default();
        for segment in self
            .overlapping(&log, &commit, (i64::MIN, None), Take::All)
            .await?
        {
            report.segments += 1;
            report.bytes += segment.bytes;
            match self.verify_segment(&log, &segment).await {
                Ok(rows) => report.rows += rows,
                Err(fault) => {
                    let missing = matches!(fault, Fault::Vanished { .. });
                    let error = fault.told("verify", series);
                    if !missing && error.kind() != ErrorKind::Corrupt {
                        return Err(error.into());
                    }
                    let path = log.dir.data(&segment.file).to_string();
                    let text = if missing {
                        "the file is missing"
                    } else {
                        error.message()
                    };
                    report
                        .problems
                        .add(Problem::new(ProblemKind::DigestMismatch, path, text));
                }
            }
        }
        Ok(report)
    }

    pub(super) async fn verify_segment(&self, log: &Log, segment: &Segment) -> Result<u64> {
        let path = log.dir.data(&segment.file);
        let max = segment.bytes.saturating_mul(2).max(1 << 20);
        let bytes = self
            .storage
            .get(&path, max)
            .await?
            .ok_or_else(|| Fault::Vanished {
                path: path.to_string(),
            })?;
        if bytes.len() as u64 != segment.bytes {
            let message = format!(
                "it has {} bytes and the log says {}",
                bytes.len(),
                segment.bytes
            );
            return Err(Fault::corrupt(&path, message));
        }
        if blake3::hash(&bytes).to_hex().as_str() != segment.digest {
            return Err(Fault::corrupt(&path, "its digest does not match the log"));
        }
        let reader = self.segments(log);
        let wanted = Wanted {
            columns: None,
            rows: without(0..segment.rows, &[]),
            batch_size: 1 << 16,
        };
        let batches = reader.rows(segment, wanted).await?;
        Ok(batches.iter().map(|batch| batch.num_rows() as u64).sum())
    }
}
