//! The decision repository: the trait's calls, and those beyond it.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use minutebook_core::{
    Capabilities, Capability, ChangeStream, Decision, DecisionFilter, DecisionId, DecisionPage,
    DecisionQuery, DecisionRepository, DecisionState, Error, GroupBy, GroupCount, ReadReport,
    Revision, SaveMode, SaveReceipt, StoredDecision, WatchFrom, count_by_pages,
};
use minutebook_fs::task::blocking;

use crate::config::{JsonDecisionConfig, KeepRevisions};
use crate::error::{BACKEND, JsonError, Result};
use crate::journal::JournalProof;
use crate::store::{Coming, Done, Op, Store, needs_journal};

/// A batch is carried out in parts of so many decisions.
const PART: usize = 8_192;
/// So many of them are worth a thread.
const WORTH_A_THREAD: usize = 64;

/// Decisions in a directory of JSON files, one document a file, with a journal.
///
/// Any number of threads and processes may work on one directory, foreign programs among them: files that they add,
/// change or remove are seen by the next call. Opening and reading a directory changes nothing in it.
///
/// - What a document's file holds is what counts. The journal tells which state it is ([`Revision`](minutebook_core::Revision)),
///   when it was taken, and what to restore after a crash.
/// - `Ok` of a write with [`Durability::Synced`](minutebook_fs::Durability) (the default) means that the change survives a power cut.
/// - A document that cannot be read as a decision is in nobody's way: it is listed in
///   [`DecisionPage::report`] and by [`problems`](Self::problems).
/// - If several files claim one id, the one with the newest time counts (of equal times the one with the greater name).
///
/// ```
/// use minutebook_core::{Decision, DecisionId, DecisionRepository, SaveMode};
/// use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let dir = tempfile::tempdir()?;
/// let repository = JsonDecisionRepository::open(dir.path(), JsonDecisionConfig::default())?;
/// let first = repository.save(&Decision::new(DecisionId::new("a")?), SaveMode::Create).await?;
/// let change = Decision::from_json(r#"{"id": "a", "executed": true}"#)?;
/// let expected = Some(first.revision);
/// repository.save(&change, SaveMode::Update { expected: expected.clone() }).await?;
/// // Whoever has seen only the first state is told.
/// assert!(repository.save(&Decision::new(DecisionId::new("a")?), SaveMode::Update { expected }).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct JsonDecisionRepository {
    store: Arc<Store>,
}

impl JsonDecisionRepository {
    /// Opens a directory, and creates it if it is missing. What a crash left is mended; else nothing is written.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory cannot be read or created.
    pub fn open(
        dir: impl AsRef<Path>,
        config: JsonDecisionConfig,
    ) -> minutebook_core::Result<Self> {
        let dir = dir.as_ref();
        let store =
            Store::open(dir, config).map_err(|error| error.into_core("open", dir.display()))?;
        Ok(Self {
            store: Arc::new(store),
        })
    }

    /// The directory: absolute, without symbolic links.
    pub fn directory(&self) -> &Path {
        self.store.dir()
    }

    /// Many mutations with few waits for the disk; one result for each, in order.
    async fn mutate_all<T>(
        &self,
        operation: &'static str,
        ids: Vec<DecisionId>,
        ops: Vec<Op>,
        take: impl Fn(Done) -> Result<T>,
    ) -> Vec<minutebook_core::Result<T>> {
        let results = self.store.submit(ops, false).await;
        let named = ids.iter().zip(results);
        named
            .map(|(id, result)| {
                result
                    .and_then(&take)
                    .map_err(|error| error.into_core(operation, id))
            })
            .collect()
    }

    /// Everything in the directory that is not as it should be: documents that cannot be read, duplicates, names that
    /// disagree with the id inside, damage in the journal. Reads every file.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory cannot be read.
    pub async fn problems(&self) -> minutebook_core::Result<ReadReport> {
        self.work(
            "problems",
            self.directory().display().to_string(),
            Store::problems,
        )
        .await
    }

    /// Makes everything durable that was written with [`Durability::Buffered`](minutebook_fs::Durability), the documents' files
    /// included, and writes a checkpoint, so that no open has to compare what is before it. For the end of a batch, or before a backup.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it cannot be synced or written.
    pub async fn checkpoint(&self) -> minutebook_core::Result<()> {
        self.work(
            "checkpoint",
            self.directory().display().to_string(),
            Store::checkpoint_all,
        )
        .await
    }

