//! The command line as data.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::commands;
use crate::failure::exit_codes;

/// The store of record for trading systems: decisions, ticks, bars and a catalog in open files.
#[derive(Debug, Parser)]
#[command(
    name = "minutebook",
    version,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = exit_codes!(),
    after_long_help = LONG_HELP
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const LONG_HELP: &str = concat!(
    "\
Examples:
  minutebook demo                                     see what it is for, in half a minute
  minutebook --store book init                        make a store in ./book
  export MINUTEBOOK_STORE=book
  echo '{\"id\": \"d-1\", \"asset_pair\": \"BTCUSD\", \"action\": \"BUY\"}' | minutebook decision add
  minutebook decision list --pair BTCUSD --since 2025-01-01
  minutebook bars import BTCUSD 1h history.csv.gz
  minutebook bars read BTCUSD 1h --last 5 --json

",
    exit_codes!(),
    "

Environment:
  MINUTEBOOK_STORE   the store, if --store is not given
  MINUTEBOOK_LOG     what to log, for example debug or minutebook_json=trace; overrides -v
  MINUTEBOOK_…       every setting of minutebook.toml, for example MINUTEBOOK_DURABILITY=buffered
  NO_COLOR           no colour"
);

/// The heading under which help lists what every command takes.
const GLOBAL: &str = "Global options";

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The store's directory, or a directory of decision documents or tick files as the original systems kept them
    /// [default: $MINUTEBOOK_STORE, else the current directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub(crate) store: Option<PathBuf>,
    /// Results as JSON: one object, or one object a line for lists
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    /// No notes and no warnings on standard error
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    pub(crate) quiet: bool,
    /// Say more on standard error; twice for debug, three times for trace
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = GLOBAL)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a store
    Init(commands::init::Init),
    /// Record and read decisions
    #[command(subcommand)]
    Decision(commands::decision::Decision),
    /// Append and read ticks
    #[command(subcommand)]
    Ticks(commands::ticks::Ticks),
    /// Import and read bars
    #[command(subcommand)]
    Bars(commands::bars::Bars),
    /// Versions, snapshots, compaction and retention of series; coverage and resampling of bars
    #[command(subcommand)]
    Series(commands::series::Series),
    /// What data there is, where, from when to when
    #[command(subcommand)]
    Catalog(commands::catalog::Catalog),
    /// Keep run logs, parameters and other JSON values under names
    #[command(subcommand)]
    Document(commands::document::Document),
    /// Check everything that the store has
    Verify(commands::verify::Verify),
    /// Mend what verify finds; what is replaced or removed is kept in quarantine/
    Repair(commands::repair::Repair),
    /// Copy the store, which may be in use, into a directory of backups
    Backup(commands::backup::Backup),
    /// Bring a store back from a backup
    Restore(commands::restore::Restore),
    /// Record a trading bot's run on bundled sample data, and show what is then on disk
    Demo(commands::demo::Demo),
    /// Print a completion script for a shell
    Completions(commands::completions::Completions),
}

/// Reads a value of one of Minutebook's own types; what is wrong with it is said in its own words.
pub(crate) fn parsed<T: std::str::FromStr<Err = minutebook::Error>>(
    text: &str,
) -> Result<T, String> {
    text.parse()
        .map_err(|error: minutebook::Error| error.message().to_owned())
}

/// Reads an instant.
pub(crate) fn instant(text: &str) -> Result<chrono::DateTime<chrono::Utc>, String> {
    minutebook::time::parse_timestamp(text).map_err(|error| error.message().to_owned())
}

/// Reads `key=value`; a value that is no JSON is text.
pub(crate) fn key_value(text: &str) -> Result<(String, serde_json::Value), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((
            key.to_owned(),
            serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        )),
        _ => Err("write it as key=value".to_owned()),
    }
}

/// A time range, as several commands take it.
#[derive(Debug, Args)]
pub(crate) struct Range {
    /// From this instant on (in the range): 2024-01-31, 2024-01-31T12:00:00Z; without an offset it is UTC
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) since: Option<chrono::DateTime<chrono::Utc>>,
    /// Up to this instant (not in the range)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) until: Option<chrono::DateTime<chrono::Utc>>,
}

impl Range {
    pub(crate) fn get(&self) -> crate::failure::Outcome<minutebook::TimeRange> {
        minutebook::TimeRange::between(self.since, self.until).map_err(|error| {
            crate::failure::Failure::usage(format!("--since/--until: {}", error.message()))
        })
    }
}

/// A number of seconds, with a fraction if need be.
pub(crate) fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "write it as a number of seconds, for example 0.5".to_owned())?;
    std::time::Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
