//! The parts of a store, each looked at by the backend that keeps it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_core::check::{Finding, FindingKind, Mend, Part, Watch};
use minutebook_fs::task::blocking;
use minutebook_fs::{is_temporary, stray_temporaries};
use minutebook_json::{check_decisions, check_documents};
use minutebook_jsonl::check_ticks;

use super::{Collect, VerifyReport};
use crate::backends::Backends;
use crate::config::CONFIG_FILE;
use crate::disk::Disk;
use crate::repair::QUARANTINE_DIR;
use crate::tiered::Held;
use crate::{Clock, Error, ErrorKind, Result, SystemClock};

/// Where a part lies.
pub(super) fn place(disk: &Disk, part: Part) -> PathBuf {
    let layout = &disk.layout;
    match part {
        Part::Decisions => &layout.decisions,
        Part::Ticks => &layout.ticks,
        Part::Series => &layout.series,
        Part::Catalog => &layout.registry,
        Part::Documents => &layout.documents,
        _ => &layout.root,
    }
    .clone()
}

/// Names in a part's directory that belong to something else: other parts, where they lie in one directory.
fn others(disk: &Disk, part: &Path) -> BTreeSet<OsString> {
    let layout = &disk.layout;
    let places = [
        &layout.decisions,
        &layout.ticks,
        &layout.series,
        &layout.registry,
    ];
    let mut names: BTreeSet<OsString> = places
        .into_iter()
        .filter(|place| place.parent() == Some(part))
        .filter_map(|place| place.file_name().map(OsString::from))
        .collect();
    if part == layout.root {
        let registry = layout.registry.file_name().unwrap_or_default();
        let lock = format!(".{}.lock", registry.to_string_lossy());
        names.extend([lock, CONFIG_FILE.to_owned(), QUARANTINE_DIR.to_owned()].map(OsString::from));
    }
    names
}

/// Whether another part's files lie in the same directory.
fn shared(disk: &Disk, part: Part) -> bool {
    let layout = &disk.layout;
    layout.decisions == layout.ticks && matches!(part, Part::Decisions | Part::Ticks)
}

fn exists(disk: &Disk, place: &Path) -> Result<bool> {
    match disk.fs.canonicalize(place) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(crate::error::io("open", place, error)),
    }
}

pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Unavailable, error.to_string()))?
}

/// What lies in the store's own directory and in no part.
pub(super) async fn store(disk: &Disk, collect: &Arc<Collect>) -> Result<()> {
    let root = disk.layout.root.clone();
    if [&disk.layout.decisions, &disk.layout.ticks].contains(&&root) {
        // The part that lies there tells of them.
        return Ok(());
    }
    let (fs, collect) = (Arc::clone(&disk.fs), Arc::clone(collect));
    run(move || {
        let listed = fs
            .read_dir(&root)
            .map_err(|error| crate::error::io("list the directory", &root, error))?;
        let temporary = listed
            .iter()
            .any(|entry| entry.name.to_str().is_some_and(is_temporary));
        if !temporary {
            return Ok(());
        }
        let strays = stray_temporaries(&*fs, &root)
            .map_err(|error| crate::error::fs("list left-overs", &root, error))?;
        for path in strays {
            let cause = "its writer died, or was killed, before it gave the file its name";
            collect.found(
                Finding::new(FindingKind::StrayTemporary, path, cause).mended_by(Mend::MoveAway),
            );
        }
        Ok(())
    })
    .await
}

fn backends<'a>(disk: &'a Disk, clock: &'a Arc<dyn Clock>) -> Backends<'a> {
    Backends {
        config: &disk.config,
        layout: &disk.layout,
        fs: &disk.fs,
        clock,
    }
}

pub(super) async fn decisions(
    disk: &Disk,
    head: Option<String>,
    collect: &Arc<Collect>,
    report: &mut VerifyReport,
) -> Result<()> {
    let dir = disk.layout.decisions.clone();
    if !exists(disk, &dir)? {
        return Ok(());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = backends(disk, &clock).decisions_config();
    let others = others(disk, &dir);
    let shared = shared(disk, Part::Decisions);
    let collect = Arc::clone(collect);
    let checked = run(move || {
        let ignore =
            |name: &str| others.contains(&OsString::from(name)) || (shared && is_tick_file(name));
        check_decisions(&dir, &config, head.as_deref(), &ignore, &*collect)
    })
    .await?;
    report.decisions = checked.documents;
    report.journal_lines = checked.journal_lines;
    report.journal_head = checked.head;
    Ok(())
}

/// Whether a name is that of a tick file, of a file beside one, or of a directory of sealed segments.
fn is_tick_file(name: &str) -> bool {
    let beside = [".types", ".lock", ".seal", ".index"];
    name.contains("_timeseries.")
        || name.ends_with("~.jsonl")
        || name.ends_with("~sealed")
        || (name.starts_with('.') && beside.iter().any(|end| name.ends_with(end)))
}

pub(super) async fn ticks(
    disk: &Disk,
    collect: &Arc<Collect>,
    report: &mut VerifyReport,
) -> Result<()> {
    let dir = disk.layout.ticks.clone();
    if !exists(disk, &dir)? {
        return Ok(());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = backends(disk, &clock).ticks_config();
    let others = others(disk, &dir);
    let shared = shared(disk, Part::Ticks);
    let collect = Arc::clone(collect);
    let checked = run(move || {
        let ignore =
            |name: &str| others.contains(&OsString::from(name)) || (shared && !is_tick_file(name));
        check_ticks(&dir, &config, &ignore, &*collect)
    })
    .await?;
    report.tick_series = checked.series;
    report.tick_entries = checked.entries;
    Ok(())
}

pub(super) async fn series(
    disk: &Disk,
    collect: &Arc<Collect>,
    report: &mut VerifyReport,
) -> Result<()> {
    let root = &disk.layout.series;
    if !exists(disk, root)? {
        return Ok(());
    }
    let Some(repository) = disk.series_files.existing()? else {
        return Ok(());
    };
    let dirs = disk.series_dirs(root)?;
    for dir in dirs {
        let (fs, collect) = (Arc::clone(&disk.fs), Arc::clone(collect));
        run(move || {
            for path in stray_temporaries(&*fs, &dir)
                .map_err(|error| crate::error::fs("list left-overs", &dir, error))?
            {
                let cause = "its writer died, or was killed, before it gave the file its name";
                collect.found(
                    Finding::new(FindingKind::StrayTemporary, path, cause)
                        .mended_by(Mend::MoveAway),
                );
            }
            Ok(())
        })
        .await?;
    }
    let found = repository.check_directory(root, &**collect).await?;
    for id in found {
        report.series += 1;
        let held = Held {
            log: &disk.tick_log,
            series: &id,
        };
        let checked = repository.check_series_beside(&id, root, &**collect, &held);
        match checked.await {
            Ok(checked) => report.rows += checked.rows,
            Err(error) => collect.unreadable(root.join(id.to_string()), &error),
        }
    }
    Ok(())
}

pub(super) async fn documents(
    disk: &Disk,
    collect: &Arc<Collect>,
    report: &mut VerifyReport,
) -> Result<()> {
    let dir = disk.layout.documents.clone();
    if !exists(disk, &dir)? {
        return Ok(());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = backends(disk, &clock).documents_config();
    let collect = Arc::clone(collect);
    let checked = run(move || check_documents(&dir, &config, &*collect)).await?;
    report.documents = checked.documents;
    Ok(())
}
