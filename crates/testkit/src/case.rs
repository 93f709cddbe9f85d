//! A case of the suite: what it is called, which promise it proves, and how it is run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use minutebook_core::Error;

use crate::harness::{Fixture, Harness};

/// What a case or a check comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

/// How long a case may run before it counts as hanging.
const TIME_LIMIT: Duration = Duration::from_mins(5);

/// Why a case failed, in words.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0
    }

    /// Says before the message what was going on.
    #[must_use]
    pub fn context(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The message as it is, since this is what a `#[test]` that returns a failure shows.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = format!(
            "a call that should succeed failed ({}): {error}",
            error.kind()
        );
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message.push_str("; caused by: ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self(message)
    }
}

/// The future of a running case.
pub type CaseFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One named case of the suite for the repository trait `R`, for example `dyn DecisionRepository`.
pub struct Case<R: ?Sized + Send + Sync + 'static> {
    /// Its name, which is also the name of its `#[test]`.
    pub name: &'static str,
    /// The method whose promise it proves; `capability` for what a [`Capability`](minutebook_core::Capability) promises,
    /// and `contract` for what the trait says of all its methods.
    pub method: &'static str,
    /// The promise: a sentence of the method's "# Behavior" list, or of the capability's or trait's documentation.
    pub behavior: &'static str,
    /// Runs it; [`check`](Self::check) does so with a runtime, a time limit and a full message.
    pub run: fn(Fixture<R>) -> CaseFuture,
}

impl<R: ?Sized + Send + Sync + 'static> Case<R> {
    /// Runs the case on a fresh store, on a runtime of its own with several threads.
    ///
    /// # Errors
    /// Why the promise does not hold; a panic and a case that does not come to an end are failures too.
    pub fn check(&self, harness: Arc<dyn Harness<R>>) -> Outcome {
        let run = self.run;
        block_on(async move { run(Fixture::new(harness)).await }).map_err(|failure| {
            Failure(format!(
                "{failure}\n  case:     {}\n  promise:  {}: {}",
                self.name, self.method, self.behavior
            ))
        })
    }
}

impl<R: ?Sized + Send + Sync + 'static> fmt::Debug for Case<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .field("method", &self.method)
            .field("behavior", &self.behavior)
            .finish_non_exhaustive()
    }
}

/// Runs the case of this name; what the macros' tests call.
#[doc(hidden)]
pub fn check_named<R: ?Sized + Send + Sync + 'static>(
    cases: &[Case<R>],
    name: &str,
    harness: Arc<dyn Harness<R>>,
) -> Outcome {
    match cases.iter().find(|case| case.name == name) {
        Some(case) => case.check(harness),
        None => Err(Failure(format!("there is no case named {name}"))),
    }
}

/// Runs a future on a runtime with several threads, so that what it spawns runs truly at once.
pub(crate) fn block_on(future: impl Future<Output = Outcome> + Send + 'static) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .map_err(|error| Failure(format!("cannot start a runtime: {error}")))?;
    // Spawned, so that a panic is caught and a call that blocks its thread for ever is noticed.
    let task = runtime.spawn(future);
    let outcome = runtime.block_on(async { tokio::time::timeout(TIME_LIMIT, task).await });
    runtime.shutdown_background();
    match outcome {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(Failure(match error.try_into_panic() {
            Ok(panic) => format!("it panicked: {}", panic_text(panic.as_ref())),
            Err(error) => format!("its task died: {error}"),
        })),
        Err(_) => Err(Failure(format!(
            "it did not come to an end within {} s",
            TIME_LIMIT.as_secs()
        ))),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("(no text)")
}
