//! What data is like, from a footer or a summary: no row is read where the format allows.

#[cfg(feature = "disk")]
use std::path::Path;

use super::Place;
use crate::{
    Column, Contents, DatasetChange, DatasetEntry, Error, Minutebook, Result, SeriesSummary,
    Statistics,
};

/// What a look at data gave.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Inspection {
    /// Rows, first and last time. `None` for files that say nothing about them (CSV and others).
    pub statistics: Option<Statistics>,
    /// Bytes, columns and a digest.
    pub contents: Contents,
}

impl Inspection {
    /// The entry with what was found.
    #[must_use]
    pub fn describe(self, mut entry: DatasetEntry) -> DatasetEntry {
        if let Some(statistics) = self.statistics {
            entry = entry.with_statistics(statistics);
        }
        entry.with_contents(self.contents)
    }

    /// The change of an entry that puts in what was found.
    pub fn change(self) -> DatasetChange {
        let mut change = DatasetChange::new().contents(self.contents);
        change.statistics = self.statistics;
        change
    }
}

impl From<SeriesSummary> for Inspection {
    fn from(summary: SeriesSummary) -> Self {
        Self {
            statistics: Some(Statistics {
                rows: summary.rows,
                first: summary.first,
                last: summary.last,
            }),
            contents: Contents {
                bytes: Some(summary.bytes),
                columns: columns(&summary.schema),
                digest: Some(format!("version:{}", summary.version)),
                changed_at: None,
            },
        }
    }
}

fn columns(schema: &arrow_schema::Schema) -> Vec<Column> {
    let fields = schema.fields().iter();
    fields
        .map(|field| Column {
            name: field.name().clone(),
            data_type: field.data_type().to_string(),
        })
        .collect()
}

impl Minutebook {
    /// What the data at a path of the catalog is like; `None` if nothing is there.
    ///
    /// Of a Parquet file the footer is read, and its digest is that of the footer: two files of which it is the same are most likely the same,
    /// but need not be ([`inspect_fully`](Self::inspect_fully) reads everything). Of a series its summary is taken, and the digest is its version. A
    /// file of JSON Lines is read whole, for there is nothing that could be read instead; register a tick file of the store as a series
    /// (`ticks:BTCUSD@ticks`). Of other files only the size is known.
    ///
    /// # Errors
    /// As [`locate`](Self::locate); [`Corrupt`](crate::ErrorKind::Corrupt) for a damaged file; [`Unsupported`](crate::ErrorKind::Unsupported) for a path of
    /// another platform.
    pub async fn inspect(&self, path: &str) -> Result<Option<Inspection>> {
        self.look(path, false).await
    }

    /// As [`inspect`](Self::inspect), with a digest of all bytes of a file.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect).
    pub async fn inspect_fully(&self, path: &str) -> Result<Option<Inspection>> {
        self.look(path, true).await
    }

    /// As [`inspect`](Self::inspect), with the kind of digest that an entry has already.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect).
    pub async fn inspect_again(&self, entry: &DatasetEntry) -> Result<Option<Inspection>> {
        let whole = entry
            .contents
            .as_ref()
            .is_some_and(Contents::is_of_all_bytes);
        self.look(&entry.file_path, whole).await
    }

    async fn look(&self, path: &str, whole: bool) -> Result<Option<Inspection>> {
        match self.locate(path)? {
            Place::Series(id) => {
                let summary = self.repository_of(&id).summary(&id).await?;
                Ok(summary.map(Inspection::from))
            }
            Place::Foreign(path) => Err(Error::unsupported(
                "this is a path of another platform; `catalog relocate` tells where the data is here",
            )
            .with_resource(path)),
            Place::Inside(file) | Place::Outside(file) => self.look_at_file(file, whole).await,
        }
    }

