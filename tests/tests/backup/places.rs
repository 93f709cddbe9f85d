//! Stores of other shapes: parts outside, directories of the originals, links, files of others.

use minutebook::backup::{BackupOptions, RestoreOptions};
use minutebook::config::{Config, Environment};
use minutebook::{Decision, DecisionRepositoryExt, ErrorKind, Minutebook};
use minutebook_tests::{contents, fixture};
use tempfile::TempDir;

use super::{backup, files, inside, made, runtime, sample, verify};

#[test]
fn backups_do_not_go_into_the_store_or_over_other_things() {
    runtime().block_on(async {
        let (dir, store, _) = made().await;
        let book = sample::open(&store);
        let before = contents(&store);
        for inside in ["backups", "ticks/backups", "."] {
            let target = store.join(inside);
            let error = book
                .backup(&target, &BackupOptions::new())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{inside}");
        }
        #[cfg(unix)]
        {
            let link = dir.path().join("link");
            std::os::unix::fs::symlink(&store, &link).unwrap();
            let error = book
                .backup(link.join("b"), &BackupOptions::new())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(contents(&store), before);
        let other = dir.path().join("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("thesis.txt"), "mine").unwrap();
        let error = book
            .backup(&other, &BackupOptions::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(contents(&other).len(), 1);
        let memory = Minutebook::in_memory();
        let error = memory
            .backup(dir.path().join("x"), &BackupOptions::new())
            .await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn links_and_left_overs_are_not_copied() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        std::fs::write(store.join("data/notes.txt"), "mine").unwrap();
        std::fs::write(store.join("ticks/.minutebook-1-2-3.tmp"), "half").unwrap();
        std::fs::create_dir(store.join("quarantine")).unwrap();
        std::fs::write(store.join("quarantine/old"), "x").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc/passwd", store.join("data/link.parquet")).unwrap();
        let made = backup(&store, &backups).await;
        #[cfg(unix)]
        assert_eq!(made.skipped, [store.join("data/link.parquet")]);
        let into = dir.path().join("again");
        Minutebook::restore(&backups, &into, &RestoreOptions::new())
            .await
            .unwrap();
        let back = files(&into);
        assert!(back.keys().any(|path| path.ends_with("data/notes.txt")));
        assert!(!back.keys().any(|path| path.starts_with("quarantine")
            || path.to_string_lossy().ends_with(".tmp")
            || path.ends_with("link.parquet")));
        assert_eq!(made.files, back.len() as u64);
    });
}

#[test]
fn parts_that_lie_elsewhere_come_back_inside() {
    runtime().block_on(async {
        let dir = TempDir::new().unwrap();
        let (store, backups) = (dir.path().join("store"), dir.path().join("backups"));
        let config = Config::new()
            .ticks_path(dir.path().join("feed"))
            .decisions_path(".")
            .max_decisions(77);
        std::fs::create_dir(&store).unwrap();
        std::fs::write(
            store.join("minutebook.toml"),
            format!(
                "# mine\n[ticks]\nstorage_path = {:?}\n[decisions]\nstorage_path = \".\"\nmax_decisions = 77\n",
                dir.path().join("feed")
            ),
        )
        .unwrap();
        let book = Minutebook::options()
            .environment(Environment::empty())
            .create(&store)
            .unwrap();
        assert_eq!(book.config().unwrap().ticks, config.ticks);
        let decision = Decision::new("d-1".parse().unwrap());
        book.decisions().create(&decision).await.unwrap();
        let entry = r#"{"timestamp": "2025-02-01T00:00:00", "price": 1.25}"#;
        let btc = "BTCUSD@ticks".parse().unwrap();
        let log = book.tick_log().unwrap().unwrap();
        log.append_entries(&btc, &[entry]).await.unwrap();
        let made = book.backup(&backups, &BackupOptions::new()).await.unwrap();

        let into = dir.path().join("again");
        Minutebook::restore(&backups, &into, &RestoreOptions::new()).await.unwrap();
        assert!(into.join("ticks/btcusd_timeseries.jsonl").is_file());
        let again = sample::open(&into);
        assert_eq!(again.config().unwrap().decisions, config.decisions);
        assert_eq!(again.layout().unwrap().ticks, into.join("ticks"));
        assert!(again.decisions().contains(decision.id()).await.unwrap());
        assert!(verify(&into, made.journal_head.as_deref()).await.is_clean());
    });
}

#[test]
fn directories_of_the_originals_are_backed_up_as_they_are() {
    runtime().block_on(async {
        let original = fixture("original");
        let dir = TempDir::new().unwrap();
        for part in ["decisions", "ticks", "."] {
            let from = original.path().join(part);
            let (backups, into) = (
                dir.path().join(format!("backups-{part}")),
                dir.path().join(format!("again-{part}")),
            );
            let made = backup(&from, &backups).await;
            Minutebook::restore(&backups, &into, &RestoreOptions::new())
                .await
                .unwrap();
            assert_eq!(inside(&into), inside(&from), "{part}");
            assert_eq!(made.files, inside(&into).len() as u64);
            let of_root = |path: &std::path::Path| {
                let layout = sample::open(path).layout().unwrap().clone();
                (layout.decisions == layout.root, layout.ticks == layout.root)
            };
            assert_eq!(of_root(&into), of_root(&from), "{part}");
        }
    });
}
