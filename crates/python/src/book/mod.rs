//! The store as Python sees it.

mod backup;
mod batches;
mod catalog;
mod changes;
mod check;
mod decisions;
mod documents;
mod segments;
mod series;
mod ticks;
mod versions;

use std::collections::BTreeMap;
use std::path::PathBuf;

use minutebook::backup::BackupOptions;
use minutebook::check::VerifyOptions;
use minutebook::config::{Config, DeclaredColumns, Durability};
use minutebook::{Error, Minutebook, Result};
use pyo3::prelude::*;

pub(crate) use batches::Batch;

use crate::convert::{ok, unknown};
use crate::error::raised;
use crate::record::{list, object};
use crate::run::{Calls, Mode};

pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Book>()?;
    module.add_class::<decisions::Decisions>()?;
    module.add_class::<decisions::StoredDecision>()?;
    module.add_class::<decisions::DecisionPage>()?;
    module.add_class::<decisions::SaveReceipt>()?;
    module.add_class::<changes::Changes>()?;
    module.add_class::<changes::Change>()?;
    module.add_class::<series::Series>()?;
    module.add_class::<series::WriteReceipt>()?;
    module.add_class::<series::SeriesSummary>()?;
    module.add_class::<batches::Batches>()?;
    module.add_class::<batches::Batch>()?;
    module.add_class::<catalog::Catalog>()?;
    module.add_class::<catalog::StoredEntry>()?;
    module.add_class::<catalog::Lineage>()?;
    module.add_class::<catalog::Stale>()?;
    module.add_class::<catalog::Discovered>()?;
    module.add_class::<backup::BackupReport>()?;
    module.add_class::<backup::Generation>()?;
    module.add_class::<backup::RestoreReport>()?;
    module.add_function(wrap_pyfunction!(backup::restore_backup, module)?)?;
    module.add_function(wrap_pyfunction!(backup::backup_generations, module)?)?;
    module.add_class::<backup::BackupCheck>()?;
    module.add_class::<backup::DamagedFile>()?;
    module.add_function(wrap_pyfunction!(backup::check_backup, module)?)?;
    module.add_class::<segments::Segment>()?;
    module.add_class::<segments::CompactedTicks>()?;
    module.add_class::<check::Finding>()?;
    module.add_class::<check::VerifyReport>()?;
    module.add_class::<check::RepairReport>()?;
    module.add_class::<decisions::RawDocument>()?;
    module.add_class::<decisions::Expired>()?;
    module.add_class::<decisions::RetentionPlan>()?;
    module.add_class::<decisions::RetentionOutcome>()?;
    module.add_class::<documents::Documents>()?;
    module.add_class::<documents::Document>()?;
    module.add_class::<series::CoverageSpan>()?;
    module.add_class::<series::BarIssue>()?;
    module.add_class::<series::BarReport>()?;
    module.add_class::<ticks::Ticks>()?;
    module.add_class::<ticks::Entry>()?;
    module.add_class::<ticks::Entries>()?;
    module.add_class::<ticks::TickAppender>()?;
    module.add_class::<versions::VersionedSeries>()?;
    module.add_class::<versions::VersionInfo>()?;
    module.add_class::<versions::ChangedRange>()?;
    module.add_class::<versions::VersionDiff>()?;
    module.add_class::<versions::NamedSnapshot>()?;
    module.add_class::<versions::Compaction>()?;
    module.add_class::<versions::VacuumReport>()?;
    Ok(())
}

/// A store: its decisions, ticks, series and catalog.
#[pyclass(module = "minutebook", name = "Minutebook", frozen)]
pub(crate) struct Book {
    book: Minutebook,
    calls: Calls,
}

impl Book {
    /// A call that checks parts of the store, from a head of the journal on.
    fn checked<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        py: Python<'_>,
        (parts, head): (Option<Vec<String>>, Option<&str>),
        call: impl FnOnce(Minutebook, VerifyOptions) -> F,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Py<PyAny>> {
        let options = check::options(parts, head)?;
        self.calls
            .run(py, call(self.book.clone(), options), convert)
    }
}

