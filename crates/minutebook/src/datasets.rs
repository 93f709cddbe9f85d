//! The catalog and the series together: registering series as datasets and keeping their statistics true.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{
    CatalogExt, DatasetChange, DatasetEntry, DatasetName, Error, ErrorKind, Minutebook, Result,
    Revision, SaveMode, SeriesId, Statistics, Symbol, Timeframe,
};

/// Where a dataset's data is, as [`DatasetEntry::file_path`] says it.
///
/// ```
/// use minutebook::DataPath;
///
/// let path: DataPath = "series:BTCUSD@1h".parse()?;
/// assert_eq!(path, DataPath::Series("BTCUSD@1h".parse()?));
/// assert_eq!(path.to_string(), "series:BTCUSD@1h");
/// assert_eq!("data/vix.parquet".parse::<DataPath>()?, DataPath::File("data/vix.parquet".into()));
/// # Ok::<(), minutebook::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataPath {
    /// A series of this store (`series:BTCUSD@1h`, `ticks:BTCUSD@ticks`).
    Series(SeriesId),
    /// A file; a relative one lies in the store's directory.
    File(PathBuf),
}

impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(id @ SeriesId::Ticks { .. }) => write!(f, "ticks:{id}"),
            Self::Series(id) => write!(f, "series:{id}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for DataPath {
    type Err = Error;

    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for an empty text, and for a series that is none.
    fn from_str(text: &str) -> Result<Self> {
        let series = ["series:", "ticks:"]
            .iter()
            .find_map(|p| text.strip_prefix(p));
        match series {
            Some(id) => Ok(Self::Series(id.parse()?)),
            None if text.is_empty() => Err(Error::invalid("the path of the dataset is empty")),
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl Minutebook {
    /// Registers a series of this store in the catalog, with its statistics. An entry of this name that is there
    /// already is brought up to date and keeps its metadata.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such series; [`AlreadyExists`](ErrorKind::AlreadyExists) if the name
    /// stands for other data.
    pub async fn register_series(&self, name: &DatasetName, series: &SeriesId) -> Result<Revision> {
        let path = DataPath::Series(series.clone()).to_string();
        let statistics = self.stats_of(&path).await?.ok_or_else(|| no_data(&path))?;
        let tenor = series.timeframe().as_ref().map(Timeframe::to_string);
        let instrument = match series {
            SeriesId::Named { name } => name.to_string(),
            SeriesId::Bars { symbol, .. } | SeriesId::Ticks { symbol } => symbol.to_string(),
        };
        let mut entry =
            DatasetEntry::new(name.clone(), instrument, path).with_statistics(statistics);
        entry.tenor = tenor;
        // Another process may register the name between the two calls, so the loser looks again.
        loop {
            if let Some(found) = self.catalog().get(name).await? {
                return self
                    .refresh_series(name, &found.entry, &entry, statistics)
                    .await;
            }
            match self.catalog().register(&entry, SaveMode::Create).await {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
    }

    async fn refresh_series(
        &self,
        name: &DatasetName,
        found: &DatasetEntry,
        wanted: &DatasetEntry,
        statistics: Statistics,
    ) -> Result<Revision> {
        if found.file_path != wanted.file_path {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "the name stands for {} already; choose another one for {}",
                    found.file_path, wanted.file_path
                ),
            )
            .with_operation("register")
            .with_resource(name));
        }
        let change = DatasetChange::new().statistics(statistics);
        self.catalog().update(name, &change).await
    }

    /// The name under which a series is registered unless another is given: `btcusd_1h`, `btcusd_ticks`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the name would break the rules of [`DatasetName`].
    pub fn default_name(series: &SeriesId) -> Result<DatasetName> {
        let lower = |symbol: &Symbol| symbol.as_str().to_lowercase();
        DatasetName::new(match series {
            SeriesId::Bars { symbol, timeframe } => format!("{}_{timeframe}", lower(symbol)),
            SeriesId::Ticks { symbol } => format!("{}_ticks", lower(symbol)),
            SeriesId::Named { name } => name.to_string(),
        })
    }

    /// Brings a dataset's statistics up to date, from the series' summary or the Parquet file's footer.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not in the catalog or its data is not there;
    /// [`Unsupported`](ErrorKind::Unsupported) for files that are no Parquet.
    pub async fn refresh(&self, name: &DatasetName) -> Result<Revision> {
        let found = self.catalog().require(name).await?;
        let path = found.entry.file_path;
        let statistics = self
            .stats_of(&path)
            .await
            .map_err(|error| error.with_resource(name))?
            .ok_or_else(|| no_data(&path).with_resource(name))?;
        self.catalog()
            .update(name, &DatasetChange::new().statistics(statistics))
            .await
    }

    /// What is known of the data at a path as the catalog writes it: rows, first and last timestamp. `None` if nothing is there.
    /// No row is read where the format allows.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a series that is none, [`Corrupt`](ErrorKind::Corrupt) for a damaged file,
    /// [`Unsupported`](ErrorKind::Unsupported) for files that are no Parquet.
    pub async fn stats_of(&self, path: &str) -> Result<Option<Statistics>> {
        match path.parse()? {
            DataPath::Series(id) => {
                let summary = self.repository_of(&id).summary(&id).await?;
                Ok(summary.map(|summary| Statistics {
                    rows: summary.rows,
                    first: summary.first,
                    last: summary.last,
                }))
            }
            DataPath::File(path) => self.file_statistics(path).await,
        }
    }

    #[cfg(feature = "parquet")]
    async fn file_statistics(&self, path: PathBuf) -> Result<Option<Statistics>> {
        let shown = path.display().to_string();
        let Some(place) = self.place_of(&path)? else {
            return Err(
                Error::unsupported("this is a path of another platform").with_resource(shown)
            );
        };
        let found =
            minutebook_fs::task::blocking(move || minutebook_parquet::parquet_statistics(place));
        let found = found.await.map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                "the file's footer was not read to the end",
            )
            .with_resource(&shown)
            .with_source(error)
        })?;
        match found {
            Ok(found) => Ok(Some(Statistics {
                rows: found.rows,
                first: found.first,
                last: found.last,
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::Corrupt && !shown.ends_with(".parquet") => {
                Err(Error::unsupported(
                    "statistics are taken from Parquet files and from series, and this is neither",
                )
                .with_resource(shown))
            }
            Err(error) => Err(error),
        }
    }

    /// The file that an entry's path means; `None` for one of another platform.
    #[cfg(feature = "parquet")]
    #[cfg_attr(
        not(feature = "json"),
        allow(clippy::unnecessary_wraps, reason = "as with the feature")
    )]
    fn place_of(&self, path: &std::path::Path) -> Result<Option<PathBuf>> {
        let Some(root) = self.root() else {
            return Ok(Some(path.to_owned()));
        };
        #[cfg(feature = "json")]
        return Ok(minutebook_json::resolve(root, &path.to_string_lossy())?
            .path()
            .map(std::path::Path::to_owned));
        #[cfg(not(feature = "json"))]
        Ok(Some(root.join(path)))
    }

    #[cfg(not(feature = "parquet"))]
    #[allow(clippy::unused_async, reason = "as with the feature")]
    async fn file_statistics(&self, path: PathBuf) -> Result<Option<Statistics>> {
        Err(Error::unsupported(
            "statistics of files take the feature \"parquet\" of the crate minutebook",
        )
        .with_resource(path.display()))
    }
}

fn no_data(path: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no data at {path}")).with_operation("summary")
}
