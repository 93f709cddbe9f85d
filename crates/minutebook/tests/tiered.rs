//! Tiered stores: the conformance suite over fakes and over files, with and without compaction between the calls, and what compaction promises.
#![cfg(all(feature = "memory", feature = "jsonl", feature = "parquet"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test stops where something is not as it should be"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{RecordBatch, StringArray};
use minutebook::config::{Config, Environment};
use minutebook::jsonl::{JsonlConfig, JsonlTimeSeriesRepository, LINE_COLUMN};
use minutebook::memory::MemoryTimeSeriesRepository;
use minutebook::parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use minutebook::{
    BatchStream, Capabilities, ErrorKind, ManualClock, Minutebook, Result, ScanQuery, SeriesFilter,
    SeriesId, SeriesSummary, Tiered, TimeRange, TimeSeriesRepository, WriteMode, WriteReceipt,
};
use minutebook_fs::crash::{self, Crashed, Options};
use minutebook_fs::{Durability, SimFs};
use minutebook_testkit::{Harness, async_trait, test_clock};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn btc() -> SeriesId {
    "BTCUSD@ticks".parse().unwrap()
}

fn on(disk: &SimFs) -> Result<(JsonlTimeSeriesRepository, Tiered)> {
    let fs: Arc<dyn minutebook_fs::Fs> = Arc::new(disk.clone());
    let hot = JsonlConfig::default()
        .fs(Arc::clone(&fs))
        .durability(Durability::Synced)
        .read_ahead(std::num::NonZeroUsize::MIN);
    let hot = JsonlTimeSeriesRepository::open("/ticks", hot)?;
    let cold = ParquetConfig::default()
        .fs(fs)
        .durability(Durability::Synced);
    let cold = ParquetTimeSeriesRepository::open("/series", cold)?;
    Ok((hot.clone(), Tiered::over_files(hot, cold)))
}

fn on_disk(
    dir: &std::path::Path,
) -> (
    JsonlTimeSeriesRepository,
    ParquetTimeSeriesRepository,
    Tiered,
) {
    let hot = JsonlConfig::default().durability(Durability::Buffered);
    let hot = JsonlTimeSeriesRepository::open(dir.join("ticks"), hot).unwrap();
    let cold = ParquetConfig::default().durability(Durability::Buffered);
    let cold = ParquetTimeSeriesRepository::open(dir.join("series"), cold).unwrap();
    let tiered = Tiered::over_files(hot.clone(), cold.clone());
    (hot, cold, tiered)
}

mod suites {
    use super::*;

    /// Two fakes, of which only the hot one is ever written.
    pub(crate) struct Fakes {
        hot: MemoryTimeSeriesRepository,
        cold: MemoryTimeSeriesRepository,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Harness<dyn TimeSeriesRepository> for Fakes {
        fn new() -> Self {
            let clock = test_clock();
            Self {
                hot: MemoryTimeSeriesRepository::with_clock(clock.clone()),
                cold: MemoryTimeSeriesRepository::with_clock(clock.clone()),
                clock,
            }
        }

        async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
            Ok(Arc::new(Tiered::new(self.hot.clone(), self.cold.clone())))
        }

        fn clock(&self) -> Option<Arc<ManualClock>> {
            Some(Arc::clone(&self.clock))
        }
    }

    pub(crate) struct Files {
        disk: SimFs,
        clock: Arc<ManualClock>,
    }

    #[async_trait]
    impl Harness<dyn TimeSeriesRepository> for Files {
        fn new() -> Self {
            Self {
                disk: SimFs::new(),
                clock: test_clock(),
            }
        }

        async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
            Ok(Arc::new(on(&self.disk.new_process())?.1))
        }

