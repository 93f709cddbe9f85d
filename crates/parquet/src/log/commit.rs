//! One version of a series: what it consists of, and its form as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use minutebook_core::{SeriesId, SeriesKey};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::absorbed::Absorbed;
use super::schema;
use crate::error::{Fault, Result};
use crate::layout::is_file_name;

/// The form of log entries that this code writes.
pub(crate) const FORMAT: u32 = 1;
/// The form of an entry that says which segments of a log the series has absorbed: who does not know this must not commit upon it.
const ABSORBING_FORMAT: u32 = 2;
/// The form of an entry with a declared key: who does not know it would break it.
const KEYED_FORMAT: u32 = 3;
/// More bytes than a log entry or a group ever has.
pub(crate) const MAX_DOCUMENT: u64 = 64 << 20;

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Operation {
    /// Rows were added.
    Append,
    /// Rows were added or replaced by timestamp.
    Upsert,
    /// The rows of a range were replaced.
    ReplaceRange,
    /// The rows of a range were deleted.
    DeleteRange,
    /// The series was deleted.
    DeleteSeries,
    /// Segments were written anew; the rows are the same.
    Compact,
    /// An earlier version was made the newest.
    Restore,
    /// Metadata of the series was changed.
    Describe,
    /// Ranges were marked as complete, or no longer.
    Mark,
    /// Files that were damaged or missing were left out.
    Repair,
    /// Files of other programs were made part of the series.
    Adopt,
    /// What tells rows apart was declared, or no longer.
    DeclareKey,
}

/// What users say of a series or of a commit: texts by key, carried along and never looked at.
pub type Metadata = BTreeMap<String, String>;

/// One immutable file of rows, and which of its rows count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub(crate) file: String,
    /// Rows in the file, dead ones included.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Bytes of page index and footer, at the end of the file.
    pub(crate) footer: u64,
    /// The first and the last timestamp of the rows that count, in nanoseconds.
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) digest: String,
    pub(crate) footer_digest: String,
    /// Row ranges `[from, to)` that were deleted or replaced since the file was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dead: Vec<(u64, u64)>,
    /// Where the time stands in a file of another program. In ours it is the first column, `timestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<TimeColumn>,
}

/// The time index of a file that another program wrote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TimeColumn {
    pub(crate) name: String,
    /// Its place among the leaves of the file.
    pub(crate) leaf: usize,
}

impl Segment {
    pub(crate) fn live_rows(&self) -> u64 {
        self.rows - self.dead.iter().map(|(from, to)| to - from).sum::<u64>()
    }

    fn fault(&self) -> Option<&'static str> {
        let mut end = 0;
        let sorted = self.dead.iter().all(|(from, to)| {
            let fits = end <= *from && from < to && *to <= self.rows;
            end = *to;
            fits
        });
        if !is_file_name(&self.file) {
            Some("a segment has a name that is none of ours")
        } else if !sorted || self.live_rows() == 0 || self.min > self.max {
            Some("the numbers of a segment contradict each other")
        } else {
            None
        }
    }
}

/// A run of the oldest segments, kept in a file of its own so that a commit does not write them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupRef {
    pub(crate) file: String,
    pub(crate) segments: u64,
    /// Rows that count.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// The digest of the group's file.
    pub(crate) digest: String,
}

/// One version of a series, complete in itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) format: u32,
    pub(crate) version: u64,
    /// Tells this commit from any other that was tried for the same version.
    pub(crate) id: String,
    /// The id of the version before.
    pub(crate) parent: Option<String>,
    /// Never before the parent's.
    pub(crate) committed_at: DateTime<Utc>,
    pub(crate) operation: Operation,
    pub(crate) series: SeriesId,
    /// What the writer said of this commit.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub(crate) note: Metadata,
    /// What is said of the series.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
    /// Ranges `[from, to)` in nanoseconds in which nothing is missing, ascending and apart. An end at the end of time is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) complete: Vec<(i64, i64)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
    /// The first version of the series since it was last deleted: earlier ones cannot be read.
    pub(crate) oldest: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    #[serde(with = "schema")]
    pub(crate) schema: SchemaRef,
    /// The segments in the order of their commits: those in groups first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<GroupRef>,
    pub(crate) segments: Vec<Segment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) absorbed: Option<Absorbed>,
    /// The files that were adopted last, each by how its digest begins: they are known also when no segment is one of them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) adopted: Vec<String>,
    /// What tells rows apart, if that was declared: then no two rows have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<SeriesKey>,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    /// Of the bytes of `commit`, as they stand.
    blake3: String,
    commit: T,
}

