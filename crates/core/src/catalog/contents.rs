//! What is known of a dataset's data: its rows, its columns, and what tells one state of it from another.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::time::WrittenTime;

/// What is known of a dataset's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// The number of rows.
    pub rows: u64,
    /// The first timestamp, UTC.
    pub first: Option<DateTime<Utc>>,
    /// The last timestamp, UTC.
    pub last: Option<DateTime<Utc>>,
}

/// A column of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow writes it: `Float64`, `Timestamp(Nanosecond, Some("UTC"))`.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// What the data itself is like, beside its [`Statistics`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Contents {
    /// Its bytes on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The columns and their types, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
    /// What tells one state of the data from another, with what it was taken of before a colon: `footer-blake3:…` of a Parquet file's
    /// footer, `file-blake3:…` of all bytes, `version:…` for a series of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When this digest was first seen. [`DatasetChange::apply`](crate::DatasetChange::apply) sets it where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<WrittenTime>,
}

impl Contents {
    /// How a digest of all bytes of a file begins.
    pub const WHOLE_FILE: &str = "file-blake3:";

    /// Whether the digest is one of all bytes of a file.
    pub fn is_of_all_bytes(&self) -> bool {
        let digest = self.digest.as_deref();
        digest.is_some_and(|digest| digest.starts_with(Self::WHOLE_FILE))
    }

    /// Whether both are of the same state of the data, as far as can be told: by their digests, and where there is none by their bytes.
    pub fn same_data(&self, other: &Self) -> bool {
        match (&self.digest, &other.digest) {
            (Some(mine), Some(others)) => mine == others,
            _ => self.digest == other.digest && self.bytes == other.bytes,
        }
    }
}
