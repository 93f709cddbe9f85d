//! Objects of the same keys, as cheaply as the interpreter makes them.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString, PyType};

/// After so many objects of the same keys they share them.
const SHARED_FROM: u32 = 64;
/// An interpreter gives the instances of a class room for fewer attributes with each that it makes, down to those that they have.
const INSTANCES: usize = 40;
/// With more keys it shares none.
const MOST_SHARED: usize = 28;

/// A key, and the value that a copy has for it already.
type Member<'py> = (Bound<'py, PyString>, Option<Bound<'py, PyAny>>);

/// What objects of the same keys are copies of.
#[derive(Default)]
pub(super) struct Template<'py> {
    members: Vec<Member<'py>>,
    /// `None` as long as nothing was copied.
    copied: Option<Bound<'py, PyDict>>,
    copies: u32,
}

impl<'py> Template<'py> {
    pub(super) fn of(keys: Vec<Bound<'py, PyString>>) -> Self {
        Self {
            members: keys.into_iter().map(|key| (key, None)).collect(),
            copied: None,
            copies: 0,
        }
    }

    /// The keys in order, one as often as it was there.
    pub(super) fn members(&self) -> &[Member<'py>] {
        &self.members
    }

    /// A new object, which has the keys or none.
    pub(super) fn next(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.copies = self.copies.saturating_add(1);
        if self.copies == SHARED_FROM && self.members.len() <= MOST_SHARED {
            self.copied = Some(self.shared(py)?);
        }
        let copied = match &self.copied {
            Some(copied) => copied,
            None => self.copied.insert(self.plain(py)?),
        };
        copied.copy()
    }

    /// Whether the object made last is the one whose values are to be held.
    pub(super) fn wants_values(&self) -> bool {
        self.copies == SHARED_FROM
    }

    /// Notes the values of an object of those that cost nothing to have in common: the next copies have them already.
    pub(super) fn hold(&mut self, object: &Bound<'py, PyDict>) -> PyResult<()> {
        let Some(copied) = &self.copied else {
            return Ok(());
        };
        if copied.len() != self.members.len() {
            return Ok(());
        }
        for (key, held) in &mut self.members {
            let Some(value) = object.get_item(&*key)? else {
                continue;
            };
            let text = value.cast::<PyString>();
            let is_usual =
                text.is_ok_and(|text| text.len().is_ok_and(|len| len < super::seen::TEXT));
            if is_usual || value.is_none() || value.is_instance_of::<PyBool>() {
                copied.set_item(&*key, &value)?;
                *held = Some(value);
            }
        }
        Ok(())
    }

    /// An object with the keys.
    fn plain(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let object = PyDict::new(py);
        for (key, _) in &self.members {
            object.set_item(key, py.None())?;
        }
        Ok(object)
    }

    /// The attributes of an instance: a copy of them is half as large as one of a usual dict, and sooner made, since the keys stay with the
    /// class. Where an interpreter does not do it so, it is a dict like any other.
    fn shared(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let class = py
            .get_type::<PyType>()
            .call1(("Entry", (), PyDict::new(py)))?;
        let mut last = PyDict::new(py);
        for _ in 0..INSTANCES {
            let attributes = class.call0()?.getattr("__dict__")?;
            last = attributes.cast_into::<PyDict>()?;
            for (key, _) in &self.members {
                last.set_item(key, py.None())?;
            }
        }
        Ok(last)
    }
}
