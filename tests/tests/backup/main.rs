//! Backups of a whole store: what comes back, what a further one costs, what is noticed, beside writers, and stopped anywhere.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is not as it should be"
)]

mod crash;
mod live;
mod moments;
mod places;
mod same;
#[path = "../damage/sample.rs"]
mod sample;
mod vault;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minutebook::Minutebook;
use minutebook::backup::{BackupOptions, BackupReport, RestoreOptions};
use minutebook::check::{VerifyOptions, VerifyReport};
use tempfile::TempDir;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A store as the damages have it.
async fn made() -> (TempDir, PathBuf, PathBuf) {
    let dir = TempDir::new().unwrap();
    let (store, backups) = (dir.path().join("store"), dir.path().join("backups"));
    sample::make(&store).await;
    (dir, store, backups)
}

async fn backup(store: &Path, backups: &Path) -> BackupReport {
    let book = sample::open(store);
    book.backup(backups, &BackupOptions::new()).await.unwrap()
}

async fn verify(store: &Path, head: Option<&str>) -> VerifyReport {
    let mut options = VerifyOptions::new();
    if let Some(head) = head {
        options = options.head(head);
    }
    sample::open(store).verify(&options).await.unwrap()
}

/// Every file below a folder, by its path in there.
fn inside(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    minutebook_tests::contents(folder)
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(folder).unwrap().to_owned(), bytes))
        .collect()
}

/// Every file of a store that a copy of it should have.
fn files(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = inside(store);
    files.retain(|path, _| {
        let name = path.file_name().unwrap().to_string_lossy();
        let made_anew = [".lock", ".seal", ".index"]
            .iter()
            .any(|end| name.starts_with('.') && name.ends_with(end));
        !made_anew && name != "hint.json"
    });
    files
}

#[test]
fn what_was_backed_up_comes_back() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        let made = backup(&store, &backups).await;
        assert_eq!(made.copied_files, made.files);
        assert!(made.skipped.is_empty() && made.missing.is_empty() && made.unsteady.is_empty());

        let again = dir.path().join("again");
        let restored = Minutebook::restore(&backups, &again, &RestoreOptions::new())
            .await
            .unwrap();
        assert_eq!(
            (restored.generation, restored.files, restored.bytes),
            (made.generation, made.files, made.bytes)
        );
        assert_eq!(files(&again), files(&store));
        assert_eq!(sample::answers(&again).await, sample::answers(&store).await);
        let report = verify(&again, made.journal_head.as_deref()).await;
        assert_eq!(report.total(), 0, "{:#?}", report.findings);
        assert_eq!(report.journal_head, made.journal_head);
        assert!(made.journal_head.is_some());
        // Times of files are those of the originals: documents without a date of their own go by them.
        let modified = |root: &Path| {
            let file = std::fs::metadata(root.join("minutebook.toml")).unwrap();
            file.modified().unwrap()
        };
        assert_eq!(modified(&again), modified(&store));
    });
}

#[test]
fn a_further_backup_copies_what_is_new() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        let first = backup(&store, &backups).await;
        let second = backup(&store, &backups).await;
        assert_eq!((second.copied_files, second.copied_bytes), (0, 0));
        assert_eq!((second.files, second.bytes), (first.files, first.bytes));

        let ticks = std::fs::metadata(store.join("ticks/btcusd_timeseries.jsonl")).unwrap();
        let book = sample::open(&store);
        let entry = r#"{"timestamp": "2025-02-01T00:00:00", "price": 1.25}"#;
        let log = book.tick_log().unwrap().unwrap();
        let btc = "BTCUSD@ticks".parse().unwrap();
        log.append_entries(&btc, &[entry]).await.unwrap();
        let third = backup(&store, &backups).await;
        assert_eq!(third.copied_files, 1, "{third:?}");
        assert_eq!(third.copied_bytes, entry.len() as u64 + 1);
        assert!(ticks.len() > third.copied_bytes * 10);

        // What the file begins with is not taken on trust: rewritten, it is stored anew.
        let path = store.join("ticks/btcusd_timeseries.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(
            &path,
            format!("{}{text}", text.lines().last().unwrap().to_owned() + "\n"),
        )
        .unwrap();
        let fourth = backup(&store, &backups).await;
        assert_eq!(fourth.copied_files, 1);
        assert!(fourth.copied_bytes > ticks.len());

        let check = minutebook::backup::check_backup(&backups, Some("all"), None)
            .await
            .unwrap();
        assert!(check.is_whole(), "{check:?}");
        assert_eq!(check.generations.len(), 4);
        // Each is what the store was.
        for (made, lines) in [(&first, 40), (&third, 41), (&fourth, 42)] {
            let into = dir.path().join(&made.generation);
            let options = RestoreOptions::new().generation(&made.generation);
            Minutebook::restore(&backups, &into, &options)
                .await
                .unwrap();
            let text = std::fs::read_to_string(into.join("ticks/btcusd_timeseries.jsonl")).unwrap();
            assert_eq!(text.lines().count(), lines);
            assert!(verify(&into, None).await.damage == 0);
        }
    });
}

#[test]
fn a_file_whose_times_say_nothing_is_read_when_asked() {
    runtime().block_on(async {
        let (_dir, store, backups) = made().await;
        backup(&store, &backups).await;
        let book = sample::open(&store);
        let options = BackupOptions::new().reread(true);
        let again = book.backup(&backups, &options).await.unwrap();
        assert_eq!((again.copied_files, again.copied_bytes), (0, 0));
    });
}

#[test]
fn progress_is_told_and_comes_to_its_end() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let note = {
            let seen = std::sync::Arc::clone(&seen);
            move |progress: minutebook::check::Progress| {
                assert!(progress.done <= progress.total);
                seen.lock().unwrap().push(progress.part);
            }
        };
        let options = BackupOptions::new().progress(note.clone());
        let made = sample::open(&store)
            .backup(&backups, &options)
            .await
            .unwrap();
        let parts = std::mem::take(&mut *seen.lock().unwrap());
        assert!(parts.len() as u64 >= made.files);
        let options = RestoreOptions::new().progress(note);
        let into = dir.path().join("again");
        let restored = Minutebook::restore(&backups, &into, &options)
            .await
            .unwrap();
        assert_eq!(seen.lock().unwrap().len() as u64, restored.files);
    });
}
