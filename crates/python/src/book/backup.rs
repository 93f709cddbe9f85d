//! Backups of a store from Python, and a store out of a backup.

use std::path::PathBuf;

use minutebook::backup::{RestoreOptions, generations, restore};
use minutebook_core::check::Part;
use pyo3::prelude::*;

use crate::convert::parsed;
use crate::record::{list, object, record};
use crate::run::{Calls, Mode};

record! {
    /// What a backup copied.
    BackupReport {
        /// The generation that was made.
        generation: String,
        /// How many files it has.
        files: u64,
        bytes: u64,
        /// How many of them were not there yet.
        copied_files: u64,
        copied_bytes: u64,
        /// The hash of the last line of the journal of decisions.
        journal_head: Option<String>,
        /// Files that were left out.
        skipped: Vec<PathBuf>,
        /// Files of other programs that changed while they were copied.
        unsteady: Vec<PathBuf>,
        /// Files that were gone when it was their turn.
        missing: Vec<PathBuf>,
        /// Generations that went, to keep no more than asked for.
        removed: Vec<String>,
    }
}

impl From<minutebook::backup::BackupReport> for BackupReport {
    fn from(report: minutebook::backup::BackupReport) -> Self {
        Self {
            generation: report.generation,
            files: report.files,
            bytes: report.bytes,
            copied_files: report.copied_files,
            copied_bytes: report.copied_bytes,
            journal_head: report.journal_head,
            skipped: report.skipped,
            unsteady: report.unsteady,
            missing: report.missing,
            removed: report.removed,
        }
    }
}

record! {
    /// A state of a store in a backup.
    Generation {
        name: String,
        /// When it was made, RFC 3339.
        at: String,
        /// The store's directory then.
        source: String,
        files: u64,
        bytes: u64,
        journal_head: Option<String>,
    }
}

record! {
    /// What was brought back.
    RestoreReport {
        generation: String,
        /// When it was made, RFC 3339.
        at: String,
        files: u64,
        bytes: u64,
        journal_head: Option<String>,
    }
}

fn calls(asynchronous: bool) -> Calls {
    Calls::new(if asynchronous {
        Mode::Async
    } else {
        Mode::Sync
    })
}

/// Makes a store of a generation of a backup, the newest unless one is named, in a directory that is empty or not there.
#[pyfunction]
#[pyo3(signature = (backup, into, *, generation=None, parts=None, asynchronous=false))]
pub(crate) fn restore_backup(
    py: Python<'_>,
    backup: PathBuf,
    into: PathBuf,
    generation: Option<String>,
    parts: Option<Vec<String>>,
    asynchronous: bool,
) -> PyResult<Py<PyAny>> {
    let mut options = RestoreOptions::new();
    if let Some(generation) = generation {
        options = options.generation(generation);
    }
    if let Some(parts) = parts {
        let parts = parts.iter().map(|part| parsed::<Part>(part));
        options = options.parts(parts.collect::<PyResult<Vec<_>>>()?);
    }
    calls(asynchronous).run(
        py,
        async move { restore(&backup, &into, &options).await },
        |py, report| {
            let restored = RestoreReport {
                generation: report.generation,
                at: report.at,
                files: report.files,
                bytes: report.bytes,
                journal_head: report.journal_head,
            };
            object(py, Py::new(py, restored)?)
        },
    )
}

/// The generations of a backup, the oldest first.
#[pyfunction]
#[pyo3(signature = (backup, *, asynchronous=false))]
pub(crate) fn backup_generations(
    py: Python<'_>,
    backup: PathBuf,
    asynchronous: bool,
) -> PyResult<Py<PyAny>> {
    calls(asynchronous).run(
        py,
        async move { generations(&backup).await },
        |py, found| {
            let found = found.into_iter().map(|generation| Generation {
                name: generation.name,
                at: generation.at,
                source: generation.source,
                files: generation.files,
                bytes: generation.bytes,
                journal_head: generation.journal_head,
            });
            object(py, list(py, found)?)
        },
    )
}

record! {
    /// A file of a backup that cannot be brought back.
    DamagedFile {
        generation: String,
        /// The part of the store that it is of.
        part: String,
        /// Its path in the store.
        file: String,
        /// The file of the backup that is at fault.
        object: PathBuf,
        cause: String,
    }
}

record! {
    /// What a check of a backup found.
    BackupCheck {
        /// The generations that were looked at.
        generations: Vec<String>,
        /// How many of their files are what they were.
        files: u64,
        bytes: u64,
        /// How many bytes were read.
        read: u64,
        /// The first 10,000 files that cannot be brought back.
        damaged: Vec<Py<DamagedFile>>,
        /// How many there are.
        damaged_files: u64,
        is_whole: bool,
    }
}

/// Reads a generation of a backup, the newest unless one is named (`all` for all), and compares each file with what it was. Restores nothing.
#[pyfunction]
#[pyo3(signature = (backup, *, generation=None, asynchronous=false))]
pub(crate) fn check_backup(
    py: Python<'_>,
    backup: PathBuf,
    generation: Option<String>,
    asynchronous: bool,
) -> PyResult<Py<PyAny>> {
    calls(asynchronous).run(
        py,
        async move { minutebook::backup::check_backup(&backup, generation.as_deref(), None).await },
        |py, check| {
            let is_whole = check.is_whole();
            let damaged = check.damaged.into_iter().map(|damaged| DamagedFile {
                generation: damaged.generation,
                part: damaged.part.to_string(),
                file: damaged.file,
                object: damaged.object,
                cause: damaged.cause,
            });
            let found = BackupCheck {
                generations: check.generations,
                files: check.files,
                bytes: check.bytes,
                read: check.read,
                damaged: list(py, damaged)?,
                damaged_files: check.damaged_files,
                is_whole,
            };
            object(py, Py::new(py, found)?)
        },
    )
}
