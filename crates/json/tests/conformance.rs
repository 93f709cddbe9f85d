//! The conformance suite, on the real file system and on the simulated disk.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::sync::Arc;

use minutebook_core::{
    Catalog, Clock, DecisionRepository, DocumentRepository, ManualClock, Result,
};
use minutebook_fs::{Durability, SimFs};
use minutebook_json::{
    JsonCatalog, JsonCatalogConfig, JsonDecisionConfig, JsonDecisionRepository, JsonDocuments,
    JsonDocumentsConfig,
};
use minutebook_testkit::{Harness, async_trait, test_clock};

/// A temporary directory.
struct OnDisk {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    durability: Durability,
}

impl OnDisk {
    fn with(durability: Durability) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: test_clock(),
            durability,
        }
    }

    fn decisions(&self) -> Result<Arc<dyn DecisionRepository>> {
        let config = JsonDecisionConfig::default()
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .durability(self.durability);
        Ok(Arc::new(JsonDecisionRepository::open(
            self.dir.path().join("decisions"),
            config,
        )?))
    }
}

#[async_trait]
impl Harness<dyn DecisionRepository> for OnDisk {
    fn new() -> Self {
        Self::with(Durability::Synced)
    }

    async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
        self.decisions()
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

#[async_trait]
impl Harness<dyn Catalog> for OnDisk {
    fn new() -> Self {
        Self::with(Durability::Synced)
    }

    async fn open(&self) -> Result<Arc<dyn Catalog>> {
        let config = JsonCatalogConfig::default().clock(Arc::clone(&self.clock) as Arc<dyn Clock>);
        Ok(Arc::new(JsonCatalog::open(
            self.dir.path().join("registry.json"),
            config,
        )?))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

/// As [`OnDisk`], without syncs.
struct Buffered(OnDisk);

#[async_trait]
impl Harness<dyn DecisionRepository> for Buffered {
    fn new() -> Self {
        Self(OnDisk::with(Durability::Buffered))
    }

    async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
        self.0.decisions()
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.0.clock))
    }
}

/// As [`OnDisk`], without a journal. While a clock stands, what is saved gets later times there, so that revisions differ: it is the system's.
struct Plain(OnDisk);

#[async_trait]
impl Harness<dyn DecisionRepository> for Plain {
    fn new() -> Self {
        Self(OnDisk::with(Durability::Synced))
    }

    async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
        let config = JsonDecisionConfig::default().journal(false);
        let dir = self.0.dir.path().join("decisions");
        Ok(Arc::new(JsonDecisionRepository::open(dir, config)?))
    }
}

/// As [`Plain`], on a system that does not tell of changes in a directory.
struct PlainUnwatched(OnDisk);

#[async_trait]
impl Harness<dyn DecisionRepository> for PlainUnwatched {
    fn new() -> Self {
        Self(OnDisk::with(Durability::Synced))
    }

    async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
        let config = JsonDecisionConfig::default()
            .journal(false)
            .watch_directory(false);
        let dir = self.0.dir.path().join("decisions");
        Ok(Arc::new(JsonDecisionRepository::open(dir, config)?))
    }
}

/// As [`OnDisk`], on a system that does not tell of changes in a directory.
struct Unwatched(OnDisk);

#[async_trait]
impl Harness<dyn DecisionRepository> for Unwatched {
    fn new() -> Self {
        Self(OnDisk::with(Durability::Buffered))
    }

    async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
        let config = JsonDecisionConfig::default()
            .clock(Arc::clone(&self.0.clock) as Arc<dyn Clock>)
            .durability(Durability::Buffered)
            .watch_directory(false);
        let dir = self.0.dir.path().join("decisions");
        Ok(Arc::new(JsonDecisionRepository::open(dir, config)?))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.0.clock))
    }
}

/// The simulated disk, which does not tell one run of the machine from another; no cache, and checkpoints all the time.
struct Simulated {
    disk: SimFs,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Harness<dyn DecisionRepository> for Simulated {
    fn new() -> Self {
        Self {
            disk: SimFs::new(),
            clock: test_clock(),
        }
    }

    async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
        let config = JsonDecisionConfig::default()
            .fs(Arc::new(self.disk.new_process()))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .max_decisions(0)
            .checkpoint_every(3);
        Ok(Arc::new(JsonDecisionRepository::open(
            "/store/decisions",
            config,
        )?))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

#[async_trait]
impl Harness<dyn Catalog> for Simulated {
    fn new() -> Self {
        Self {
            disk: SimFs::new(),
            clock: test_clock(),
        }
    }

    async fn open(&self) -> Result<Arc<dyn Catalog>> {
        let config = JsonCatalogConfig::default()
            .fs(Arc::new(self.disk.new_process()))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>);
        Ok(Arc::new(JsonCatalog::open("/store/registry.json", config)?))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(Arc::clone(&self.clock))
    }
}

#[async_trait]
impl Harness<dyn DocumentRepository> for OnDisk {
    fn new() -> Self {
        Self::with(Durability::Synced)
    }

    async fn open(&self) -> Result<Arc<dyn DocumentRepository>> {
        Ok(Arc::new(JsonDocuments::open(
            self.dir.path().join("documents"),
            JsonDocumentsConfig::default(),
        )?))
    }
}

#[async_trait]
impl Harness<dyn DocumentRepository> for Simulated {
    fn new() -> Self {
        Self {
            disk: SimFs::new(),
            clock: test_clock(),
        }
    }

    async fn open(&self) -> Result<Arc<dyn DocumentRepository>> {
        let config = JsonDocumentsConfig::default().fs(Arc::new(self.disk.new_process()));
        Ok(Arc::new(JsonDocuments::open("/store/documents", config)?))
    }
}

mod on_disk {
    minutebook_testkit::document_repository_tests!(crate::OnDisk);
    minutebook_testkit::decision_repository_tests!(crate::OnDisk);
    minutebook_testkit::catalog_tests!(crate::OnDisk);
}

mod buffered {
    minutebook_testkit::decision_repository_tests!(crate::Buffered);
}

mod plain {
    minutebook_testkit::decision_repository_tests!(crate::Plain);
}

mod plain_unwatched {
    minutebook_testkit::decision_repository_tests!(crate::PlainUnwatched);
}

mod unwatched {
    minutebook_testkit::decision_repository_tests!(crate::Unwatched);
}

mod simulated {
    minutebook_testkit::document_repository_tests!(crate::Simulated);
    minutebook_testkit::decision_repository_tests!(crate::Simulated);
    minutebook_testkit::catalog_tests!(crate::Simulated);
}
