//! `minutebook verify`.

use std::path::Path;

use clap::Args;
use minutebook::check::{Finding, Part, Progress, Severity, VerifyOptions, VerifyReport};
use serde_json::{Value, json};

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Exit, Failure, Outcome, read_or_not};
use crate::output::Output;
use crate::output::format::{count, plural, plural_of, size};
use crate::output::progress::Progress as Bar;

/// Check everything that the store has: decisions and their journal, ticks, series, catalog, documents.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed, and writers may go on meanwhile. Findings are notes (nothing to do), untidy (nothing is lost; repair puts it right) \
or damage. docs/verify.md lists every kind.

Exit code: 0 if nothing is damaged, 6 if something is, 1 if something could not be read and nothing is known to be damaged. With --strict \
what is untidy counts as damage.

Examples:
  minutebook verify
  minutebook verify --part decisions --part ticks
  minutebook verify --json | jq -r .journal_head > head.txt       # keep it elsewhere, ...
  minutebook verify --head $(cat head.txt)                        # ... and a journal that was cut is noticed")]
pub(crate) struct Verify {
    /// This part only (decisions, ticks, series, catalog, documents, store); may be given several times
    #[arg(long, value_name = "PART", value_parser = parsed::<Part>)]
    part: Vec<Part>,
    /// A hash that a line of the decisions' journal must have, as an earlier run gave it as `journal_head`
    #[arg(long, value_name = "HASH", value_parser = hash)]
    head: Option<String>,
    /// What is untidy fails too
    #[arg(long)]
    strict: bool,
    /// Show notes as well
    #[arg(long)]
    notes: bool,
}

/// 64 hexadecimal digits.
fn hash(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a hash has 64 hexadecimal digits".to_owned())
    }
}

impl Verify {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let bar = Bar::new(context.output.watched, "checking", 0);
        let mut options = VerifyOptions::new();
        if !self.part.is_empty() {
            options = options.parts(self.part.iter().copied());
        }
        if let Some(head) = &self.head {
            options = options.head(head);
        }
        let report = book.verify(&options.progress(follow(&bar))).await?;
        bar.finish();
        let root = book.root().map(Path::to_owned).unwrap_or_default();
        read_or_not(self.print(&mut context.output, &report, &root))?;
        verdict(&report, self.strict)
    }

    fn print(&self, output: &mut Output<'_>, report: &VerifyReport, root: &Path) -> Outcome {
        if output.json {
            return output.json_line(&value(report, root));
        }
        for finding in &report.findings {
            if self.notes || finding.kind.severity() != Severity::Note {
                show(output, finding, root)?;
            }
        }
        output.line(summary(report))
    }
}

/// Moves a bar along with a check.
pub(super) fn follow(bar: &Bar) -> impl Fn(Progress) + Send + Sync + 'static {
    let bar = bar.clone();
    move |progress| bar.at(progress.done, progress.total)
}

/// The exit code that a report comes to.
pub(super) fn verdict(report: &VerifyReport, strict: bool) -> Outcome {
    let damaged = report.damage - report.unreadable + if strict { report.untidy } else { 0 };
    if damaged > 0 {
        let text = format!(
            "the store has {}; `minutebook repair --dry-run` says what would mend them",
            plural(damaged, "damaged place")
        );
        return Err(Failure::new(Exit::Corrupt, text));
    }
    if report.unreadable > 0 {
        let text = format!(
            "{} could not be read, so not everything was checked",
            plural(report.unreadable, "place")
        );
        return Err(Failure::new(Exit::Failure, text));
    }
    Ok(())
}

/// A finding as a person reads it: what, where, how it came about, and what mends it.
pub(super) fn show(output: &mut Output<'_>, finding: &Finding, root: &Path) -> Outcome {
    output.line(format!(
        "{}: {}",
        finding.kind.severity(),
        line(finding, root)
    ))?;
    output.line(format!("    mend: {}", finding.kind.remedy()))
}

pub(super) fn line(finding: &Finding, root: &Path) -> String {
    let mut finding = finding.clone();
    if let Ok(inside) = finding.path.strip_prefix(root) {
        finding.path = inside.to_owned();
    }
    finding.to_string()
}

fn summary(report: &VerifyReport) -> String {
    let verdict = if report.is_clean() {
        "clean".to_owned()
    } else {
        format!(
            "{} damaged, {} untidy",
            count(report.damage),
            count(report.untidy)
        )
    };
    let head = report
        .journal_head
        .as_ref()
        .map_or_else(String::new, |head| format!("\njournal head {head}"));
    format!(
        "{verdict}, {}: {}, {}, {} in {}, {} in {}, {}, {}; {} read{head}",
        plural(report.notes, "note"),
        plural(report.decisions, "decision"),
        plural(report.journal_lines, "journal line"),
        plural_of(report.tick_entries, "tick", "ticks"),
        plural(report.tick_series, "series"),
        plural(report.rows, "row"),
        plural(report.series, "series"),
        plural(report.datasets, "dataset"),
        plural(report.documents, "document"),
        size(report.bytes),
    )
}

pub(super) fn value(report: &VerifyReport, root: &Path) -> Value {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding_value(finding, root))
        .collect();
    json!({
        "clean": report.is_clean(),
        "damage": report.damage,
        "untidy": report.untidy,
        "notes": report.notes,
        "unreadable": report.unreadable,
        "decisions": report.decisions,
        "journal_lines": report.journal_lines,
        "journal_head": report.journal_head,
        "tick_series": report.tick_series,
        "tick_entries": report.tick_entries,
        "series": report.series,
        "rows": report.rows,
        "datasets": report.datasets,
        "documents": report.documents,
        "bytes": report.bytes,
        "findings": findings,
    })
}

pub(super) fn finding_value(finding: &Finding, root: &Path) -> Value {
    let path = finding.path.strip_prefix(root).unwrap_or(&finding.path);
    json!({
        "kind": finding.kind.name(),
        "severity": finding.kind.severity().name(),
        "path": path.display().to_string(),
        "subject": finding.subject,
        "line": finding.location.line,
        "byte": finding.location.byte,
        "cause": finding.cause,
        "remedy": finding.kind.remedy(),
        "mendable": finding.is_mendable(),
        "lost": finding.lost,
    })
}
