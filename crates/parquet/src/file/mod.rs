//! Single Parquet files: write one, read one, look at one, list them.

mod each;
mod list;
mod load;
mod save;
mod source;
mod time;

pub use each::parquet_batches;
pub use list::list_parquet_files;
pub use load::{LoadParquet, load_parquet};
pub use save::{ParquetCompression, SaveParquet, save_parquet};
pub use source::{ParquetStatistics, parquet_statistics};
