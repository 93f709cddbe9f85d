//! `minutebook series`: what can be done with a series beside reading and importing it.

use std::sync::Arc;

use clap::{Args, Subcommand};
use minutebook::parquet::ParquetTimeSeriesRepository;
use minutebook::time::parse_timestamp;
use minutebook::{Error, ErrorKind, Minutebook, SeriesId, Snapshot, Version};

use super::{adopt, bars, compact, describe, key, merge, snapshots, vacuum, versions};
use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};

/// Versions, compaction, snapshots, retention; coverage and resampling of bars.
#[derive(Debug, Subcommand)]
pub(crate) enum Series {
    /// List the versions of a series
    Versions(versions::Versions),
    /// Show which ranges differ between two versions
    Diff(versions::Diff),
    /// Make an earlier version the newest
    Restore(versions::Restore),
    /// Name versions of several series, which are then kept
    #[command(subcommand)]
    Snapshot(snapshots::Snapshots),
    /// Write small and overlapping files anew as few full ones
    Compact(compact::Compact),
    /// Remove versions that are not kept, and files that none names
    Vacuum(vacuum::Vacuum),
    /// Show or change what is said of a series
    Describe(describe::Describe),
    /// Show or declare what tells rows apart
    Key(key::Key),
    /// Validate bars
    Check(bars::Check),
    /// Show where bars are, where there are none, and where they are missing
    Coverage(bars::Coverage),
    /// Say that nothing is missing in a range
    Complete(bars::Complete),
    /// Make bars of a coarser timeframe
    Resample(bars::Resample),
    /// Make Parquet files of other programs, or a directory of them, part of series as they are
    Adopt(adopt::Adopt),
    /// Read several series as one, in order of time
    Merge(merge::Merge),
}

impl Series {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Versions(command) => command.run(context).await,
            Self::Diff(command) => command.run(context).await,
            Self::Restore(command) => command.run(context).await,
            Self::Snapshot(command) => command.run(context).await,
            Self::Compact(command) => command.run(context).await,
            Self::Vacuum(command) => command.run(context).await,
            Self::Describe(command) => command.run(context).await,
            Self::Key(command) => command.run(context).await,
            Self::Check(command) => command.run(context).await,
            Self::Coverage(command) => command.run(context).await,
            Self::Complete(command) => command.run(context).await,
            Self::Resample(command) => command.run(context).await,
            Self::Adopt(command) => command.run(context).await,
            Self::Merge(command) => command.run(context).await,
        }
    }
}

/// A series by its name.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The series: SYMBOL@TIMEFRAME (BTCUSD@1h) or @name
    #[arg(value_parser = parsed::<SeriesId>)]
    pub(super) series: SeriesId,
}

/// The files of the store's series, if there are any.
pub(super) fn files(book: &Minutebook) -> Outcome<Option<Arc<ParquetTimeSeriesRepository>>> {
    Ok(book.series_files()?.cloned())
}

/// The files of the store's series; a series that is to be there is not if there are none.
pub(super) fn files_of(
    book: &Minutebook,
    series: &SeriesId,
) -> Outcome<Arc<ParquetTimeSeriesRepository>> {
    if matches!(series, SeriesId::Ticks { .. }) {
        return Err(Failure::usage(format!(
            "{series}: ticks have no versions; this is for bars and other series"
        )));
    }
    files(book)?.ok_or_else(|| Failure::not_found(format!("{series}: there is no such series")))
}

/// A failure with the names of the series that there are, where one was not found.
pub(super) async fn told(book: &Minutebook, series: &SeriesId, error: Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        return super::not_found(book, series, error).await;
    }
    error.into()
}

/// Reads a version: its number, `latest`, or a moment at which it was the newest.
pub(super) fn snapshot(text: &str) -> Result<Snapshot, String> {
    if text.eq_ignore_ascii_case("latest") {
        return Ok(Snapshot::Latest);
    }
    if let Ok(version) = text.parse() {
        return Ok(Snapshot::Version(Version(version)));
    }
    parse_timestamp(text)
        .map(Snapshot::Time)
        .map_err(|_| "not a version; write its number, a time, or latest".to_owned())
}

/// Reads `key=value`, both text.
pub(super) fn entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as key=value".to_owned()),
    }
}
