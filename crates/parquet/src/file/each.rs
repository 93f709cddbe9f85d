//! A whole file, batch by batch.

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use minutebook_fs::{Fs, OsFs};

use super::source::Source;
use crate::codec::Wanted;
use crate::error::Fault;

/// Reads a Parquet file, of any program, batch by batch in bounded memory, with the columns and types as they are in it and in the order
/// of the file. `take` gets at most `batch_rows` rows at a time; an error of its own ends the reading and is what comes back.
///
/// ```
/// use minutebook_parquet::{SaveParquet, parquet_batches, save_parquet};
/// # use minutebook_core::{Bar, Row, time::from_nanos};
/// # let bar = |n| Bar { timestamp: from_nanos(n), open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 0.0 };
/// # let batch = Bar::to_batch(&[bar(1), bar(2), bar(3)])?;
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("bars.parquet");
/// save_parquet(&[batch], &path, &SaveParquet::default())?;
/// let mut rows = 0;
/// parquet_batches(&path, 2, |batch| {
///     rows += batch.num_rows();
///     Ok(())
/// })?;
/// assert_eq!(rows, 3);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
///
/// # Errors
/// [`NotFound`](minutebook_core::ErrorKind::NotFound) if there is no such file; [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if it is no
/// Parquet or damaged; and what `take` returns.
pub fn parquet_batches(
    path: impl AsRef<Path>,
    batch_rows: usize,
    take: impl FnMut(RecordBatch) -> minutebook_core::Result<()>,
) -> minutebook_core::Result<()> {
    parquet_batches_on(&(Arc::new(OsFs) as Arc<dyn Fs>), path, batch_rows, take)
}

/// As [`parquet_batches`], of a file on another file system.
///
/// # Errors
/// As [`parquet_batches`].
pub fn parquet_batches_on(
    fs: &Arc<dyn Fs>,
    path: impl AsRef<Path>,
    batch_rows: usize,
    mut take: impl FnMut(RecordBatch) -> minutebook_core::Result<()>,
) -> minutebook_core::Result<()> {
    let path = path.as_ref();
    let mut refused = None;
    let read = Source::open(fs, path).and_then(|source| {
        let wanted = Wanted {
            columns: None,
            rows: source.footer.row_groups().collect(),
            batch_size: batch_rows.max(1),
        };
        source.guarded(|| {
            source.decode(&wanted, |batch| {
                take(batch).map_err(|error| {
                    refused = Some(error);
                    Fault::Invalid("the reader has seen enough".into())
                })
            })
        })
    });
    match (refused, read) {
        (Some(error), _) => Err(error),
        (None, read) => read.map_err(|fault| fault.told("load", path.display())),
    }
}
