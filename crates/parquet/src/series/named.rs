//! Named snapshots: versions of several series under one name, kept as long as the name is.
//!
//! A snapshot's file holds the log entries of its versions whole, so that the log may drop them; what they name is not removed. Somebody who removes
//! versions says so first (the *floor*) and then looks for snapshots; somebody who makes a snapshot writes it first and then looks at the floor.
//! So one of the two sees the other. A snapshot that was made so gets a *mark* beside it: whoever removes anything after that sees it, whatever
//! floor is raised, so it vouches for the versions that it names.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use minutebook_core::{SeriesId, SeriesName, Snapshot, Version};
use object_store::ObjectMeta;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Inner, ParquetTimeSeriesRepository};
use crate::error::{Fault, Result};
use crate::layout::{
    floor_of, marked_snapshot, passing_snapshot, snapshot, snapshot_mark, snapshots_dir,
};
use crate::log::{Commit, FORMAT, Log, MAX_DOCUMENT, Metadata};
use crate::store::Put;

/// Versions of several series under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedSnapshot {
    /// Its name, in lower case.
    pub name: String,
    /// When it was made, by the clock of the process that made it.
    pub created_at: DateTime<Utc>,
    /// The series and their versions. [`ScanQuery::as_of`](minutebook_core::ScanQuery::as_of) reads them, whatever retention drops.
    pub series: Vec<(SeriesId, Version)>,
    /// What was said of it.
    pub note: Metadata,
}

/// A snapshot as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    format: u32,
    /// Tells this snapshot from any other that was tried under the same name. Earlier releases wrote none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    id: String,
    name: String,
    created_at: DateTime<Utc>,
    /// Held by a restoration while it lasts; after the grace period it counts no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    passing: bool,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    note: Metadata,
    commits: Vec<Commit>,
    /// Whether there is a mark that it was made before anybody removed what it names.
    #[serde(skip)]
    vouched: bool,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    /// Of the bytes of `snapshot`, as they stand.
    blake3: String,
    snapshot: T,
}

impl ParquetTimeSeriesRepository {
    /// Names versions of series, which are then kept, with their rows, until the name is dropped. The versions are those of now, of a version,
    /// or of a moment that is the same for all.
    ///
    /// ```
    /// use minutebook_core::{Bar, ScanQuery, SeriesId, Snapshot, TimeSeriesRepository, TimeSeriesRepositoryExt, Timeframe, time::parse_timestamp};
    /// use minutebook_parquet::{Metadata, ParquetConfig, ParquetTimeSeriesRepository};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let repo = ParquetTimeSeriesRepository::open(dir.path(), ParquetConfig::default())?;
    /// let series = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
    /// # let timestamp = parse_timestamp("2024-01-01")?;
    /// # let bar = Bar { timestamp, open: 1.0, high: 2.0, low: 0.5, close: 1.5, volume: 10.0 };
    /// repo.append_bars(&series, &[bar]).await?;
    /// let made = repo.create_snapshot("backtest 7", &[(series.clone(), Snapshot::Latest)], &Metadata::new()).await?;
    /// let (_, version) = &made.series[0];
    /// let rows = repo.scan(&series, &ScanQuery::new().as_of(Snapshot::Version(*version))).await?;
    /// # drop(rows);
    /// # Ok::<(), minutebook_core::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`AlreadyExists`](minutebook_core::ErrorKind::AlreadyExists) if the name is taken; [`NotFound`](minutebook_core::ErrorKind::NotFound) for a
    /// series or version that is not there; [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if a series is named twice, or none.
    pub async fn create_snapshot(
        &self,
        name: &str,
        series: &[(SeriesId, Snapshot)],
        note: &Metadata,
    ) -> minutebook_core::Result<NamedSnapshot> {
        let made = self.inner.create_snapshot(name, series, note).await;
        made.map_err(|fault| fault.told("snapshot", name))
    }

