//! What others do at the worst moment of a backup, a check of one, or a restore.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use minutebook::backup::{
    BackupOptions, BackupReport, RestoreOptions, check_backup, generations, prune, restore,
};
use minutebook::check::{Part, VerifyOptions};
use minutebook::config::Environment;
use minutebook::jsonl::EntryQuery;
use minutebook::{
    Decision, DecisionQuery, DecisionRepositoryExt, ErrorKind, Minutebook, Result, SeriesId,
};
use minutebook_fs::{Fs, Images, OpKind, SimFs};
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};
use minutebook_testkit::test_clock;

use super::{backup, made, runtime, sample};

const STORE: &str = "/store";
const BACKUPS: &str = "/backups";

fn open(disk: &SimFs, path: &str) -> Minutebook {
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let options = Minutebook::options()
        .environment(Environment::empty())
        .clock(test_clock())
        .fs(fs);
    options.create(path).unwrap()
}

async fn backed_up(disk: &SimFs) -> Result<BackupReport> {
    let options = BackupOptions::new();
    open(disk, STORE).backup(BACKUPS, &options).await
}

async fn brought_back(disk: &SimFs, into: &str) -> Minutebook {
    let options = RestoreOptions::new().fs(Arc::new(disk.clone()));
    restore(BACKUPS, into, &options).await.unwrap();
    open(disk, into)
}

/// Does something in a thread of its own, as another process would.
fn meanwhile(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work).join().unwrap();
}

fn btc() -> SeriesId {
    "BTCUSD@ticks".parse().unwrap()
}

