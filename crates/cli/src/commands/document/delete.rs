//! `minutebook document delete`.

use clap::Args;
use minutebook::DocumentName;
use serde_json::json;

use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};

/// Delete one document.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 3 if there is no such document.

Examples:
  minutebook document delete runs/2025-01-02/params")]
pub(crate) struct Delete {
    /// The document's name, exactly
    #[arg(value_parser = parsed::<DocumentName>)]
    name: DocumentName,
}

impl Delete {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        if !book.documents().delete(&self.name).await? {
            return Err(Failure::not_found(format!(
                "{}: there is no such document",
                self.name
            )));
        }
        context.output.result(
            &json!({"name": self.name.as_str(), "deleted": true}),
            format!("deleted {}", self.name),
        )
    }
}
