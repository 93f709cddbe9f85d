//! Rows made and read in the short form that the cases use.
//!
//! Most cases write rows of a time and a number `n`. Times are nanoseconds counted from [`BASE`], so that the numbers stay short.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use minutebook_core::series::batch::{TIMESTAMP, timestamp_type, timestamps};
use minutebook_core::time::from_nanos;
use minutebook_core::{
    BatchStream, Capability, ErrorKind, ScanQuery, SeriesFilter, SeriesId, TimeRange,
    TimeSeriesRepository, Version, WriteMode, WriteReceipt,
};

use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, refused, shown};
use crate::harness::Fixture;

pub(crate) type Store = Fixture<dyn TimeSeriesRepository>;
pub(crate) type Repo = Arc<dyn TimeSeriesRepository>;

/// 2025-01-01T00:00:00Z.
pub(crate) const BASE: i64 = 1_735_689_600_000_000_000;

/// A row: nanoseconds after [`BASE`], and a number that tells rows apart.
pub(crate) type Numbered = (i64, i64);

pub(crate) fn series(text: &str) -> Outcome<SeriesId> {
    Ok(text.parse()?)
}

pub(crate) fn at(offset: i64) -> DateTime<Utc> {
    from_nanos(BASE.saturating_add(offset))
}

pub(crate) fn range(start: i64, end: i64) -> Outcome<TimeRange> {
    Ok(TimeRange::new(at(start), at(end))?)
}

/// A time column of nanoseconds since 1970.
pub(crate) fn times(nanos: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(nanos).with_timezone("UTC"))
}

pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> Outcome<RecordBatch> {
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, array)| (name, array, name != TIMESTAMP)),
    )
    .map_err(|error| Failure::new(format!("the case's own batch is wrong: {error}")))
}

/// A batch of numbered rows.
pub(crate) fn numbered(rows: &[Numbered]) -> Outcome<RecordBatch> {
    let n: Int64Array = rows.iter().map(|(_, n)| Some(*n)).collect();
    let time = times(
        rows.iter()
            .map(|(offset, _)| BASE.saturating_add(*offset))
            .collect(),
    );
    batch(vec![(TIMESTAMP, time), ("n", Arc::new(n))])
}

pub(crate) async fn append(repo: &Repo, id: &SeriesId, rows: &[Numbered]) -> Outcome<WriteReceipt> {
    Ok(repo.write(id, numbered(rows)?, WriteMode::Append).await?)
}

/// The rows of a batch in the short form.
pub(crate) fn rows(batch: &RecordBatch) -> Outcome<Vec<Numbered>> {
    let time = timestamps(batch)?.values();
    let n = batch
        .column_by_name("n")
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| {
            Failure::new(format!(
                "there is no column n of Int64 in {:?}",
                batch.schema()
            ))
        })?;
    Ok(time
        .iter()
        .zip(n.values())
        .map(|(time, n)| (time.wrapping_sub(BASE), *n))
        .collect())
}

/// Reads a stream to its end and checks what holds of every stream.
pub(crate) async fn drain(mut stream: BatchStream, batch_size: usize) -> Outcome<RecordBatch> {
    let schema = Arc::clone(stream.schema());
    check_schema(&schema)?;
    let mut batches = Vec::new();
    while let Some(next) = stream.next().await {
        let next = next?;
        ensure!(next.num_rows() > 0, "a batch is empty");
        ensure!(
            next.num_rows() <= batch_size,
            "a batch has {} rows, more than {batch_size}",
            next.num_rows()
        );
        ensure_eq!(
            next.schema_ref(),
            &schema,
            "the schema of a batch is that of its stream"
        );
        timestamps(&next)?;
        batches.push(next);
    }
    ensure!(
        stream.report().is_clean(),
        "the report of sound data names problems: {:?}",
        stream.report()
    );
    arrow_select::concat::concat_batches(&schema, &batches).map_err(|error| {
        Failure::new(format!(
            "the batches of one stream do not fit together: {error}"
        ))
    })
}

fn check_schema(schema: &SchemaRef) -> Outcome {
    let first = schema.fields().first();
    let found = first.map(|field| (field.name().as_str(), field.data_type().clone()));
    ensure_eq!(
        found,
        Some((TIMESTAMP, timestamp_type())),
        "the first column of an answer"
    );
    Ok(())
}

/// All that a query gives.
pub(crate) async fn read(repo: &Repo, id: &SeriesId, query: &ScanQuery) -> Outcome<RecordBatch> {
    let stream = repo.scan(id, query).await;
    let stream = stream
        .map_err(|error| Failure::from(error).context(format!("scanning {id} with {query:?}")))?;
    drain(stream, query.batch_size)
        .await
        .map_err(|failure| failure.context(format!("scanning {id} with {query:?}")))
}