impl Commit {
    /// The form in which an entry with this content is written.
    pub(crate) fn format_of(absorbed: Option<&Absorbed>, key: Option<&SeriesKey>) -> u32 {
        match (absorbed, key) {
            (_, Some(_)) => KEYED_FORMAT,
            (Some(_), None) => ABSORBING_FORMAT,
            (None, None) => FORMAT,
        }
    }

    /// Sums up groups and segments.
    pub(crate) fn total(&mut self) {
        let groups = self.groups.iter().map(|g| (g.rows, g.bytes, g.min, g.max));
        let segments = self
            .segments
            .iter()
            .map(|s| (s.live_rows(), s.bytes, s.min, s.max));
        (self.rows, self.bytes, self.first, self.last) = (0, 0, None, None);
        for (rows, bytes, min, max) in groups.chain(segments) {
            self.rows += rows;
            self.bytes += bytes;
            self.first = Some(self.first.map_or(min, |first| first.min(min)));
            self.last = Some(self.last.map_or(max, |last| last.max(max)));
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<Bytes> {
        let write = |e| Fault::Invalid(format!("the log entry cannot be written: {e}"));
        let commit = serde_json::value::to_raw_value(self).map_err(write)?;
        let blake3 = blake3::hash(commit.get().as_bytes()).to_hex().to_string();
        let mut bytes = serde_json::to_vec(&Envelope { blake3, commit }).map_err(write)?;
        bytes.push(b'\n');
        Ok(bytes.into())
    }

    /// Reads and checks an entry that stands at `path` for `version` of `series`.
    pub(crate) fn from_bytes(
        bytes: &[u8],
        path: &Path,
        series: &SeriesId,
        version: u64,
    ) -> Result<Arc<Self>> {
        let broken = |e| Fault::corrupt_by(path, "the log entry does not parse", e);
        let envelope: Envelope<&RawValue> = serde_json::from_slice(bytes).map_err(broken)?;
        let text = envelope.commit.get();
        if blake3::hash(text.as_bytes()).to_hex().as_str() != envelope.blake3 {
            return Err(Fault::corrupt(
                path,
                "the log entry's digest does not match it",
            ));
        }
        let form: Form = serde_json::from_str(text).map_err(broken)?;
        if !(FORMAT..=KEYED_FORMAT).contains(&form.format) {
            return Err(Fault::Unsupported {
                message: format!(
                    "{path} has form {} and this release reads forms {FORMAT} to {KEYED_FORMAT}; use a newer release",
                    form.format
                ),
            });
        }
        let commit: Self = serde_json::from_str(text).map_err(broken)?;
        if commit.version != version || commit.series != *series {
            let message = format!("it is version {} of {}", commit.version, commit.series);
            return Err(Fault::corrupt(path, message));
        }
        commit.check(path)?;
        Ok(Arc::new(commit))
    }

    /// Refuses numbers and names that contradict each other.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        if self.groups.iter().any(|group| !is_file_name(&group.file)) {
            return Err(Fault::corrupt(
                path,
                "a group has a name that is none of ours",
            ));
        }
        check(&self.segments, path)
    }
}

#[derive(Deserialize)]
struct Form {
    format: u32,
}

fn check(segments: &[Segment], path: &Path) -> Result<()> {
    match segments.iter().find_map(Segment::fault) {
        Some(fault) => Err(Fault::corrupt(path, fault)),
        None => Ok(()),
    }
}

