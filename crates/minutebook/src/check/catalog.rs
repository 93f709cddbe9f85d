//! The catalog's entries against the data that they name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_core::{DatasetEntry, Statistics};
use minutebook_json::{Resolved, check_registry, resolve};

use super::parts::run;
use super::seen::Note;
use super::{Collect, VerifyReport};
use crate::backends::Backends;
use crate::disk::Disk;
use crate::{Clock, ErrorKind, Minutebook, Result};

/// How often an entry that differs from its data is looked at, while both may be changing.
const LOOKS: usize = 3;

pub(super) async fn check(
    book: &Minutebook,
    disk: &Disk,
    collect: &Arc<Collect>,
    report: &mut VerifyReport,
) -> Result<()> {
    let entries = entries(book, disk, collect).await?;
    report.datasets = entries.len() as u64;
    let mut places: HashMap<&str, &DatasetEntry> = HashMap::new();
    for entry in &entries {
        if let Some(first) = places.insert(&entry.file_path, entry) {
            let cause = format!("\"{}\" names {} too", first.name, entry.file_path);
            collect.found(finding(disk, FindingKind::EntryDuplicate, entry, cause));
        }
    }
    for entry in &entries {
        one(book, disk, entry, collect).await?;
    }
    Ok(())
}

/// The entries that can be read.
async fn entries(
    book: &Minutebook,
    disk: &Disk,
    collect: &Arc<Collect>,
) -> Result<Vec<DatasetEntry>> {
    let file = disk.layout.registry.clone();
    let clock: Arc<dyn Clock> = Arc::clone(book.clock());
    let config = Backends {
        config: &disk.config,
        layout: &disk.layout,
        fs: &disk.fs,
        clock: &clock,
    }
    .catalog_config();
    let watch = Arc::clone(collect);
    run(move || check_registry(&file, &config, &*watch)).await
}

/// What is the matter with these entries now, and with the registry as a whole.
pub(crate) async fn judge(book: &Minutebook, names: &[String]) -> Result<Vec<Finding>> {
    let Some(disk) = book.disk() else {
        return Ok(Vec::new());
    };
    let collect = Arc::new(Collect::new(Arc::clone(&disk.fs), None, 0));
    let entries = entries(book, disk, &collect).await?;
    for entry in &entries {
        if names.iter().any(|name| entry.name.as_str() == name) {
            one(book, disk, entry, &collect).await?;
        }
    }
    let mut report = VerifyReport::default();
    collect.finish(&mut report);
    Ok(report.findings)
}

fn finding(
    disk: &Disk,
    kind: FindingKind,
    entry: &DatasetEntry,
    cause: impl Into<String>,
) -> Finding {
    Finding::new(kind, &disk.layout.registry, cause).about(&entry.name)
}