        fn clock(&self) -> Option<Arc<ManualClock>> {
            Some(Arc::clone(&self.clock))
        }
    }

    /// Seals after every write, and compacts after every other: what is written is in all three places.
    #[derive(Debug)]
    struct Moving {
        hot: JsonlTimeSeriesRepository,
        tiered: Tiered,
        writes: AtomicUsize,
    }

    #[async_trait]
    impl TimeSeriesRepository for Moving {
        fn capabilities(&self) -> Capabilities {
            self.tiered.capabilities()
        }

        async fn write(
            &self,
            series: &SeriesId,
            batch: RecordBatch,
            mode: WriteMode,
        ) -> Result<WriteReceipt> {
            let receipt = self.tiered.write(series, batch, mode).await?;
            let writes = self.writes.fetch_add(1, Ordering::SeqCst);
            let step = writes % 3;
            if step > 0 {
                self.hot.rotate(series).await?;
            }
            if step > 1 && matches!(series, SeriesId::Ticks { .. }) {
                let report = self.tiered.compact(series, false).await?;
                assert!(report.refused.is_empty(), "{:?}", report.refused);
            }
            Ok(receipt)
        }

        async fn scan(&self, series: &SeriesId, query: &ScanQuery) -> Result<BatchStream> {
            self.tiered.scan(series, query).await
        }

        async fn summary(&self, series: &SeriesId) -> Result<Option<SeriesSummary>> {
            self.tiered.summary(series).await
        }

        async fn list(&self, filter: &SeriesFilter) -> Result<Vec<SeriesId>> {
            self.tiered.list(filter).await
        }

        async fn delete(&self, series: &SeriesId, range: Option<TimeRange>) -> Result<u64> {
            self.tiered.delete(series, range).await
        }
    }

    pub(crate) struct Compacting(Files);

    #[async_trait]
    impl Harness<dyn TimeSeriesRepository> for Compacting {
        fn new() -> Self {
            Self(Files::new())
        }

        async fn open(&self) -> Result<Arc<dyn TimeSeriesRepository>> {
            let (hot, tiered) = on(&self.0.disk.new_process())?;
            Ok(Arc::new(Moving {
                hot,
                tiered,
                writes: AtomicUsize::new(0),
            }))
        }

        fn clock(&self) -> Option<Arc<ManualClock>> {
            Some(Arc::clone(&self.0.clock))
        }
    }

    mod fakes {
        minutebook_testkit::time_series_repository_tests!(crate::suites::Fakes);
    }

    mod files {
        minutebook_testkit::time_series_repository_tests!(crate::suites::Files);
    }

    mod compacting {
        minutebook_testkit::time_series_repository_tests!(crate::suites::Compacting);
    }
}

fn entry(n: usize) -> String {
    format!(
        "{{\"timestamp\":\"2025-01-01T00:{:02}:{:02}\",\"n\":{n},\"price\":{}.5}}",
        n / 60 % 60,
        n % 60,
        n % 7
    )
}

async fn numbers(repo: &dyn TimeSeriesRepository, query: &ScanQuery) -> Result<Vec<i64>> {
    let (batch, report) = repo.scan(&btc(), query).await?.concat().await?;
    assert!(report.is_clean(), "{report:?}");
    let column = batch.column_by_name("n").unwrap();
    Ok(column.as_primitive::<Int64Type>().values().to_vec())
}

