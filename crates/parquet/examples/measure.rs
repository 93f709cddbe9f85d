//! Times the repository on ten years of minute bars: `cargo run --release -p minutebook-parquet --example measure -- [FILE.parquet]`.
//!
//! With a file (as `gen.py` of the peer benchmarks writes it) its rows are taken, else a random walk in cents is made. Medians of five
//! runs; everything is synced.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]
#![allow(clippy::cast_precision_loss, reason = "counts shown as rates")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{Float64Array, RecordBatch, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema};
use futures_util::TryStreamExt;
use minutebook_core::series::batch::{TIMESTAMP, conform, timestamp_field};
use minutebook_core::time::{from_nanos, parse_timestamp};
use minutebook_core::{
    OnConflict, ScanQuery, SeriesId, TimeRange, TimeSeriesRepository, Timeframe, WriteMode,
};
use minutebook_parquet::{LoadParquet, ParquetConfig, ParquetTimeSeriesRepository, load_parquet};

const ROWS: usize = 5_256_000;
const MINUTE: i64 = 60_000_000_000;
const DAY: usize = 1_440;
const RUNS: usize = 5;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let batch = match std::env::args().nth(1) {
        Some(path) => conform(&load_parquet(path, &LoadParquet::default())?, TIMESTAMP)?,
        None => walk(ROWS)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    runtime.block_on(measure(batch))
}

#[allow(clippy::too_many_lines, reason = "one measurement after another")]
async fn measure(batch: RecordBatch) -> Outcome<()> {
    let series = SeriesId::bars("BTCUSD".parse()?, Timeframe::MINUTE);
    let dir = tempfile::tempdir_in(std::env::var("BENCH_DIR").unwrap_or_else(|_| ".".into()))?;
    let open = |name: &str| {
        ParquetTimeSeriesRepository::open(dir.path().join(name), ParquetConfig::default())
    };

    let mut runs = Vec::new();
    for run in 0..RUNS {
        let repo = open(&format!("write{run}"))?;
        let began = Instant::now();
        repo.write(&series, batch.clone(), WriteMode::Append)
            .await?;
        runs.push(began.elapsed());
    }
    say("write all", &mut runs);
    let repo = open("write0")?;
    let summary = repo.summary(&series).await?.ok_or("no series")?;
    let (rows, bytes) = (summary.rows, summary.bytes);
    println!(
        "{rows} rows, {bytes} bytes, {:.2} bytes a row",
        bytes as f64 / rows as f64
    );

    let month = TimeRange::new(
        parse_timestamp("2019-03-01")?,
        parse_timestamp("2019-04-01")?,
    )?;
    let queries = [
        ("read all, batches of 8,192", ScanQuery::new()),
        (
            "read all, batches of 131,072",
            ScanQuery::new().batch_size(1 << 17),
        ),
        ("one month", ScanQuery::new().range(month)),
        (
            "one month, large batch",
            ScanQuery::new().range(month).batch_size(1 << 17),
        ),
        (
            "one column",
            ScanQuery::new().columns(["close"]).batch_size(1 << 17),
        ),
        ("latest row", ScanQuery::new().last(1)),
        ("last 100 rows", ScanQuery::new().last(100)),
    ];
    for (name, query) in &queries {
        let mut runs = Vec::new();
        for _ in 0..RUNS * 3 {
            let began = Instant::now();
            let mut stream = repo.scan(&series, query).await?;
            let mut rows = 0;
            while let Some(batch) = stream.try_next().await? {
                rows += batch.num_rows();
            }
            runs.push(began.elapsed());
            assert!(rows > 0);
        }
        say(name, &mut runs);
    }
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let repo = open("write0")?;
        let began = Instant::now();
        let stream = repo.scan(&series, &ScanQuery::new().last(1)).await?;
        stream.collect().await?;
        runs.push(began.elapsed());
    }
    say("latest row, fresh handle", &mut runs);

    let last = summary.last.ok_or("no rows")?;
    let mut runs = Vec::new();
    for day in 0..20_i64 {
        let more = day_after(
            &batch,
            last.timestamp_nanos_opt().ok_or("no time")? + MINUTE + day * MINUTE * 1_440,
        )?;
        let began = Instant::now();
        repo.write(&series, more, WriteMode::Append).await?;
        runs.push(began.elapsed());
    }
    say("append a day", &mut runs);
    let mode = WriteMode::Upsert {
        on_conflict: OnConflict::Replace,
    };
    let mut runs = Vec::new();
    for day in 0..20_i64 {
        let more = day_after(
            &batch,
            last.timestamp_nanos_opt().ok_or("no time")? - (400 + day * 7) * MINUTE * 1_440,
        )?;
        let began = Instant::now();
        repo.write(&series, more, mode).await?;
        runs.push(began.elapsed());
    }
    say("upsert a day", &mut runs);
    let mut runs = Vec::new();
    for symbol in 0..100 {
        let series = SeriesId::bars(format!("S{symbol}").parse()?, Timeframe::MINUTE);
        repo.write(&series, batch.slice(0, 1_000), WriteMode::Append)
            .await?;
        let began = Instant::now();
        repo.write(&series, batch.slice(1_000, 1), WriteMode::Append)
            .await?;
        runs.push(began.elapsed());
    }
    say("one row to each of 100", &mut runs);
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        let stream = repo
            .scan(&series, &ScanQuery::new().batch_size(1 << 17))
            .await?;
        stream.collect().await?;
        runs.push(began.elapsed());
    }
    say("read all after that", &mut runs);
    Ok(())
}