/// The numbered rows that a query gives.
pub(crate) async fn numbers(
    repo: &Repo,
    id: &SeriesId,
    query: &ScanQuery,
) -> Outcome<Vec<Numbered>> {
    rows(&read(repo, id, query).await?)
}

/// All numbered rows of a series.
pub(crate) async fn all(repo: &Repo, id: &SeriesId) -> Outcome<Vec<Numbered>> {
    numbers(repo, id, &ScanQuery::new()).await
}

/// Rows given in the order written, in the order in which a scan must give them.
pub(crate) fn ordered(repo: &Repo, written: &[Numbered]) -> Vec<Numbered> {
    let mut rows = written.to_vec();
    if repo.capabilities().has(Capability::TimeOrdered) {
        // Stable: equal timestamps stay in the order written.
        rows.sort_by_key(|(time, _)| *time);
    }
    rows
}

/// All that a store shows, for "nothing changed".
#[derive(Debug, PartialEq)]
pub(crate) struct State(Vec<SeriesView>);

/// One series of a [`State`].
type SeriesView = (
    SeriesId,
    u64,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
    Version,
    RecordBatch,
);

pub(crate) async fn state(repo: &Repo) -> Outcome<State> {
    let mut views = Vec::new();
    for id in repo.list(&SeriesFilter::new()).await? {
        let summary = repo.summary(&id).await?;
        let summary =
            summary.ok_or_else(|| Failure::new(format!("{id} is listed but has no summary")))?;
        let content = read(repo, &id, &ScanQuery::new()).await?;
        views.push((
            id,
            summary.rows,
            summary.first,
            summary.last,
            summary.version,
            content,
        ));
    }
    Ok(State(views))
}

/// The write must fail with this kind and leave the store as it is.
pub(crate) async fn write_refused(
    repo: &Repo,
    id: &SeriesId,
    batch: RecordBatch,
    mode: WriteMode,
    kind: ErrorKind,
    what: &str,
) -> Outcome<minutebook_core::Error> {
    let before = state(repo).await?;
    let error = refused(repo.write(id, batch, mode).await, kind, what)?;
    ensure_eq!(
        state(repo).await?,
        before,
        "the store after {what} was refused"
    );
    Ok(error)
}

/// Whether the backend claims what the case needs; if not, asserts that it refuses the mode, on a series that is there and on one
/// that is not.
pub(crate) async fn claims(repo: &Repo, capability: Capability, mode: WriteMode) -> Outcome<bool> {
    if repo.capabilities().has(capability) {
        return Ok(true);
    }
    let what = format!("{mode:?}, which is not claimed,");
    append(repo, &series("UNCLAIMED@1h")?, &[(1, 1), (3, 3)]).await?;
    for id in ["UNCLAIMED@1h", "UNCLAIMED@1d"] {
        write_refused(
            repo,
            &series(id)?,
            numbered(&[(2, 2)])?,
            mode,
            ErrorKind::Unsupported,
            &what,
        )
        .await?;
    }
    Ok(false)
}

/// Columns that must be equal, bit for bit.
pub(crate) fn same_columns(found: &RecordBatch, expected: &RecordBatch) -> Outcome {
    let names = |batch: &RecordBatch| -> Vec<String> {
        batch
            .schema()
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name(), field.data_type()))
            .collect()
    };
    ensure_eq!(names(found), names(expected), "the columns and their types");
    ensure_eq!(found.num_rows(), expected.num_rows(), "the number of rows");
    for (i, (found, expected)) in found.columns().iter().zip(expected.columns()).enumerate() {
        if found == expected {
            continue;
        }
        let row = (0..expected.len())
            .find(|row| found.slice(*row, 1) != expected.slice(*row, 1))
            .unwrap_or(0);
        return Err(Failure::new(format!(
            "column {i} differs in row {row}\n    expected: {}\n    found:    {}",
            shown(&expected.slice(row, 1)),
            shown(&found.slice(row, 1))
        )));
    }
    Ok(())
}

/// Several handles on one store: truly several where the backend shares, else clones of one.
pub(crate) async fn handles(store: &Store, count: usize) -> Outcome<Vec<Repo>> {
    let first = store.open().await?;
    let shared = first.capabilities().has(Capability::Shared);
    let mut all = vec![first];
    while all.len() < count {
        all.push(if shared {
            store.open().await?
        } else {
            Arc::clone(&all[0])
        });
    }
    Ok(all)
}
