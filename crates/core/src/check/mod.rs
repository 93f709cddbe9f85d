//! What a check over stored data finds: kinds, places, how each came about, and what would mend it.

mod finding;
mod kind;
mod watch;

pub use finding::{Finding, Mend};
pub use kind::{FindingKind, Part, Severity};
pub use watch::Watch;
