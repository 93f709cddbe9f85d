//! The journal of the decisions' directory: every mutation is a line in it before it is a file.

mod checkpoint;
mod detail;
mod known;
mod line;
mod lines;
mod segments;
mod verify;
mod view;

pub(crate) use checkpoint::{
    Bytes, Checkpoint, Entry, Head, Seen, Sight, StoreError, Table, store as store_checkpoint,
};
pub(crate) use detail::{Told, detail};
pub(crate) use known::{Knowledge, Known};
pub(crate) use line::{
    Chain, Delete, Found, GENESIS, Gone, Lost, Mark, Parsed, Pruned, Put, Record, Span, Start,
    parse, prune,
};
pub(crate) use lines::Lines;
pub(crate) use segments::{Segment, chain};
pub use verify::JournalProof;
pub(crate) use verify::verify;
pub(crate) use view::{CaughtUp, Event, Journal, Own, records, text};