    /// Proves the journal's chain: every line against its own hash and the line before, over all its files. With `head`, a hash that was
    /// kept elsewhere ([`JournalProof::head`]), also that nothing was cut off its end since. Reads all of it, in bounded memory.
    ///
    /// A chain that does not hold is no error of this call: see [`JournalProof::problem`].
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the journal cannot be read.
    ///
    /// ```
    /// use minutebook_core::{Decision, DecisionId, DecisionRepositoryExt};
    /// use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let dir = tempfile::tempdir()?;
    /// let repository = JsonDecisionRepository::open(dir.path(), JsonDecisionConfig::default())?;
    /// repository.create(&Decision::new(DecisionId::new("a")?)).await?;
    /// let head = repository.verify(None).await?.head;
    /// repository.create(&Decision::new(DecisionId::new("b")?)).await?;
    /// assert!(repository.verify(Some(&head)).await?.holds());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn verify(&self, head: Option<&str>) -> minutebook_core::Result<JournalProof> {
        let head = head.map(str::to_owned);
        let dir = self.directory().display().to_string();
        self.work("verify", dir, move |store| store.verify(head.as_deref()))
            .await
    }

    /// Seals the journal's active file now, however short it is, and compresses what is sealed. Gives back whether there was one.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if it cannot be written; the journal is whole all the same.
    pub async fn rotate(&self) -> minutebook_core::Result<bool> {
        let dir = self.directory().display().to_string();
        self.work("rotate", dir, |store| {
            let sealed = store.rotate(1)?;
            store.compress()?;
            Ok(sealed)
        })
        .await
    }

    /// Takes the documents of earlier revisions that `keep` does not name out of the journal's sealed files, and gives back how many
    /// those were. That they were there, when, and their digests stay, and the chain still holds.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if a file cannot be read or written; the journal is whole all the same.
    pub async fn prune_revisions(&self, keep: KeepRevisions) -> minutebook_core::Result<u64> {
        let dir = self.directory().display().to_string();
        self.work("prune_revisions", dir, move |store| {
            store.prune_revisions(keep)
        })
        .await
    }

    /// Runs work that may wait for the disk off the asynchronous threads.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        operation: &'static str,
        resource: impl Display + Send + Sync,
        f: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> minutebook_core::Result<T> {
        let store = Arc::clone(&self.store);
        let result = blocking(move || f(&store)).await;
        result
            .map_err(JsonError::from)
            .and_then(|done| done)
            .map_err(|error| error.into_core(operation, resource))
    }

    /// One mutation: off the asynchronous threads if it may wait for the disk, else here.
    pub(crate) async fn mutate(
        &self,
        operation: &'static str,
        resource: impl Display + Send + Sync,
        op: Op,
    ) -> minutebook_core::Result<Done> {
        let light =
            !self.store.config().durability.is_synced() && !matches!(op, Op::DeleteMatching(_));
        let mut results = self.store.submit(vec![op], light).await;
        let done = results.pop().unwrap_or(Err(JsonError::Abandoned));
        let done = done.map_err(|error| error.into_core(operation, &resource));
        if light && self.store.maintenance_is_due() {
            let maintain = |store: &Store| {
                store.maintain(0);
                Ok(())
            };
            self.work(operation, &resource, maintain).await?;
        }
        done
    }
}

/// Makes the texts of decisions, on several threads if there are many.
fn prepared(decisions: Vec<Decision>) -> Vec<Coming> {
    let threads = minutebook_fs::task::parallelism().min(decisions.len() / WORTH_A_THREAD);
    if threads < 2 {
        return decisions.into_iter().map(Coming::new).collect();
    }
    let each = decisions.len().div_ceil(threads);
    let mut made: Vec<Option<Coming>> = decisions.iter().map(|_| None).collect();
    let mut decisions = decisions;
    let mut parts = Vec::with_capacity(threads);
    for places in made.chunks_mut(each) {
        let later = decisions.split_off(places.len());
        parts.push((places, std::mem::replace(&mut decisions, later)));
    }
    let parts = Mutex::new(parts);
    let work = || {
        let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some((places, part)) = next() {
            for (place, decision) in places.iter_mut().zip(part) {
                *place = Some(Coming::new(decision));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system gives no thread, there is this one.
            drop(std::thread::Builder::new().spawn_scoped(scope, work));
        }
        work();
    });
    drop(parts);
    made.into_iter().flatten().collect()
}

fn without_journal(operation: &'static str) -> Error {
    needs_journal("which would tell of it")
        .with_backend(BACKEND)
        .with_operation(operation)
}

pub(crate) fn saved(done: Done) -> Result<SaveReceipt> {
    match done {
        Done::Saved(receipt) => Ok(receipt),
        Done::Deleted(_) => Err(JsonError::Abandoned),
    }
}

fn deleted(done: &Done) -> u64 {
    match done {
        Done::Saved(_) => 0,
        Done::Deleted(count) => *count,
    }
}

#[async_trait]
impl DecisionRepository for JsonDecisionRepository {
    fn capabilities(&self) -> Capabilities {
        if self.store.is_plain() {
            return Capabilities::of(&[
                Capability::Persistent,
                Capability::Shared,
                Capability::Revisions,
            ]);
        }
        Capabilities::of(&[
            Capability::Persistent,
            Capability::Shared,
            Capability::Revisions,
            Capability::History,
            Capability::Watch,
        ])
    }

