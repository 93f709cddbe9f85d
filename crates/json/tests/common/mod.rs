//! What tests of decisions on a simulated disk begin with.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use minutebook_core::time::parse_timestamp;
use minutebook_core::{Decision, DecisionId, ManualClock};
use minutebook_fs::{Images, SimFs};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

/// Which run of the machine it is.
pub(crate) const BOOT: &str = "/proc/sys/kernel/random/boot_id";
pub(crate) const JOURNAL: &str = "/d/decisions.journal.jsonl";

/// Without a runtime everything runs inline, so that each run takes the same steps.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}

pub(crate) fn config(disk: &SimFs) -> JsonDecisionConfig {
    JsonDecisionConfig::default().fs(Arc::new(disk.clone()))
}

/// With a clock that stands.
pub(crate) fn at_noon(disk: &SimFs) -> JsonDecisionConfig {
    let now = parse_timestamp("2025-06-01T12:00:00Z").unwrap();
    config(disk).clock(Arc::new(ManualClock::at(now)))
}

pub(crate) fn open(disk: &SimFs) -> JsonDecisionRepository {
    JsonDecisionRepository::open("/d", config(disk)).unwrap()
}

/// The decisions after a power cut now, in every state that it may leave, of which so many are looked at; each with what it is.
pub(crate) fn after_cuts(disk: &SimFs, max: usize, check: impl Fn(JsonDecisionRepository, &str)) {
    let images = disk.images_after_crash(&Images::default().max(max));
    assert!(!images.is_empty());
    for image in images {
        image.fs.put(BOOT, b"after the cut\n").unwrap();
        check(open(&image.fs), &image.what);
    }
}

pub(crate) fn id(text: &str) -> DecisionId {
    DecisionId::new(text).unwrap()
}

/// A decision of the n-th day.
pub(crate) fn decision(id: &str, n: u32) -> Decision {
    Decision::from_json(&format!(
        r#"{{"id":"{id}","timestamp":"2025-01-{n:02}","n":{n}}}"#
    ))
    .unwrap()
}