/// The text of a group, and what refers to it; the file's name is still to be given.
pub(crate) fn group_to_bytes(segments: &[Segment]) -> Result<(Bytes, GroupRef)> {
    let bytes = serde_json::to_vec(segments)
        .map_err(|e| Fault::Invalid(format!("the group cannot be written: {e}")))?;
    let group = GroupRef {
        file: String::new(),
        segments: segments.len() as u64,
        rows: segments.iter().map(Segment::live_rows).sum(),
        bytes: segments.iter().map(|s| s.bytes).sum(),
        min: segments.iter().map(|s| s.min).min().unwrap_or(i64::MAX),
        max: segments.iter().map(|s| s.max).max().unwrap_or(i64::MIN),
        digest: blake3::hash(&bytes).to_hex().to_string(),
    };
    Ok((bytes.into(), group))
}

pub(crate) fn group_from_bytes(
    bytes: &[u8],
    path: &Path,
    group: &GroupRef,
) -> Result<Vec<Segment>> {
    if blake3::hash(bytes).to_hex().as_str() != group.digest {
        return Err(Fault::corrupt(path, "the group's digest does not match it"));
    }
    let segments: Vec<Segment> = serde_json::from_slice(bytes)
        .map_err(|e| Fault::corrupt_by(path, "the group does not parse", e))?;
    check(&segments, path)?;
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use arrow_schema::Schema;
    use minutebook_core::series::batch::timestamp_field;

    use super::*;

    fn commit() -> Commit {
        let mut commit = Commit {
            format: FORMAT,
            version: 3,
            id: "a".into(),
            parent: None,
            committed_at: DateTime::UNIX_EPOCH,
            operation: Operation::Append,
            series: "X@1h".parse().unwrap(),
            note: Metadata::new(),
            metadata: Metadata::from([("source".into(), "vendor".into())]),
            complete: vec![(i64::MIN, 5)],
            deleted: false,
            oldest: 1,
            rows: 0,
            bytes: 0,
            first: None,
            last: None,
            schema: Arc::new(Schema::new(vec![timestamp_field()])),
            groups: Vec::new(),
            segments: vec![Segment {
                file: crate::layout::file_name(3, 1, "parquet"),
                rows: 10,
                bytes: 100,
                footer: 50,
                min: -5,
                max: i64::MAX,
                digest: String::new(),
                footer_digest: String::new(),
                dead: vec![(2, 4)],
                time: None,
            }],
            absorbed: None,
            adopted: Vec::new(),
            key: None,
        };
        commit.total();
        commit
    }

    #[test]
    fn an_entry_round_trips() {
        let (commit, path) = (commit(), Path::from("p"));
        let read =
            Commit::from_bytes(&commit.to_bytes().unwrap(), &path, &commit.series, 3).unwrap();
        assert_eq!(
            (read.rows, read.first, read.last),
            (8, Some(-5), Some(i64::MAX))
        );
        assert_eq!(read.segments, commit.segments);
        assert_eq!(read.schema, commit.schema);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (commit, path) = (commit(), Path::from("p"));
        let bytes = commit.to_bytes().unwrap();
        for at in 0..(bytes.len() - 1) * 8 {
            let mut damaged = bytes.to_vec();
            damaged[at / 8] ^= 1 << (at % 8);
            let read = Commit::from_bytes(&damaged, &path, &commit.series, 3);
            assert!(
                matches!(read, Err(Fault::Corrupt { .. })),
                "bit {at}: {read:?}"
            );
        }
        for len in 0..bytes.len() - 1 {
            assert!(Commit::from_bytes(&bytes[..len], &path, &commit.series, 3).is_err());
        }
        assert!(Commit::from_bytes(&bytes, &path, &commit.series, 4).is_err());
        assert!(Commit::from_bytes(&bytes, &path, &"Y@1h".parse().unwrap(), 3).is_err());
    }

    #[test]
    fn contradictions_are_damage() {
        for change in [
            (|s: &mut Segment| s.dead = vec![(0, 10)]) as fn(&mut Segment),
            |s| s.dead = vec![(4, 6), (2, 3)],
            |s| s.dead = vec![(4, 12)],
            |s| s.file = "../x".into(),
            |s| s.min = 9,
        ] {
            let mut commit = commit();
            commit.segments[0].max = 0;
            change(&mut commit.segments[0]);
            assert!(check(&commit.segments, &Path::from("p")).is_err());
        }
    }
}
