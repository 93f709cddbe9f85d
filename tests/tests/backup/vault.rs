//! The directory of backups itself: retention, damage, who may write to it, and where a restore may go.

use std::path::{Path, PathBuf};

use minutebook::backup::{BackupOptions, RestoreOptions, check_backup, generations, prune};
use minutebook::check::Part;
use minutebook::{ErrorKind, Minutebook};

use super::{backup, files, made, runtime, sample, verify};

fn objects(backups: &Path) -> Vec<PathBuf> {
    let all = minutebook_tests::contents(&backups.join("objects"));
    all.into_keys().collect()
}

async fn add(store: &Path, text: &str) {
    let log = sample::open(store);
    let log = log.tick_log().unwrap().unwrap();
    let entry = format!(r#"{{"timestamp": "2025-02-01T00:00:00", "note": "{text}"}}"#);
    let btc = "BTCUSD@ticks".parse().unwrap();
    log.append_entries(&btc, &[entry.as_str()]).await.unwrap();
}

#[test]
fn old_generations_go_and_what_others_need_stays() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        let mut names = Vec::new();
        for i in 0..4 {
            // A document of this generation alone, and one that all have.
            let name = format!("only/{i}").parse().unwrap();
            let book = sample::open(&store);
            book.documents()
                .save(&name, &format!("[{i}]"))
                .await
                .unwrap();
            if i > 0 {
                let before = format!("only/{}", i - 1).parse().unwrap();
                book.documents().delete(&before).await.unwrap();
            }
            add(&store, &i.to_string()).await;
            names.push(backup(&store, &backups).await.generation);
        }
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        let before = objects(&backups).len();
        assert_eq!(prune(&backups, 2).await.unwrap(), names[..2]);
        let known: Vec<_> = generations(&backups).await.unwrap();
        assert_eq!(
            known.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(),
            names[2..].iter().map(String::as_str).collect::<Vec<_>>()
        );
        assert!(objects(&backups).len() < before);
        let check = check_backup(&backups, Some("all"), None).await.unwrap();
        assert!(check.is_whole() && check.generations.len() == 2);
        let into = dir.path().join("again");
        Minutebook::restore(&backups, &into, &RestoreOptions::new())
            .await
            .unwrap();
        assert_eq!(files(&into), files(&store));

        let options = BackupOptions::new().keep(1);
        let last = sample::open(&store)
            .backup(&backups, &options)
            .await
            .unwrap();
        assert_eq!(last.removed, names[2..]);
        assert_eq!(generations(&backups).await.unwrap().len(), 1);
        assert!(check_backup(&backups, None, None).await.unwrap().is_whole());
        assert_eq!(prune(&backups, 0).await.unwrap(), Vec::<String>::new());
        let gone = RestoreOptions::new().generation(&names[0]);
        let error = Minutebook::restore(&backups, dir.path().join("x"), &gone).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn every_kind_of_damage_to_a_backup_is_found_and_never_restored() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        let made = backup(&store, &backups).await;
        add(&store, "more").await;
        backup(&store, &backups).await;
        let damages: [fn(&Path); 4] = [
            |object| {
                let mut bytes = std::fs::read(object).unwrap();
                bytes[0] ^= 1;
                std::fs::write(object, bytes).unwrap();
            },
            |object| {
                let bytes = std::fs::read(object).unwrap();
                std::fs::write(object, &bytes[1..]).unwrap();
            },
            |object| {
                let mut bytes = std::fs::read(object).unwrap();
                bytes.push(b' ');
                std::fs::write(object, bytes).unwrap();
            },
            |object| std::fs::remove_file(object).unwrap(),
        ];
        let all = objects(&backups);
        assert!(all.len() > 20);
        for (i, object) in all.iter().enumerate() {
            let whole = std::fs::read(object).unwrap();
            damages[i % damages.len()](object);
            let check = check_backup(&backups, Some("all"), None).await.unwrap();
            assert!(!check.is_whole(), "{}", object.display());
            assert!(
                check
                    .damaged
                    .iter()
                    .all(|damaged| damaged.object == *object)
            );
            let generation = &check.damaged[0].generation;
            let into = dir.path().join(format!("again-{i}"));
            let options = RestoreOptions::new().generation(generation);
            let error = Minutebook::restore(&backups, &into, &options)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.message().contains(&check.damaged[0].file), "{error}");
            // What came of it says that it is not complete.
            assert!(Minutebook::open(&into).is_err());
            std::fs::write(object, whole).unwrap();
        }
        assert!(
            check_backup(&backups, Some("all"), None)
                .await
                .unwrap()
                .is_whole()
        );

        // An object that is gone is stored again, if the store has it still.
        for object in &all {
            std::fs::remove_file(object).unwrap();
        }
        let healed = backup(&store, &backups).await;
        assert!(healed.copied_files > 0);
        assert!(check_backup(&backups, None, None).await.unwrap().is_whole());

        let list = backups.join(format!("generations/{}.jsonl", made.generation));
        let mut bytes = std::fs::read(&list).unwrap();
        bytes[200] ^= 1;
        std::fs::write(&list, bytes).unwrap();
        let error = check_backup(&backups, Some("all"), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        // Nothing is taken for unneeded while a list cannot be read.
        let before = objects(&backups);
        assert!(prune(&backups, 3).await.is_err());
        assert_eq!(objects(&backups), before);
    });
}

