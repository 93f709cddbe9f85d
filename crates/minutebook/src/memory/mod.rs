//! The stores in memory: the same semantics as on disk, held to the same conformance suite. For the tests of applications.
//!
//! ```
//! use std::sync::Arc;
//! use minutebook::memory::MemoryDecisionRepository;
//! use minutebook_core::{DecisionRepository, ManualClock, time::parse_timestamp};
//!
//! // A clock of the test's own makes `recorded_at` what the test says.
//! let clock = Arc::new(ManualClock::at(parse_timestamp("2025-01-01")?));
//! let decisions: Arc<dyn DecisionRepository> = Arc::new(MemoryDecisionRepository::with_clock(clock));
//! # Ok::<(), minutebook_core::Error>(())
//! ```

mod catalog;
mod decisions;
mod documents;
mod series;
#[cfg(test)]
mod tests;

pub use catalog::MemoryCatalog;
pub use decisions::MemoryDecisionRepository;
pub use documents::MemoryDocuments;
pub use series::MemoryTimeSeriesRepository;

use minutebook_core::{Error, ErrorKind, Result, Revision};

/// What these stores are called in errors.
const BACKEND: &str = "memory";

/// Counts the changes of a store. A number is never given twice, so a state that comes back has a new one.
#[derive(Debug, Default)]
struct Counter(u64);

impl Counter {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

fn check_expected(expected: Option<&Revision>, stored: &Revision) -> Result<()> {
    match expected {
        Some(expected) if expected != stored => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "it is at revision {stored} and no longer at {expected}; read it again and retry"
            ),
        )),
        _ => Ok(()),
    }
}
