//! `minutebook init`.

use std::path::PathBuf;

use clap::Args;
use minutebook::Minutebook;
use serde_json::json;

use crate::app::{Context, wrong_settings};
use crate::failure::Outcome;

/// Make a store: its directory, `decisions/`, `ticks/`, `series/` and a `minutebook.toml` that explains every setting.
#[derive(Debug, Args)]
#[command(after_help = "\
What is there already stays as it is, so a directory of the original systems can be made a store in place.

Examples:
  minutebook init book
  minutebook --store book init
  minutebook --store ~/ffe/data/decisions init      # adopts the decision documents that are in it")]
pub(crate) struct Init {
    /// The directory [default: the store that --store or MINUTEBOOK_STORE names]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Init {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Outcome {
        let path = match self.directory {
            Some(path) => path,
            None => context.store_path()?,
        };
        let was_store = path.join(minutebook::config::CONFIG_FILE).exists();
        let book = Minutebook::options()
            .environment(context.environment.clone())
            .create(&path)
            .map_err(wrong_settings)?;
        let root = book.root().unwrap_or(&path).display().to_string();
        let sentence = if was_store {
            format!("{root} was a store already; it stays as it is")
        } else {
            format!("made a store in {root}")
        };
        context
            .output
            .result(&json!({"store": root, "created": !was_store}), sentence)
    }
}
