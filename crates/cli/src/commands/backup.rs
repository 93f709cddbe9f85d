//! `minutebook backup`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use minutebook::backup::{
    BackupCheck, BackupOptions, BackupReport, check_backup, generations, prune,
};
use serde_json::json;

use super::verify::follow;
use crate::app::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::format::{count, plural, size};
use crate::output::progress::Progress as Bar;

/// Copy the store, which may be in use, into a directory of backups; or list, verify or thin out what is there.
#[derive(Debug, Args)]
#[command(after_help = "\
Each backup is a generation: the whole store as it was at one moment, though writers go on. Only what is new or changed is copied, and when the \
command ends with 0 the copy is durable. Interrupted, it leaves the generations before as they were. `minutebook restore` brings one back.

Exit code: 0 if the generation is complete (with --verify: whole), 4 if the directory has the backups of another store, 6 if a backup is damaged, 7 if another backup goes into the directory.

Examples:
  minutebook backup /mnt/backups/book --keep 14
  minutebook backup /mnt/backups/book --list
  minutebook backup /mnt/backups/book --verify                        the newest generation
  minutebook backup /mnt/backups/book --verify --generation all
  minutebook backup /mnt/backups/book --prune --keep 3
  minutebook backup /mnt/backups/book --json | jq -r .journal_head    keep it elsewhere, for `verify --head`")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "options of a command line, of which most exclude each other"
)]
pub(crate) struct Backup {
    /// The directory of backups: empty, not there yet, or one of backups; outside the store
    #[arg(value_name = "DIR")]
    target: PathBuf,
    /// Keep so many generations, the new one included, and remove older ones when it is complete
    #[arg(long, value_name = "N")]
    keep: Option<NonZeroUsize>,
    /// Read every file, also those of which the system says that they have not changed
    #[arg(long, conflicts_with_all = ["list", "verify", "prune"])]
    reread: bool,
    /// The newest generation is of this store, though it was in another place then: it was moved, or restored from here. Needed once
    #[arg(long, conflicts_with_all = ["list", "verify", "prune"])]
    source_moved: bool,
    /// Make no backup; list the generations
    #[arg(long, conflicts_with_all = ["keep", "verify", "prune"])]
    list: bool,
    /// Make no backup; read a generation (the newest unless --generation is given) and compare every file with its digest
    #[arg(long, conflicts_with_all = ["keep", "prune"])]
    verify: bool,
    /// With --verify: this generation, or "all"
    #[arg(long, value_name = "NAME", requires = "verify")]
    generation: Option<String>,
    /// Make no backup; remove all but the newest --keep generations
    #[arg(long, requires = "keep")]
    prune: bool,
}

impl Backup {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        if self.list {
            return list(context, &self.target).await;
        }
        if self.verify {
            return verify(context, &self.target, self.generation.as_deref()).await;
        }
        if let (true, Some(keep)) = (self.prune, self.keep) {
            let removed = prune(&self.target, keep.get()).await?;
            let said = format!("removed {}", plural(removed.len() as u64, "generation"));
            return context.output.result(&json!({ "removed": removed }), said);
        }
        let book = context.open()?;
        let bar = Bar::new(context.output.watched, "copying", 0);
        let mut options = BackupOptions::new()
            .reread(self.reread)
            .source_moved(self.source_moved)
            .progress(follow(&bar));
        if let Some(keep) = self.keep {
            options = options.keep(keep.get());
        }
        let report = book.backup(&self.target, &options).await?;
        bar.finish();
        tell(context, &report)
    }
}

fn tell(context: &mut Context<'_>, report: &BackupReport) -> Outcome {
    let paths = |paths: &[PathBuf]| -> Vec<String> {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    };
    for (places, what) in [
        (&report.skipped, "is no plain file and was left out"),
        (
            &report.unsteady,
            "was written in place while it was read; its copy may be of no single moment",
        ),
        (
            &report.missing,
            "is named and not there; `minutebook verify` tells more",
        ),
    ] {
        for path in places {
            context.output.warn(format!("{} {what}", path.display()));
        }
    }
    let removed = match report.removed.len() as u64 {
        0 => String::new(),
        removed => format!("; removed {}", plural(removed, "old generation")),
    };
    let head = report
        .journal_head
        .as_ref()
        .map_or_else(String::new, |head| format!("\njournal head {head}"));
    context.output.result(
        &json!({
            "generation": report.generation,
            "files": report.files,
            "bytes": report.bytes,
            "copied_files": report.copied_files,
            "copied_bytes": report.copied_bytes,
            "journal_head": report.journal_head,
            "skipped": paths(&report.skipped),
            "unsteady": paths(&report.unsteady),
            "missing": paths(&report.missing),
            "removed": report.removed,
        }),
        format!(
            "generation {}: {} of {}, {} of them new or changed ({} copied){removed}{head}",
            report.generation,
            plural(report.files, "file"),
            size(report.bytes),
            count(report.copied_files),
            size(report.copied_bytes),
        ),
    )
}

async fn list(context: &mut Context<'_>, target: &Path) -> Outcome {
    for generation in generations(target).await? {
        if context.output.json {
            context.output.json_line(&json!({
                "generation": generation.name,
                "at": generation.at,
                "source": generation.source,
                "files": generation.files,
                "bytes": generation.bytes,
                "journal_head": generation.journal_head,
            }))?;
        } else {
            context.output.line(format!(
                "{}  {}, {}, of {}",
                generation.name,
                plural(generation.files, "file"),
                size(generation.bytes),
                generation.source,
            ))?;
        }
    }
    Ok(())
}

async fn verify(context: &mut Context<'_>, target: &Path, generation: Option<&str>) -> Outcome {
    let bar = Bar::new(context.output.watched, "checking", 0);
    let tell = Arc::new(follow(&bar));
    let check = check_backup(target, generation, Some(tell)).await?;
    bar.finish();
    if context.output.json {
        context.output.json_line(&value(&check))?;
    } else {
        for damaged in &check.damaged {
            context.output.line(format!(
                "damage: {} of generation {} cannot be brought back: {}: {}",
                damaged.file,
                damaged.generation,
                damaged.object.display(),
                damaged.cause
            ))?;
        }
        context.output.line(format!(
            "{}: {} of {} in {}; {} read",
            if check.is_whole() {
                "whole".to_owned()
            } else {
                format!("{} damaged", count(check.damaged_files))
            },
            plural(check.files, "file"),
            size(check.bytes),
            plural(check.generations.len() as u64, "generation"),
            size(check.read),
        ))?;
    }
    if check.is_whole() {
        return Ok(());
    }
    let text = format!(
        "{} cannot be brought back from {}; remove the damaged objects, and the next backup stores again what the store still has",
        plural(check.damaged_files, "file"),
        target.display()
    );
    Err(Failure::new(Exit::Corrupt, text))
}

fn value(check: &BackupCheck) -> serde_json::Value {
    let damaged: Vec<_> = check
        .damaged
        .iter()
        .map(|damaged| {
            json!({
                "generation": damaged.generation,
                "part": damaged.part.name(),
                "file": damaged.file,
                "object": damaged.object.display().to_string(),
                "cause": damaged.cause,
            })
        })
        .collect();
    json!({
        "whole": check.is_whole(),
        "generations": check.generations,
        "files": check.files,
        "bytes": check.bytes,
        "read": check.read,
        "damaged_files": check.damaged_files,
        "damaged": damaged,
    })
}