#[pymethods]
impl Book {
    /// Opens the store in a directory; `create` makes it first if it is not there. Without a path it is in memory. `epoch_unit` (`s`, `ms`, `us`, `ns`) is
    /// what a number in the `timestamp` of a tick counts, `tick_columns` as which types columns of ticks are read.
    #[new]
    #[pyo3(signature = (path=None, *, create=false, durability=None, epoch_unit=None, tick_columns=None, asynchronous=false))]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        create: bool,
        durability: Option<&str>,
        epoch_unit: Option<&str>,
        tick_columns: Option<BTreeMap<String, String>>,
        asynchronous: bool,
    ) -> PyResult<Self> {
        let mut config = match durability {
            None => Config::new(),
            Some("synced") => Config::new().durability(Durability::Synced),
            Some("buffered") => Config::new().durability(Durability::Buffered),
            Some(other) => return Err(unknown("durability", other, "synced, buffered")),
        };
        if let Some(unit) = epoch_unit {
            config = config.epoch_unit(ok(unit.parse())?);
        }
        if let Some(declared) = tick_columns {
            let mut columns = DeclaredColumns::new();
            for (name, kind) in declared {
                columns = columns.with(name, ok(kind.parse())?);
            }
            config = config.columns(columns);
        }
        let book = py.detach(|| match path {
            None => Ok(Minutebook::in_memory()),
            Some(path) if create => Minutebook::options().config(config).create(path),
            Some(path) => Minutebook::options()
                .config(config)
                .open(&path)
                .map_err(|error| error.with_operation("open").with_resource(path.display())),
        });
        let mode = if asynchronous {
            Mode::Async
        } else {
            Mode::Sync
        };
        Ok(Self {
            book: ok(book)?,
            calls: Calls::new(mode),
        })
    }

    /// What the system decided.
    #[getter]
    fn decisions(&self) -> decisions::Decisions {
        decisions::Decisions::new(self.book.clone(), self.calls)
    }

    /// Ticks: logs that are appended to.
    #[getter]
    fn ticks(&self, py: Python<'_>) -> PyResult<Py<ticks::Ticks>> {
        Py::new(py, ticks::Ticks::new(self.book.clone(), self.calls))
    }

    /// Bars and all other series.
    #[getter]
    fn series(&self, py: Python<'_>) -> PyResult<Py<versions::VersionedSeries>> {
        let (book, calls) = (self.book.clone(), self.calls);
        Py::new(py, versions::VersionedSeries::new(book, calls))
    }

    /// What data there is.
    #[getter]
    fn catalog(&self) -> catalog::Catalog {
        catalog::Catalog::new(self.book.clone(), self.calls)
    }

    /// JSON values under names.
    #[getter]
    fn documents(&self) -> documents::Documents {
        documents::Documents::new(self.book.clone(), self.calls)
    }

    /// Checks all that is stored, or some `parts` (`store`, `decisions`, `ticks`, `series`, `catalog`, `documents`). `head` is the `journal_head` of an earlier
    /// check: what was taken out of the journal since is found. Changes nothing.
    #[pyo3(signature = (parts=None, *, head=None))]
    fn verify(
        &self,
        py: Python<'_>,
        parts: Option<Vec<String>>,
        head: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        self.checked(
            py,
            (parts, head),
            |book, options| async move { book.verify(&options).await },
            |py, report| object(py, Py::new(py, check::VerifyReport::new(py, &report)?)?),
        )
    }

    /// What `repair` would mend.
    #[pyo3(signature = (parts=None, *, head=None))]
    fn plan_repair(
        &self,
        py: Python<'_>,
        parts: Option<Vec<String>>,
        head: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        self.checked(
            py,
            (parts, head),
            |book, options| async move { book.plan_repair(&options).await },
            |py, found| object(py, list(py, found.iter().map(check::Finding::from))?),
        )
    }

    /// Mends what a check finds and can be mended. Every byte that is replaced or removed is kept in `quarantine/`.
    #[pyo3(signature = (parts=None, *, head=None))]
    fn repair(
        &self,
        py: Python<'_>,
        parts: Option<Vec<String>>,
        head: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        self.checked(
            py,
            (parts, head),
            |book, options| async move { book.repair(&options).await },
            |py, report| object(py, Py::new(py, check::RepairReport::new(py, &report)?)?),
        )
    }

    /// Adds a generation to a backup, a directory outside the store: the state of one moment, also while others write. What is in the backup
    /// already is not copied again, unless it is to be read again (`reread`); with `keep` so many generations stay. If the backup
    /// is of another store this is refused with `AlreadyExistsError`; `source_moved` says that it is of this one, which was in another place then.
    #[pyo3(signature = (target, *, keep=None, reread=false, source_moved=false))]
    fn backup(
        &self,
        py: Python<'_>,
        target: PathBuf,
        keep: Option<usize>,
        reread: bool,
        source_moved: bool,
    ) -> PyResult<Py<PyAny>> {
        let mut options = BackupOptions::new()
            .reread(reread)
            .source_moved(source_moved);
        if let Some(keep) = keep {
            options = options.keep(keep);
        }
        let book = self.book.clone();
        self.calls.run(
            py,
            async move { book.backup(&target, &options).await },
            |py, report| object(py, Py::new(py, backup::BackupReport::from(report))?),
        )
    }

    /// The directory; `None` for a store in memory.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.book.root().map(std::path::Path::to_path_buf)
    }

    /// A new decision id, different from every one given before.
    fn new_id(&self) -> String {
        self.book.new_id().to_string()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        if slf.get().calls.mode == Mode::Async {
            return Err(raised(&Error::invalid(
                "this store answers with awaitables; use `async with`",
            )));
        }
        Ok(slf.clone_ref(py))
    }

    #[pyo3(signature = (*_exception))]
    #[allow(clippy::unused_self, reason = "the protocol of context managers")]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {}

    fn __aenter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (calls, itself) = (slf.get().calls, slf.clone_ref(py).into_any());
        calls.run(py, async { Ok(()) }, move |_, ()| Ok(itself))
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.calls.run(py, async { Ok(()) }, |py, ()| Ok(py.None()))
    }

    fn __repr__(&self) -> String {
        let name = match self.calls.mode {
            Mode::Sync => "Minutebook",
            Mode::Async => "AsyncMinutebook",
        };
        match self.book.root() {
            Some(root) => format!("{name}({})", root.display()),
            None => format!("{name}(in memory)"),
        }
    }
}
