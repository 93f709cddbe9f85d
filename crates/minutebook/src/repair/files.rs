//! Steps on files that need no backend.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minutebook_core::check::{Finding, Mend};
use minutebook_fs::{Created, Durability, rename_new};

use super::quarantine::Quarantine;
use super::rewrite::{changed, close_line, locked, take_out};
use crate::check::Seen;
use crate::error::fs as fs_error;
use crate::{Error, ErrorKind, Result};

/// What became of each finding.
pub(super) type Outcomes = Vec<(Finding, Result<()>)>;

/// Stretches of one file that are to go, with the finding of each.
type Stretches = Vec<(u64, Option<u64>, Finding)>;

/// Carries out the steps of findings that are about files alone. `lock` is that of the writers of all of them, where there is one.
pub(super) fn mend(
    quarantine: &mut Quarantine,
    seen: &Seen,
    findings: Vec<Finding>,
    lock: Option<&PathBuf>,
) -> Outcomes {
    let mut outcomes = Vec::new();
    let mut out: BTreeMap<(PathBuf, Option<PathBuf>), Stretches> = BTreeMap::new();
    for finding in findings {
        if let Mend::TakeOut { from, to, lock } = &finding.mend {
            let key = (finding.path.clone(), lock.clone());
            out.entry(key)
                .or_default()
                .push((*from, *to, finding.clone()));
            continue;
        }
        let done = one(quarantine, seen, &finding, lock);
        outcomes.push((finding, done));
    }
    // All stretches of a file in one go: it is written anew once.
    for ((path, own), stretches) in out {
        let ranges: Vec<_> = stretches.iter().map(|(from, to, _)| (*from, *to)).collect();
        let Some((_, _, first)) = stretches.first() else {
            continue;
        };
        let done = take_out(quarantine, seen, &path, own.as_ref(), &ranges, first);
        let failed = done.err();
        for (_, _, finding) in stretches {
            let done = match &failed {
                None => Ok(()),
                Some(error) => Err(copy(error)),
            };
            outcomes.push((finding, done));
        }
    }
    outcomes
}

/// A second copy of an error that stopped several steps.
pub(super) fn copy(error: &Error) -> Error {
    let again = Error::new(error.kind(), error.message());
    match error.resource() {
        Some(resource) => again.with_resource(resource),
        None => again,
    }
}

fn one(
    quarantine: &mut Quarantine,
    seen: &Seen,
    finding: &Finding,
    lock: Option<&PathBuf>,
) -> Result<()> {
    let fs = std::sync::Arc::clone(&quarantine.fs);
    match &finding.mend {
        Mend::MoveAway => {
            let _lock = locked(&*fs, lock.map(PathBuf::as_path))?;
            if !seen.is_file(&*fs, &finding.path) {
                return Err(changed(&finding.path));
            }
            quarantine.take(finding, &finding.path)
        }
        Mend::MoveAll(paths) => {
            for path in paths {
                quarantine.take(finding, path)?;
            }
            Ok(())
        }
        Mend::Rename(to) => {
            let _lock = locked(&*fs, lock.map(PathBuf::as_path))?;
            if !seen.is_file(&*fs, &finding.path) {
                return Err(changed(&finding.path));
            }
            match rename_new(&*fs, &finding.path, to, Durability::Synced) {
                Ok(Created::Created) => Ok(()),
                Ok(Created::AlreadyExists) => Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "the name is taken now",
                )
                .with_resource(to.display())),
                Err(error) => Err(fs_error("rename the file", &finding.path, error)),
            }
        }
        Mend::CloseLine { lock } => close_line(&*fs, &finding.path, lock),
        _ => Ok(()),
    }
}
