//! A compaction by another process at every step of a call: the call gives what it gives without one.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use minutebook::series::batch::{timestamp_array, timestamp_field};
use minutebook::time::parse_timestamp;
use minutebook::{Result, ScanQuery, SeriesFilter, Tiered, TimeSeriesRepository, WriteMode};
use minutebook_fs::{Durability, LockWait, SimFs};

use crate::{btc, entry, numbers, run};

const ROWS: usize = 12;

fn open(disk: &SimFs) -> Tiered {
    use minutebook::jsonl::{JsonlConfig, JsonlTimeSeriesRepository};
    use minutebook::parquet::{ParquetConfig, ParquetTimeSeriesRepository};

    let fs: Arc<dyn minutebook_fs::Fs> = Arc::new(disk.clone());
    // Whoever meets a lock of the other one's gives up: the other one waits for the hook.
    let hot = JsonlConfig::default()
        .fs(Arc::clone(&fs))
        .lock_wait(LockWait::Try)
        .read_ahead(NonZeroUsize::MIN);
    let hot = JsonlTimeSeriesRepository::open("/ticks", hot).unwrap();
    let cold = ParquetConfig::default()
        .fs(fs)
        .durability(Durability::Buffered);
    let cold = ParquetTimeSeriesRepository::open("/series", cold).unwrap();
    Tiered::over_files(hot, cold)
}

/// Two sealed segments, one of which is in Parquet already if `moved`, and lines in the plain file.
fn disk(moved: bool) -> SimFs {
    let disk = SimFs::new();
    let (hot, tiered) = crate::on(&disk).unwrap();
    run(async {
        for part in 0..3 {
            let entries: Vec<_> = (part * 4..part * 4 + 4).map(entry).collect();
            hot.append_entries(&btc(), &entries).await.unwrap();
            if part < 2 {
                hot.rotate(&btc()).await.unwrap().unwrap();
            }
            if part == 0 && moved {
                tiered.compact(&btc(), false).await.unwrap();
            }
        }
    });
    disk
}

/// Does the call once for each of its steps, with a compaction just before that step, and checks what it gave and left. No call may fail for it.
fn with_a_compaction_at_every_step<T>(
    call: &impl AsyncFn(&Tiered) -> Result<T>,
    check: impl Fn(T, &Tiered),
) {
    for moved in [false, true] {
        let mut step = 0;
        let mut compacted = 0;
        loop {
            let disk = disk(moved);
            let (process, other) = (disk.new_process(), disk.new_process());
            let tiered = open(&process);
            let (seen, did) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
            let by_hook = Arc::clone(&did);
            process.on_op(move |_| {
                if seen.fetch_add(1, Ordering::SeqCst) != step {
                    return;
                }
                let other = other.clone();
                let work = std::thread::spawn(move || run(open(&other).compact(&btc(), false)));
                let done = work.join().unwrap();
                // 1 is for having been there at all.
                let moved = done.map_or(0, |report| report.moved.len());
                by_hook.store(1 + moved, Ordering::SeqCst);
            });
            let given = run(call(&tiered));
            let did = did.load(Ordering::SeqCst);
            match given {
                Ok(given) => check(given, &open(&disk.new_process())),
                Err(error) => panic!("step {step}, {did}: {error}"),
            }
            if did == 0 {
                break;
            }
            compacted += did - 1;
            step += 1;
        }
        assert!(compacted > 0, "no compaction came between");
    }
}

fn all(rows: usize) -> Vec<i64> {
    (0..i64::try_from(rows).unwrap()).collect()
}

#[test]
fn a_list_names_the_series() {
    with_a_compaction_at_every_step(
        &async |tiered: &Tiered| tiered.list(&SeriesFilter::new()).await,
        |listed, _| assert_eq!(listed, [btc()]),
    );
}

#[test]
fn a_read_and_a_summary_have_every_row_once() {
    with_a_compaction_at_every_step(
        &async |tiered: &Tiered| numbers(tiered, &ScanQuery::new()).await,
        |found, _| assert_eq!(found, all(ROWS)),
    );
    with_a_compaction_at_every_step(
        &async |tiered: &Tiered| tiered.summary(&btc()).await,
        |found, after| {
            let now = run(after.summary(&btc())).unwrap().unwrap();
            let found = found.unwrap();
            assert_eq!(found.rows, ROWS as u64);
            assert_eq!(found.version, now.version);
        },
    );
}

#[test]
fn what_is_written_is_there_once() {
    let number = i64::try_from(ROWS).unwrap();
    let schema = arrow_schema::Schema::new(vec![
        timestamp_field(),
        arrow_schema::Field::new("n", arrow_schema::DataType::Int64, true),
        arrow_schema::Field::new("price", arrow_schema::DataType::Float64, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        timestamp_array([parse_timestamp("2025-01-02").unwrap()]).unwrap(),
        Arc::new(Int64Array::from(vec![number])),
        Arc::new(Float64Array::from(vec![0.5])),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    with_a_compaction_at_every_step(
        &async |tiered: &Tiered| {
            let batch = batch.clone();
            tiered.write(&btc(), batch, WriteMode::Append).await
        },
        |receipt, after| {
            assert_eq!(receipt.inserted, 1);
            let found = run(numbers(after, &ScanQuery::new())).unwrap();
            assert_eq!(found, all(ROWS + 1));
            let summary = run(after.summary(&btc())).unwrap().unwrap();
            assert_eq!(receipt.version, summary.version);
        },
    );
}

#[test]
fn what_is_deleted_is_counted_once_and_gone_from_both() {
    with_a_compaction_at_every_step(
        &async |tiered: &Tiered| tiered.delete(&btc(), None).await,
        |rows, after| {
            assert_eq!(rows, ROWS as u64);
            assert_eq!(run(after.summary(&btc())).unwrap(), None);
            assert!(run(after.list(&SeriesFilter::new())).unwrap().is_empty());
        },
    );
}