fn say(name: &str, runs: &mut [Duration]) {
    runs.sort_unstable();
    let at = |part: usize| {
        runs.get(part * (runs.len() - 1) / 100)
            .copied()
            .unwrap_or_default()
            .as_secs_f64()
            * 1e3
    };
    println!(
        "{name:32} median {:10.3} ms   best {:10.3}   worst {:10.3}",
        at(50),
        at(0),
        at(100)
    );
}

/// A day of bars from an instant on, with prices of the batch's first day.
fn day_after(batch: &RecordBatch, start: i64) -> Outcome<RecordBatch> {
    let mut columns = batch.slice(0, DAY).columns().to_vec();
    let times = (0..DAY)
        .map(|i| i64::try_from(i).map(|i| start + i * MINUTE))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = columns.first_mut() {
        *first = Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC"));
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// A random walk in cents, as the peer benchmarks make it.
fn walk(rows: usize) -> Outcome<RecordBatch> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        i64::try_from(state % below)
    };
    let start = parse_timestamp("2014-01-01")?;
    let mut columns: [Vec<f64>; 5] = std::array::from_fn(|_| Vec::with_capacity(rows));
    let mut times = Vec::with_capacity(rows);
    let mut price = 100_000_i64;
    for i in 0..rows {
        let open = price;
        price = (price + random(31)? - 15 - 1_000).abs() + 1_000;
        let high = open.max(price) + random(20)?;
        let low = open.min(price) - random(20)?;
        let volume = 1 + random(5_000_000)?;
        for (column, value) in columns.iter_mut().zip([open, high, low, price]) {
            column.push(value as f64 / 100.0);
        }
        columns[4].push(volume as f64 / 1_000.0);
        times.push(start.timestamp_nanos_opt().ok_or("no time")? + i64::try_from(i)? * MINUTE);
    }
    debug_assert!(
        times
            .first()
            .is_none_or(|first| from_nanos(*first) == start)
    );
    let names = ["open", "high", "low", "close", "volume"];
    let fields = names.map(|name| Field::new(name, DataType::Float64, false));
    let schema = Schema::new(
        std::iter::once(timestamp_field())
            .chain(fields)
            .collect::<Vec<_>>(),
    );
    let mut arrays: Vec<arrow_array::ArrayRef> = vec![Arc::new(
        TimestampNanosecondArray::from(times).with_timezone("UTC"),
    )];
    arrays.extend(columns.map(|column| Arc::new(Float64Array::from(column)) as _));
    Ok(RecordBatch::try_new(Arc::new(schema), arrays)?)
}
