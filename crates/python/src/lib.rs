//! The native part of the Python package `minutebook`.

#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments come from Python as values of their own"
)]

mod book;
mod convert;
mod decision_files;
mod entries;
mod error;
mod feed;
mod files;
mod frames;
mod record;
mod run;
mod sealed;
mod wait;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    book::add(module)?;
    module.add_class::<files::FileLock>()?;
    module.add_class::<files::LineLog>()?;
    module.add_class::<decision_files::DecisionFiles>()?;
    module.add_class::<decision_files::Walk>()?;
    module.add_function(wrap_pyfunction!(files::replace_file, module)?)?;
    module.add_function(wrap_pyfunction!(files::remove_file, module)?)?;
    module.add_function(wrap_pyfunction!(entries::load_lines, module)?)?;
    module.add_function(wrap_pyfunction!(sealed::load_series, module)?)?;
    module.add_function(wrap_pyfunction!(frames::load_range, module)?)?;
    Ok(())
}