async fn one(
    book: &Minutebook,
    disk: &Disk,
    entry: &DatasetEntry,
    collect: &Arc<Collect>,
) -> Result<()> {
    let root = &disk.layout.root;
    let path = match resolve(root, &entry.file_path) {
        Ok(Resolved::Series(_)) => {
            return statistics(book, disk, entry, collect).await;
        }
        Ok(Resolved::Inside(path)) => path,
        Ok(Resolved::Absolute(path)) if path.starts_with(root) => path,
        Ok(Resolved::Absolute(path)) => {
            if disk.fs.canonicalize(&path).is_err() {
                let cause = format!(
                    "{} is not there, and lies outside the store",
                    path.display()
                );
                collect.found(finding(disk, FindingKind::EntryForeign, entry, cause));
                return Ok(());
            }
            return statistics(book, disk, entry, collect).await;
        }
        Ok(Resolved::Foreign(path)) => {
            let cause = format!("{path} is a path of another platform");
            collect.found(finding(disk, FindingKind::EntryForeign, entry, cause));
            return Ok(());
        }
        Err(error) => {
            let cause = format!("{}: {}", entry.file_path, error.message());
            collect.found(
                finding(disk, FindingKind::EntryOutside, entry, cause).mended_by(Mend::Backend),
            );
            return Ok(());
        }
    };
    match disk.fs.canonicalize(&path) {
        Ok(real) if !real.starts_with(disk.fs.canonicalize(root).unwrap_or(root.clone())) => {
            let cause = format!("{} leads to {}", entry.file_path, real.display());
            collect.found(
                finding(disk, FindingKind::EntryOutside, entry, cause).mended_by(Mend::Backend),
            );
            return Ok(());
        }
        Ok(_) if is_parquet(&path) => {
            if !decodes(disk, entry, &path, collect).await? {
                return Ok(());
            }
            let len = disk.fs.identify(&path).map_or(0, |file| file.len);
            collect.progress(len);
        }
        // Of other files it is enough that they are there.
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    statistics(book, disk, entry, collect).await
}

/// Decodes all of a Parquet file; what is wrong with it is told. One that is written in place meanwhile is decoded again.
async fn decodes(
    disk: &Disk,
    entry: &DatasetEntry,
    path: &Path,
    collect: &Arc<Collect>,
) -> Result<bool> {
    let mut look = 1;
    loop {
        let before = Note::before(&*disk.fs, path);
        let (fs, file) = (Arc::clone(&disk.fs), path.to_owned());
        let decoded =
            run(move || minutebook_parquet::parquet_batches_on(&fs, &file, 1 << 14, |_| Ok(())));
        match decoded.await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                if look < LOOKS && Note::before(&*disk.fs, path) != before {
                    look += 1;
                    continue;
                }
                let cause = error.message().to_owned();
                let finding = Finding::new(FindingKind::DatasetDamaged, path, cause)
                    .about(&entry.name)
                    .mended_by(Mend::MoveAway)
                    .losing_data();
                collect.noted(finding, before);
                return Ok(false);
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                collect.unreadable(path.to_owned(), &error);
                return Ok(false);
            }
            _ => return Ok(true),
        }
    }
}

fn is_parquet(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// Whether the entry's statistics are those of its data.
async fn statistics(
    book: &Minutebook,
    disk: &Disk,
    entry: &DatasetEntry,
    collect: &Arc<Collect>,
) -> Result<()> {
    let mut now = entry.clone();
    let mut seen = None;
    for look in 1..=LOOKS {
        let found = match book.stats_of(&now.file_path).await {
            Ok(found) => found,
            // Of damaged data its own part tells.
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Unsupported | ErrorKind::InvalidInput
                ) =>
            {
                return Ok(());
            }
            Err(error) => {
                collect.unreadable(PathBuf::from(&now.file_path), &error);
                return Ok(());
            }
        };
        if found.as_ref().is_some_and(|found| fits(&now, found)) {
            return Ok(());
        }
        seen = found;
        if look < LOOKS {
            match book.catalog().get(&entry.name).await {
                Ok(Some(again)) => now = again.entry,
                // Removed meanwhile.
                Ok(None) => return Ok(()),
                Err(_) => break,
            }
        }
    }
    collect.found(match seen {
        Some(found) => {
            let cause = format!(
                "it says {} rows and the data has {}",
                now.row_count
                    .map_or_else(|| "nothing of".to_owned(), |rows| rows.to_string()),
                found.rows
            );
            let cause = if now.row_count == Some(found.rows) {
                "the times in it are not those of the data".to_owned()
            } else {
                cause
            };
            finding(disk, FindingKind::EntryDrifted, entry, cause).mended_by(Mend::Backend)
        }
        None if now.row_count.is_some() => {
            let cause = format!("there is no data at {}", now.file_path);
            finding(disk, FindingKind::EntryDangling, entry, cause)
                .mended_by(Mend::Backend)
                .losing_data()
        }
        None => {
            let cause = format!("there is no data at {} yet", now.file_path);
            finding(disk, FindingKind::EntryAwaiting, entry, cause)
        }
    });
    Ok(())
}

fn fits(entry: &DatasetEntry, found: &Statistics) -> bool {
    let instant = |time: &Option<minutebook_core::time::WrittenTime>| {
        time.as_ref()
            .and_then(minutebook_core::time::WrittenTime::instant)
    };
    entry.row_count == Some(found.rows)
        && instant(&entry.start_date) == found.first
        && instant(&entry.end_date) == found.last
}
