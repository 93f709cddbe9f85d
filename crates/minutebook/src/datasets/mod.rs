//! The catalog and the data together: where a dataset's data is, what it is like, what is due, and what is not registered yet.

mod discover;
mod export;
mod inspect;
#[cfg(feature = "disk")]
mod lines;
mod place;
mod refresh;
mod remove;
mod stale;

pub use discover::Discovered;
pub use inspect::Inspection;
pub use place::Place;
pub use refresh::Refreshed;
pub use remove::Removed;
pub use stale::Stale;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{
    DatasetEntry, DatasetName, Error, ErrorKind, Minutebook, Result, Revision, SaveMode, SeriesId,
    Symbol, Timeframe,
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
        let found = self.inspect(&path).await?.ok_or_else(|| no_data(&path))?;
        let tenor = series.timeframe().as_ref().map(Timeframe::to_string);
        let instrument = match series {
            SeriesId::Named { name } => name.to_string(),
            SeriesId::Bars { symbol, .. } | SeriesId::Ticks { symbol } => symbol.to_string(),
        };
        let mut entry = DatasetEntry::new(name.clone(), instrument, path);
        entry.tenor = tenor;
        let entry = found.clone().describe(entry);
        // Another process may register the name between the two calls, so the loser looks again.
        loop {
            if let Some(there) = self.catalog().get(name).await? {
                return self.refresh_series(&there.entry, &entry, found).await;
            }
            match self.catalog().register(&entry, SaveMode::Create).await {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
    }

    async fn refresh_series(
        &self,
        found: &DatasetEntry,
        wanted: &DatasetEntry,
        inspection: Inspection,
    ) -> Result<Revision> {
        let name = &wanted.name;
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
        self.catalog().update(name, &inspection.change()).await
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
}

pub(crate) fn no_data(path: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no data at {path}")).with_operation("summary")
}
