//! The journal of the decisions' directory: every mutation is a line in it before it is a file.

mod checkpoint;
mod line;
mod view;

pub(crate) use checkpoint::{Checkpoint, Known};
pub(crate) use line::{Chain, Delete, Gone, Mark, Put, Record, Span};
pub(crate) use view::{CaughtUp, Event, Journal, records, text};
