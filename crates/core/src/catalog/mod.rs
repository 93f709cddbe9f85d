//! The catalog: what data there is, where, from when to when; and the trait of such a store.

mod entry;
mod ext;
mod filter;
mod repository;

pub use entry::{DatasetChange, DatasetEntry, Statistics, StoredEntry};
pub use ext::CatalogExt;
pub use filter::DatasetFilter;
pub use repository::Catalog;

use crate::id::{check_text, text_newtype};

text_newtype! {
    /// The name of a dataset: 1 to 200 bytes without control characters. Compared exactly.
    DatasetName, |text| {
        check_text("dataset name", text, 200)?;
        Ok(text.into())
    }
}
