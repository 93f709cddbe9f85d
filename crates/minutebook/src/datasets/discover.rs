//! Finding data that is not registered yet.

use std::collections::HashSet;

use super::DataPath;
use crate::{
    DatasetEntry, DatasetFilter, DatasetName, Error, Minutebook, Result, SeriesFilter, SeriesId,
    Timeframe,
};

/// Data that no entry of the catalog stands for, and the entry that would.
#[derive(Debug)]
#[non_exhaustive]
pub struct Discovered {
    /// A proposal: named after the file or series, with what the data is like. Where the instrument cannot be known it is the file's name.
    pub entry: DatasetEntry,
    /// Why the data could not be looked at. The entry has no statistics then.
    pub problem: Option<Error>,
}

impl Minutebook {
    /// Walks the store's directory and its series, and proposes an entry for all data that the catalog does not know: files of Parquet
    /// (`.parquet`, `.pq`), JSON Lines (`.jsonl`, `.ndjson`) and CSV (`.csv`, `.csv.gz`), and series of ticks, bars and others. Writes nothing;
    /// [`register_dataset`](Self::register_dataset) takes a proposal.
    ///
    /// Directories that are symbolic links, hidden files and the store's own parts are left out.
    ///
    /// # Errors
    /// If a directory, the catalog or the series cannot be listed.
    pub async fn discover(&self) -> Result<Vec<Discovered>> {
        let mut names = HashSet::new();
        let mut known = HashSet::new();
        for stored in self.catalog().list(&DatasetFilter::new()).await? {
            // An entry that leads nowhere stands for no data.
            if let Ok(place) = self.locate(&stored.entry.file_path) {
                known.insert(place.to_text());
            }
            names.insert(stored.entry.name);
        }
        let mut found = Vec::new();
        let mut series = self.series().list(&SeriesFilter::new()).await?;
        series.extend(self.ticks().list(&SeriesFilter::new()).await?);
        for id in series {
            let path = DataPath::Series(id.clone()).to_string();
            if !known.contains(&path) {
                let name = free(&Self::default_name(&id)?, &mut names)?;
                let mut entry = DatasetEntry::new(name, instrument(&id), path);
                entry.tenor = id.timeframe().as_ref().map(Timeframe::to_string);
                found.push(self.looked_at(entry).await);
            }
        }
        for file in self.data_files().await? {
            if known.contains(&file.place) {
                continue;
            }
            let name = free(&DatasetName::new(&file.stem)?, &mut names)?;
            let entry = DatasetEntry::new(name, file.stem, file.path);
            found.push(self.looked_at(entry).await);
        }
        found.sort_by(|a, b| a.entry.file_path.cmp(&b.entry.file_path));
        Ok(found)
    }

    async fn looked_at(&self, entry: DatasetEntry) -> Discovered {
        match self.inspect(&entry.file_path).await {
            Ok(Some(inspection)) => Discovered {
                entry: inspection.describe(entry),
                problem: None,
            },
            Ok(None) => Discovered {
                problem: Some(super::no_data(&entry.file_path)),
                entry,
            },
            Err(error) => Discovered {
                entry,
                problem: Some(error),
            },
        }
    }

    #[cfg(feature = "disk")]
    async fn data_files(&self) -> Result<Vec<DataFile>> {
        let Some(disk) = self.disk() else {
            return Ok(Vec::new());
        };
        let root = disk.fs.canonicalize(&disk.layout.root).map_err(|error| {
            crate::error::io("find the store's directory", &disk.layout.root, error)
        })?;
        let book = self.clone();
        let walked = minutebook_fs::task::blocking(move || walk::files(&book, &root)).await;
        walked.map_err(|error| {
            Error::new(
                crate::ErrorKind::Unavailable,
                "the directory was not walked to the end",
            )
            .with_source(error)
        })?
    }

    #[cfg(not(feature = "disk"))]
    #[allow(
        clippy::unused_async,
        clippy::unused_self,
        reason = "as with the feature"
    )]
    async fn data_files(&self) -> Result<Vec<DataFile>> {
        Ok(Vec::new())
    }
}

/// A file that may be a dataset.
#[cfg_attr(
    not(feature = "disk"),
    allow(dead_code, reason = "as with the feature")
)]
struct DataFile {
    /// As the catalog writes it: relative to the store.
    path: String,
    /// The whole path.
    place: String,
    /// The file's name without extension.
    stem: String,
}

fn instrument(id: &SeriesId) -> String {
    match id {
        SeriesId::Named { name } => name.to_string(),
        SeriesId::Bars { symbol, .. } | SeriesId::Ticks { symbol } => symbol.to_string(),
    }
}

/// The name, or the first with a number behind it that is free.
fn free(wanted: &DatasetName, taken: &mut HashSet<DatasetName>) -> Result<DatasetName> {
    let mut name = wanted.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = DatasetName::new(format!("{wanted}_{number}"))?;
        number += 1;
    }
    Ok(name)
}

#[cfg(feature = "disk")]
mod walk {
    use std::path::Path;

    use minutebook_fs::FileKind;

    use super::DataFile;
    use crate::{DatasetName, Minutebook, Result};

    const EXTENSIONS: [&str; 6] = [".parquet", ".pq", ".jsonl", ".ndjson", ".csv", ".csv.gz"];

    pub(super) fn files(book: &Minutebook, root: &Path) -> Result<Vec<DataFile>> {
        let mut found = Vec::new();
        let mut open = vec![root.to_owned()];
        let Some(disk) = book.disk() else {
            return Ok(found);
        };
        while let Some(directory) = open.pop() {
            let entries = disk
                .fs
                .read_dir(&directory)
                .map_err(|error| crate::error::io("list the directory", &directory, error))?;
            for entry in entries {
                let path = directory.join(&entry.name);
                let Some(name) = entry.name.to_str() else {
                    tracing::warn!(path = %path.display(), "a name that is no UTF-8 cannot be registered");
                    continue;
                };
                if name.starts_with('.') || book.own_part(&path).is_some() {
                    continue;
                }
                match entry.kind {
                    FileKind::Dir => open.push(path),
                    FileKind::File => found.extend(file(root, &path, name)),
                    FileKind::Symlink | FileKind::Other => {}
                }
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn file(root: &Path, path: &Path, name: &str) -> Option<DataFile> {
        let lower = name.to_ascii_lowercase();
        let extension = EXTENSIONS.iter().find(|it| lower.ends_with(**it))?;
        let stem = name.get(..name.len() - extension.len())?;
        let relative = path.strip_prefix(root).ok()?;
        let parts: Option<Vec<_>> = relative
            .components()
            .map(|part| part.as_os_str().to_str())
            .collect();
        DatasetName::new(stem).ok()?;
        Some(DataFile {
            path: parts?.join("/"),
            place: path.to_str()?.to_owned(),
            stem: stem.to_owned(),
        })
    }
}
