//! Writing a table as one file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use minutebook_core::Result;
use minutebook_core::series::batch::{TIMESTAMP, align, merge_schemas};
use minutebook_fs::{Durability, Fs, OsFs, create_dir_all, replace};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};

use super::time;
use crate::codec::{WriteOptions, pandas, table};
use crate::error::Fault;

/// How a file's pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ParquetCompression {
    /// Fast, read by everything: what pandas writes.
    #[default]
    Snappy,
    /// Read by everything, slow to write.
    Gzip,
    /// Small and fast; needs a reader of this decade.
    Zstd,
    /// The smallest, slow to write.
    Brotli,
    /// The fastest to read (the raw form, as pandas writes it).
    Lz4,
    /// Not at all.
    None,
}

impl ParquetCompression {
    fn codec(self) -> Compression {
        match self {
            Self::Snappy => Compression::SNAPPY,
            Self::Gzip => Compression::GZIP(GzipLevel::default()),
            Self::Zstd => Compression::ZSTD(ZstdLevel::default()),
            Self::Brotli => Compression::BROTLI(BrotliLevel::default()),
            Self::Lz4 => Compression::LZ4_RAW,
            Self::None => Compression::UNCOMPRESSED,
        }
    }
}

/// How [`save_parquet`] writes. The default is snappy, durable, on the real file system.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SaveParquet {
    /// How pages are compressed.
    pub compression: ParquetCompression,
    /// The column that pandas makes its index of; without it, the one that a file of pandas had, or `timestamp`.
    pub index: Option<String>,
    /// What `Ok` promises.
    pub durability: Durability,
    /// The file system.
    pub fs: Arc<dyn Fs>,
}

impl Default for SaveParquet {
    fn default() -> Self {
        Self {
            compression: ParquetCompression::default(),
            index: None,
            durability: Durability::default(),
            fs: Arc::new(OsFs),
        }
    }
}

impl SaveParquet {
    /// Compresses pages so.
    #[must_use]
    pub fn compression(mut self, compression: ParquetCompression) -> Self {
        self.compression = compression;
        self
    }

    /// Tells pandas to make its index of this column.
    #[must_use]
    pub fn index(mut self, column: impl Into<String>) -> Self {
        self.index = Some(column.into());
        self
    }

    /// What `Ok` promises.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The file system.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }
}

/// Writes batches as one Parquet file, in the order given, and returns its absolute path. Missing directories are made. Who reads meanwhile
/// sees the old file or the new one, whole.
///
/// ```
/// use minutebook_core::{Bar, Row, time::parse_timestamp};
/// use minutebook_parquet::{LoadParquet, ParquetCompression, SaveParquet, load_parquet, save_parquet};
///
/// # let dir = tempfile::tempdir()?;
/// let bar = Bar { timestamp: parse_timestamp("2024-01-01")?, open: 1.0, high: 2.0, low: 0.5, close: 1.5, volume: 10.0 };
/// let options = SaveParquet::default().compression(ParquetCompression::Zstd);
/// let path = save_parquet(&[Bar::to_batch(&[bar])?], dir.path().join("new/bars.parquet"), &options)?;
/// assert_eq!(Bar::from_batch(&load_parquet(&path, &LoadParquet::default())?)?, [bar]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](minutebook_core::ErrorKind::InvalidInput) if there is no row or no such index column;
/// [`SchemaMismatch`](minutebook_core::ErrorKind::SchemaMismatch) if the batches do not fit together or have a type that Parquet cannot hold.
pub fn save_parquet(
    batches: &[RecordBatch],
    path: impl AsRef<Path>,
    options: &SaveParquet,
) -> Result<PathBuf> {
    let path = path.as_ref();
    save(batches, path, options).map_err(|fault| fault.told("save", path.display()))
}

fn save(
    batches: &[RecordBatch],
    path: &Path,
    options: &SaveParquet,
) -> crate::error::Result<PathBuf> {
    if batches.iter().all(|batch| batch.num_rows() == 0) {
        return Err(Fault::Invalid(
            "the table has no rows; there is nothing to save".into(),
        ));
    }
    let mut schema: SchemaRef = batches
        .first()
        .map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    for batch in batches {
        schema = merge_schemas(&schema, &batch.schema())?;
    }
    let aligned = batches
        .iter()
        .map(|batch| align(batch, &schema))
        .collect::<Result<Vec<_>>>()?;
    let index = index(&schema, options)?;
    let (schema, aligned) = without_pandas(&schema, aligned)?;
    let write = WriteOptions {
        row_group_rows: 1 << 17,
        tail_rows: 0,
        page_rows: 1 << 13,
        compression: options.compression.codec(),
        measured: false,
        choices: None,
        index,
        sorted: false,
    };
    let (bytes, _) = table(&schema, &aligned, &write)?;
    let path = std::path::absolute(path).map_err(|e| Fault::Invalid(format!("no path: {e}")))?;
    if let Some(parent) = path.parent() {
        create_dir_all(&*options.fs, parent, options.durability)?;
    }
    replace(&*options.fs, &path, &bytes, options.durability)?;
    Ok(path)
}

fn index(schema: &Schema, options: &SaveParquet) -> crate::error::Result<Option<String>> {
    if let Some(index) = &options.index {
        return match schema.index_of(index) {
            Ok(_) => Ok(Some(index.clone())),
            Err(_) => Err(Fault::Invalid(format!(
                "there is no column \"{index}\" to make an index of"
            ))),
        };
    }
    let is_time = |name: &str| {
        matches!(
            schema
                .field_with_name(name)
                .map(arrow_schema::Field::data_type),
            Ok(DataType::Timestamp(..))
        )
    };
    Ok(time::pandas_index(schema).or_else(|| is_time(TIMESTAMP).then(|| TIMESTAMP.to_owned())))
}

/// The entry that pandas reads is written anew; one from another file would contradict it.
fn without_pandas(
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
) -> crate::error::Result<(SchemaRef, Vec<RecordBatch>)> {
    let mut metadata = schema.metadata().clone();
    if metadata.remove(pandas::KEY).is_none() {
        return Ok((Arc::clone(schema), batches));
    }
    let schema: SchemaRef = Arc::new(schema.as_ref().clone().with_metadata(metadata));
    let cast = |batch: RecordBatch| {
        RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec())
            .map_err(|e| Fault::Invalid(format!("the batch cannot be written: {e}")))
    };
    let batches = batches
        .into_iter()
        .map(cast)
        .collect::<crate::error::Result<Vec<_>>>()?;
    Ok((schema, batches))
}
