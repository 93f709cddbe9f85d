//! What the user gives us to read: files, compressed or not, and standard input.

pub(crate) mod bars;
pub(crate) mod columns;
pub(crate) mod documents;
pub(crate) mod entries;
pub(crate) mod records;
pub(crate) mod source;
pub(crate) mod times;
