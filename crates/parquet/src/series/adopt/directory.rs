//! Whole directories of Parquet files, each file to the series that its name says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::time::from_nanos;
use minutebook_core::{Error, Result, SeriesId, SeriesName, Symbol, Timeframe};
use minutebook_fs::task;

use super::candidate::candidate;
use super::{AdoptReport, Care};
use crate::error::Fault;
use crate::file::{FrameKey, list_parquet_files};
use crate::log::Metadata;
use crate::series::{Inner, ParquetTimeSeriesRepository};

/// How a directory is adopted.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AdoptDirectory {
    /// Only say what would be done.
    pub dry_run: bool,
    /// What to note with the new versions.
    pub note: Metadata,
}

impl AdoptDirectory {
    /// Only say what would be done: every file is read, nothing is written.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// What to note with the new versions.
    #[must_use]
    pub fn note(mut self, note: Metadata) -> Self {
        self.note = note;
        self
    }
}

/// What became of a directory.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AdoptedDirectory {
    /// The series, in order.
    pub series: Vec<AdoptedSeries>,
    /// Files whose name says no series, and why.
    pub unnamed: Vec<(PathBuf, String)>,
}

/// What became of the files of one series.
#[derive(Debug)]
#[non_exhaustive]
pub struct AdoptedSeries {
    /// The series.
    pub series: SeriesId,
    /// What was done, or in a dry run what would be: there without the rows that are replaced.
    pub report: AdoptReport,
    /// The first time in the files.
    pub first: Option<DateTime<Utc>>,
    /// The last time in the files.
    pub last: Option<DateTime<Utc>>,
    /// Why nothing of it was adopted, if that failed as a whole.
    pub error: Option<Error>,
}

impl ParquetTimeSeriesRepository {
    /// Adopts every `*.parquet` of a directory (not of those below it), as [`adopt`](Self::adopt) does, one commit for each series.
    ///
    /// A file's name says its series: `{asset_pair}_{timeframe}_{start}_{end}.parquet`, the originals' form, and
    /// `{symbol}_{timeframe}.parquet` are bars; any other name is that of a named series. Files of one series come in the order of their
    /// starts, then of their ends, and a later one replaces rows of the same time.
    ///
    /// A file that is damaged or does not fit is named in the report and does not stop the others; nor does a series that fails.
    /// The call may be repeated: what is there already is not added again.
    ///
    /// # Errors
    /// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such directory.
    pub async fn adopt_directory(
        &self,
        dir: impl AsRef<Path>,
        options: &AdoptDirectory,
    ) -> Result<AdoptedDirectory> {
        let dir = dir.as_ref().to_owned();
        let listed = task::blocking(move || list_parquet_files(&dir, "*.parquet"));
        let files = listed
            .await
            .map_err(|error| Fault::Task(error).told("adopt", "directory"))??;
        let mut adopted = AdoptedDirectory::default();
        let mut named: BTreeMap<SeriesId, Vec<Named>> = BTreeMap::new();
        for path in files {
            match series_of(&path) {
                Ok((series, file)) => named.entry(series).or_default().push(file),
                Err(error) => adopted.unnamed.push((path, error.message().to_owned())),
            }
        }
        for (series, mut files) in named {
            files.sort();
            let files: Vec<PathBuf> = files.into_iter().map(|file| file.path).collect();
            let made = self.inner.adopt_named(series, &files, options).await;
            adopted.series.push(made);
        }
        Ok(adopted)
    }
}

impl Inner {
    async fn adopt_named(
        &self,
        series: SeriesId,
        files: &[PathBuf],
        options: &AdoptDirectory,
    ) -> AdoptedSeries {
        let done = if options.dry_run {
            self.look_at(&series, files).await
        } else {
            let adopted = self.adopt(&series, files, &options.note, Care::Lenient);
            adopted.await.map(|report| (report, None))
        };
        let done = self.explained(&series, "adopt", done).await;
        let (report, span, error) = match done {
            Ok((report, span)) => (report, span, None),
            Err(error) => (AdoptReport::default(), None, Some(error)),
        };
        AdoptedSeries {
            series,
            report,
            first: span.map(|(first, _)| from_nanos(first)),
            last: span.map(|(_, last)| from_nanos(last)),
            error,
        }
    }
}

/// What a dry run finds: the report, and the first and last time.
type Looked = (AdoptReport, Option<(i64, i64)>);

impl Inner {
    async fn look_at(&self, series: &SeriesId, files: &[PathBuf]) -> crate::error::Result<Looked> {
        let log = self.log(series);
        let draft = self.draft(&log).await?;
        let known = self.adopted_files(&log, &draft).await?;
        let mut report = AdoptReport {
            version: minutebook_core::Version(draft.base_version()),
            ..AdoptReport::default()
        };
        let mut span: Option<(i64, i64)> = None;
        for path in files {
            let (fs, file) = (Arc::clone(&self.config.fs), path.clone());
            let key = draft.key.clone();
            let found = task::blocking(move || candidate(&fs, &file, key.as_ref())).await?;
            match found {
                Ok(Ok(candidate)) if known.contains_key(&candidate.segment.digest) => {
                    report.already.push(path.clone());
                }
                Ok(Ok(candidate)) => {
                    let (min, max) = (candidate.segment.min, candidate.segment.max);
                    span = Some(span.map_or((min, max), |s| (s.0.min(min), s.1.max(max))));
                    report.rows += candidate.segment.rows;
                    report.adopted.push(path.clone());
                }
                Ok(Err(why)) => report.skipped.push((path.clone(), why)),
                Err(fault @ Fault::Corrupt { .. }) => {
                    report.skipped.push((path.clone(), fault.to_string()));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok((report, span))
    }
}

/// A file and what orders it among those of its series.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    start: String,
    end: String,
    path: PathBuf,
}

/// The series that a file's name says.
fn series_of(path: &Path) -> Result<(SeriesId, Named)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.unwrap_or_default();
    let named = |start: &str, end: &str| Named {
        start: start.to_owned(),
        end: end.to_owned(),
        path: path.to_owned(),
    };
    if let Some(key) = FrameKey::of_file_name(name)
        && let Ok(timeframe) = key.timeframe().parse::<Timeframe>()
    {
        let symbol = Symbol::new(key.asset_pair())?;
        let file = named(key.start(), key.end());
        return Ok((SeriesId::bars(symbol, timeframe), file));
    }
    let stem = name.strip_suffix(".parquet").unwrap_or(name);
    if let Some((symbol, timeframe)) = stem.rsplit_once('_')
        && let (Ok(symbol), Ok(timeframe)) = (Symbol::new(symbol), timeframe.parse::<Timeframe>())
    {
        return Ok((SeriesId::bars(symbol, timeframe), named("", "")));
    }
    let series = SeriesId::named(SeriesName::new(stem)?);
    Ok((series, named("", "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_series() {
        for (name, series) in [
            ("BTCUSD_1h_2024-01-01_2024-02-01.parquet", "BTCUSD@1h"),
            ("BTC_USD_60m_2024-01-01_2024-02-01.parquet", "BTC_USD@1h"),
            ("AAPL_1d.parquet", "AAPL@1d"),
            ("vix daily.parquet", "@vix daily"),
            ("BTC_USD_H1_2020_2023.parquet", "BTC_USD@1h"),
        ] {
            let (found, _) = series_of(Path::new(name)).unwrap();
            assert_eq!(found.to_string(), series, "{name}");
        }
        let long = format!("{}.parquet", "x".repeat(100));
        assert!(series_of(Path::new(&long)).is_err());
    }
}