    /// The named snapshots, in order of their names.
    ///
    /// # Errors
    /// [`Corrupt`](minutebook_core::ErrorKind::Corrupt) naming the file that is damaged.
    pub async fn snapshots(&self) -> minutebook_core::Result<Vec<NamedSnapshot>> {
        let found = self.inner.kept_snapshots().await;
        let found = found.map_err(|fault| fault.told("snapshots", snapshots_dir()))?;
        let named = found.into_iter().map(|(_, kept)| kept);
        let mut named: Vec<_> = named.filter(|kept| !kept.passing).map(Kept::info).collect();
        named.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(named)
    }

    /// One snapshot; `None` if there is none of this name.
    ///
    /// # Errors
    /// As [`snapshots`](Self::snapshots).
    pub async fn snapshot(&self, name: &str) -> minutebook_core::Result<Option<NamedSnapshot>> {
        let found = match checked(name) {
            Ok(name) => self.inner.read_snapshot(&snapshot(&name)).await,
            Err(fault) => Err(fault),
        };
        let found = found.map_err(|fault| fault.told("snapshot", name))?;
        Ok(found.map(Kept::info))
    }

    /// Forgets a snapshot, and says whether it was there. What only it kept goes with the next
    /// [`vacuum`](Self::vacuum).
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the storage fails.
    pub async fn drop_snapshot(&self, name: &str) -> minutebook_core::Result<bool> {
        let dropped = async {
            let path = snapshot(&checked(name)?);
            let storage = &self.inner.storage;
            // Most stores do not say of what they delete whether it was there.
            let there = storage.exists(&path).await?;
            if there {
                let listed = storage.list(&snapshots_dir()).await?.into_iter();
                let listed = listed.map(|object| object.location);
                let marks =
                    listed.filter(|mark| marked_snapshot(mark).is_some_and(|of| of == path));
                let all = std::iter::once(path.clone()).chain(marks);
                storage.delete_in_order(all.collect()).await?;
            }
            Ok(there)
        };
        let dropped: Result<bool> = dropped.await;
        dropped.map_err(|fault| fault.told("drop the snapshot", name))
    }
}

/// The rules are those of the names of series.
fn checked(name: &str) -> Result<String> {
    Ok(SeriesName::new(name)?.as_str().to_owned())
}

impl Inner {
    async fn create_snapshot(
        &self,
        name: &str,
        series: &[(SeriesId, Snapshot)],
        note: &Metadata,
    ) -> Result<NamedSnapshot> {
        let name = checked(name)?;
        let path = snapshot(&name);
        if series.is_empty() {
            return Err(Fault::Invalid("a snapshot needs a series".into()));
        }
        let mut commits: Vec<Commit> = Vec::with_capacity(series.len());
        for (id, at) in series {
            if commits.iter().any(|commit| commit.series == *id) {
                return Err(Fault::Invalid(format!("{id} is named twice")));
            }
            let commit = self.snapshot(&self.log(id), *at).await;
            // With several series the name of the snapshot alone would not say which.
            let commit = commit.map_err(|fault| fault.told("snapshot", id))?;
            commits.push(commit.as_ref().clone());
        }
        let kept = Kept {
            format: FORMAT,
            id: self.storage.unique_id(),
            name: name.clone(),
            created_at: self.config.clock.now(),
            passing: false,
            note: note.clone(),
            commits,
            vouched: false,
        };
        if !self.pin(&path, &kept).await? {
            return Err(Fault::Exists(format!(
                "there is a snapshot \"{name}\" already"
            )));
        }
        let mark = snapshot_mark(&name, &kept.id);
        let marked = self
            .storage
            .create(&mark, Bytes::from_static(b"{}\n"), false);
        if let Err(error) = marked.await {
            // It is as good without, until the floor rises above what it names.
            tracing::warn!(%mark, %error, "a snapshot has no mark");
        }
        Ok(kept.info())
    }

