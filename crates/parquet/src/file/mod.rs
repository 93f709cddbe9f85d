//! Single Parquet files: write one, read one, look at one, list them.

mod each;
mod foreign;
mod frame;
mod list;
mod load;
mod pages;
mod save;
mod source;
mod time;

pub use each::{parquet_batches, parquet_batches_on};
pub(crate) use foreign::Foreign;
pub use frame::{FrameKey, Freshness, load_frame, save_frame};
pub use list::list_parquet_files;
pub use load::{LoadParquet, load_parquet};
pub use save::{ParquetCompression, SaveParquet, save_parquet};
pub use source::{ParquetStatistics, parquet_statistics, parquet_statistics_on};
pub(crate) use time::nanos_per;
