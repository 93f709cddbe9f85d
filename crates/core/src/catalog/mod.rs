//! The catalog: what data there is, where, from when to when, where it comes from; and the trait of such a store.

mod change;
mod contents;
mod entry;
mod ext;
mod filter;
mod freshness;
mod lineage;
mod pattern;
mod repository;
mod wire;

pub use change::DatasetChange;
pub use contents::{Column, Contents, Statistics};
pub use entry::{DatasetEntry, StoredEntry};
pub use ext::CatalogExt;
pub use filter::DatasetFilter;
pub use freshness::StaleReason;
pub use lineage::Lineage;
pub use pattern::name_matches;
pub use repository::Catalog;

use crate::id::{check_text, text_newtype};

text_newtype! {
    /// The name of a dataset: 1 to 200 bytes without control characters. Compared exactly.
    DatasetName, |text| {
        check_text("dataset name", text, 200)?;
        Ok(text.into())
    }
}