#[test]
fn a_restore_goes_into_an_empty_directory_alone() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        let made = backup(&store, &backups).await;
        let all = RestoreOptions::new();
        let error = Minutebook::restore(&backups, &store, &all)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let into = dir.path().join("again");
        std::fs::create_dir(&into).unwrap();
        Minutebook::restore(&backups, &into, &all).await.unwrap();
        let error = Minutebook::restore(&backups, &into, &all)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);

        // One that was stopped is not opened, and is done again; but not over what is none of it.
        let marker = into.join(".minutebook-restore-unfinished");
        std::fs::write(&marker, "").unwrap();
        std::fs::write(into.join("registry.json"), "{").unwrap();
        let error = Minutebook::open(&into).unwrap_err();
        assert!(error.message().contains("restore"), "{error}");
        let foreign = into.join("ticks/notes.txt");
        std::fs::write(&foreign, "mine").unwrap();
        let error = Minutebook::restore(&backups, &into, &all)
            .await
            .unwrap_err();
        assert!(error.message().contains("ticks/notes.txt"), "{error}");
        std::fs::remove_file(&foreign).unwrap();
        Minutebook::restore(&backups, &into, &all).await.unwrap();
        assert!(!marker.exists());
        assert_eq!(files(&into), files(&store));
        assert!(verify(&into, made.journal_head.as_deref()).await.is_clean());

        let error = Minutebook::restore(dir.path().join("nowhere"), &into, &all).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_part_comes_back_alone() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        backup(&store, &backups).await;
        let into = dir.path().join("again");
        let options = RestoreOptions::new().parts([Part::Decisions, Part::Documents]);
        Minutebook::restore(&backups, &into, &options)
            .await
            .unwrap();
        let back = files(&into);
        let expected: Vec<_> = files(&store)
            .into_iter()
            .filter(|(path, _)| {
                ["decisions", "documents", "minutebook.toml"]
                    .iter()
                    .any(|part| path.starts_with(part))
            })
            .collect();
        assert_eq!(back.into_iter().collect::<Vec<_>>(), expected);
        assert!(expected.len() > 9);
        assert!(verify(&into, None).await.is_clean());
    });
}

#[test]
fn one_backup_at_a_time_goes_into_a_directory() {
    runtime().block_on(async {
        let (_dir, store, backups) = made().await;
        backup(&store, &backups).await;
        let lock = std::fs::File::open(backups.join(".minutebook-backup.lock")).unwrap();
        lock.lock().unwrap();
        let book = sample::open(&store);
        let error = book
            .backup(&backups, &BackupOptions::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        // Who reads needs no lock.
        assert!(check_backup(&backups, None, None).await.unwrap().is_whole());
        drop(lock);
        book.backup(&backups, &BackupOptions::new()).await.unwrap();
    });
}