fn lines(from: usize, to: usize) -> Vec<String> {
    (from..to)
        .map(|n| format!(r#"{{"timestamp": "2025-02-01T00:00:00", "n": {n}}}"#))
        .collect()
}

#[test]
fn decisions_that_a_power_cut_left_in_the_ring_alone_are_in_a_backup() {
    runtime().block_on(async {
        let disk = SimFs::new();
        let book = open(&disk, STORE);
        for i in 0..5 {
            let decision = Decision::new(format!("d-{i}").parse().unwrap());
            book.decisions().create(&decision).await.unwrap();
        }
        let images = disk.images_after_crash(&Images::default().max(40));
        assert!(images.len() > 1);
        for image in images {
            // Nobody has opened the store since.
            backed_up(&image.fs).await.unwrap();
            let again = brought_back(&image.fs, "/again").await;
            let found = again.decisions().query(&DecisionQuery::new()).await;
            assert_eq!(found.unwrap().decisions.len(), 5);
        }
    });
}

#[test]
fn a_journal_segment_that_is_compressed_meanwhile_is_in_a_backup() {
    runtime().block_on(async {
        let disk = SimFs::new();
        drop(open(&disk, STORE));
        let dir = Path::new(STORE).join("decisions");
        let config = JsonDecisionConfig::default()
            .fs(Arc::new(disk.clone()))
            .segment_bytes(1 << 30);
        let decisions = JsonDecisionRepository::open(&dir, config).unwrap();
        for i in 0..30 {
            let decision = Decision::new(format!("d-{i}").parse().unwrap());
            decisions.create(&decision).await.unwrap();
        }
        assert!(decisions.rotate().await.unwrap());
        drop(decisions);
        let packed = dir.join("decisions.journal.000000000001.jsonl.zst");
        let plain = dir.join("decisions.journal.000000000001.jsonl");
        let bytes = disk.get(&packed).unwrap();
        // As it is between sealing and compressing.
        let text = zstd::decode_all(bytes.as_slice()).unwrap();
        disk.put(&plain, &text).unwrap();
        disk.remove_file(&packed).unwrap();

        let (process, opened) = (disk.new_process(), AtomicU64::new(0));
        let other = disk.new_process();
        let path = plain.clone();
        process.on_op(move |event| {
            // Once before the lock is taken, once after.
            if event.kind == OpKind::Open
                && event.path == path
                && opened.fetch_add(1, Ordering::SeqCst) == 1
            {
                other.put(&packed, &bytes).unwrap();
                other.remove_file(&path).unwrap();
            }
        });
        let made = backed_up(&process).await.unwrap();
        assert!(disk.get(&plain).is_none(), "nothing was compressed");
        assert!(made.missing.is_empty());
        let again = brought_back(&disk, "/again").await;
        let mut options = VerifyOptions::new();
        if let Some(head) = &made.journal_head {
            options = options.head(head);
        }
        let report = again.verify(&options).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    });
}

/// A backup of ten ticks, during which they are rotated for the first time. Gives what a restore has of them.
async fn rotated_before(path: &'static str, kind: OpKind) -> usize {
    let disk = SimFs::new();
    let book = open(&disk, STORE);
    let log = book.tick_log().unwrap().unwrap();
    log.append_entries(&btc(), &lines(0, 10)).await.unwrap();
    drop(book);
    let (process, other) = (disk.new_process(), disk.new_process());
    let done = Arc::new(AtomicBool::new(false));
    let once = Arc::clone(&done);
    process.on_op(move |event| {
        if event.kind == kind && event.path.ends_with(path) && !once.swap(true, Ordering::SeqCst) {
            let other = other.clone();
            meanwhile(move || {
                runtime().block_on(async {
                    let book = open(&other, STORE);
                    let log = book.tick_log().unwrap().unwrap();
                    log.rotate(&btc()).await.unwrap().unwrap();
                });
            });
        }
    });
    backed_up(&process).await.unwrap();
    assert!(done.load(Ordering::SeqCst), "nothing was rotated");
    let again = brought_back(&disk, "/again").await;
    let log = again.tick_log().unwrap().unwrap();
    let entries = log.entries(&btc(), &EntryQuery::new()).await.unwrap();
    entries.collect().await.unwrap().0.len()
}

#[test]
fn the_first_rotation_of_a_series_takes_no_ticks_from_a_backup() {
    runtime().block_on(async {
        assert_eq!(rotated_before(".btcusd.lock", OpKind::Open).await, 10);
        // When the newest version of Parquet is known and nothing is held any more.
        assert_eq!(rotated_before(".btcusd.seal", OpKind::Metadata).await, 10);
    });
}

#[test]
fn a_generation_is_not_completed_over_copies_that_could_not_be_made_durable() {
    runtime().block_on(async {
        let disk = SimFs::new();
        drop(open(&disk, STORE));
        for i in 0..1_500 {
            let path = format!("{STORE}/logs/{i:05}.txt");
            disk.put(path, format!("number {i}").as_bytes()).unwrap();
        }
        let (process, other) = (disk.new_process(), disk.new_process());
        let count = AtomicU64::new(0);
        // Each file is written in place while it is read.
        process.on_op(move |event| {
            if event.kind == OpKind::Read && event.path.starts_with("/store/logs") {
                let n = count.fetch_add(1, Ordering::SeqCst);
                let text = format!("changed {n}");
                other.put(&event.path, text.as_bytes()).unwrap();
            }
        });
        // One batch of copies fails, and none after it.
        let fault = minutebook_fs::Fault::on(OpKind::SyncAll).at("incoming");
        process.inject(fault.error(std::io::ErrorKind::Other));
        let error = backed_up(&process).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let lists = disk.read_dir(&Path::new(BACKUPS).join("generations"));
        assert!(lists.unwrap().is_empty(), "a generation was completed");
        process.clear_hook();
        backed_up(&process).await.unwrap();
        drop(brought_back(&disk, "/again").await);
    });
}

#[test]
fn a_part_is_not_restored_over_what_a_stopped_restore_left() {
    runtime().block_on(async {
        let disk = SimFs::new();
        let book = open(&disk, STORE);
        let log = book.tick_log().unwrap().unwrap();
        log.append_entries(&btc(), &lines(0, 10)).await.unwrap();
        book.documents()
            .save(&"run".parse().unwrap(), "[1]")
            .await
            .unwrap();
        backed_up(&disk).await.unwrap();
        let dying = disk.new_process();
        let options = |disk: &SimFs| RestoreOptions::new().fs(Arc::new(disk.clone()));
        dying.on_op({
            let dying = dying.clone();
            move |event| {
                let ticks = event.path.ends_with("btcusd_timeseries.jsonl");
                if ticks && event.path.starts_with("/again") && event.kind == OpKind::SyncAll {
                    dying.kill();
                }
            }
        });
        assert!(restore(BACKUPS, "/again", &options(&dying)).await.is_err());
        let part = options(&disk).parts([Part::Documents]);
        let error = restore(BACKUPS, "/again", &part).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        restore(BACKUPS, "/again", &options(&disk)).await.unwrap();
    });
}

#[test]
fn a_generation_that_is_removed_while_it_is_checked_is_no_damage() {
    runtime().block_on(async {
        let (_dir, store, backups) = made().await;
        let first = backup(&store, &backups).await;
        sample::open(&store)
            .documents()
            .save(&"runs/2025-01-02/params".parse().unwrap(), "[7]")
            .await
            .unwrap();
        let second = backup(&store, &backups).await;
        let (place, once) = (backups.clone(), AtomicBool::new(false));
        let progress = move |_| {
            if !once.swap(true, Ordering::SeqCst) {
                let place = place.clone();
                meanwhile(move || {
                    let removed = runtime().block_on(prune(&place, 1)).unwrap();
                    assert_eq!(removed.len(), 1);
                });
            }
        };
        let check = check_backup(&backups, Some("all"), Some(Arc::new(progress)))
            .await
            .unwrap();
        assert!(check.is_whole(), "{check:?}");
        assert_eq!(check.generations.last(), Some(&second.generation));
        assert!(!check.generations.contains(&first.generation));
        assert_eq!(generations(&backups).await.unwrap().len(), 1);
    });
}

#[cfg(unix)]
#[test]
fn a_file_whose_name_is_no_text_is_said_to_be_left_out() {
    use std::os::unix::ffi::OsStrExt;
    runtime().block_on(async {
        let (_dir, store, backups) = made().await;
        let name = std::ffi::OsStr::from_bytes(b"data-\xff.csv");
        let path = store.join(name);
        std::fs::write(&path, "1").unwrap();
        assert_eq!(backup(&store, &backups).await.skipped, [path]);
    });
}

#[test]
fn one_restore_into_a_directory_goes_on_at_a_time() {
    runtime().block_on(async {
        let disk = SimFs::new();
        open(&disk, STORE)
            .documents()
            .save(&"run".parse().unwrap(), "[1]")
            .await
            .unwrap();
        backed_up(&disk).await.unwrap();
        let (first, second) = (disk.new_process(), disk.new_process());
        let options = |disk: &SimFs| RestoreOptions::new().fs(Arc::new(disk.clone()));
        let refused = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&refused);
        first.on_op(move |event| {
            if event.path.ends_with("documents/run.json") && event.kind == OpKind::Create {
                let (seen, options) = (Arc::clone(&seen), options(&second));
                meanwhile(move || {
                    let other = runtime().block_on(restore(BACKUPS, "/again", &options));
                    assert_eq!(other.unwrap_err().kind(), ErrorKind::Locked);
                    seen.store(true, Ordering::SeqCst);
                });
            }
        });
        let options = RestoreOptions::new().fs(Arc::new(first.clone()));
        restore(BACKUPS, "/again", &options).await.unwrap();
        assert!(refused.load(Ordering::SeqCst), "no other restore was tried");
        let again = restore(BACKUPS, "/again", &options).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn two_restores_that_begin_together_do_not_follow_each_other() {
    runtime().block_on(async {
        let disk = SimFs::new();
        let save = async |text: &str| {
            let documents = open(&disk, STORE).documents().clone();
            documents.save(&"run".parse().unwrap(), text).await.unwrap();
            backed_up(&disk).await.unwrap().generation
        };
        let older = save("[1]").await;
        save("[2]").await;
        let (first, second) = (disk.new_process(), disk.new_process());
        let options = |disk: &SimFs| RestoreOptions::new().fs(Arc::new(disk.clone()));
        let once = AtomicBool::new(false);
        first.on_op(move |event| {
            let begins = event.path.ends_with(".minutebook-restore-unfinished")
                && event.kind == OpKind::RenameNoReplace;
            if begins && !once.swap(true, Ordering::SeqCst) {
                let options = options(&second).generation(&older);
                meanwhile(move || {
                    let done = runtime().block_on(restore(BACKUPS, "/again", &options));
                    done.unwrap();
                });
            }
        });
        let options = options(&first);
        let error = restore(BACKUPS, "/again", &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        let again = open(&disk, "/again");
        let run = again.documents().get(&"run".parse().unwrap()).await;
        assert_eq!(run.unwrap().unwrap().text, "[1]");
    });
}

#[test]
fn the_journal_is_whole_in_a_backup_however_many_sealed_files_it_has() {
    runtime().block_on(async {
        let disk = SimFs::new();
        drop(open(&disk, STORE));
        let config = JsonDecisionConfig::default().fs(Arc::new(disk.clone()));
        let dir = Path::new(STORE).join("decisions");
        let decisions = JsonDecisionRepository::open(&dir, config).unwrap();
        let count = 140;
        for i in 0..count {
            let decision = Decision::new(format!("d-{i}").parse().unwrap());
            decisions.create(&decision).await.unwrap();
            if i < count - 1 {
                assert!(decisions.rotate().await.unwrap());
            }
        }
        let image = disk.images_after_crash(&Images::default().max(1)).remove(0);
        let made = backed_up(&image.fs).await.unwrap();
        assert!(made.journal_head.is_some());
        let again = brought_back(&image.fs, "/again").await;
        let found = again.decisions().query(&DecisionQuery::new()).await;
        assert_eq!(found.unwrap().decisions.len(), count);
    });
}
