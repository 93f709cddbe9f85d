//! Time series as append-only JSON Lines files: what a live feed writes into all day, from several processes.
//!
//! [`JsonlTimeSeriesRepository`] is a [`TimeSeriesRepository`](minutebook_core::TimeSeriesRepository) over one directory, one file a series, one JSON object
//! a line. A file that the original Python store wrote opens as it is, and it reads what is written here.
//!
//! - Appends of any number of threads and processes never interleave, whatever the length of the lines; concurrent ones share a sync.
//! - [`Appender`] is the handle for the hot path of a live feed: a bounded queue, back-pressure, durability by entry or by interval.
//! - What a crash left of a line is never glued to the next one, stays on disk, and is reported.
//! - Values come back as they were written: entries byte for byte, Arrow columns as `Int64`, `Float64`, `Boolean` and `Utf8`.
//! - A line that is no row is counted and named in the [`ReadReport`](minutebook_core::ReadReport) beside the data; strict mode makes it an error.
//! - Reads are bounded in memory by the batch and write nothing.
//!
//! Rows cannot be replaced, and come in the order written: the capabilities say so. How the files look is in `docs/format/ticks.md`.

mod appender;
mod buffers;
mod check;
mod codec;
mod config;
mod entries;
mod error;
mod in_order;
mod index;
mod layout;
mod logs;
mod schema;
mod segments;
mod store;
mod time_series;
mod types_file;

pub use appender::{Appender, AppenderOptions, AppenderStatus};
pub use check::{TicksChecked, check_ticks};
pub use config::{EpochUnit, JsonlConfig, Rotation, TimeField};
pub use entries::{
    Entry, EntryQuery, EntryStream, Follow, FollowFrom, FollowQuery, LineFile, Position,
};
pub use layout::series_of_file;
pub use segments::{LINE_COLUMN, SegmentHandover, SegmentInfo};
pub use time_series::{JsonlTimeSeriesRepository, SeriesSnapshot};
