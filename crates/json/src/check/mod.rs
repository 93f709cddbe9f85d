//! Checking what is on disk without opening a repository, which would mend it; and the calls that mend.

mod decisions;
mod documents;
mod journal;
mod mend;
mod registry;
mod salvage;

pub(crate) use journal::Walk;

pub use decisions::{DecisionsChecked, check_decisions};
pub use documents::{DocumentsChecked, check_documents};
pub use registry::check_registry;
pub use salvage::{Salvaged, salvage_registry};