    /// Keeps a version from being removed while a restoration lasts; gives what to [`unpin`](Self::unpin).
    pub(super) async fn pin_passing(&self, commit: &Commit) -> Result<Path> {
        let path = passing_snapshot(self.storage.unique());
        let kept = Kept {
            format: FORMAT,
            id: self.storage.unique_id(),
            name: String::new(),
            created_at: self.config.clock.now(),
            passing: true,
            note: Metadata::new(),
            commits: vec![commit.clone()],
            vouched: false,
        };
        self.pin(&path, &kept).await?;
        Ok(path)
    }

    pub(super) async fn unpin(&self, path: Path) {
        self.discard(vec![path]).await;
    }

    /// Writes a snapshot if its name is free, and then makes sure that nobody removes what it names. `false` if the name is taken.
    async fn pin(&self, path: &Path, kept: &Kept) -> Result<bool> {
        let write = |e| Fault::Invalid(format!("the snapshot cannot be written: {e}"));
        let text = serde_json::value::to_raw_value(kept).map_err(write)?;
        let blake3 = blake3::hash(text.get().as_bytes()).to_hex().to_string();
        let envelope = Envelope {
            blake3,
            snapshot: text,
        };
        let mut bytes = serde_json::to_vec(&envelope).map_err(write)?;
        bytes.push(b'\n');
        let put = self.storage.create_own(path, Bytes::from(bytes), false);
        if put.await? == Put::Taken {
            return Ok(false);
        }
        for commit in &kept.commits {
            let lost = match self.is_lost(path, commit).await {
                Ok(false) => continue,
                Ok(true) => Fault::NoVersion(format!(
                    "version {} of {} is being removed",
                    commit.version, commit.series
                )),
                Err(fault) => fault,
            };
            self.unpin(path.clone()).await;
            return Err(lost);
        }
        Ok(true)
    }

    /// Whether somebody removes a version and may not have seen that it is pinned at `path`.
    async fn is_lost(&self, path: &Path, commit: &Commit) -> Result<bool> {
        let log = self.log(&commit.series);
        let listed = self.storage.list(&log.dir.log()).await?;
        let floors = listed
            .iter()
            .filter_map(|object| Some((floor_of(object.location.filename()?)?, object)));
        let Some((floor, raised)) = floors.max_by_key(|(floor, _)| *floor) else {
            return Ok(false);
        };
        if floor <= commit.version {
            return Ok(false);
        }
        // Another snapshot keeps it, if that has its mark, or was there before the floor was raised: one that was made since may be as late as this one.
        let others = self.kept_snapshots().await?;
        let mut others = others.iter().filter(|(other, kept)| {
            let before = kept.vouched || other.last_modified < raised.last_modified;
            other.location != *path && !kept.passing && before
        });
        let is_kept =
            others.any(|(_, kept)| kept.commits.iter().any(|other| other.id == commit.id));
        Ok(!is_kept || !self.has_every_file(&log, commit).await?)
    }

    /// Whether all files are there that a version names.
    async fn has_every_file(&self, log: &Log, commit: &Commit) -> Result<bool> {
        let mut named = HashSet::new();
        match self.files_of(log, commit, &mut named).await {
            Err(Fault::Vanished { .. }) => return Ok(false),
            done => done?,
        }
        for dir in [log.dir.data_dir(), log.dir.groups_dir()] {
            for object in self.storage.list(&dir).await? {
                named.remove(&object.location);
            }
        }
        Ok(named.is_empty())
    }

    /// Says that versions before this one are about to be removed.
    pub(super) async fn raise_floor(&self, log: &Log, floor: u64) -> Result<()> {
        let text = Bytes::from_static(b"{}\n");
        self.storage
            .create(&log.dir.floor(floor), text, false)
            .await?;
        let listed = self.storage.list(&log.dir.log()).await?;
        let lower = listed.into_iter().filter(|object| {
            let file = object.location.filename().and_then(floor_of);
            file.is_some_and(|other| other < floor)
        });
        let lower = lower.map(|object| object.location).collect();
        self.storage.delete_all(lower).await?;
        Ok(())
    }

