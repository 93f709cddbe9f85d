//! Documents in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use minutebook_core::{
    Capabilities, Capability, Clock, DocumentFilter, DocumentInfo, DocumentName,
    DocumentRepository, Error, Result, StoredDocument, SystemClock, json,
};

use super::BACKEND;

/// A [`DocumentRepository`] in memory, for tests and for trying things out.
///
/// Clones share one store, as several handles on one directory do.
#[derive(Debug, Clone)]
pub struct MemoryDocuments {
    clock: Arc<dyn Clock>,
    documents: Arc<Mutex<BTreeMap<DocumentName, StoredDocument>>>,
}

impl MemoryDocuments {
    /// No documents, after the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// No documents, after this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            documents: Arc::default(),
        }
    }

    fn documents(&self) -> MutexGuard<'_, BTreeMap<DocumentName, StoredDocument>> {
        // No change panics half way, so a poisoned lock guards a sound state.
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryDocuments {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl DocumentRepository for MemoryDocuments {
    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Shared])
    }

    async fn save(&self, name: &DocumentName, text: &str) -> Result<()> {
        json::check(text).map_err(|error| {
            Error::invalid(format!("the document is not one JSON value: {error}"))
                .with_source(error)
                .with_backend(BACKEND)
                .with_operation("save")
                .with_resource(name)
        })?;
        let document = StoredDocument {
            info: DocumentInfo::new(name.clone(), self.clock.now(), text.len() as u64),
            text: text.to_owned(),
        };
        self.documents().insert(name.clone(), document);
        Ok(())
    }

    async fn get(&self, name: &DocumentName) -> Result<Option<StoredDocument>> {
        Ok(self.documents().get(name).cloned())
    }

    async fn list(&self, filter: &DocumentFilter) -> Result<Vec<DocumentInfo>> {
        let documents = self.documents();
        let infos = documents.values().map(|document| &document.info);
        let mut found: Vec<_> = infos.filter(|info| filter.matches(info)).cloned().collect();
        // They come in the order of their names, which a stable sort keeps among equal times.
        found.sort_by_key(DocumentInfo::time);
        Ok(found)
    }

    async fn delete(&self, name: &DocumentName) -> Result<bool> {
        Ok(self.documents().remove(name).is_some())
    }
}
