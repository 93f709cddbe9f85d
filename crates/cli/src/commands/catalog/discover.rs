//! `minutebook catalog discover`.

use clap::Args;
use minutebook::SaveMode;
use serde_json::{Value, json};

use super::list::written;
use crate::app::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::format;
use crate::output::table::{Align, Table};

/// Find files and series in the store that no dataset stands for.
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at Parquet, JSON Lines and CSV files and at the series of the store; of Parquet the footer is read, of series the summary. \
Nothing is written without --register, which takes every proposal that could be read.

Examples:
  minutebook catalog discover
  minutebook catalog discover --register")]
pub(crate) struct Discover {
    /// Register what is found
    #[arg(long)]
    register: bool,
}

impl Discover {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let found = book.discover().await?;
        let mut table = Table::new(&[
            ("name", Align::Left),
            ("rows", Align::Right),
            ("first", Align::Left),
            ("last", Align::Left),
            ("path", Align::Left),
        ]);
        let (count, mut problems) = (found.len() as u64, 0_u64);
        for proposal in found {
            let entry = proposal.entry;
            let problem = proposal.problem.map(|error| error.to_string());
            if let Some(problem) = &problem {
                problems += 1;
                context
                    .output
                    .warn(format!("{}: {problem}", entry.file_path));
            }
            if context.output.json {
                let failed =
                    |error: serde_json::Error| Failure::new(Exit::Failure, error.to_string());
                let mut value = super::lifted(&entry).map_err(failed)?;
                if let Value::Object(fields) = &mut value {
                    fields.insert("problem".into(), json!(problem));
                }
                context.output.json_line(&value)?;
            }
            table.row([
                entry.name.to_string(),
                entry
                    .row_count
                    .map_or_else(|| "-".to_owned(), format::count),
                written(entry.start_date.as_ref()),
                written(entry.end_date.as_ref()),
                entry.file_path.clone(),
            ]);
            if self.register && problem.is_none() {
                book.register_dataset(entry, SaveMode::Create).await?;
            }
        }
        if context.output.json {
            return Ok(());
        }
        if count == 0 {
            context.output.note("everything is registered");
            return Ok(());
        }
        table.print(&mut context.output)?;
        if self.register {
            let registered = format::plural(count - problems, "dataset");
            context.output.note(format!("registered {registered}"));
        }
        Ok(())
    }
}
