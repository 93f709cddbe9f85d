//! Rows that leave the store as Arrow, without a copy.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use futures_util::StreamExt;
use minutebook::BatchStream;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_arrow::{PyRecordBatch, PyRecordBatchReader, PySchema};
use tokio::runtime::Runtime;

use super::decisions::problems;
use crate::convert::described;
use crate::error::raised;
use crate::feed::{self, Feed, Source};
use crate::record::object;
use crate::run::{Calls, runtime, wait};

/// The rows of a scan. Whatever takes an Arrow stream (pyarrow, pandas, polars, `DuckDB`) takes it as it is; it is also an iterator over
/// batches. It can be read once.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Batches {
    schema: SchemaRef,
    feed: Feed<Rows>,
    problems: Arc<Mutex<Vec<String>>>,
    calls: Calls,
}

/// Where the batches come from; nothing once they were all read, or given to another reader.
pub(crate) struct Rows {
    stream: Option<BatchStream>,
    noted: Arc<Mutex<Vec<String>>>,
}

impl Source for Rows {
    type Item = RecordBatch;

    /// The next batch; what was skipped is noted at the end.
    async fn next(&mut self) -> minutebook::Result<Option<RecordBatch>> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        let next = stream.next().await;
        if next.is_none() {
            note(&self.noted, stream);
            self.stream = None;
        }
        next.transpose()
    }
}

impl Batches {
    pub(crate) fn new(stream: BatchStream, calls: Calls) -> Self {
        let (schema, problems) = (Arc::clone(stream.schema()), Arc::default());
        let rows = Rows {
            stream: Some(stream),
            noted: Arc::clone(&problems),
        };
        Self {
            schema,
            feed: Feed::new(rows, calls),
            problems,
            calls,
        }
    }
}

impl Batches {
    /// What is still to be read, and what comes before it; this object has nothing more to give then.
    fn taken(&self, py: Python<'_>) -> PyResult<(BatchStream, Option<RecordBatch>)> {
        self.calls.check()?;
        let taken = self
            .feed
            .hand_over(py, |rows, given| (rows.stream.take(), given))?;
        let Some((stream, given)) = taken else {
            let why = "another task waits for these rows; scan again for another reader";
            return Err(PyRuntimeError::new_err(why));
        };
        let stream = stream.ok_or_else(|| {
            PyRuntimeError::new_err("these rows were read already; scan again for another reader")
        })?;
        Ok((stream, given))
    }

    /// Reads all rows and gives them to another library. Signals are heard while they are read, which they are not while a library reads: it knows no
    /// exceptions of Python.
    fn read_for<'py>(
        &self,
        py: Python<'py>,
        library: &str,
        name: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let take = py.import(library)?.getattr(name)?;
        let (mut stream, given) = self.taken(py)?;
        let read = wait(py, async {
            let mut batches: Vec<_> = given.into_iter().collect();
            while let Some(batch) = stream.next().await {
                batches.push(batch?);
            }
            Ok(batches)
        })?;
        let batches = read.map_err(|error| raised(&error))?;
        note(&self.problems, &stream);
        let batches = batches.into_iter().map(Ok);
        let batches = RecordBatchIterator::new(batches, Arc::clone(&self.schema));
        let reader = Bound::new(py, PyRecordBatchReader::new(Box::new(batches)))?;
        take.call1((reader,))
    }
}

fn note(noted: &Mutex<Vec<String>>, stream: &BatchStream) {
    *noted.lock().unwrap_or_else(PoisonError::into_inner) = problems(&stream.report());
}

/// A stream as a plain reader, for the C interface.
struct Reader {
    schema: SchemaRef,
    /// What was on its way to an `async for` that was given up.
    given: Option<RecordBatch>,
    stream: BatchStream,
    noted: Arc<Mutex<Vec<String>>>,
    runtime: Arc<Runtime>,
    calls: Calls,
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.calls.is_ours() {
            let why = "these rows are read by another process, from which this one was forked; scan again";
            return Some(Err(ArrowError::IoError(
                why.to_owned(),
                std::io::Error::other(why),
            )));
        }
        if let Some(given) = self.given.take() {
            return Some(Ok(given));
        }
        let next = self.runtime.block_on(self.stream.next());
        if next.is_none() {
            note(&self.noted, &self.stream);
        }
        Some(next?.map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

#[pymethods]
impl Batches {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let schema = Bound::new(py, PySchema::new(Arc::clone(&self.schema)))?;
        schema.call_method0("__arrow_c_schema__")
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (stream, given) = self.taken(py)?;
        let reader = Reader {
            schema: Arc::clone(&self.schema),
            given,
            stream,
            noted: Arc::clone(&self.problems),
            runtime: runtime()?,
            calls: self.calls,
        };
        let reader = Bound::new(py, PyRecordBatchReader::new(Box::new(reader)))?;
        reader.call_method1("__arrow_c_stream__", (requested_schema,))
    }

    /// The rows as a table of pyarrow.
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().read_for(slf.py(), "pyarrow", "table")
    }

    /// The rows as a frame of pandas, indexed by `timestamp`.
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let frame = Self::to_arrow(slf)?.call_method0("to_pandas")?;
        let names = frame.getattr("columns")?;
        if names.contains("timestamp")? {
            return frame.call_method1("set_index", ("timestamp",));
        }
        Ok(frame)
    }

    /// The rows as a frame of polars.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().read_for(slf.py(), "polars", "DataFrame")
    }

    /// The names of the columns.
    #[getter]
    fn columns(&self) -> Vec<String> {
        let fields = self.schema.fields().iter();
        fields.map(|field| field.name().clone()).collect()
    }

    /// What was skipped, as text; complete once all rows were read.
    #[getter]
    fn problems(&self) -> Vec<String> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn __iter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().feed.plain().map(|()| slf)
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Batch> {
        self.feed.next(py).map(Batch)
    }

    fn __aiter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        slf.get().feed.awaited().map(|()| slf)
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        feed::deliver(slf.getattr("_give")?)
    }

    fn _give(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.feed
            .give(py, |py, batch| object(py, Py::new(py, Batch(batch))?))
    }

    fn __repr__(&self) -> String {
        described("Batches", &[("columns", &self.columns().join(" "))])
    }
}

/// Some rows; an Arrow array of structs for whatever takes one.
#[pyclass(module = "minutebook", frozen)]
pub(crate) struct Batch(pub(crate) RecordBatch);

#[pymethods]
impl Batch {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let schema = Bound::new(py, PySchema::new(self.0.schema()))?;
        schema.call_method0("__arrow_c_schema__")
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let batch = Bound::new(py, PyRecordBatch::new(self.0.clone()))?;
        batch.call_method1("__arrow_c_array__", (requested_schema,))
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn __repr__(&self) -> String {
        described(
            "Batch",
            &[
                ("rows", &self.0.num_rows()),
                ("columns", &self.0.num_columns()),
            ],
        )
    }
}