#[test]
fn rows_are_moved_and_no_read_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, cold, tiered) = on_disk(dir.path());
    run(async {
        for part in 0..5 {
            // Two equal trades stay two.
            let entries: Vec<_> = (part * 20..part * 20 + 20)
                .flat_map(|n| [entry(n), entry(n)])
                .collect();
            hot.append_entries(&btc(), &entries).await.unwrap();
            if part < 4 {
                hot.rotate(&btc()).await.unwrap().unwrap();
            }
        }
        let all: Vec<i64> = (0..100).flat_map(|n| [n, n]).collect();
        let before = tiered.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(numbers(&tiered, &ScanQuery::new()).await.unwrap(), all);
        let plan = tiered.compact(&btc(), true).await.unwrap();
        assert_eq!(
            (plan.moved.len(), plan.resumed.len(), plan.refused.len()),
            (4, 0, 0)
        );
        assert!(cold.summary(&btc()).await.unwrap().is_none());
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert_eq!(
            (done.moved.len(), done.resumed.len(), done.refused.len()),
            (4, 0, 0)
        );
        assert!(done.freed_bytes > 0);
        assert_eq!(cold.summary(&btc()).await.unwrap().unwrap().rows, 160);
        assert_eq!(hot.summary(&btc()).await.unwrap().unwrap().rows, 40);
        assert!(hot.segments(&btc()).await.unwrap().is_empty());
        let after = tiered.summary(&btc()).await.unwrap().unwrap();
        assert_eq!(
            (after.rows, after.first, after.last, after.version),
            (before.rows, before.first, before.last, before.version)
        );
        for n in [0, 1, 39, 40, 41, 160, 170, 200, 500] {
            let last = numbers(&tiered, &ScanQuery::new().last(n).batch_size(7))
                .await
                .unwrap();
            assert_eq!(last, all[200 - n.min(200)..]);
            let first = numbers(&tiered, &ScanQuery::new().first(n).batch_size(7))
                .await
                .unwrap();
            assert_eq!(first, all[..n.min(200)]);
        }
        let again = tiered.compact(&btc(), false).await.unwrap();
        assert!(again.moved.is_empty() && again.resumed.is_empty());
        assert_eq!(tiered.delete(&btc(), None).await.unwrap(), 200);
        assert!(tiered.summary(&btc()).await.unwrap().is_none());
        assert!(cold.summary(&btc()).await.unwrap().is_none());
    });
}

#[test]
fn what_columns_cannot_hold_goes_with_its_line_or_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, cold, tiered) = on_disk(dir.path());
    run(async {
        let lines = [
            "{\"timestamp\":\"2025-01-01\",\"price\":1.5,\"venue\":\"x\"}",
            "{\"timestamp\":\"2025-01-02\",\"price\":2,\"venue\":{\"name\":[1,2]}}",
            "{\"timestamp\":\"2025-01-03\",\"price\":0.1234567890123456789,\"venue\":null}",
        ];
        hot.append_entries(&btc(), &lines).await.unwrap();
        let read = async || {
            let stream = tiered.scan(&btc(), &ScanQuery::new()).await.unwrap();
            stream.concat().await.unwrap().0
        };
        let before = read().await;
        hot.rotate(&btc()).await.unwrap();
        tiered.compact(&btc(), false).await.unwrap();
        let after = read().await;
        assert_eq!(before.columns(), after.columns());
        let stored = cold
            .scan(&btc(), &ScanQuery::new())
            .await
            .unwrap()
            .concat()
            .await
            .unwrap()
            .0;
        let texts: &StringArray = stored.column_by_name(LINE_COLUMN).unwrap().as_string();
        assert_eq!(
            texts.iter().collect::<Vec<_>>(),
            [None, Some(lines[1]), Some(lines[2])]
        );
        // A line that is no row keeps its segment where it is, and the next one is moved nevertheless.
        std::fs::write(
            dir.path().join("ticks/btcusd_timeseries.jsonl"),
            "{\"timestamp\":\"2025-01-04\",\"price\":1.0}\nnot json\n",
        )
        .unwrap();
        hot.rotate(&btc()).await.unwrap();
        hot.append_entries(&btc(), &["{\"timestamp\":\"2025-01-05\",\"price\":3.0}"])
            .await
            .unwrap();
        hot.rotate(&btc()).await.unwrap();
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert_eq!((done.moved.len(), done.refused.len()), (1, 1));
        assert_eq!(done.refused[0].segment.number, 2);
        assert_eq!(read().await.num_rows(), 5);
        // Another type than the column has there.
        hot.append_entries(
            &btc(),
            &["{\"timestamp\":\"2025-01-06\",\"price\":\"free\"}"],
        )
        .await
        .unwrap();
        hot.rotate(&btc()).await.unwrap();
        let done = tiered.compact(&btc(), false).await.unwrap();
        assert_eq!((done.moved.len(), done.refused.len()), (0, 2));
        assert!(
            done.refused[1].error.to_string().contains("\"price\""),
            "{}",
            done.refused[1].error
        );
        let error = tiered.scan(&btc(), &ScanQuery::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(error.to_string().contains("\"price\""), "{error}");
    });
}

