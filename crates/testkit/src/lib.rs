//! The conformance suite of Minutebook: what every backend must do, yours included.
//!
//! Each sentence of the "# Behavior" lists in `minutebook-core` is proved by at least one named [`Case`]. The cases are public lists
//! ([`DECISION_CASES`], [`SERIES_CASES`], [`CATALOG_CASES`], [`DOCUMENT_CASES`]), and a macro for each trait makes one `#[test]` of each case,
//! and tests that compare random histories with a plain model:
//!
//! ```text
//! // tests/conformance.rs of a backend
//! struct MyHarness { /* a temporary directory, a clock */ }
//!
//! #[minutebook_testkit::async_trait]
//! impl minutebook_testkit::Harness<dyn minutebook_core::DecisionRepository> for MyHarness { /* new, open */ }
//!
//! minutebook_testkit::decision_repository_tests!(MyHarness);
//! ```
//!
//! A case that needs a [`Capability`](minutebook_core::Capability) which the backend does not claim is not skipped: it asserts that the
//! backend refuses with `Unsupported` and that nothing changed. So claiming less than a backend can do fails, too.
//!
//! [`faults::Faulty`] wraps any repository and makes calls fail before or after they took effect, by script.

#[cfg(test)]
mod behavior;
mod case;
mod check;
pub mod data;
mod explore;
mod harness;
mod macros;

pub mod catalog;
pub mod decision;
pub mod document;
pub mod faults;
pub mod series;

pub use async_trait::async_trait;
pub use case::{Case, CaseFuture, Failure, Outcome};
pub use catalog::CATALOG_CASES;
pub use decision::DECISION_CASES;
pub use document::DOCUMENT_CASES;
pub use explore::NewHarness;
pub use harness::{Fixture, Harness, test_clock};
pub use series::SERIES_CASES;

#[doc(hidden)]
pub use case::check_named;
