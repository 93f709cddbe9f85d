//! What is known of a file's complete lines: where the times of each block lie, what types the columns have had, what is damaged.
//!
//! An index is derived from the file and can be thrown away at any time. It is built in one pass over the lines that are new since the
//! last look, kept in memory, and extended by what this process itself appends. Writers keep a copy of it [beside the file](file).

mod build;
mod chunks;
mod file;
mod follow;
mod gather;
mod part;

pub(crate) use build::{Reading, Time, is_blank, malformed, remember, text_of};
pub(crate) use file::{damage, load, load_of, save};
pub(crate) use follow::{Ends, Index, ends_match, refresh};
pub(crate) use gather::{Piece, Rows, Wanted};
pub(crate) use part::{BLOCK_BYTES, Block, Columns, Flawed, Part};
