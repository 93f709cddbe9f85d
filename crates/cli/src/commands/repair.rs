//! `minutebook repair`.

use std::path::Path;

use clap::Args;
use minutebook::check::{Finding, Part, VerifyOptions};
use serde_json::json;

use super::verify::{finding_value, follow, line, verdict};
use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Exit, Failure, Outcome, read_or_not};
use crate::output::format::plural;
use crate::output::progress::Progress as Bar;

/// Mend what `minutebook verify` finds; what is replaced or removed is kept in quarantine/.
#[derive(Debug, Args)]
#[command(after_help = "\
Asks first; needs --yes when nobody can be asked. Nothing is thrown away: quarantine/ in the store's directory gets a folder with a \
manifest.jsonl that says where each file came from and why. An interrupted repair is finished by the next one. \
While series are mended nobody should write to them.

Exit code: 0 if the store is in order afterwards, 6 if something is still damaged (also if you said no), 1 if something could not be \
read, 7 if another repair goes on.

Examples:
  minutebook repair --dry-run
  minutebook repair --yes
  minutebook repair --part decisions --yes --json")]
pub(crate) struct Repair {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// This part only (decisions, ticks, series, catalog, documents, store); may be given several times
    #[arg(long, value_name = "PART", value_parser = parsed::<Part>)]
    part: Vec<Part>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Repair {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let root = book.root().map(Path::to_owned).unwrap_or_default();
        let bar = Bar::new(context.output.watched, "checking", 0);
        let before = book.verify(&self.options(&bar)).await?;
        bar.finish();
        let plan: Vec<Finding> = before.mendable().cloned().collect();
        if self.dry_run {
            return show_plan(context, &plan, &root);
        }
        if !plan.is_empty() {
            if !context.output.json {
                // Who reads only the beginning (`| head`) has asked for the repair all the same.
                let shown = plan
                    .iter()
                    .try_for_each(|finding| show(context, finding, &root));
                read_or_not(shown)?;
            }
            let question = format!(
                "mend {} in {}",
                plural(plan.len() as u64, "place"),
                root.display()
            );
            if !context.confirm(self.yes, &question)? {
                // What no repair mends is damage all the same.
                return verdict(&before, false)
                    .map_err(|failure| failure.with_note("nothing was mended"));
            }
        }
        let bar = Bar::new(context.output.watched, "mending", 0);
        let report = book.repair(&self.options(&bar)).await?;
        bar.finish();
        let quarantine = report
            .quarantine
            .as_ref()
            .map(|folder| folder.display().to_string());
        let mended: Vec<_> = report
            .mended
            .iter()
            .map(|finding| finding_value(finding, &root))
            .collect();
        let failed: Vec<_> = report
            .failed
            .iter()
            .map(|(finding, error)| {
                let mut value = finding_value(finding, &root);
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("error".to_owned(), error.to_string().into());
                }
                value
            })
            .collect();
        let lost = report.lost().count() as u64;
        let kept = quarantine.as_ref().map_or_else(String::new, |folder| {
            format!("; what was replaced or removed is in {folder}")
        });
        let told = context.output.result(
            &json!({
                "mended": mended,
                "failed": failed,
                "lost": lost,
                "quarantine": quarantine,
                "clean": report.after.is_clean(),
            }),
            match report.mended.len() as u64 {
                0 => "there was nothing to mend".to_owned(),
                places => format!("mended {}{kept}", plural(places, "place")),
            },
        );
        read_or_not(told)?;
        for finding in report.lost() {
            context
                .output
                .warn(format!("data is lost: {}", line(finding, &root)));
        }
        if let Some((finding, error)) = report.failed.first() {
            let more = report.failed.len() - 1;
            let text = format!(
                "{} could not be mended: {error}{}",
                line(finding, &root),
                if more > 0 {
                    format!("; and {more} more")
                } else {
                    String::new()
                }
            );
            return Err(Failure::new(Exit::Corrupt, text));
        }
        verdict(&report.after, true)
    }

    fn options(&self, bar: &Bar) -> VerifyOptions {
        let options = VerifyOptions::new().progress(follow(bar));
        if self.part.is_empty() {
            options
        } else {
            options.parts(self.part.iter().copied())
        }
    }
}

fn show(context: &mut Context<'_>, finding: &Finding, root: &Path) -> Outcome {
    context.output.line(line(finding, root))?;
    context
        .output
        .line(format!("    mend: {}", finding.kind.remedy()))
}

fn show_plan(context: &mut Context<'_>, plan: &[Finding], root: &Path) -> Outcome {
    if context.output.json {
        for finding in plan {
            context.output.json_line(&finding_value(finding, root))?;
        }
        return Ok(());
    }
    for finding in plan {
        show(context, finding, root)?;
    }
    context.output.note(match plan.len() as u64 {
        0 => "nothing to mend".to_owned(),
        places => format!(
            "would mend {}; nothing was changed",
            plural(places, "place")
        ),
    });
    Ok(())
}
