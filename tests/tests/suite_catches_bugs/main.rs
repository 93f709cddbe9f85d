//! The suite itself under test: stores with one deliberate bug each must fail the case that is there for it, and the sound store must
//! pass them all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test program")]

mod catalog;
mod decisions;
mod faults;
mod honest;
mod series;

use std::collections::BTreeSet;
use std::sync::Arc;

use minutebook_testkit::{Case, Harness};

/// Runs every case of a list, each on a store of its own, and gives the names of those that fail.
fn failing<R: ?Sized + Send + Sync + 'static>(
    cases: &[Case<R>],
    new: impl Fn() -> Arc<dyn Harness<R>>,
) -> BTreeSet<&'static str> {
    let fails = |case: &&Case<R>| case.check(new()).is_err();
    cases.iter().filter(fails).map(|case| case.name).collect()
}

/// The bug must make these cases fail; others may fail too.
fn must_catch(bug: &impl std::fmt::Debug, failed: &BTreeSet<&'static str>, expected: &[&str]) {
    let missed: Vec<_> = expected
        .iter()
        .filter(|name| !failed.contains(**name))
        .collect();
    assert!(
        !expected.is_empty() && missed.is_empty(),
        "{bug:?} must make {missed:?} fail, but only these failed: {failed:?}"
    );
}

/// Random histories must find the bug; more of them are tried where the environment asks for very few.
fn histories_must_catch(
    bug: &impl std::fmt::Debug,
    histories: impl Fn() -> minutebook_testkit::Outcome,
) {
    let failure = (0..200).find_map(|_| histories().err());
    let failure = failure.unwrap_or_else(|| panic!("no random history found {bug:?}"));
    let text = failure.message();
    assert!(
        text.contains("   1. "),
        "the failure shows no steps: {text}"
    );
    assert!(
        text.contains("PROPTEST_RNG_SEED="),
        "the failure names no seed: {text}"
    );
}
