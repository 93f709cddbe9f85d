//! Copies of a store: consistent though writers go on, incremental, of several generations, and proved by digests.
//!
//! A directory of backups keeps bytes by their digest, each once, and a list for each generation (`docs/format/backup.md`). A generation costs what
//! is new: files that never change are known by what the system says of them, files that grow are proved to begin as before and only their end is
//! added, and the same content under another name is there already. What is in the list is durable, or there is no list.

mod copy;
mod manifest;
mod restore;
mod same;
mod source;
mod vault;
mod verify;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minutebook_fs::{Fs, OsFs};

pub(crate) use restore::UNFINISHED;
pub use restore::{RestoreOptions, RestoreReport, restore};
pub use verify::{BackupCheck, Damaged, check_backup};

use crate::check::{Progress, run};
use crate::{Error, Minutebook, Result};
use copy::Copier;
use source::Source;
use vault::Vault;

type Tell = dyn Fn(Progress) + Send + Sync;

/// How a backup is made.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct BackupOptions {
    /// How many complete generations stay; older ones are removed after the new one is complete. All of them unless given.
    pub keep: Option<usize>,
    /// Read every file, also those of which the system says that they have not changed.
    pub reread: bool,
    /// Go on with the generations of a store that was in another place. Unless given, they are taken for those of another store, and the backup is refused.
    pub source_moved: bool,
    /// Told of progress.
    pub progress: Option<Arc<Tell>>,
}

impl fmt::Debug for BackupOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupOptions")
            .field("keep", &self.keep)
            .field("reread", &self.reread)
            .field("source_moved", &self.source_moved)
            .finish_non_exhaustive()
    }
}

impl BackupOptions {
    /// A new generation; older ones stay.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps so many generations, this one included; at least 1.
    #[must_use]
    pub fn keep(mut self, generations: usize) -> Self {
        self.keep = Some(generations.max(1));
        self
    }

    /// Reads every file instead of trusting that one with the same identity, length and time of change is the same.
    #[must_use]
    pub fn reread(mut self, reread: bool) -> Self {
        self.reread = reread;
        self
    }

    /// Says that this store is the one of the newest generation though it is in another place: it was moved, or copied from there, or restored from this backup.
    /// Needed once; from then on the new place is the known one.
    #[must_use]
    pub fn source_moved(mut self, moved: bool) -> Self {
        self.source_moved = moved;
        self
    }

    /// Tells of progress; called often, from any thread.
    #[must_use]
    pub fn progress(mut self, tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }
}

/// What a backup did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The new generation's name.
    pub generation: String,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files of which something was copied; of all others the bytes were there.
    pub copied_files: u64,
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// The hash of the last line of the decisions' journal. Kept elsewhere it proves ([`VerifyOptions::head`](crate::check::VerifyOptions)) that a restored
    /// journal is this one.
    pub journal_head: Option<String>,
    /// What was left out: links, and other things that are no files.
    pub skipped: Vec<PathBuf>,
    /// Files that another program wrote in place all the time while they were read: their copies may be of no single moment.
    pub unsteady: Vec<PathBuf>,
    /// Files that the store names and that are not there: [`verify`](Minutebook::verify) tells more.
    pub missing: Vec<PathBuf>,
    /// Generations that were removed.
    pub removed: Vec<String>,
}

/// A complete generation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generation {
    /// Its name: when it began.
    pub name: String,
    /// When it began, RFC 3339, UTC.
    pub at: String,
    /// The directory that the store had.
    pub source: String,
    /// Files.
    pub files: u64,
    /// Their bytes, as they are in the store.
    pub bytes: u64,
    /// The hash of the last line of the decisions' journal.
    pub journal_head: Option<String>,
}

/// The complete generations in a directory of backups, the oldest first.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if it is none; [`Corrupt`](crate::ErrorKind::Corrupt) if a list is damaged.
pub async fn generations(target: impl AsRef<Path>) -> Result<Vec<Generation>> {
    let place = target.as_ref().to_owned();
    run(move || list(&OsFs, &place)).await
}

fn list(fs: &dyn Fs, place: &Path) -> Result<Vec<Generation>> {
    let mut found = Vec::new();
    for name in vault::generations(fs, place)? {
        // One that is removed meanwhile is none.
        if let Some(manifest) = manifest::Manifest::read(fs, &vault::list_of(place, &name))? {
            let header = manifest.header;
            found.push(Generation {
                name,
                at: header.at,
                source: header.source,
                files: header.files,
                bytes: header.bytes,
                journal_head: header.journal_head,
            });
        }
    }
    Ok(found)
}