    async fn save(
        &self,
        decision: &Decision,
        mode: SaveMode,
    ) -> minutebook_core::Result<SaveReceipt> {
        let id = decision.id();
        let done = self
            .mutate(
                "save",
                id,
                Op::Save(Box::new(Coming::new(decision.clone())), mode),
            )
            .await?;
        saved(done).map_err(|error| error.into_core("save", id))
    }

    async fn get(&self, id: &DecisionId) -> minutebook_core::Result<Option<StoredDecision>> {
        let found = self
            .store
            .get_at_once(id)
            .map_err(|error| error.into_core("get", id))?;
        if found.is_some() {
            return Ok(found);
        }
        let wanted = id.clone();
        self.work("get", id, move |store| store.get(&wanted)).await
    }

    async fn query(&self, query: &DecisionQuery) -> minutebook_core::Result<DecisionPage> {
        let dir = || self.directory().display().to_string();
        let at_once = self.store.query_at_once(query);
        if let Some(page) = at_once.map_err(|error| error.into_core("query", dir()))? {
            return Ok(page);
        }
        let query = query.clone();
        self.work(
            "query",
            self.directory().display().to_string(),
            move |store| store.query(&query),
        )
        .await
    }

    async fn count(&self, filter: &DecisionFilter) -> minutebook_core::Result<u64> {
        let dir = || self.directory().display().to_string();
        let at_once = self.store.count_at_once(filter);
        if let Some(count) = at_once.map_err(|error| error.into_core("count", dir()))? {
            return Ok(count);
        }
        let filter = filter.clone();
        self.work(
            "count",
            self.directory().display().to_string(),
            move |store| store.count(&filter),
        )
        .await
    }

    async fn count_by(
        &self,
        filter: &DecisionFilter,
        by: &GroupBy,
    ) -> minutebook_core::Result<Vec<GroupCount>> {
        by.check()?;
        let dir = || self.directory().display().to_string();
        let (asked, wanted) = (filter.clone(), by.clone());
        let counted = self
            .work("count_by", dir(), move |store| {
                store.count_by(&asked, &wanted)
            })
            .await?;
        if let Some(counts) = counted {
            return Ok(counts);
        }
        count_by_pages(self, filter, by).await
    }

    async fn delete(&self, id: &DecisionId) -> minutebook_core::Result<bool> {
        Ok(deleted(&self.mutate("delete", id, Op::Delete(id.clone())).await?) > 0)
    }

    async fn delete_matching(&self, filter: &DecisionFilter) -> minutebook_core::Result<u64> {
        let dir = self.directory().display().to_string();
        Ok(deleted(
            &self
                .mutate("delete_matching", dir, Op::DeleteMatching(filter.clone()))
                .await?,
        ))
    }

    async fn save_all(
        &self,
        decisions: Vec<Decision>,
        mode: SaveMode,
    ) -> Vec<minutebook_core::Result<SaveReceipt>> {
        let mut saved_all = Vec::with_capacity(decisions.len());
        let mut decisions = decisions.into_iter();
        loop {
            // In parts, since the text of each is made beforehand.
            let part: Vec<_> = decisions.by_ref().take(PART).collect();
            if part.is_empty() {
                return saved_all;
            }
            let ids: Vec<_> = part.iter().map(|decision| decision.id().clone()).collect();
            let ops = match blocking(move || prepared(part)).await {
                Ok(all) => all
                    .into_iter()
                    .map(|coming| Op::Save(Box::new(coming), mode.clone())),
                Err(error) => {
                    let failed = |id| {
                        let error = JsonError::Batch(error.to_string());
                        Err(error.into_core("save_all", id))
                    };
                    saved_all.extend(ids.iter().map(failed));
                    continue;
                }
            };
            let ops = ops.collect();
            saved_all.extend(self.mutate_all("save_all", ids, ops, saved).await);
        }
    }

    async fn delete_seen(
        &self,
        seen: Vec<(DecisionId, Revision)>,
    ) -> Vec<minutebook_core::Result<bool>> {
        let ids = seen.iter().map(|(id, _)| id.clone()).collect();
        let ops = seen
            .into_iter()
            .map(|(id, revision)| Op::DeleteSeen(id, revision))
            .collect();
        let take = |done: Done| Ok(deleted(&done) > 0);
        self.mutate_all("delete_seen", ids, ops, take).await
    }

    async fn history(&self, id: &DecisionId) -> minutebook_core::Result<Vec<DecisionState>> {
        if self.store.is_plain() {
            return Err(without_journal("history").with_resource(id));
        }
        let wanted = id.clone();
        self.work("history", id, move |store| store.history(&wanted))
            .await
    }

    async fn watch(&self, from: WatchFrom) -> minutebook_core::Result<ChangeStream> {
        if self.store.is_plain() {
            return Err(without_journal("watch"));
        }
        let store = Arc::clone(&self.store);
        let started = blocking(move || store.watch(&from)).await;
        let dir = self.directory().display();
        started
            .map_err(JsonError::from)
            .and_then(|started| started)
            .map_err(|error| error.into_core("watch", dir))
    }
}
