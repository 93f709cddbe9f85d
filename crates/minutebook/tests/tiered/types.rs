//! Columns that have another type in the tick files than in the Parquet files.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::array_value_to_string;
use minutebook::memory::MemoryTimeSeriesRepository;
use minutebook::series::batch::{timestamp_array, timestamp_field};
use minutebook::{
    ErrorKind, ProblemKind, ReadReport, ScanQuery, Tiered, TimeRange, TimeSeriesRepository,
    WriteMode,
};

use crate::{btc, on_disk, run};

fn line(day: usize, value: &str) -> String {
    format!("{{\"timestamp\":\"2025-01-{day:02}\",\"n\":{day},\"x\":{value}}}")
}

async fn read(tiered: &Tiered, query: &ScanQuery) -> (RecordBatch, ReadReport) {
    let stream = tiered.scan(&btc(), query).await.unwrap();
    stream.concat().await.unwrap()
}

/// The values of the column, and whether it is text.
fn values(rows: &RecordBatch) -> (Vec<Option<String>>, bool) {
    let column = rows.column_by_name("x").unwrap();
    let value = |row| {
        let value = || array_value_to_string(column, row).unwrap();
        column.is_valid(row).then(value)
    };
    let is_text = column.as_string_opt::<i32>().is_some();
    ((0..rows.num_rows()).map(value).collect(), is_text)
}

/// Values that were moved, values that follow, and how all of them read together.
fn read_together(cold: &[&str], hot: &[&str], expected: &[&str], as_text: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (log, parquet, tiered) = on_disk(dir.path());
    run(async {
        let append = async |values: &[&str], from: usize| {
            let entries: Vec<String> = values
                .iter()
                .zip(from..)
                .map(|(value, day)| line(day, value))
                .collect();
            log.append_entries(&btc(), &entries).await.unwrap();
        };
        append(cold, 1).await;
        log.rotate(&btc()).await.unwrap();
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert_eq!((done.moved.len(), done.refused.len()), (1, 0));
        append(hot, 1 + cold.len()).await;
        let expected: Vec<Option<String>> = expected
            .iter()
            .map(|value| (*value != "null").then(|| (*value).to_owned()))
            .collect();
        let rows = expected.len();
        for round in 0..3 {
            let about = format!("{cold:?} and {hot:?}, round {round}");
            let (all, report) = read(&tiered, &ScanQuery::new()).await;
            let (found, is_text) = values(&all);
            assert_eq!(found, expected, "{about}");
            let two_types = |report: &ReadReport| {
                report.problems().iter().any(|problem| {
                    problem.kind == ProblemKind::TypeChanged
                        && problem.message.contains("cold store")
                })
            };
            let is_moved = log
                .summary(&btc())
                .await
                .unwrap()
                .is_none_or(|left| left.rows == 0);
            assert_eq!(
                two_types(&report),
                is_text && !is_moved,
                "{about}: {report:?}"
            );
            assert_eq!(is_text, as_text, "{about}");
            let summary = tiered.summary(&btc()).await.unwrap().unwrap();
            assert_eq!(
                (summary.rows, &summary.schema),
                (rows as u64, &all.schema()),
                "{about}"
            );
            // The last rows, a range over the border, and the column alone.
            let (last, _) = read(&tiered, &ScanQuery::new().last(2)).await;
            assert_eq!(values(&last).0, expected[rows - 2..], "{about}");
            let border =
                TimeRange::new(all_times(&all)[cold.len() - 1], all_times(&all)[rows - 1]).unwrap();
            let (middle, _) = read(
                &tiered,
                &ScanQuery::new().range(border).columns(["x"]).batch_size(1),
            )
            .await;
            assert_eq!(
                values(&middle).0,
                expected[cold.len() - 1..rows - 1],
                "{about}"
            );
            // Who does not ask for the column is told nothing of it.
            let (others, report) = read(&tiered, &ScanQuery::new().columns(["n"])).await;
            assert!(
                others.num_rows() == rows && !two_types(&report),
                "{report:?}"
            );
            // Sealed, and then refused or moved: it reads as before.
            if round == 0 {
                log.rotate(&btc()).await.unwrap();
            } else {
                let done = tiered.compact(&btc(), false).await.unwrap();
                let stays = log.segments(&btc()).await.unwrap().len();
                assert_eq!(
                    (done.moved.len() + done.refused.len(), done.refused.len()),
                    (1 - usize::from(round == 2 && stays == 0), stays),
                    "{about}: {done:?}"
                );
            }
        }
        assert!(parquet.summary(&btc()).await.unwrap().is_some());
    });
}

fn all_times(rows: &RecordBatch) -> Vec<chrono::DateTime<chrono::Utc>> {
    let times = minutebook::series::batch::timestamps(rows).unwrap();
    times
        .values()
        .iter()
        .map(|nanos| minutebook::time::from_nanos(*nanos))
        .collect()
}