/// Removes all but the newest generations, and the bytes that none of those needs. Gives the names of those that were removed.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) if there is no backup in the directory; [`Locked`](crate::ErrorKind::Locked) if one is being made;
/// [`Corrupt`](crate::ErrorKind::Corrupt), with nothing removed, if the list of a generation that stays is damaged.
pub async fn prune(target: impl AsRef<Path>, keep: usize) -> Result<Vec<String>> {
    let place = target.as_ref().to_owned();
    run(move || {
        vault::generations(&OsFs, &place)?;
        Vault::open(Arc::new(OsFs), &place)?.prune(keep)
    })
    .await
    .map_err(|error| error.with_operation("remove generations"))
}

impl Minutebook {
    /// Copies the store into a directory of backups, as a new generation.
    ///
    /// Writers may go on. The copy is a store as it might have been left at one moment: every decision with the journal line that brought it, each
    /// tick series as it was at one moment, each other series up to a version, no tick in both or neither of tick files and Parquet, and a catalog that names nothing that is not there.
    /// Everything that was acknowledged before the call is in it. The lock of the decisions' writers is held while their directory is compared with
    /// the copy (some microseconds for each document); that of a tick series while its files are opened.
    ///
    /// Only what is new or changed is copied. When `Ok` comes back the copy is durable. Killed at any moment, the generations before are as they
    /// were, and the next backup goes on with what is durable.
    ///
    /// ```
    /// # async fn example() -> minutebook::Result<()> {
    /// # let dir = tempfile::tempdir().map_err(|e| minutebook::Error::invalid(e.to_string()))?;
    /// use minutebook::{Minutebook, backup::{BackupOptions, RestoreOptions}, check::VerifyOptions};
    ///
    /// let book = Minutebook::create(dir.path().join("book"))?;
    /// let backups = dir.path().join("backups");
    /// let made = book.backup(&backups, &BackupOptions::new().keep(7)).await?;
    ///
    /// let again = dir.path().join("again");
    /// let restored = Minutebook::restore(&backups, &again, &RestoreOptions::new()).await?;
    /// assert_eq!(restored.generation, made.generation);
    /// let report = Minutebook::open(&again)?.verify(&VerifyOptions::new()).await?;
    /// assert!(report.is_clean());
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a store that is not on disk; [`InvalidInput`](crate::ErrorKind::InvalidInput) if the directory lies in
    /// the store, or has other things in it; [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if its newest generation is of another store
    /// ([`source_moved`](BackupOptions::source_moved)); [`Locked`](crate::ErrorKind::Locked) if another backup goes into it or a writer holds its lock for a minute;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if something cannot be read or written. Unless it says that the backup is complete there is no new generation.
    pub async fn backup(
        &self,
        target: impl AsRef<Path>,
        options: &BackupOptions,
    ) -> Result<BackupReport> {
        let named = |error: Error| error.with_operation("backup");
        let disk = self
            .disk()
            .ok_or_else(|| named(Error::unsupported("only a store on disk can be backed up")))?;
        let source = Arc::new(Source::new(disk).map_err(named)?);
        let total = match &options.progress {
            Some(_) => crate::check::size_of(disk).await?,
            None => 0,
        };
        let copier = {
            let (fs, place) = (Arc::clone(&disk.fs), target.as_ref().to_owned());
            let (source, options, at) = (Arc::clone(&source), options.clone(), self.now());
            run(move || {
                source.accepts(&place)?;
                let vault = Vault::open(Arc::clone(&fs), &place)?;
                let before = vault.newest()?;
                if let (Some(before), false) = (&before, options.source_moved) {
                    same::check(&source, before, &place)?;
                }
                Copier::begin(fs, vault, before, at, &options, total)
            })
            .await
            .map_err(named)?
        };
        let copier = source.copy(disk, copier).await.map_err(named)?;
        let keep = options.keep;
        run(move || copier.complete(&source.identity, keep))
            .await
            .map_err(named)
    }

    /// Brings a generation of a backup back, as [`restore`](crate::backup::restore).
    ///
    /// # Errors
    /// As [`restore`](crate::backup::restore).
    pub async fn restore(
        target: impl AsRef<Path>,
        into: impl AsRef<Path>,
        options: &RestoreOptions,
    ) -> Result<RestoreReport> {
        restore(target, into, options).await
    }
}
