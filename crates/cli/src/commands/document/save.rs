//! `minutebook document save`.

use std::path::PathBuf;

use clap::Args;
use minutebook::DocumentName;
use minutebook::json_text::{check, pretty, sorted};
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};
use crate::input::source::Source;

/// Save a document, in the place of the one of its name.
#[derive(Debug, Args)]
#[command(after_help = "\
It is written indented and with sorted keys, as the original system did; --as-is keeps the text letter for letter.

Examples:
  minutebook document save runs/2025-01-02/params params.json
  echo '{\"window\": 20}' | minutebook document save runs/2025-01-02/params")]
pub(crate) struct Save {
    /// The document's name
    #[arg(value_parser = parsed::<DocumentName>)]
    name: DocumentName,
    /// The file; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Keep the text as it is
    #[arg(long)]
    as_is: bool,
}

impl Save {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let mut source = Source::open(&self.file, context.stdin)?;
        let given = source.text()?;
        let text = if self.as_is {
            check(&given).map(|()| given)
        } else {
            sorted(&given).map(|text| pretty(&text))
        };
        let text = text.map_err(|error| {
            Failure::data(format!(
                "{}, line {}: not one JSON value: {error}",
                source.name,
                error.line()
            ))
        })?;
        book.documents().save(&self.name, &text).await?;
        context.output.result(
            &json!({"name": self.name.as_str(), "bytes": text.len()}),
            format!("saved {}", self.name),
        )
    }
}
