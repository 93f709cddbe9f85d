//! Time series in Parquet files: versions, atomic commits, pushdown.
//!
//! | what | how |
//! | --- | --- |
//! | a repository of series | [`ParquetTimeSeriesRepository`], with [`ParquetConfig`] |
//! | in a bucket | [`ParquetTimeSeriesRepository::open_url`] (features `s3`, `gcs`, `azure`), [`ParquetTimeSeriesRepository::with_store`] |
//! | single files | [`save_parquet`], [`load_parquet`], [`parquet_statistics`], [`list_parquet_files`] |
//! | a file for each asset pair, timeframe and dates | [`save_frame`], [`load_frame`], [`FrameKey`] |
//! | the object store over a directory, durable | [`DurableStore`] |
//!
//! The files are described in `docs/format/series.md`.

mod codec;
mod config;
mod error;
mod file;
mod layout;
mod log;
mod series;
mod store;

pub use config::{ParquetConfig, Retention};
pub use file::{
    FrameKey, Freshness, LoadParquet, ParquetCompression, ParquetStatistics, SaveParquet,
    list_parquet_files, load_frame, load_parquet, parquet_batches, parquet_batches_on,
    parquet_statistics, parquet_statistics_on, save_frame, save_parquet,
};
pub use log::{Absorbed, AbsorbedEarlier, AbsorbedSegment, Metadata, Operation};
pub use series::{
    AbsorbReceipt, AbsorbedState, AdoptDirectory, AdoptReport, AdoptedDirectory, AdoptedSeries,
    ChangedRange, CompactionPlan, CompactionReason, CompactionReport, CompactionStep, HeldSegments,
    LeftOut, NamedSnapshot, ParquetTimeSeriesRepository, SeriesChecked, VacuumOptions,
    VacuumReport, VerifyReport, VersionDiff, VersionInfo,
};
pub use store::DurableStore;
