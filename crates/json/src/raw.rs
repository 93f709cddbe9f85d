//! Documents as raw text: what programs of other languages write and our parser refuses, kept letter for letter.

use chrono::{DateTime, Utc};
use minutebook_core::json::RawObject;
use minutebook_core::{Decision, DecisionId, Result, Revision, SaveMode, SaveReceipt};

use crate::decisions::{JsonDecisionRepository, saved};
use crate::error::JsonError;
use crate::store::{Op, Raw, RawBytes, Store};
use crate::wide;

/// The bytes of a document's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawDocument {
    /// What the file is called, within the directory.
    pub file: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Which state of the decision it is; `None` for a file that cannot be read and that was not saved through Minutebook.
    pub revision: Option<Revision>,
    /// When the store took it, UTC.
    pub recorded_at: Option<DateTime<Utc>>,
}

impl From<RawBytes> for RawDocument {
    fn from(raw: RawBytes) -> Self {
        let (revision, recorded_at) = raw.state.unzip();
        Self {
            file: raw.file.as_ref().to_owned(),
            bytes: raw.bytes,
            revision,
            recorded_at,
        }
    }
}

/// The known fields (`id`, `timestamp`, `asset_pair`, `action`, `confidence`) of a text that is wider than JSON, as
/// [`save_raw`](JsonDecisionRepository::save_raw) takes them. Those that cannot be read are left out.
///
/// ```
/// let text = r#"{"id": "a", "asset_pair": "BTCUSD", "confidence": NaN, "size": 1e999}"#;
/// let known = minutebook_json::raw_fields(text)?;
/// assert_eq!(known.to_json(), r#"{"id":"a","asset_pair":"BTCUSD"}"#);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if the text is no object, not even as Python writes it (the message has
/// the byte), or has no `id` that is allowed.
pub fn raw_fields(text: &str) -> Result<Decision> {
    const KNOWN: [&str; 5] = ["id", "timestamp", "asset_pair", "action", "confidence"];
    let fields = wide::fields(text).map_err(|error| {
        JsonError::NotWide {
            at: error.at,
            message: error.message,
        }
        .into_core("raw_fields", "the text")
    })?;
    let mut object = RawObject::default();
    for (key, value) in fields {
        let Ok(key) = serde_json::from_str::<String>(key) else {
            continue;
        };
        if KNOWN.contains(&key.as_str()) && object.set(key.as_str(), value).is_err() {
            // The last of several counts, as in Python, also where it cannot be read.
            object.remove(&key);
        }
    }
    let timestamp = object.get("timestamp").map(serde_json::from_str::<String>);
    let readable = match timestamp {
        Some(Ok(text)) => minutebook_core::time::parse_timestamp(&text).is_ok(),
        Some(Err(_)) => false,
        None => true,
    };
    if !readable {
        object.remove("timestamp");
    }
    Decision::from_fields(object)
}

impl JsonDecisionRepository {
    /// Saves a document's text letter for letter, also where it is wider than JSON: Python's `NaN` and `Infinity`, integers of
    /// any length, lone surrogates in escapes, any depth. `known` is what is known of it: its id, and the fields by which its file is
    /// named and told of ([`raw_fields`] reads them from the text). Journal, revisions, conflicts and recovery are those of every save.
    ///
    /// A text that reads as a decision is one like any other, and `known` has to have its id. One that does not is reported as
    /// [`RawOnly`](minutebook_core::ProblemKind::RawOnly) by queries, refused by `get`, and read by [`get_raw`](Self::get_raw); `delete`
    /// and saves find it, filters do not.
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if the text is no object, not even as Python writes it, has another
    /// id, or is too long; else as `save`.
    pub async fn save_raw(
        &self,
        known: &Decision,
        text: impl Into<String> + Send,
        mode: SaveMode,
    ) -> Result<SaveReceipt> {
        let id = known.id();
        let failed = |error: JsonError| error.into_core("save_raw", id);
        let raw = Raw::new(known, text.into()).map_err(failed)?;
        let op = Op::SaveRaw(Box::new(raw.into()), mode);
        let done = self.mutate("save_raw", id, op).await?;
        saved(done).map_err(failed)
    }

    /// The bytes of a decision's file, whether they can be read as a decision or not: what [`save_raw`](Self::save_raw) or another
    /// program wrote. A file that cannot be read is found by its name, `{date}_{id}.json`.
    ///
    /// # Errors
    /// As `get`.
    pub async fn get_raw(&self, id: &DecisionId) -> Result<Option<RawDocument>> {
        let wanted = id.clone();
        let found = self
            .work("get_raw", id, move |store| store.get_raw(&wanted))
            .await?;
        Ok(found.map(RawDocument::from))
    }

    /// The bytes of a document's file by the file's name, as problems name it.
    ///
    /// # Errors
    /// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) for a name that is none of a document (`*.json`, no path).
    pub async fn get_raw_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let wanted = name.to_owned();
        self.work("get_raw_file", name, move |store| {
            store.get_raw_file(&wanted)
        })
        .await
    }

    /// Every document that was saved as raw text and can be read as bytes alone, in ascending order of the ids, with what was
    /// told of it.
    ///
    /// # Errors
    /// As `query`.
    pub async fn raw_documents(&self) -> Result<Vec<(Decision, RawDocument)>> {
        let dir = self.directory().display().to_string();
        let entries = self.work("raw_documents", dir, Store::raw_entries).await?;
        let entries = entries.into_iter();
        Ok(entries
            .map(|entry| (entry.known, entry.bytes.into()))
            .collect())
    }
}
