//! The trait of a store of documents.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::{DocumentFilter, DocumentInfo, DocumentName, StoredDocument};
use crate::capability::Capabilities;
use crate::error::Result;

/// A store of documents.
///
/// All methods take `&self` and may be called from many tasks at once. What the backend cannot do is in
/// [`capabilities`](Self::capabilities).
///
/// Each item under "Behavior" is a case of the conformance suite `minutebook-testkit`.
#[async_trait]
pub trait DocumentRepository: Debug + Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Saves a document, in the place of the one of its name, whole or not at all.
    ///
    /// # Behavior
    /// - After `Ok`, `get` gives the text letter for letter, and `list` names it.
    /// - The document of that name before is gone; every other stays, also one whose name begins with this one.
    /// - Text that is not one JSON value is `InvalidInput` and changes nothing.
    /// - A concurrent reader gets one of the texts whole.
    async fn save(&self, name: &DocumentName, text: &str) -> Result<()>;

    /// Reads a document.
    ///
    /// # Behavior
    /// - A name that is not there is `Ok(None)`; names are compared exactly.
    async fn get(&self, name: &DocumentName) -> Result<Option<StoredDocument>>;

    /// What is known of the documents that match, in ascending order of their times, then of their names.
    ///
    /// # Behavior
    /// - Every condition of the filter is applied; all must hold.
    async fn list(&self, filter: &DocumentFilter) -> Result<Vec<DocumentInfo>>;

    /// Deletes a document and says whether it was there.
    ///
    /// # Behavior
    /// - Afterwards `get` is `Ok(None)`; deleting again is `Ok(false)`; other documents stay.
    async fn delete(&self, name: &DocumentName) -> Result<bool>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<T: DocumentRepository + ?Sized> DocumentRepository for $pointer<T> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn save(&self, name: &DocumentName, text: &str) -> Result<()> {
                (**self).save(name, text).await
            }

            async fn get(&self, name: &DocumentName) -> Result<Option<StoredDocument>> {
                (**self).get(name).await
            }

            async fn list(&self, filter: &DocumentFilter) -> Result<Vec<DocumentInfo>> {
                (**self).list(filter).await
            }

            async fn delete(&self, name: &DocumentName) -> Result<bool> {
                (**self).delete(name).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
