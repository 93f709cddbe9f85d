//! Time series: what they are called, their rows, what to ask of a store of them, and the trait of such a store.
//!
//! Rows cross the trait as Arrow [`RecordBatch`](arrow_array::RecordBatch)es with a [`TIMESTAMP`](batch::TIMESTAMP) column;
//! [`Bar`] and [`Tick`] are typed rows over such batches.

mod bar;
pub mod batch;
mod calendar;
mod coverage;
mod ext;
mod id;
mod key;
mod merged;
mod query;
mod repository;
mod resample;
mod row;
mod stream;
mod symbol;
mod tick;
mod timeframe;
mod validate;
mod widen;

pub use bar::{Bar, BarFault};
pub use calendar::Calendar;
pub use coverage::{Coverage, CoverageFinder, CoverageSpan, CoverageState};
pub use ext::TimeSeriesRepositoryExt;
pub use id::{SeriesFilter, SeriesId, SeriesName};
pub use key::{KeyEncoder, RowKeys, SeriesKey};
pub use merged::SERIES as SERIES_COLUMN;
pub use query::{
    Direction, OnConflict, ScanQuery, SeriesSummary, Snapshot, Take, WriteMode, WriteReceipt,
};
pub use repository::TimeSeriesRepository;
pub use resample::{Aggregate, Resampler};
pub use row::Row;
pub use stream::{BatchStream, ReportHandle};
pub use symbol::Symbol;
pub use tick::{Side, Tick};
pub use timeframe::Timeframe;
pub use validate::{BarIssue, BarIssueKind, BarReport, BarValidator};