    /// Rows, first and last time of the data at a path of the catalog; `None` if nothing is there. See [`inspect`](Self::inspect).
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect); [`Unsupported`](crate::ErrorKind::Unsupported) for files that say nothing about their rows.
    pub async fn stats_of(&self, path: &str) -> Result<Option<Statistics>> {
        let Some(found) = self.inspect(path).await? else {
            return Ok(None);
        };
        match found.statistics {
            Some(statistics) => Ok(Some(statistics)),
            None => Err(Error::unsupported(
                "statistics are taken from Parquet files, JSON Lines and series, and this is none of them",
            )
            .with_resource(path)),
        }
    }

    #[cfg(feature = "disk")]
    async fn look_at_file(
        &self,
        file: std::path::PathBuf,
        whole: bool,
    ) -> Result<Option<Inspection>> {
        use minutebook_fs::{Fs, OsFs};
        let shown = file.display().to_string();
        let fs: std::sync::Arc<dyn Fs> = match self.disk() {
            Some(disk) => std::sync::Arc::clone(&disk.fs),
            None => std::sync::Arc::new(OsFs),
        };
        let looked =
            minutebook_fs::task::blocking(move || file_inspection(&fs, &file, whole)).await;
        looked.map_err(|error| {
            Error::new(
                crate::ErrorKind::Unavailable,
                "the file was not looked at to the end",
            )
            .with_resource(&shown)
            .with_source(error)
        })?
    }

    #[cfg(not(feature = "disk"))]
    #[allow(
        clippy::unused_async,
        clippy::unused_self,
        reason = "as with the feature"
    )]
    async fn look_at_file(&self, file: std::path::PathBuf, _: bool) -> Result<Option<Inspection>> {
        Err(Error::unsupported(
            "files take the feature \"parquet\", \"json\" or \"jsonl\" of the crate minutebook",
        )
        .with_resource(file.display()))
    }
}

#[cfg(feature = "disk")]
fn file_inspection(
    fs: &std::sync::Arc<dyn minutebook_fs::Fs>,
    file: &Path,
    whole: bool,
) -> Result<Option<Inspection>> {
    use minutebook_fs::OpenMode;
    let failed = |error| crate::error::io("look at the file", file, error);
    let missing = |error: &std::io::Error| {
        matches!(
            error.kind(),
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
        )
    };
    // Who registered a link means what it leads to.
    let target = match fs.canonicalize(file) {
        Err(error) if missing(&error) => return Ok(None),
        found => found.map_err(failed)?,
    };
    let open = match fs.open(&target, OpenMode::Read) {
        Err(error) if missing(&error) => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let meta = open.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(Error::invalid("this is no regular file").with_resource(file.display()));
    }
    let extension = file.extension().and_then(|extension| extension.to_str());
    let is = |names: &[&str]| {
        extension.is_some_and(|it| names.iter().any(|name| it.eq_ignore_ascii_case(name)))
    };
    let mut magic = [0; 4];
    let read = open.read_full_at(&mut magic, 0).map_err(failed)?;
    let mut found = if is(&["parquet", "pq"]) || (read == 4 && &magic == b"PAR1") {
        parquet(fs, &target, &*open, meta.len)?
    } else if is(&["jsonl", "ndjson"]) {
        return super::lines::inspect(file, &*open).map(Some);
    } else {
        Inspection::default()
    };
    found.contents.bytes = Some(meta.len);
    if whole {
        found.contents.digest = Some(super::lines::digest(file, &*open)?);
    }
    Ok(Some(found))
}

#[cfg(feature = "parquet")]
fn parquet(
    fs: &std::sync::Arc<dyn minutebook_fs::Fs>,
    path: &Path,
    file: &dyn minutebook_fs::FsFile,
    len: u64,
) -> Result<Inspection> {
    let found = minutebook_parquet::parquet_statistics_on(fs, path)?;
    // The end of the file is the footer, its length in four bytes, and four more that say what it is.
    let read = |from: u64, bytes: usize| {
        let mut buffer = vec![0; bytes];
        let done = file
            .read_full_at(&mut buffer, from)
            .map_err(|error| crate::error::io("read the footer of", path, error))?;
        buffer.truncate(done);
        Ok::<_, Error>(buffer)
    };
    let end = read(len.saturating_sub(8), 8)?;
    let footer = end.first_chunk().copied().map_or(0, u32::from_le_bytes);
    let from = len.saturating_sub(8 + u64::from(footer));
    let footer = read(from, usize::try_from(len - from).unwrap_or(0))?;
    let mut hash = blake3::Hasher::new();
    hash.update(&footer).update(&len.to_le_bytes());
    Ok(Inspection {
        statistics: Some(Statistics {
            rows: found.rows,
            first: found.first,
            last: found.last,
        }),
        contents: Contents {
            bytes: Some(found.bytes),
            columns: columns(&found.schema),
            digest: Some(format!("footer-blake3:{}", short(&hash))),
            changed_at: None,
        },
    })
}

#[cfg(all(feature = "disk", not(feature = "parquet")))]
fn parquet(
    _: &std::sync::Arc<dyn minutebook_fs::Fs>,
    path: &Path,
    _: &dyn minutebook_fs::FsFile,
    _: u64,
) -> Result<Inspection> {
    Err(Error::unsupported(
        "statistics of Parquet files take the feature \"parquet\" of the crate minutebook",
    )
    .with_resource(path.display()))
}

/// The first 128 bits.
#[cfg(feature = "disk")]
pub(super) fn short(hash: &blake3::Hasher) -> String {
    hash.finalize().to_hex().as_str().chars().take(32).collect()
}
