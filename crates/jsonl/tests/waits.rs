//! Nobody waits for the reading of a file of which nothing is known yet: no append of this process, and no writer of another one.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array};
use common::*;
use minutebook_core::{ScanQuery, TimeSeriesRepository};
use minutebook_fs::{
    DirEntry, Durability, Fs, FsFile, Locality, LockMode, LockWait, Metadata, OpKind, OpenMode,
    SimFs,
};
use minutebook_jsonl::{
    AppenderOptions, EntryQuery, EpochUnit, JsonlConfig, JsonlTimeSeriesRepository, TimeField,
};

const PLAIN: &str = "/ticks/btcusd_timeseries.jsonl";

fn open(fs: impl Fs) -> JsonlTimeSeriesRepository {
    let config = JsonlConfig::default()
        .fs(Arc::new(fs))
        .durability(Durability::Buffered);
    JsonlTimeSeriesRepository::open("/ticks", config).unwrap()
}

/// A line as a program that knows nothing of this one writes it.
fn foreign(lines: std::ops::Range<usize>) -> String {
    let lines = lines.map(|n| entry(n) + "\n");
    lines.collect()
}

fn put(disk: &SimFs, path: &str, text: &str) {
    drop(open(disk.clone()));
    let path = Path::new(path);
    let file = disk.open(path, OpenMode::Append).unwrap();
    assert_eq!(file.append(text.as_bytes()).unwrap(), text.len());
}

fn numbers(n: i64) -> arrow_array::RecordBatch {
    batch(
        &[n],
        vec![("n", Arc::new(Int64Array::from(vec![n])) as ArrayRef)],
    )
}

type Call = (&'static str, fn(&JsonlTimeSeriesRepository));

/// Whatever needs the index of the plain file.
const READS: [Call; 8] = [
    ("scan", |repo| {
        run(scan(repo, &btc(), &ScanQuery::new())).unwrap();
    }),
    ("the last rows", |repo| {
        run(scan(repo, &btc(), &ScanQuery::new().last(3))).unwrap();
    }),
    ("the rows of a range", |repo| {
        let some = range("2025-01-01T00:00:10", "2025-01-01T00:00:20");
        run(scan(repo, &btc(), &ScanQuery::new().range(some))).unwrap();
    }),
    ("the entries of a range", |repo| {
        let some = range("2025-01-01T00:00:10", "2025-01-01T00:00:20");
        run(texts(repo, &btc(), &EntryQuery::new().range(some))).unwrap();
    }),
    ("summary", |repo| {
        run(repo.summary(&btc())).unwrap().unwrap();
    }),
    ("in the order of time", |repo| {
        let taken = run(repo.snapshot(&btc())).unwrap().unwrap();
        let sorted = run(taken.scan_in_time_order(&ScanQuery::new(), None));
        run(sorted.unwrap().concat()).unwrap();
    }),
    ("column types", |repo| {
        let taken = run(repo.snapshot(&btc())).unwrap().unwrap();
        run(taken.column_types()).unwrap();
    }),
    ("an index to be written", |repo| {
        run(repo.write_index(&btc())).unwrap();
    }),
];

/// Whatever takes the writers' lock, or is to be taken for it.
const WRITES: [Call; 4] = [
    ("an entry", |repo| {
        run(repo.append_entries(&btc(), &entries(0..1))).unwrap();
    }),
    ("an entry whose time is a number", |repo| {
        let time = TimeField::timestamp().epoch(EpochUnit::Seconds);
        let entry = ["{\"timestamp\":1735689600,\"n\":1}"];
        run(repo.append_entries_at(&btc(), &entry, &time)).unwrap();
    }),
    ("a batch", |repo| {
        run(append(repo, &btc(), numbers(5))).unwrap();
    }),
    ("an entry of an appender", |repo| {
        let appender = repo.appender(AppenderOptions::new()).unwrap();
        appender.push_blocking(&btc(), &entry(0)).unwrap();
        appender.close_blocking().unwrap();
    }),
];

#[test]
fn an_append_waits_for_no_read_of_a_file() {
    for (read, reads) in READS {
        for (write, writes) in WRITES {
            let disk = SimFs::new();
            put(&disk, PLAIN, &foreign(0..1_000));
            let process = disk.new_process();
            let repo = open(process.clone());
            let (writer, begun) = (repo.clone(), AtomicBool::new(false));
            let waited = Arc::new(AtomicBool::new(false));
            let late = Arc::clone(&waited);
            process.on_op(move |event| {
                let is_read = event.kind == OpKind::Read && event.path == Path::new(PLAIN);
                if !is_read || begun.swap(true, Ordering::SeqCst) {
                    return;
                }
                let (writer, (done, finished)) = (writer.clone(), std::sync::mpsc::channel());
                std::thread::spawn(move || {
                    writes(&writer);
                    done.send(()).unwrap();
                });
                let patience = Duration::from_secs(20);
                late.store(finished.recv_timeout(patience).is_err(), Ordering::SeqCst);
            });
            reads(&repo);
            assert!(!waited.load(Ordering::SeqCst), "{write} waits for {read}");
            let rows = run(repo.summary(&btc())).unwrap().unwrap().rows;
            assert_eq!(rows, 1_001, "{read}, {write}");
        }
    }
}

/// Counts the bytes that are read of files of lines, and how many of them while the writers' lock is held.
#[derive(Debug, Clone)]
struct Counted {
    disk: SimFs,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    under_lock: AtomicU64,
    locked: AtomicBool,
}

impl Counts {
    fn taken(&self) -> (u64, u64) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst);
        (take(&self.read), take(&self.under_lock))
    }
}

