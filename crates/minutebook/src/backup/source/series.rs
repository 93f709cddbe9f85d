//! The series: each one's log up to a version, and every file that a version up to it names.

use std::sync::Arc;

use minutebook_core::SeriesId;
use minutebook_core::check::{Finding, Part, Watch};
use minutebook_fs::FileKind;

use super::{Limits, Source, is_transient};
use crate::backup::copy::Copier;
use crate::check::run;
use crate::disk::Disk;
use crate::{Error, ErrorKind, Result};

/// How often a series is begun again while versions are removed from it.
const ATTEMPTS: usize = 8;
/// Named snapshots of series, beside the directories of series.
const SNAPSHOTS: &str = "@snapshots";

/// Findings are for `verify`; a backup looks for names alone.
#[derive(Debug)]
struct Unheard;

impl Watch for Unheard {
    fn found(&self, _: Finding) {}
}

impl Source {
    pub(super) async fn all_series(
        self: &Arc<Self>,
        disk: &Disk,
        copier: Copier,
        limits: Limits,
    ) -> Result<Copier> {
        let source = Arc::clone(self);
        // Snapshots first: the versions that they keep are there already.
        let mut copier = run(move || {
            let mut copier = copier;
            copier.part(Part::Series);
            source.snapshots(&mut copier)?;
            Ok(copier)
        })
        .await?;
        let Some(repository) = disk.series_files.existing()? else {
            return Ok(copier);
        };
        let all = repository
            .check_directory(&self.layout.series, &Unheard)
            .await?;
        for series in all {
            let limit = limits.get(&series).copied();
            copier = self.one_series(disk, &series, limit, copier).await?;
        }
        Ok(copier)
    }

    fn snapshots(&self, copier: &mut Copier) -> Result<()> {
        for (name, kind, path) in self.entries(copier, &self.layout.series.join(SNAPSHOTS))? {
            // A name with `~` is that of a restoration that is under way.
            if kind == FileKind::File && !is_transient(&name) && !name.starts_with('~') {
                copier.file(&path, &format!("{}{SNAPSHOTS}/{name}", self.series))?;
            }
        }
        Ok(())
    }

    async fn one_series(
        self: &Arc<Self>,
        disk: &Disk,
        series: &SeriesId,
        limit: Option<u64>,
        mut copier: Copier,
    ) -> Result<Copier> {
        let repository = disk.series_files.opened()?;
        for _ in 0..ATTEMPTS {
            let files = repository.kept_files(series, limit).await?;
            let source = Arc::clone(self);
            let gone;
            (copier, gone) = run(move || {
                let gone = source.series_files(&mut copier, &files)?;
                Ok((copier, gone))
            })
            .await?;
            if gone.is_empty() {
                return Ok(copier);
            }
            // What is named still though it is not there is damage, which a copy carries on and tells of; else versions were removed meanwhile.
            let named = repository.kept_files(series, limit).await?;
            if gone.iter().all(|file| named.contains(file)) {
                for file in gone {
                    copier.miss(&self.layout.series.join(file));
                }
                return Ok(copier);
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "versions are removed from the series all the time; back up again when the vacuum is over",
        )
        .with_resource(series))
    }

    /// Copies files of a series; gives those that are not there. If there are any, none of the others counts unless all of them are missing for good.
    fn series_files(&self, copier: &mut Copier, files: &[String]) -> Result<Vec<String>> {
        let mut gone = Vec::new();
        for file in files {
            let to = format!("{}{file}", self.series);
            copier.forget(&to);
            if !copier.file(&self.layout.series.join(file), &to)? {
                gone.push(file.clone());
            }
        }
        Ok(gone)
    }
}
