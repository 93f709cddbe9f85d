//! Rows told apart by their key.

use std::collections::HashSet;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use minutebook_core::series::batch::align;
use minutebook_core::series::{KeyEncoder, RowKeys};
use minutebook_core::{Result, SeriesKey};

use super::state::failed;

/// Some keys.
pub(super) type KeySet = HashSet<Box<[u8]>>;

/// Reads the keys of rows as a series has them.
pub(super) struct Keys {
    encoder: KeyEncoder,
    schema: SchemaRef,
}

impl Keys {
    /// By the declared key, or by time where none is.
    pub(super) fn new(key: Option<&SeriesKey>, schema: &SchemaRef) -> Result<Self> {
        let encoder = match key {
            Some(key) => KeyEncoder::new(key, schema)?,
            None => KeyEncoder::new(&SeriesKey::timestamp(), schema)?,
        };
        Ok(Self {
            encoder,
            schema: SchemaRef::clone(schema),
        })
    }

    fn of(&self, batch: &RecordBatch) -> Result<RowKeys> {
        self.encoder.keys(&align(batch, &self.schema)?)
    }

    /// Whether every row has a key.
    pub(super) fn complete(&self, batch: &RecordBatch) -> bool {
        self.of(batch).is_ok()
    }

    /// The keys of a batch, each of which may be there once only.
    pub(super) fn unique(&self, batch: &RecordBatch) -> Result<KeySet> {
        let batch = align(batch, &self.schema)?;
        let keys = self.encoder.keys(&batch)?;
        keys.distinct(&self.encoder, &batch)?;
        Ok(keys.iter().map(Into::into).collect())
    }

    /// Which of these keys rows of the segments have.
    pub(super) fn among(&self, segments: &[RecordBatch], wanted: &KeySet) -> Result<KeySet> {
        let mut found = KeySet::new();
        for segment in segments {
            let keys = self.of(segment)?;
            found.extend(
                keys.iter()
                    .filter(|key| wanted.contains(*key))
                    .map(Into::into),
            );
        }
        Ok(found)
    }

    /// The rows that have none of these keys.
    pub(super) fn without(&self, batch: &RecordBatch, doomed: &KeySet) -> Result<RecordBatch> {
        let keys = self.of(batch)?;
        let mask: BooleanArray = keys.iter().map(|key| Some(!doomed.contains(key))).collect();
        filter_record_batch(batch, &mask).map_err(failed)
    }
}