impl Fs for Counted {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(CountedFile {
            file: self.disk.open(path, mode)?,
            is_lines: path
                .extension()
                .is_some_and(|it| it == "jsonl" || it == "zst"),
            is_lock: path.ends_with(".btcusd.lock"),
            counts: Arc::clone(&self.counts),
        }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_no_replace(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.hard_link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn visit_dir(&self, path: &Path, visit: &mut dyn FnMut(DirEntry) -> bool) -> io::Result<()> {
        self.disk.visit_dir(path, visit)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.disk.metadata(path)
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.disk.canonicalize(path)
    }
    fn locality(&self, path: &Path) -> io::Result<Locality> {
        self.disk.locality(path)
    }
    fn temp_name(&self) -> String {
        self.disk.temp_name()
    }
}

#[derive(Debug)]
struct CountedFile {
    file: Box<dyn FsFile>,
    is_lines: bool,
    is_lock: bool,
    counts: Arc<Counts>,
}

impl FsFile for CountedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buf, offset)?;
        if self.is_lines {
            self.counts.read.fetch_add(read as u64, Ordering::SeqCst);
            if self.counts.locked.load(Ordering::SeqCst) {
                let under_lock = &self.counts.under_lock;
                under_lock.fetch_add(read as u64, Ordering::SeqCst);
            }
        }
        Ok(read)
    }
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }
    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.file.set_mode(mode)
    }
    fn lock(&self, mode: LockMode, wait: LockWait) -> io::Result<()> {
        self.file.lock(mode, wait)?;
        if self.is_lock && mode == LockMode::Exclusive {
            self.counts.locked.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
    fn unlock(&self) -> io::Result<()> {
        if self.is_lock {
            self.counts.locked.store(false, Ordering::SeqCst);
        }
        self.file.unlock()
    }
}

fn counted(disk: &SimFs) -> (Counted, Arc<Counts>) {
    let counts = Arc::default();
    let fs = Counted {
        disk: disk.new_process(),
        counts: Arc::clone(&counts),
    };
    (fs, counts)
}

/// So little is read to see that a file is still the one that is known.
const LITTLE: u64 = 16 << 10;

#[test]
fn a_batch_reads_an_unknown_file_once_and_without_the_lock() {
    let disk = SimFs::new();
    let text = foreign(0..40_000);
    put(&disk, PLAIN, &text);
    let whole = text.len() as u64;
    let (fs, counts) = counted(&disk);
    let repo = open(fs);
    run(append(&repo, &btc(), numbers(1))).unwrap();
    let (read, under_lock) = counts.taken();
    assert!(
        read >= whole && read < whole + whole / 8,
        "{read} of {whole}"
    );
    assert!(under_lock < LITTLE, "{under_lock} under the lock");
    // What another program adds is read once, too, and without the lock if it is much.
    let more = foreign(0..40_000);
    put(&disk, PLAIN, &more);
    run(append(&repo, &btc(), numbers(2))).unwrap();
    let (read, under_lock) = counts.taken();
    assert!(read < whole + whole / 8, "{read} of {whole}");
    assert!(under_lock < LITTLE, "{under_lock} under the lock");
    assert_eq!(run(repo.summary(&btc())).unwrap().unwrap().rows, 80_002);
}

#[test]
fn nor_after_the_index_was_written_down() {
    let disk = SimFs::new();
    put(&disk, PLAIN, &foreign(0..40_000));
    let (fs, counts) = counted(&disk);
    let repo = open(fs);
    run(repo.write_index(&btc())).unwrap();
    counts.taken();
    run(append(&repo, &btc(), numbers(1))).unwrap();
    let (read, under_lock) = counts.taken();
    assert!(read < LITTLE && under_lock < LITTLE, "{read}, {under_lock}");
}

#[test]
fn neither_with_segments_before_it() {
    let disk = SimFs::new();
    let text = foreign(0..40_000);
    let whole = text.len() as u64;
    put(&disk, PLAIN, &text);
    let first = open(disk.clone());
    run(first.rotate(&btc())).unwrap().unwrap();
    put(&disk, PLAIN, &text);
    let (fs, counts) = counted(&disk);
    let repo = open(fs);
    run(append(&repo, &btc(), numbers(1))).unwrap();
    let (read, under_lock) = counts.taken();
    assert!(
        read >= whole && read < whole + whole / 8,
        "{read} of {whole}"
    );
    assert!(under_lock < LITTLE, "{under_lock} under the lock");

    // Sealed and not compressed yet, and a plain file after it.
    disk.rename(
        Path::new(PLAIN),
        Path::new("/ticks/btcusd~sealed/00000002.jsonl"),
    )
    .unwrap();
    put(&disk, PLAIN, &text);
    let (fs, counts) = counted(&disk);
    let repo = open(fs);
    run(append(&repo, &btc(), numbers(2))).unwrap();
    let (read, under_lock) = counts.taken();
    let both = 2 * whole;
    assert!(read >= both && read < both + both / 8, "{read} of {both}");
    assert!(under_lock < LITTLE, "{under_lock} under the lock");

    // The settings with which the segments were described are others.
    let (fs, counts) = counted(&disk);
    let config = JsonlConfig::default()
        .fs(Arc::new(fs))
        .durability(Durability::Buffered)
        .max_line_bytes(1 << 20);
    let repo = JsonlTimeSeriesRepository::open("/ticks", config).unwrap();
    run(append(&repo, &btc(), numbers(3))).unwrap();
    let (_, under_lock) = counts.taken();
    assert!(under_lock < LITTLE, "{under_lock} under the lock");
    assert_eq!(run(repo.summary(&btc())).unwrap().unwrap().rows, 120_003);
}

#[test]
fn a_snapshot_of_before_a_rotation_does_not_make_others_read_again() {
    let disk = SimFs::new();
    put(&disk, PLAIN, &foreign(0..40_000));
    let (fs, counts) = counted(&disk);
    let repo = open(fs);
    let before = run(repo.snapshot(&btc())).unwrap().unwrap();
    run(repo.rotate(&btc())).unwrap().unwrap();
    put(&disk, PLAIN, &foreign(0..40_000));
    run(append(&repo, &btc(), numbers(1))).unwrap();
    assert_eq!(run(before.summary()).unwrap().rows, 40_000);
    counts.taken();
    run(append(&repo, &btc(), numbers(2))).unwrap();
    assert_eq!(run(before.summary()).unwrap().rows, 40_000);
    run(append(&repo, &btc(), numbers(3))).unwrap();
    let (read, _) = counts.taken();
    assert!(read < LITTLE, "{read}");
}

#[test]
fn two_reads_at_once_read_an_unknown_file_once() {
    let disk = SimFs::new();
    let text = foreign(0..40_000);
    put(&disk, PLAIN, &text);
    let whole = text.len() as u64;
    let (fs, counts) = counted(&disk);
    let repo = open(fs.clone());
    let (second, begun) = (repo.clone(), AtomicBool::new(false));
    let other = Arc::new(Mutex::new(None));
    let started = Arc::clone(&other);
    fs.disk.on_op(move |event| {
        let is_read = event.kind == OpKind::Read && event.path == Path::new(PLAIN);
        if is_read && !begun.swap(true, Ordering::SeqCst) {
            let second = second.clone();
            let look = move || run(second.summary(&btc())).unwrap().unwrap().rows;
            *started.lock().unwrap() = Some(std::thread::spawn(look));
        }
    });
    assert_eq!(run(repo.summary(&btc())).unwrap().unwrap().rows, 40_000);
    let other = other.lock().unwrap().take().unwrap();
    assert_eq!(other.join().unwrap(), 40_000);
    let (read, _) = counts.taken();
    assert!(read < whole + whole / 8, "{read} of {whole}");
}
