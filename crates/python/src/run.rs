//! Calls of the store from Python: waited for without the interpreter's lock, or as awaitables of asyncio.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use minutebook::Result;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use crate::error::raised;
use crate::wait::SLICE;

/// The runtime, and the process that it belongs to: a fork has none of its threads.
static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

pub(crate) fn runtime() -> PyResult<Arc<Runtime>> {
    let pid = std::process::id();
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((owner, runtime)) = &*slot
        && *owner == pid
    {
        return Ok(Arc::clone(runtime));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("minutebook")
        .enable_time()
        .build()
        .map_err(|e| PyRuntimeError::new_err(format!("no runtime: {e}")))?;
    let runtime = Arc::new(runtime);
    if let Some((_, old)) = slot.replace((pid, Arc::clone(&runtime))) {
        // Its threads are in another process; waiting for them here would never end.
        std::mem::forget(old);
    }
    Ok(runtime)
}

/// What hears that nobody awaits an answer any more.
pub(crate) trait GivenUp: Send + Sync {
    fn given_up(&self);
}

/// How calls are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// With the value.
    Sync,
    /// With an awaitable.
    Async,
}

/// What every object of a store has: how it answers, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls {
    pub(crate) mode: Mode,
    pid: u32,
}

impl Calls {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            pid: std::process::id(),
        }
    }

    /// Refuses what was opened before the process was forked: a child has none of the threads, and shares locks and positions in files.
    pub(crate) fn check(self) -> PyResult<()> {
        if self.is_ours() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this store was opened before the process was forked, and shares its locks; open it again",
        ))
    }

    /// Whether it was opened by this process.
    pub(crate) fn is_ours(self) -> bool {
        self.pid == std::process::id()
    }

    /// Carries out a call; `convert` makes the Python value of what it gives.
    pub(crate) fn run<T: Send + 'static>(
        self,
        py: Python<'_>,
        call: impl Future<Output = Result<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Py<PyAny>> {
        self.run_until(py, call, None, convert)
    }

    /// The same; `given_up` is told if nobody awaits the answer any more.
    pub(crate) fn run_until<T: Send + 'static>(
        self,
        py: Python<'_>,
        call: impl Future<Output = Result<T>> + Send + 'static,
        given_up: Option<Arc<dyn GivenUp>>,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Py<PyAny>> {
        self.check()?;
        match self.mode {
            Mode::Sync => wait(py, call)?
                .map_err(|error| raised(&error))
                .and_then(|value| convert(py, value)),
            Mode::Async => spawn(py, call, given_up, convert),
        }
    }
}

/// Waits for a call; a signal's exception ends the waiting and drops the call.
pub(crate) fn wait<T: Send>(py: Python<'_>, call: impl Future<Output = T> + Send) -> PyResult<T> {
    let runtime = runtime()?;
    py.detach(|| {
        runtime.block_on(async {
            let mut call = std::pin::pin!(call);
            loop {
                tokio::select! {
                    biased;
                    value = &mut call => return Ok(value),
                    () = tokio::time::sleep(SLICE) => {
                        Python::attach(|py| -> PyResult<()> { py.check_signals()?; Ok(()) })?;
                    }
                }
            }
        })
    })
}

fn spawn<T: Send + 'static>(
    py: Python<'_>,
    call: impl Future<Output = Result<T>> + Send + 'static,
    given_up: Option<Arc<dyn GivenUp>>,
    convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
) -> PyResult<Py<PyAny>> {
    static ASYNCIO: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    let (running, settle) = ASYNCIO.get_or_try_init(py, || -> PyResult<_> {
        let running = py.import("asyncio")?.getattr("get_running_loop")?.unbind();
        let settle = py.import("minutebook._settle")?.getattr("settle")?.unbind();
        Ok((running, settle))
    })?;
    let ring = running.call0(py)?;
    let future = ring.call_method0(py, "create_future")?;
    let (ours, settle) = (future.clone_ref(py), settle.clone_ref(py));
    let task = runtime()?.spawn(async move {
        let answer = AssertUnwindSafe(call).catch_unwind().await;
        // None at the end of the interpreter, when nobody waits any more.
        Python::try_attach(|py| {
            let convert = |value| {
                let made = || convert(py, value);
                std::panic::catch_unwind(AssertUnwindSafe(made)).unwrap_or_else(|_| Err(broken()))
            };
            let answer = match answer {
                Ok(Ok(value)) => convert(value),
                Ok(Err(error)) => Err(raised(&error)),
                Err(_) => Err(broken()),
            };
            let (value, error) = match answer {
                Ok(value) => (value, py.None()),
                Err(error) => (py.None(), error.into_value(py).into_any()),
            };
            let done = ring.call_method1(py, "call_soon_threadsafe", (settle, ours, value, error));
            // The loop was closed while the call was under way.
            drop(done);
        });
    });
    let abort = Abort(task.abort_handle(), given_up);
    future.call_method1(py, "add_done_callback", (abort,))?;
    Ok(future)
}

/// For who awaits a call that panicked: without it nobody would ever hear.
fn broken() -> PyErr {
    PyRuntimeError::new_err("a defect ended this call; what was reported of it is on stderr")
}

/// Ends a call whose awaitable was cancelled.
#[pyclass(module = "minutebook._native", frozen)]
struct Abort(AbortHandle, Option<Arc<dyn GivenUp>>);

#[pymethods]
impl Abort {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if future.call_method0("cancelled")?.is_truthy()? {
            self.0.abort();
            if let Some(given_up) = &self.1 {
                given_up.given_up();
            }
        }
        Ok(())
    }
}
