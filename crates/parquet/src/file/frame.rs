//! Frames: one file for each asset pair, timeframe and span of dates, named as the original systems named them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use chrono::TimeDelta;
use minutebook_core::time::from_system;
use minutebook_core::{Clock, Result, SystemClock};
use minutebook_fs::names::{decode, encode};
use minutebook_fs::{FsError, names};

use super::load::{LoadParquet, load_parquet};
use super::save::{SaveParquet, save_parquet};
use crate::error::Fault;

/// What a frame is of. Its file is `{asset_pair}_{timeframe}_{start}_{end}.parquet`; start and end are texts, as the caller writes dates.
///
/// ```
/// use minutebook_parquet::FrameKey;
///
/// let key = FrameKey::new("BTC/USD", "1h", "2024-01-01", "2024-02-01")?;
/// assert_eq!(key.file_name(), "BTC%2FUSD_1h_2024-01-01_2024-02-01.parquet");
/// assert_eq!(FrameKey::of_file_name(&key.file_name()), Some(key));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameKey {
    asset_pair: String,
    timeframe: String,
    start: String,
    end: String,
}

impl FrameKey {
    /// A key of these texts.
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if one is empty, timeframe, start or end have a `_`, or the name gets too long.
    pub fn new(
        asset_pair: impl Into<String>,
        timeframe: impl Into<String>,
        start: impl Into<String>,
        end: impl Into<String>,
    ) -> Result<Self> {
        let key = Self {
            asset_pair: asset_pair.into(),
            timeframe: timeframe.into(),
            start: start.into(),
            end: end.into(),
        };
        match key.fault() {
            None => Ok(key),
            Some(fault) => Err(fault.told("name a frame", key.file_name())),
        }
    }

    fn fault(&self) -> Option<Fault> {
        let parts = [&self.asset_pair, &self.timeframe, &self.start, &self.end];
        if parts.iter().any(|part| part.is_empty()) {
            return Some(Fault::Invalid(
                "asset pair, timeframe, start and end are all needed".into(),
            ));
        }
        if parts.iter().skip(1).any(|part| part.contains('_')) {
            return Some(Fault::Invalid(
                "timeframe, start and end may have no \"_\", which parts them in the name".into(),
            ));
        }
        let len = self.file_name().len();
        (len > names::MAX_LEN).then(|| {
            Fault::Invalid(format!(
                "the file's name would have {len} bytes; at most {} are possible",
                names::MAX_LEN
            ))
        })
    }

    /// The asset pair.
    pub fn asset_pair(&self) -> &str {
        &self.asset_pair
    }

    /// The timeframe.
    pub fn timeframe(&self) -> &str {
        &self.timeframe
    }

    /// The start, as it was written.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// The end, as it was written.
    pub fn end(&self) -> &str {
        &self.end
    }

    /// The name of the file: that of the original systems where its parts have letters, digits and `. + = -` only. Other characters are written as
    /// `%` and two digits, so that no key leads out of the directory.
    pub fn file_name(&self) -> String {
        let [asset_pair, timeframe, start, end] =
            [&self.asset_pair, &self.timeframe, &self.start, &self.end].map(|part| encode(part));
        format!("{asset_pair}_{timeframe}_{start}_{end}.parquet")
    }

    /// The key that a file's name says, if it is the name of a frame.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".parquet")?;
        let mut parts = stem.rsplitn(4, '_');
        let mut part = || {
            let part = parts.next()?;
            // Originals did not escape: what does not decode stands for itself.
            Some(decode(part).unwrap_or_else(|_| part.to_owned()))
        };
        let (end, start, timeframe, asset_pair) = (part()?, part()?, part()?, part()?);
        Self::new(asset_pair, timeframe, start, end).ok()
    }
}

/// Writes a frame into a directory under its name, and returns the absolute path. A frame that is there is replaced.
///
/// # Errors
/// As [`save_parquet`].
pub fn save_frame(
    batches: &[RecordBatch],
    dir: impl AsRef<Path>,
    key: &FrameKey,
    options: &SaveParquet,
) -> Result<PathBuf> {
    save_parquet(batches, dir.as_ref().join(key.file_name()), options)
}

/// How old a frame may be.
#[derive(Debug, Clone)]
pub struct Freshness {
    limit: TimeDelta,
    clock: Arc<dyn Clock>,
}

impl Freshness {
    /// No older than this, by the time at which its file was written.
    pub fn within(limit: TimeDelta) -> Self {
        Self {
            limit,
            clock: Arc::new(SystemClock),
        }
    }

    /// By this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// Reads a frame from a directory; `None` if it is not there, or its file is older than `freshness` allows.
///
/// ```
/// use chrono::TimeDelta;
/// use minutebook_core::{Bar, Row, time::parse_timestamp};
/// use minutebook_parquet::{FrameKey, Freshness, LoadParquet, SaveParquet, load_frame, save_frame};
///
/// # let dir = tempfile::tempdir()?;
/// let key = FrameKey::new("BTCUSD", "1h", "2024-01-01", "2024-02-01")?;
/// let bar = Bar { timestamp: parse_timestamp("2024-01-01")?, open: 1.0, high: 2.0, low: 0.5, close: 1.5, volume: 10.0 };
/// save_frame(&[Bar::to_batch(&[bar])?], dir.path(), &key, &SaveParquet::default())?;
/// let day = Freshness::within(TimeDelta::days(1));
/// assert!(load_frame(dir.path(), &key, Some(&day), &LoadParquet::default())?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`load_parquet`], but for a file that is not there.
pub fn load_frame(
    dir: impl AsRef<Path>,
    key: &FrameKey,
    freshness: Option<&Freshness>,
    options: &LoadParquet,
) -> Result<Option<RecordBatch>> {
    let path = dir.as_ref().join(key.file_name());
    let meta = match options.fs.metadata(&path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let fault = Fault::Fs(FsError::not_applied(
                "read",
                "look at the file",
                &path,
                error,
            ));
            return Err(fault.told("load", path.display()));
        }
    };
    if let Some(freshness) = freshness {
        let age = freshness.clock.now() - from_system(meta.modified);
        if age > freshness.limit {
            return Ok(None);
        }
    }
    load_parquet(&path, options).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_originals_and_lead_nowhere_else() {
        let key = FrameKey::new("BTC_USD", "1h", "2024-01-01", "2024-02-01").unwrap();
        // An underscore in the pair is escaped, and read unescaped too.
        assert_eq!(
            key.file_name(),
            "BTC%5FUSD_1h_2024-01-01_2024-02-01.parquet".replace("%5F", "_")
        );
        assert_eq!(FrameKey::of_file_name(&key.file_name()), Some(key));
        let hostile = FrameKey::new("../../etc", "1h", "a b", "c").unwrap();
        assert_eq!(hostile.file_name(), "%2E.%2F..%2Fetc_1h_a%20b_c.parquet");
        assert_eq!(FrameKey::of_file_name(&hostile.file_name()), Some(hostile));
        assert!(FrameKey::new("", "1h", "a", "b").is_err());
        assert!(FrameKey::new("a", "1_h", "a", "b").is_err());
        assert!(FrameKey::new("a".repeat(300), "1h", "a", "b").is_err());
        for name in [
            "a_b_c.parquet",
            "x.parquet",
            "a_1h_b_c.csv",
            "_1h_a_b.parquet",
        ] {
            assert_eq!(FrameKey::of_file_name(name), None, "{name}");
        }
    }
}
