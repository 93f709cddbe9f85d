//! Plain values for Python: their fields are attributes, and `repr` shows them.

use pyo3::prelude::*;
use pyo3::{BoundObject, PyClass};

/// Makes a class of a list of fields; after them, names for instants among them in nanoseconds (a `datetime` has microseconds).
macro_rules! record {
    (
        $(#[$about:meta])* $name:ident { $($(#[$told:meta])* $field:ident: $kind:ty,)* }
        $($nanos:ident = $instant:ident)*
    ) => {
        $(#[$about])*
        #[pyo3::pyclass(module = "minutebook", frozen, get_all)]
        pub(crate) struct $name {
            $($(#[$told])* pub(crate) $field: $kind,)*
        }

        #[pyo3::pymethods]
        impl $name {
            $(
                #[doc = concat!("`", stringify!($instant), "` in nanoseconds since 1970.")]
                #[getter]
                fn $nanos(&self) -> Option<i128> {
                    crate::convert::Nanos::nanos(&self.$instant).into()
                }
            )*

            fn __repr__(slf: &pyo3::Bound<'_, Self>) -> pyo3::PyResult<String> {
                crate::record::shown(slf.as_any(), stringify!($name), &[$(stringify!($field)),*])
            }
        }
    };
}
pub(crate) use record;

/// `Name(field=value, …)`.
pub(crate) fn shown(object: &Bound<'_, PyAny>, name: &str, fields: &[&str]) -> PyResult<String> {
    let mut shown = Vec::new();
    for field in fields {
        let value = object.getattr(*field)?;
        let text = if value.hasattr("isoformat")? {
            value.str()?
        } else {
            value.repr()?
        };
        shown.push(format!("{field}={text}"));
    }
    Ok(format!("{name}({})", shown.join(", ")))
}

/// Objects for values, as a list.
pub(crate) fn list<T: PyClass + Into<PyClassInitializer<T>>>(
    py: Python<'_>,
    values: impl IntoIterator<Item = T>,
) -> PyResult<Vec<Py<T>>> {
    let values = values.into_iter();
    values.map(|value| Py::new(py, value)).collect()
}

/// Any value as an object.
pub(crate) fn object<'py, T: IntoPyObject<'py>>(py: Python<'py>, value: T) -> PyResult<Py<PyAny>>
where
    T::Error: Into<PyErr>,
{
    let value = value.into_pyobject(py).map_err(Into::into)?;
    Ok(value.into_bound().into_any().unbind())
}
