//! What follows from the trait: values in place of text.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{DocumentName, DocumentRepository};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{pretty, sorted, to_text};

/// Shorthands over every [`DocumentRepository`].
#[async_trait]
pub trait DocumentRepositoryExt: DocumentRepository {
    /// Saves any value as JSON: indented by two blanks, the keys of every object sorted, as the original's `save_json` does.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for what JSON cannot hold (NaN and infinity, keys that are no strings).
    async fn save_value<T: Serialize + Sync + ?Sized>(
        &self,
        name: &DocumentName,
        value: &T,
    ) -> Result<()> {
        let text = to_text(value).and_then(|text| sorted(&text));
        let text = text.map_err(|error| {
            Error::invalid(format!("the value cannot be written as JSON: {error}"))
                .with_source(error)
                .with_operation("save")
                .with_resource(name)
        })?;
        self.save(name, &pretty(&text)).await
    }

    /// Reads a document as a value.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) with line and column if the text does not fit the type.
    async fn load<T: DeserializeOwned>(&self, name: &DocumentName) -> Result<Option<T>> {
        let Some(found) = self.get(name).await? else {
            return Ok(None);
        };
        serde_json::from_str(&found.text)
            .map(Some)
            .map_err(|error| {
                Error::new(ErrorKind::Corrupt, format!("cannot be read: {error}"))
                    .with_source(error)
                    .with_operation("load")
                    .with_resource(name)
            })
    }
}

impl<T: DocumentRepository + ?Sized> DocumentRepositoryExt for T {}