#[test]
fn numbers_and_text_are_read_as_text() {
    read_together(
        &["42496.1", "1.0", "null"],
        &["\"free\"", "2.50"],
        &["42496.1", "1.0", "null", "free", "2.50"],
        true,
    );
    read_together(
        &["\"free\"", "null"],
        &["42496.10", "1"],
        &["free", "null", "42496.10", "1"],
        true,
    );
    read_together(
        &["7", "9007199254740993"],
        &["\"x\"", "null"],
        &["7", "9007199254740993", "x", "null"],
        true,
    );
}

#[test]
fn booleans_numbers_and_nested_values_are_read_as_text() {
    read_together(
        &["true", "false"],
        &["1", "2"],
        &["true", "false", "1", "2"],
        true,
    );
    read_together(
        &["1.5", "2"],
        &["true", "null"],
        &["1.5", "2.0", "true", "null"],
        true,
    );
    read_together(
        &["1.5", "0.5"],
        &["{\"a\":[1]}", "null"],
        &["1.5", "0.5", "{\"a\":[1]}", "null"],
        true,
    );
}

#[test]
fn integers_that_no_float_holds_are_read_as_text_beside_floats() {
    read_together(
        &["1.5", "0.5"],
        &["9007199254740993", "1"],
        &["1.5", "0.5", "9007199254740993", "1"],
        true,
    );
    read_together(
        &["9007199254740993", "1"],
        &["1.5", "2"],
        &["9007199254740993", "1", "1.5", "2"],
        true,
    );
}

#[test]
fn instants_are_read_as_text_beside_others() {
    run(async {
        let repository = |column: arrow_array::ArrayRef| async {
            let repository = MemoryTimeSeriesRepository::new();
            let field = arrow_schema::Field::new("x", column.data_type().clone(), true);
            let schema = arrow_schema::Schema::new(vec![timestamp_field(), field]);
            let times = timestamp_array([chrono::DateTime::UNIX_EPOCH]).unwrap();
            let batch = RecordBatch::try_new(schema.into(), vec![times, column]).unwrap();
            repository
                .write(&btc(), batch, WriteMode::Append)
                .await
                .unwrap();
            repository
        };
        let instant = chrono::DateTime::from_timestamp_nanos(1_735_689_600_120_000_000);
        let cold = repository(timestamp_array([instant]).unwrap()).await;
        let hot = repository(std::sync::Arc::new(arrow_array::BooleanArray::from(vec![
            true,
        ])))
        .await;
        let (rows, report) = read(&Tiered::new(hot, cold), &ScanQuery::new()).await;
        assert_eq!(
            values(&rows),
            (
                vec![
                    Some("2025-01-01T00:00:00.120Z".to_owned()),
                    Some("true".to_owned())
                ],
                true
            )
        );
        assert_eq!(report.problems()[0].kind, ProblemKind::TypeChanged);
    });
}

#[test]
fn a_column_that_had_no_value_when_it_was_moved_is_text() {
    read_together(
        &["null", "null"],
        &["3.5", "4"],
        &["null", "null", "3.5", "4"],
        true,
    );
}

#[test]
fn whole_and_broken_numbers_are_read_as_numbers() {
    read_together(
        &["1", "2"],
        &["2.5", "3"],
        &["1.0", "2.0", "2.5", "3.0"],
        false,
    );
    read_together(
        &["1.5", "2"],
        &["3", "4"],
        &["1.5", "2.0", "3.0", "4.0"],
        false,
    );
}

#[test]
fn what_has_no_text_is_told_by_its_name() {
    run(async {
        let (hot, cold) = (
            MemoryTimeSeriesRepository::new(),
            MemoryTimeSeriesRepository::new(),
        );
        let batch = |column: arrow_array::ArrayRef| {
            let field = arrow_schema::Field::new("x", column.data_type().clone(), true);
            let schema = arrow_schema::Schema::new(vec![timestamp_field(), field]);
            let times = timestamp_array([chrono::DateTime::UNIX_EPOCH]).unwrap();
            RecordBatch::try_new(schema.into(), vec![times, column]).unwrap()
        };
        let bytes = arrow_array::BinaryArray::from_iter_values([b"a"]);
        let floats = arrow_array::Float64Array::from_iter_values([1.0]);
        cold.write(&btc(), batch(std::sync::Arc::new(bytes)), WriteMode::Append)
            .await
            .unwrap();
        hot.write(
            &btc(),
            batch(std::sync::Arc::new(floats)),
            WriteMode::Append,
        )
        .await
        .unwrap();
        let tiered = Tiered::new(hot, cold);
        let error = tiered.scan(&btc(), &ScanQuery::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(error.to_string().contains("\"x\""), "{error}");
    });
}
