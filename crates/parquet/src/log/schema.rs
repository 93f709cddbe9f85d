//! The Arrow schema of a series as text: its IPC message in base64, which keeps every type and all metadata.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(schema: &SchemaRef, to: S) -> Result<S::Ok, S::Error> {
    parquet::arrow::encode_arrow_schema(schema).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SchemaRef, D::Error> {
    let text = String::deserialize(from)?;
    let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
    let schema =
        arrow_ipc::convert::try_schema_from_ipc_buffer(&bytes).map_err(D::Error::custom)?;
    Ok(Arc::new(schema))
}
