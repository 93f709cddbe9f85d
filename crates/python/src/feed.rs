//! Streams that Python reads item by item, in a plain loop or with `await`, so that no item is lost to who stops waiting.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use minutebook::Result;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::sync::OwnedMutexGuard;

use crate::convert::ok;
use crate::run::{Calls, GivenUp, Mode, wait};

/// How long a reader of another kind waits for a call that was given up to end.
const PATIENCE: Duration = Duration::from_secs(1);

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

    /// Looks at the source, unless somebody waits for it or an item of it is still to be given.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut S) -> T) -> Option<T> {
        let mut slot = self.slot.try_lock().ok()?;
        slot.given.is_none().then(|| look(&mut slot.source))
    }

    /// Hands the source to a reader of another kind, with the item that is on its way; `None` while somebody waits for the next one.
    pub(crate) fn hand_over<T: Send>(
        &self,
        py: Python<'_>,
        take: impl FnOnce(&mut S, Option<S::Item>) -> T + Send,
    ) -> PyResult<Option<T>> {
        let slot = Arc::clone(&self.slot);
        wait(py, async move {
            let mut slot = tokio::time::timeout(PATIENCE, slot.lock()).await.ok()?;
            let given = slot.given.take();
            Some(take(&mut slot.source, given))
        })
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
        let errand = Arc::new(Errand::<S>(Mutex::new(Way::Coming)));
        let ours = Arc::clone(&errand);
        self.calls.run_until(py, call, Some(errand), |py, next| {
            let Some((item, mut slot)) = next else {
                return Err(PyStopAsyncIteration::new_err(()));
            };
            let made = convert(py, item).inspect_err(|_| slot.given = None)?;
            ours.arrived(slot);
            let receipt = Receipt(ours);
            Ok((made, receipt).into_pyobject(py)?.into_any().unbind())
        })
    }
}

/// An item between the source and who awaits it. Until it is taken the slot is held, so that nobody gets the one after it.
struct Errand<S: Source>(Mutex<Way<S>>);

enum Way<S: Source> {
    Coming,
    Here(OwnedMutexGuard<Slot<S>>),
    Over,
}

impl<S: Source> Errand<S> {
    /// The item is there; if nobody waits for it any more it stays in its slot.
    fn arrived(&self, slot: OwnedMutexGuard<Slot<S>>) {
        let mut way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*way, Way::Coming) {
            *way = Way::Here(slot);
        }
    }
}

trait Answered: Send + Sync {
    fn answer(&self, is_taken: bool);
}

impl<S: Source> Answered for Errand<S> {
    fn answer(&self, is_taken: bool) {
        let mut way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Way::Here(mut slot) = std::mem::replace(&mut *way, Way::Over)
            && is_taken
        {
            slot.given = None;
        }
    }
}

impl<S: Source> GivenUp for Errand<S> {
    fn given_up(&self) {
        self.answer(false);
    }
}

/// What became of an item. One that nobody answers for, because nobody waits any more, was not taken.
#[pyclass(module = "minutebook._native", frozen)]
pub(crate) struct Receipt(Arc<dyn Answered>);

impl Drop for Receipt {
    fn drop(&mut self) {
        self.0.answer(false);
    }
}

#[pymethods]
impl Receipt {
    fn taken(&self) {
        self.0.answer(true);
    }

    fn left(&self) {
        self.0.answer(false);
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
