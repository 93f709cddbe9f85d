//! `minutebook catalog`.

mod info;
mod list;
mod path;
mod register;
mod remove;
mod update;

use clap::Subcommand;
use minutebook::StoredEntry;
use serde_json::Value;

use crate::app::Context;
use crate::failure::{Exit, Failure, Outcome};

/// What data there is, where, from when to when.
#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    /// Register a file or a series as a dataset
    Register(register::Register),
    /// List datasets
    List(list::List),
    /// Show one dataset
    Info(info::Info),
    /// Change a dataset's entry, or bring its statistics up to date
    Update(update::Update),
    /// Remove a dataset's entry; the data stays
    Remove(remove::Remove),
}

impl Catalog {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Register(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Info(command) => command.run(context).await,
            Self::Update(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
        }
    }
}

/// An entry as `--json` shows it: the registry's own keys, with name and revision before them.
fn value(stored: &StoredEntry) -> Outcome<Value> {
    let failed = |error: serde_json::Error| Failure::new(Exit::Failure, error.to_string());
    let mut value = serde_json::Map::new();
    value.insert("name".into(), stored.entry.name.as_str().into());
    value.insert("revision".into(), stored.revision.as_str().into());
    if let Value::Object(entry) = serde_json::to_value(&stored.entry).map_err(failed)? {
        for (key, field) in entry {
            value.entry(key).or_insert(field);
        }
    }
    Ok(Value::Object(value))
}
