//! Many series that are due to be sealed at once, as after midnight: what is compressed at the same time is bounded, and no series is forgotten.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::*;
use minutebook_core::{Clock, ManualClock, SeriesId, SystemClock};
use minutebook_fs::{
    DirEntry, Durability, Fs, FsFile, Identity, Locality, LockMode, LockWait, Metadata, OpenMode,
    OsFs,
};
use minutebook_jsonl::{
    AppenderOptions, EntryQuery, JsonlConfig, JsonlTimeSeriesRepository, Rotation,
};

const SERIES: usize = 300;
const OPEN: usize = 16;
/// Of what one thread that compresses has open at a time, and how many there are.
const FILES: usize = 8;
const THREADS: usize = 2;

/// The disk of this machine, on which no segment is begun to be compressed until it is allowed.
#[derive(Debug, Default)]
struct Held {
    may_go: AtomicBool,
    /// How many threads are at it, and were at most.
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Fs for Held {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn FsFile>> {
        if path.extension().is_some_and(|end| end == "part") {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            while !self.may_go.load(Ordering::SeqCst) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
        OsFs.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.rename(from, to)
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.rename_no_replace(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        OsFs.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        OsFs.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        OsFs.remove_dir(path)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        // No power is cut here, and there are many.
        Ok(())
    }

    fn visit_dir(&self, path: &Path, visit: &mut dyn FnMut(DirEntry) -> bool) -> io::Result<()> {
        OsFs.visit_dir(path, visit)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        OsFs.metadata(path)
    }

    fn identify(&self, path: &Path) -> io::Result<Identity> {
        OsFs.identify(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        OsFs.canonicalize(path)
    }

    fn locality(&self, path: &Path) -> io::Result<Locality> {
        OsFs.locality(path)
    }

    fn temp_name(&self) -> String {
        OsFs.temp_name()
    }
}

/// What the process has open, and how many threads compress, where it says so.
fn handles_and_sealers() -> (usize, usize) {
    if !cfg!(target_os = "linux") {
        return (0, 0);
    }
    let handles = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let sealers = names.filter(|name| name.trim() == "minutebook-seal");
    (handles, sealers.count())
}

/// How many segments of a series are not compressed yet.
fn raw_segments(dir: &Path, series: &SeriesId) -> usize {
    let symbol = series.symbol().unwrap().as_str().to_lowercase();
    let all = names(&dir.join(format!("{symbol}~sealed")));
    let is_raw = |name: &&String| {
        Path::new(name)
            .extension()
            .is_some_and(|end| end == "jsonl")
    };
    all.iter().filter(is_raw).count()
}

#[test]
fn hundreds_of_series_that_are_due_at_once_need_few_threads_and_handles() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, clock) = (
        Arc::new(Held::default()),
        Arc::new(ManualClock::at(SystemClock.now())),
    );
    let config = JsonlConfig::default()
        .fs(fs.clone())
        .clock(clock.clone())
        .durability(Durability::Buffered)
        .max_open_series(NonZeroUsize::new(OPEN).unwrap())
        .rotation(Rotation::default().daily());
    let repo = JsonlTimeSeriesRepository::open(dir.path(), config).unwrap();
    let all: Vec<_> = (0..SERIES).map(|n| id(&format!("S{n}@ticks"))).collect();
    let appender = repo.appender(AppenderOptions::new()).unwrap();
    let (before, _) = handles_and_sealers();
    for day in 0..2 {
        for series in &all {
            appender.push_blocking(series, &entry(day)).unwrap();
        }
        appender.flush_blocking().unwrap();
        clock.advance(chrono::TimeDelta::days(1));
    }
    // All of them were sealed, and the first of them are being compressed.
    let (handles, sealers) = handles_and_sealers();
    assert!(sealers <= THREADS, "{sealers} threads");
    let most = before + 2 * OPEN + THREADS * FILES + 8;
    assert!(handles <= most, "{handles} handles, {before} at first");
    assert!(
        all.iter()
            .all(|series| raw_segments(dir.path(), series) == 1)
    );
    // The next day comes before that is done: appends go on, and the handles stay few.
    for series in &all {
        appender.push_blocking(series, &entry(2)).unwrap();
    }
    appender.flush_blocking().unwrap();
    let (handles, _) = handles_and_sealers();
    assert!(handles <= most, "{handles} handles, {before} at first");
    assert!(fs.most.load(Ordering::SeqCst) <= THREADS);

    // Somebody else is at one of those that wait.
    let (before, rest) = all.split_at(SERIES / 2);
    let (locked, after) = rest.split_at(1);
    let lock = dir.path().join(format!(".s{}.seal", SERIES / 2));
    let busy = OsFs.lock(&lock, LockMode::Exclusive, LockWait::Try);
    let compressed = |some: &[SeriesId]| {
        for series in some {
            let mut looks = 0;
            while raw_segments(dir.path(), series) > 0 {
                looks += 1;
                assert!(looks < 10_000, "{series} is forgotten");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    };
    fs.may_go.store(true, Ordering::SeqCst);
    compressed(before);
    compressed(after);
    assert_eq!(raw_segments(dir.path(), &locked[0]), 1);
    // It was not forgotten.
    drop(busy.unwrap());
    compressed(locked);
    assert!(fs.most.load(Ordering::SeqCst) <= THREADS);
    // What was overdue meanwhile is sealed by the next append.
    for series in &all {
        appender.push_blocking(series, &entry(3)).unwrap();
    }
    appender.close_blocking().unwrap();
    run(async {
        for series in all.iter().step_by(7).take(40) {
            let (found, report) = texts(&repo, series, &EntryQuery::new()).await.unwrap();
            assert!(report.is_clean());
            assert_eq!(found, entries(0..4));
            // The second day's and the third's were sealed together.
            let sealed = repo.rotate(series).await.unwrap().unwrap();
            assert_eq!((sealed.number, sealed.rows), (3, 1));
        }
    });
}