#[test]
fn integers_and_floats_of_one_column_are_read_as_floats() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, _, tiered) = on_disk(dir.path());
    run(async {
        hot.append_entries(&btc(), &["{\"timestamp\":\"2025-01-01\",\"size\":1}"])
            .await
            .unwrap();
        hot.rotate(&btc()).await.unwrap();
        tiered.compact(&btc(), false).await.unwrap();
        hot.append_entries(
            &btc(),
            &["{\"timestamp\":\"2025-01-02\",\"size\":2.5,\"new\":true}"],
        )
        .await
        .unwrap();
        let (rows, _) = tiered
            .scan(&btc(), &ScanQuery::new())
            .await
            .unwrap()
            .concat()
            .await
            .unwrap();
        let sizes = rows
            .column_by_name("size")
            .unwrap()
            .as_primitive::<Float64Type>();
        assert_eq!(sizes.values().as_ref(), [1.0, 2.5]);
        let (rows, _) = tiered
            .scan(&btc(), &ScanQuery::new().columns(["new"]))
            .await
            .unwrap()
            .concat()
            .await
            .unwrap();
        let new = rows.column(1).as_boolean();
        assert_eq!(new.iter().collect::<Vec<_>>(), [None, Some(true)]);
    });
}

/// All rows are there once, whoever looks: before anybody goes on, while the going on is done again, and after it.
fn check<T>(crashed: &Crashed<'_, T>, rows: i64) -> std::result::Result<(), String> {
    run(async {
        let (hot, tiered) = on(&crashed.disk).map_err(|e| e.to_string())?;
        let all: Vec<i64> = (0..rows).collect();
        for round in 0..2 {
            let found = numbers(&tiered, &ScanQuery::new())
                .await
                .map_err(|e| e.to_string())?;
            if found != all {
                return Err(format!("round {round}: {found:?}"));
            }
            let summary = tiered.summary(&btc()).await.map_err(|e| e.to_string())?;
            if summary.map(|s| s.rows) != Some(all.len() as u64) {
                return Err("the summary counts other rows".to_owned());
            }
            let done = tiered
                .compact(&btc(), false)
                .await
                .map_err(|e| e.to_string())?;
            if !done.refused.is_empty() {
                return Err(format!("{:?}", done.refused));
            }
        }
        if !hot
            .segments(&btc())
            .await
            .map_err(|e| e.to_string())?
            .is_empty()
        {
            return Err("segments are left".to_owned());
        }
        Ok(())
    })
}

#[test]
fn a_compaction_can_be_stopped_anywhere() {
    let report = crash::enumerate(
        &Options::default(),
        |disk| {
            let (hot, _) = on(disk).map_err(|e| e.to_string())?;
            run(async {
                for part in 0..2 {
                    let entries: Vec<_> = (part * 3..part * 3 + 3).map(entry).collect();
                    hot.append_entries(&btc(), &entries)
                        .await
                        .map_err(|e| e.to_string())?;
                    hot.rotate(&btc()).await.map_err(|e| e.to_string())?;
                }
                let last = hot.append_entries(&btc(), &[entry(6)]).await;
                last.map(drop).map_err(|e| e.to_string())
            })
        },
        |disk| {
            let (_, tiered) = on(disk).ok()?;
            run(tiered.compact(&btc(), false)).ok().map(drop)
        },
        |crashed| check(crashed, 7),
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps > 15 && report.states > 100, "{report:?}");
}

