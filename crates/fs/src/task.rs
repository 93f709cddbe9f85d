//! Blocking file work from asynchronous code.

use std::any::Any;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// Why blocking work gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The work panicked; its message.
    #[error("file work panicked: {0}")]
    Panicked(String),
    /// The runtime shut down before the work was done. It may have been done in part, or may be done later.
    #[error("the runtime shut down before file work was done")]
    Cancelled,
}

/// Runs blocking work off the asynchronous threads.
///
/// On a tokio runtime the work goes to its blocking pool; elsewhere (another executor, a plain `block_on`) it runs
/// inline, on the polling thread.
///
/// Dropping the returned future does not undo the work: once it has been polled, the work may run to its end.
///
/// # Errors
///
/// A panic in `f` becomes [`TaskError::Panicked`], a runtime that shuts down [`TaskError::Cancelled`].
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// let sum = runtime.block_on(minutebook_fs::task::blocking(|| 1 + 1))?;
/// assert_eq!(sum, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TaskError> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return inline(f);
    };
    runtime
        .spawn_blocking(f)
        .await
        .map_err(|error| match error.try_into_panic() {
            Ok(panic) => TaskError::Panicked(message(&*panic)),
            Err(_) => TaskError::Cancelled,
        })
}

/// Runs work that is done in no time here and now: handing it to another thread would take longer than the work itself.
///
/// # Errors
///
/// A panic in `f` becomes [`TaskError::Panicked`].
///
/// ```
/// assert_eq!(minutebook_fs::task::inline(|| 1 + 1)?, 2);
/// # Ok::<(), minutebook_fs::task::TaskError>(())
/// ```
pub fn inline<T>(f: impl FnOnce() -> T) -> Result<T, TaskError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| TaskError::Panicked(message(&*panic)))
}

/// Whether [`blocking`] hands its work to other threads here and now; else it runs on the thread that polls it.
pub fn has_pool() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}

/// Starts work off the asynchronous threads and does not wait for it: as [`blocking`] does, so without a runtime it is done when this
/// returns. A panic in it is logged; what waits for its outcome has to notice by itself.
///
/// ```
/// use std::sync::mpsc::channel;
/// let (sender, receiver) = channel();
/// minutebook_fs::task::detached(move || sender.send(1).unwrap_or_default());
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
pub fn detached(f: impl FnOnce() + Send + 'static) {
    let work = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
            tracing::error!(panic = message(&*panic), "file work panicked");
        }
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(work)),
        Err(_) => work(),
    }
}

/// How many threads may work at the same time.
pub fn parallelism() -> usize {
    // Asked once: the answer needs several calls to the system.
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "of an unknown kind".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn runs_inline_without_a_runtime() {
        let here = std::thread::current().id();
        let mut future = pin!(blocking(move || std::thread::current().id() == here));
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(Ok(same)) => assert!(same),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_panic_is_an_error_in_both_cases() {
        let mut future = pin!(blocking(|| -> () { panic!("inline {}", 1) }));
        let Poll::Ready(Err(TaskError::Panicked(text))) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("no error");
        };
        assert_eq!(text, "inline 1");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let error = runtime
            .block_on(blocking(|| -> () { panic!("pooled") }))
            .unwrap_err();
        assert!(matches!(error, TaskError::Panicked(text) if text == "pooled"));
    }

    #[test]
    fn work_goes_on_when_the_future_is_dropped() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (started, wait_started) = std::sync::mpsc::channel();
        let (go, wait_go) = std::sync::mpsc::channel::<()>();
        let (done, wait_done) = std::sync::mpsc::channel();
        runtime.block_on(async {
            let mut future = Box::pin(blocking(move || {
                started.send(()).unwrap();
                wait_go.recv().unwrap();
                done.send(()).unwrap();
            }));
            assert!(
                future
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            wait_started.recv().unwrap();
        });
        go.send(()).unwrap();
        wait_done.recv().unwrap();
    }
}
