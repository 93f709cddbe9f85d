//! `minutebook catalog`.

mod discover;
mod export;
mod filter;
mod info;
mod lineage;
mod list;
mod path;
mod provenance;
mod register;
mod relocate;
mod remove;
mod rename;
mod stale;
mod update;

use clap::Subcommand;
use minutebook::{DatasetEntry, StoredEntry};
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
    /// Give a dataset another name
    Rename(rename::Rename),
    /// Tell where a dataset's data is now
    Relocate(relocate::Relocate),
    /// Remove a dataset's entry, and its data if asked to
    Remove(remove::Remove),
    /// List the datasets that are due, and why
    Stale(stale::Stale),
    /// Show what a dataset was made from, and what was made from it
    Lineage(lineage::Lineage),
    /// Find files and series that no dataset stands for
    Discover(discover::Discover),
    /// Write the catalog as a registry or as a table
    Export(export::Export),
}

impl Catalog {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Register(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Info(command) => command.run(context).await,
            Self::Update(command) => command.run(context).await,
            Self::Rename(command) => command.run(context).await,
            Self::Relocate(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
            Self::Stale(command) => command.run(context).await,
            Self::Lineage(command) => command.run(context).await,
            Self::Discover(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
        }
    }
}

/// An entry as `--json` shows it: the registry's own keys, with name and revision before them.
fn value(stored: &StoredEntry) -> Outcome<Value> {
    let failed = |error: serde_json::Error| Failure::new(Exit::Failure, error.to_string());
    let mut value = serde_json::Map::new();
    value.insert("name".into(), stored.entry.name.as_str().into());
    value.insert("revision".into(), stored.revision.as_str().into());
    if let Value::Object(entry) = lifted(&stored.entry).map_err(failed)? {
        for (key, field) in entry {
            value.entry(key).or_insert(field);
        }
    }
    Ok(Value::Object(value))
}

/// An entry in which what the registry keeps inside the metadata stands beside the others.
fn lifted(entry: &DatasetEntry) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::json!({"name": entry.name.as_str()});
    if let (Value::Object(value), Value::Object(mut fields)) =
        (&mut value, serde_json::to_value(entry)?)
    {
        let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
        let ours = metadata.and_then(|metadata| metadata.shift_remove(DatasetEntry::OURS));
        for (key, field) in fields {
            value.entry(key).or_insert(field);
        }
        if let Some(Value::Object(ours)) = ours {
            for (key, field) in ours {
                value.entry(key).or_insert(field);
            }
        }
    }
    Ok(value)
}
