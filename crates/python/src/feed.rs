//! Streams that Python reads item by item, in a plain loop or with `await`, so that no item is lost to who stops waiting.

use std::sync::{Arc, Mutex, PoisonError};

use minutebook::Result;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::convert::ok;
use crate::run::{Calls, Mode, wait};

/// What the items come from.
pub(crate) trait Source: Send + 'static {
    type Item: Clone + Send + 'static;

    /// Waits for the next item. A call that is given up takes none.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Item>>> + Send;
}

/// A source, and the item of it that is on its way.
struct Slot<S: Source> {
    source: S,
    given: Option<S::Item>,
}

/// A stream for Python.
pub(crate) struct Feed<S: Source> {
    slot: Arc<tokio::sync::Mutex<Slot<S>>>,
    calls: Calls,
}

impl<S: Source> Feed<S> {
    pub(crate) fn new(source: S, calls: Calls) -> Self {
        let given = None;
        Self {
            slot: Arc::new(tokio::sync::Mutex::new(Slot { source, given })),
            calls,
        }
    }

    /// Looks at the source, unless somebody waits for it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut S) -> T) -> Option<T> {
        let mut slot = self.slot.try_lock().ok()?;
        Some(look(&mut slot.source))
    }

    /// Whether a plain loop may be begun.
    pub(crate) fn plain(&self) -> PyResult<()> {
        match self.calls.mode {
            Mode::Sync => Ok(()),
            Mode::Async => Err(PyTypeError::new_err("use `async for`")),
        }
    }

    /// Whether an `async for` may be begun.
    pub(crate) fn awaited(&self) -> PyResult<()> {
        match self.calls.mode {
            Mode::Async => Ok(()),
            Mode::Sync => Err(PyTypeError::new_err("use a plain `for`")),
        }
    }

    /// The next item; `StopIteration` at the end.
    pub(crate) fn next(&self, py: Python<'_>) -> PyResult<S::Item> {
        self.calls.check()?;
        let slot = Arc::clone(&self.slot);
        let next = wait(py, async move {
            let mut slot = slot.lock().await;
            match slot.given.take() {
                Some(given) => Ok(Some(given)),
                None => slot.source.next().await,
            }
        })?;
        ok(next)?.ok_or_else(|| PyStopIteration::new_err(()))
    }

    /// An awaitable of the next item and of its receipt, for [`deliver`]; `StopAsyncIteration` at the end.
    ///
    /// Until the receipt says that the item was taken it stays here, and nobody gets the one after it.
    pub(crate) fn give(
        &self,
        py: Python<'_>,
        convert: impl FnOnce(Python<'_>, S::Item) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Py<PyAny>> {
        let slot = Arc::clone(&self.slot);
        let call = async move {
            let mut slot = slot.lock_owned().await;
            let Slot { source, given } = &mut *slot;
            if given.is_none() {
                *given = source.next().await?;
            }
            Ok(given.clone().map(|item| (item, slot)))
        };
        self.calls.run(py, call, |py, next| {
            let Some((item, mut slot)) = next else {
                return Err(PyStopAsyncIteration::new_err(()));
            };
            let made = convert(py, item).inspect_err(|_| slot.given = None)?;
            let receipt: Answer = Box::new(move |is_taken| {
                if is_taken {
                    slot.given = None;
                }
            });
            let receipt = Receipt(Mutex::new(Some(receipt)));
            Ok((made, receipt).into_pyobject(py)?.into_any().unbind())
        })
    }
}

type Answer = Box<dyn FnOnce(bool) + Send>;

/// What became of an item. One that nobody answers for, because nobody waits any more, was not taken.
#[pyclass(module = "minutebook._native", frozen)]
pub(crate) struct Receipt(Mutex<Option<Answer>>);

#[pymethods]
impl Receipt {
    fn taken(&self) {
        self.answer(true);
    }

    fn left(&self) {
        self.answer(false);
    }
}

impl Receipt {
    fn answer(&self, is_taken: bool) {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = answer {
            answer(is_taken);
        }
    }
}

/// The coroutine that waits for an item and signs for it; `give` is what calls [`Feed::give`].
pub(crate) fn deliver(give: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    static DELIVER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = give.py();
    DELIVER
        .import(py, "minutebook._settle", "deliver")?
        .call1((give,))
}
