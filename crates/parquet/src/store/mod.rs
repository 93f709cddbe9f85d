//! The object store beneath the repository: ours over a directory, or any other.

mod durable;
mod listing;
mod multipart;
mod object;
mod strays;
mod sync;
pub(crate) mod url;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    ListResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

pub use durable::DurableStore;
pub(crate) use durable::SyncBefore;

use crate::error::{Fault, Result};

/// Attempts to find a free name; names have 64 random bits.
const ATTEMPTS: usize = 8;

/// A store, with what this crate asks of it.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
    /// The same store where it is our local one: read without detours.
    local: Option<DurableStore>,
    /// Whether it is known to honour create-if-absent.
    trusted: Arc<AtomicBool>,
    random: RandomState,
    counter: Arc<AtomicU64>,
}

/// What became of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Created,
    Taken,
}

impl Storage {
    pub(crate) fn local(store: DurableStore) -> Self {
        let mut made = Self::foreign(Arc::new(store.clone()));
        made.local = Some(store);
        made.trusted.store(true, Ordering::Relaxed);
        made
    }

    pub(crate) fn foreign(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            local: None,
            trusted: Arc::default(),
            random: RandomState::new(),
            counter: Arc::default(),
        }
    }

    /// Reads ranges on this thread, where the store is local.
    pub(crate) fn as_local(&self) -> Option<&DurableStore> {
        self.local.as_ref()
    }

    /// A number that no other call, here or elsewhere, has likely returned.
    pub(crate) fn unique(&self) -> u64 {
        let mut hasher = self.random.build_hasher();
        hasher.write_u64(self.counter.fetch_add(1, Ordering::Relaxed));
        hasher.write_u32(std::process::id());
        hasher.finish()
    }

    /// A name for what must be told from all others of its kind.
    pub(crate) fn unique_id(&self) -> String {
        format!("{:016x}{:016x}", self.unique(), self.unique())
    }

    /// The whole object, or `None`. More than `max` bytes are refused as damage.
    pub(crate) async fn get(&self, path: &Path, max: u64) -> Result<Option<Bytes>> {
        if let Some(local) = &self.local {
            // One small document: read here and now.
            return found(path, local.read_whole(path, max));
        }
        let Some(result) = found(path, self.store.get(path).await)? else {
            return Ok(None);
        };
        if result.meta.size > max {
            return Err(Fault::corrupt(
                path,
                format!("{} bytes; at most {max} make sense", result.meta.size),
            ));
        }
        found(path, result.bytes().await)
    }

    /// What is known of an object without reading it.
    pub(crate) async fn look(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        match &self.local {
            Some(local) => found(path, local.look(path)),
            None => found(path, self.store.head(path).await),
        }
    }

    pub(crate) async fn exists(&self, path: &Path) -> Result<bool> {
        Ok(self.look(path).await?.is_some())
    }

    /// Ranges of an object that a version names.
    pub(crate) async fn ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let data = named(path, self.store.get_ranges(path, ranges).await)?;
        // A store may answer short; what decodes the bytes counts on their number.
        for (range, bytes) in ranges.iter().zip(&data) {
            if range.end - range.start != bytes.len() as u64 {
                return Err(Fault::corrupt(
                    path,
                    format!("it ends before byte {}", range.end),
                ));
            }
        }
        Ok(data)
    }

    /// Writes an object under a name of its own, made by `name` from a random number.
    pub(crate) async fn put_unique(
        &self,
        name: impl Fn(u64) -> (String, Path),
        bytes: &Bytes,
    ) -> Result<String> {
        for _ in 0..ATTEMPTS {
            let (file, path) = name(self.unique());
            if self.create(&path, bytes.clone(), false).await? == Put::Created {
                return Ok(file);
            }
        }
        Err(Fault::Conflict { attempts: ATTEMPTS })
    }

    /// Writes an object if its name is free. `sync_before` as in [`SyncBefore`].
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes, sync_before: bool) -> Result<Put> {
        self.probe(path).await?;
        let mut options = PutOptions::from(PutMode::Create);
        if sync_before {
            options.extensions.insert(SyncBefore);
        }
        let put = self
            .store
            .put_opts(path, PutPayload::from(bytes), options)
            .await;
        match put {
            Ok(_) => Ok(Put::Created),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(Put::Taken),
            Err(source) => Err(store_fault(path, source)),
        }
    }

    /// As [`create`](Self::create), of bytes that nobody else writes: where they stand already it was this call that put them there. A request may
    /// reach a store twice, of which the second is refused; or be heard, and the answer lost.
    pub(crate) async fn create_own(
        &self,
        path: &Path,
        bytes: Bytes,
        sync_before: bool,
    ) -> Result<Put> {
        let lost = match self.create(path, bytes.clone(), sync_before).await {
            Ok(Put::Taken) => None,
            // A local disk that failed is not asked whether it holds what it could not sync.
            Err(fault @ Fault::Store { .. }) if self.local.is_none() => Some(fault),
            result => return result,
        };
        match (self.get(path, u64::MAX).await, lost) {
            (Ok(Some(there)), _) if there == bytes => Ok(Put::Created),
            (Ok(Some(_)), _) | (Ok(None), None) => Ok(Put::Taken),
            (Err(fault), None) | (_, Some(fault)) => Err(fault),
        }
    }

    /// Writes an object whatever is there.
    pub(crate) async fn overwrite(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let put = self.store.put(path, PutPayload::from(bytes)).await;
        put.map(drop).map_err(|source| store_fault(path, source))
    }

    /// Deletes objects, in this order where the store is local. Those that are not there are no error.
    pub(crate) async fn delete_all(&self, paths: Vec<Path>) -> Result<u64> {
        let mut results = self
            .store
            .delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        let mut count = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(_) => count += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(store_fault(&Path::default(), source)),
            }
        }
        Ok(count)
    }

    /// Deletes objects one after another, each gone before the next is touched.
    pub(crate) async fn delete_in_order(&self, paths: Vec<Path>) -> Result<u64> {
        if self.local.is_some() {
            return self.delete_all(paths).await;
        }
        let mut count = 0;
        for path in paths {
            count += u64::from(found(&path, self.store.delete(&path).await)?.is_some());
        }
        Ok(count)
    }

    pub(crate) async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let found: object_store::Result<Vec<_>> = self.store.list(Some(prefix)).try_collect().await;
        found.map_err(|source| store_fault(prefix, source))
    }

    pub(crate) async fn level(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let level = self.store.list_with_delimiter(prefix).await;
        level.map_err(|source| store_fault(prefix.unwrap_or(&Path::default()), source))
    }

    /// Does the store refuse to create what is there? Without that, commits would overwrite each other. Asked once, before the first write.
    pub(crate) async fn probe(&self, near: &Path) -> Result<()> {
        if self.trusted.load(Ordering::Acquire) {
            return Ok(());
        }
        let path = Path::from(format!(".minutebook-probe-{:016x}", self.unique()));
        let put = || {
            let options = PutOptions::from(PutMode::Create);
            self.store
                .put_opts(&path, PutPayload::from_static(b"probe"), options)
        };
        let outcome = match put().await {
            Ok(_) => put().await,
            Err(source) => Err(source),
        };
        if let Err(error) = self.store.delete(&path).await {
            tracing::warn!(%path, %error, "the probe of the store is left over");
        }
        match outcome {
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => {
                self.trusted.store(true, Ordering::Release);
                Ok(())
            }
            Ok(_) => Err(Fault::Unsupported {
                message: format!(
                    "{} overwrites where it was told to create only; versions would be lost there",
                    self.store
                ),
            }),
            Err(source) => Err(store_fault(near, source)),
        }
    }
}

/// `None` for what is not there.
fn found<T>(path: &Path, result: object_store::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(store_fault(path, source)),
    }
}

/// What a version names is there, or was removed by somebody while it was being read.
pub(crate) fn named<T>(path: &Path, result: object_store::Result<T>) -> Result<T> {
    found(path, result)?.ok_or_else(|| Fault::Vanished {
        path: path.to_string(),
    })
}

fn store_fault(path: &Path, source: object_store::Error) -> Fault {
    // A file that is shorter than its log says is damage, not a failing disk.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&source);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::UnexpectedEof
        {
            let message = io.to_string();
            return Fault::corrupt_by(path, message, source);
        }
        cause = error.source();
    }
    Fault::Store {
        path: path.to_string(),
        source,
    }
}