    /// Drops what restorations that were killed have left, and marks of snapshots that were dropped while they were made.
    pub(super) async fn drop_passing(&self) -> Result<()> {
        let listed = self.storage.list(&snapshots_dir()).await?;
        let there: HashSet<Path> = listed.iter().map(|it| it.location.clone()).collect();
        let left = listed.into_iter().filter(|object| {
            let name = object.location.filename().unwrap_or_default();
            let alone = || marked_snapshot(&object.location).is_some_and(|of| !there.contains(&of));
            (name.starts_with('~') || alone()) && self.is_old(object)
        });
        let left = left.map(|object| object.location).collect();
        self.storage.delete_all(left).await?;
        Ok(())
    }

    /// The files of a series that snapshots name.
    pub(super) async fn pinned(&self, log: &Log) -> Result<HashSet<Path>> {
        let mut files = HashSet::new();
        for (_, kept) in self.kept_snapshots().await? {
            for commit in kept.commits.iter().filter(|c| c.series == log.series) {
                match self.files_of(log, commit, &mut files).await {
                    // Whoever made it was killed before it saw that this version was being removed. What is gone cannot be kept, and must not keep
                    // all the rest from being removed.
                    Err(Fault::Vanished { path }) => {
                        let (snapshot, version) = (&kept.name, commit.version);
                        tracing::warn!(%path, snapshot, version, "a snapshot names what is not there");
                    }
                    done => done?,
                }
            }
        }
        Ok(files)
    }

    /// A version that a named snapshot keeps. What a restoration holds while it lasts, or has left, makes nothing readable.
    pub(super) async fn pinned_version(
        &self,
        log: &Log,
        version: u64,
    ) -> Result<Option<Arc<Commit>>> {
        let kept = self.kept_snapshots().await?;
        for (_, kept) in kept.into_iter().filter(|(_, kept)| !kept.passing) {
            let mut commits = kept.commits.into_iter();
            let found =
                commits.find(|commit| commit.series == log.series && commit.version == version);
            if let Some(commit) = found {
                return Ok(Some(Arc::new(commit)));
            }
        }
        Ok(None)
    }

    async fn kept_snapshots(&self) -> Result<Vec<(ObjectMeta, Kept)>> {
        let listed = self.storage.list(&snapshots_dir()).await?;
        let (snapshots, others): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .partition(|object| object.location.extension() == Some("json"));
        let marks: HashSet<Path> = others.into_iter().map(|mark| mark.location).collect();
        let mut found = Vec::new();
        for object in snapshots {
            // One that is dropped meanwhile keeps nothing.
            if let Some(mut kept) = self.read_snapshot(&object.location).await? {
                kept.vouched = marks.contains(&snapshot_mark(&kept.name, &kept.id));
                found.push((object, kept));
            }
        }
        Ok(found)
    }

    async fn read_snapshot(&self, path: &Path) -> Result<Option<Kept>> {
        let Some(bytes) = self.storage.get(path, MAX_DOCUMENT).await? else {
            return Ok(None);
        };
        let broken = |e| Fault::corrupt_by(path, "the snapshot does not parse", e);
        let envelope: Envelope<&RawValue> = serde_json::from_slice(&bytes).map_err(broken)?;
        let text = envelope.snapshot.get();
        if blake3::hash(text.as_bytes()).to_hex().as_str() != envelope.blake3 {
            return Err(Fault::corrupt(
                path,
                "the snapshot's digest does not match it",
            ));
        }
        let kept: Kept = serde_json::from_str(text).map_err(broken)?;
        if kept.format != FORMAT {
            return Err(Fault::Unsupported {
                message: format!(
                    "{path} has form {} and this release reads form {FORMAT}; use a newer release",
                    kept.format
                ),
            });
        }
        kept.commits
            .iter()
            .try_for_each(|commit| commit.check(path))?;
        Ok(Some(kept))
    }
}

impl Kept {
    fn info(self) -> NamedSnapshot {
        let series = self.commits.into_iter();
        NamedSnapshot {
            name: self.name,
            created_at: self.created_at,
            series: series
                .map(|commit| (commit.series, Version(commit.version)))
                .collect(),
            note: self.note,
        }
    }
}
