//! Random histories: proptest makes them, a store and a model live through them, a failure shows the shortest that fails.

use std::fmt::Debug;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::Result;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use crate::case::{Failure, Outcome, block_on};
use crate::faults::{Fault, Script, is_injected};
use crate::harness::{Fixture, Harness};

/// How many histories a test tries unless `MINUTEBOOK_PROPTEST_CASES` says otherwise: few, so that daily tests stay quick.
const HISTORIES: u32 = 16;

/// The longest history.
pub(crate) const STEPS: usize = 24;

/// Makes the harness of a fresh store, once for each history.
pub type NewHarness<'a, R> = &'a dyn Fn() -> Arc<dyn Harness<R>>;

/// Tries random values, each on a fresh store. The environment decides how many (`MINUTEBOOK_PROPTEST_CASES`) and which
/// (`PROPTEST_RNG_SEED`, which a failure names).
pub(crate) fn explore<R, T, F>(
    new: NewHarness<'_, R>,
    values: impl Strategy<Value = T>,
    run: F,
) -> Outcome
where
    R: ?Sized + Send + Sync + 'static,
    T: Debug + Send + 'static,
    F: Fn(Fixture<R>, T) -> crate::CaseFuture,
{
    let cases = std::env::var("MINUTEBOOK_PROPTEST_CASES").ok();
    let cases = match cases.as_deref().map(str::parse) {
        None => HISTORIES,
        Some(Ok(cases)) => cases,
        Some(Err(_)) => return Err(Failure::new("MINUTEBOOK_PROPTEST_CASES is no number")),
    };
    let mut config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        // A hasher of the standard library starts from a random key; that is all the randomness there is to need.
        RngSeed::Random => std::hash::RandomState::new().build_hasher().finish(),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    let outcome = TestRunner::new(config).run(&values, |value| {
        let future = run(Fixture::new(new()), value);
        block_on(future).map_err(|failure| TestCaseError::fail(failure.message().to_owned()))
    });
    match outcome {
        Ok(()) => Ok(()),
        // The message holds the history as far as it went, so the value itself would say it twice.
        Err(TestError::Fail(reason, _)) => Err(Failure::new(format!(
            "{reason}\n  to repeat: PROPTEST_RNG_SEED={seed}"
        ))),
        Err(TestError::Abort(reason)) => Err(Failure::new(format!(
            "the histories cannot be made: {reason}"
        ))),
    }
}

/// A store and the model of what must be in it, which live through a history together.
#[async_trait]
pub(crate) trait World<R: ?Sized + Send + Sync + 'static>: Sized + Send + 'static {
    /// One thing that happens.
    type Step: Debug + Send + 'static;

    /// Opens the store, which is empty, with the script between the two.
    async fn open(store: Fixture<R>, script: Script) -> Outcome<Self>;

    /// Takes a step, and compares what the store says of it.
    async fn step(self, step: Self::Step) -> Outcome<Self>;

    /// Compares everything.
    async fn agrees(&self) -> Outcome;
}

/// Compares random histories of a store with its model; with faults, in calls that fail before or after they took effect.
pub(crate) fn histories<R, W>(
    new: NewHarness<'_, R>,
    steps: impl Strategy<Value = Vec<W::Step>>,
    faults: impl Strategy<Value = Vec<Fault>>,
) -> Outcome
where
    R: ?Sized + Send + Sync + 'static,
    W: World<R>,
{
    explore(new, (steps, faults), |store, (steps, faults)| {
        Box::pin(live::<R, W>(store, steps, faults))
    })
}

async fn live<R, W>(store: Fixture<R>, steps: Vec<W::Step>, faults: Vec<Fault>) -> Outcome
where
    R: ?Sized + Send + Sync + 'static,
    W: World<R>,
{
    let script = Script::new(faults);
    let mut log = Log::default();
    let mut world = W::open(store, script.clone()).await?;
    for step in steps {
        log.step(&step);
        let next = world.step(step).await;
        world = next.map_err(|failure| log.explain(&script, &failure))?;
    }
    log.step(&"reading everything at the end");
    let end = world.agrees().await;
    end.map_err(|failure| log.explain(&script, &failure))
}

/// Scripts with many calls that go through and some that do not.
pub(crate) fn scripts() -> impl Strategy<Value = Vec<Fault>> {
    let fault = proptest::prop_oneof![
        4 => proptest::strategy::Just(Fault::None),
        1 => proptest::strategy::Just(Fault::Before),
        2 => proptest::strategy::Just(Fault::After),
        1 => proptest::strategy::Just(Fault::Delay(std::time::Duration::from_micros(50))),
    ];
    proptest::collection::vec(fault, 0..STEPS * 2)
}

/// Nothing goes wrong.
pub(crate) fn no_faults() -> impl Strategy<Value = Vec<Fault>> {
    proptest::strategy::Just(Vec::new())
}

/// Reads until no fault is in the way. Scripts end, and so does this.
pub(crate) async fn insist<T, F: Future<Output = Result<T>>>(
    mut read: impl FnMut() -> F,
) -> Result<T> {
    loop {
        match read().await {
            Err(error) if is_injected(&error) => {}
            answer => return answer,
        }
    }
}

/// The steps of a history as a failure shows them.
#[derive(Debug, Default)]
struct Log(Vec<String>);

impl Log {
    fn step(&mut self, step: &impl Debug) {
        self.0.push(format!("{:>4}. {step:?}", self.0.len() + 1));
    }

    /// Puts the steps so far under a failure.
    fn explain(&self, script: &Script, failure: &Failure) -> Failure {
        let faults = match script.remaining() {
            0 => String::new(),
            left => format!("\n  ({left} planned faults were not reached)"),
        };
        Failure::new(format!(
            "{failure}\n  after these steps, the last of which failed:\n{}{faults}",
            self.0.join("\n")
        ))
    }
}
