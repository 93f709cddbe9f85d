//! Decisions and the catalog of datasets in JSON files that people and other programs can read and edit.
//!
//! | what | where |
//! | --- | --- |
//! | [`JsonDecisionRepository`] | a directory of `{YYYY-MM-DD}_{id}.json` with a journal |
//! | [`JsonCatalog`] | one `registry.json` |
//! | [`JsonDocuments`] | a directory of JSON files, by name |
//! | [`save_json`], [`load_json`] | any value as a JSON file |
//!
//! The formats are described in `docs/format/decisions.md`, `journal.md` and `registry.md`.
//!
//! ```
//! use minutebook_core::{Decision, DecisionRepository, DecisionRepositoryExt};
//! use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! # let dir = tempfile::tempdir()?;
//! let repository = JsonDecisionRepository::open(dir.path(), JsonDecisionConfig::default())?;
//! let decision = Decision::from_json(
//!     r#"{"id": "d-1", "timestamp": "2025-12-02T15:51:23Z", "asset_pair": "BTCUSD", "action": "BUY"}"#,
//! )?;
//! repository.create(&decision).await?;
//! assert!(dir.path().join("2025-12-02_d-1.json").exists());
//! assert_eq!(repository.recent(10, None).await?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod catalog;
mod check;
mod codec;
mod config;
mod decisions;
mod documents;
mod error;
mod feed;
mod journal;
mod layout;
mod raw;
mod save;
mod store;
mod text;
mod wide;

pub use catalog::{JsonCatalog, Resolved, resolve};
pub use check::{
    DecisionsChecked, DocumentsChecked, Salvaged, check_decisions, check_documents, check_registry,
    salvage_registry,
};
pub use config::{JsonCatalogConfig, JsonDecisionConfig, KeepRevisions};
pub use decisions::JsonDecisionRepository;
pub use documents::{JsonDocuments, JsonDocumentsConfig};
pub use journal::JournalProof;
pub use raw::{RawDocument, raw_fields};
pub use save::{JsonOptions, load_json, load_json_with, save_json};
pub use store::whole_journal;