#[test]
fn two_compactors_at_a_time_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (hot, cold, _) = on_disk(dir.path());
    run(async {
        for part in 0..6 {
            let entries: Vec<_> = (part * 10..part * 10 + 10).map(entry).collect();
            hot.append_entries(&btc(), &entries).await.unwrap();
            hot.rotate(&btc()).await.unwrap().unwrap();
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (_, _, tiered) = on_disk(dir.path());
            scope.spawn(move || run(tiered.compact(&btc(), false)).unwrap());
        }
    });
    let summary = run(cold.summary(&btc())).unwrap().unwrap();
    assert_eq!(summary.rows, 60);
}

#[test]
fn every_acknowledged_row_is_read_once_while_others_write_rotate_and_compact() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = AtomicUsize::new(0);
    let moved = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (writer, mover, reader) = (
            on_disk(dir.path()),
            on_disk(dir.path()),
            on_disk(dir.path()),
        );
        let (acknowledged, moved, done) = (&acknowledged, &moved, &done);
        scope.spawn(move || {
            run(async {
                let mut n = 0;
                // Times ascend with the numbers, so that the order of time is that of the numbers.
                while n < 60 || moved.load(Ordering::SeqCst) < 4 {
                    let time = 1_735_689_600_000 + n;
                    let text = minutebook::time::format_timestamp(
                        chrono::DateTime::from_timestamp_millis(time).unwrap(),
                    );
                    let line = format!("{{\"timestamp\":\"{text}\",\"n\":{n}}}");
                    writer.0.append_entries(&btc(), &[line]).await.unwrap();
                    n += 1;
                    acknowledged.store(usize::try_from(n).unwrap(), Ordering::SeqCst);
                }
                done.store(true, Ordering::SeqCst);
            });
        });
        scope.spawn(move || {
            run(async {
                while !done.load(Ordering::SeqCst) {
                    if acknowledged.load(Ordering::SeqCst) > 0 {
                        mover.0.rotate(&btc()).await.unwrap();
                        let report = mover.2.compact(&btc(), false).await.unwrap();
                        assert!(report.refused.is_empty(), "{report:?}");
                        moved.fetch_add(report.moved.len(), Ordering::SeqCst);
                    }
                }
            });
        });
        scope.spawn(move || {
            run(async {
                loop {
                    let last = done.load(Ordering::SeqCst);
                    let least = acknowledged.load(Ordering::SeqCst);
                    if least > 0 {
                        let found = numbers(&reader.2, &ScanQuery::new()).await.unwrap();
                        assert!(found.len() >= least, "{} of {least}", found.len());
                        let all: Vec<i64> = (0..i64::try_from(found.len()).unwrap()).collect();
                        assert_eq!(found, all);
                    }
                    if last {
                        break;
                    }
                }
            });
        });
    });
}

#[test]
fn a_store_opens_its_ticks_as_tiered_where_the_settings_say_so() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let open = |tiered: bool| {
            Minutebook::options()
                .environment(Environment::empty())
                .config(Config::new().tiered(tiered))
                .create(dir.path())
                .unwrap()
        };
        let book = open(true);
        let log = book.tick_log().unwrap().unwrap();
        log.append_entries(&btc(), &[entry(0), entry(1)])
            .await
            .unwrap();
        log.rotate(&btc()).await.unwrap();
        log.append_entries(&btc(), &[entry(2)]).await.unwrap();
        let plain = open(false);
        let error = plain
            .compact_ticks(&SeriesFilter::new(), false)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let done = book
            .compact_ticks(&SeriesFilter::new(), false)
            .await
            .unwrap();
        assert_eq!(done[0].moved.len(), 1);
        assert_eq!(
            numbers(&**open(true).ticks(), &ScanQuery::new())
                .await
                .unwrap(),
            [0, 1, 2]
        );
        assert_eq!(
            book.ticks().list(&SeriesFilter::new()).await.unwrap(),
            [btc()]
        );
    });
}
