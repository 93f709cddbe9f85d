//! Whose generations they are: another store is not mixed in, one that was moved or restored goes on.

use std::path::{Path, PathBuf};

use minutebook::backup::{BackupOptions, RestoreOptions, generations};
use minutebook::{Decision, DecisionRepositoryExt, Error, ErrorKind, Minutebook};
use minutebook_tests::contents;

use super::{backup, made, runtime, sample};

/// A store that has nothing of the sample's.
async fn another(store: &Path) {
    let book = Minutebook::create(store).unwrap();
    for id in ["x-1", "x-2"] {
        let decision = Decision::new(id.parse().unwrap());
        book.decisions().create(&decision).await.unwrap();
    }
}

async fn refused(store: &Path, backups: &Path) -> Error {
    let before = contents(backups);
    let options = BackupOptions::new().keep(1);
    let error = sample::open(store).backup(backups, &options).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(contents(backups), before);
    error
}

/// A copy of a directory by a tool that knows nothing of stores.
fn copy(from: &Path, to: &Path) {
    for (path, bytes) in contents(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
}

#[test]
fn another_store_takes_no_place_among_the_generations() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        let first = backup(&store, &backups).await;
        let other = dir.path().join("other");
        another(&other).await;
        let error = refused(&other, &backups).await;
        for says in [
            first.generation.as_str(),
            store.canonicalize().unwrap().to_str().unwrap(),
            other.canonicalize().unwrap().to_str().unwrap(),
            "--source-moved",
        ] {
            assert!(error.message().contains(says), "{says}: {error}");
        }
        assert!(error.to_string().contains(backups.to_str().unwrap()));
        // A copy may go on by itself, so it is another one too.
        let twin = dir.path().join("twin");
        copy(&store, &twin);
        refused(&twin, &backups).await;

        let options = BackupOptions::new().source_moved(true);
        sample::open(&twin)
            .backup(&backups, &options)
            .await
            .unwrap();
        backup(&twin, &backups).await;
        refused(&store, &backups).await;
        let sources: Vec<_> = generations(&backups).await.unwrap();
        let sources: Vec<_> = sources.iter().map(|it| PathBuf::from(&it.source)).collect();
        let [store, twin] = [&store, &twin].map(|path| path.canonicalize().unwrap());
        assert_eq!(sources, [store, twin.clone(), twin]);
    });
}

#[test]
fn the_same_directory_goes_on_by_whatever_name() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        backup(&store, &backups).await;
        #[cfg(unix)]
        {
            let link = dir.path().join("link");
            std::os::unix::fs::symlink(&store, &link).unwrap();
            backup(&link, &backups).await;
        }
        let moved = dir.path().join("moved");
        std::fs::rename(&store, &moved).unwrap();
        let again = backup(&moved, &backups).await;
        assert_eq!(again.copied_files, 0);
        // It was emptied, by its owner and in its place.
        std::fs::remove_dir_all(moved.join("decisions")).unwrap();
        std::fs::remove_dir_all(moved.join("ticks")).unwrap();
        std::fs::remove_dir_all(moved.join("series")).unwrap();
        backup(&moved, &backups).await;
    });
}

#[test]
fn a_store_restored_to_its_place_goes_on_and_a_new_one_there_does_not() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        backup(&store, &backups).await;
        // Kept, so that its number is not given to another directory.
        std::fs::rename(&store, dir.path().join("old")).unwrap();
        another(&store).await;
        let error = refused(&store, &backups).await;
        assert!(error.message().contains("none of its files"), "{error}");

        std::fs::remove_dir_all(&store).unwrap();
        Minutebook::restore(&backups, &store, &RestoreOptions::new())
            .await
            .unwrap();
        let book = sample::open(&store);
        let decision = Decision::new("later".parse().unwrap());
        book.decisions().create(&decision).await.unwrap();
        backup(&store, &backups).await;
    });
}

/// A list as earlier releases wrote it: without the directory, and perhaps with a path that was relative.
fn as_before(backups: &Path, source: &Path) {
    let list = std::fs::read_dir(backups.join("generations")).unwrap();
    let list = list.last().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&list).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let mut header: serde_json::Value = serde_json::from_str(header).unwrap();
    header.as_object_mut().unwrap().remove("directory").unwrap();
    header["source"] = source.to_str().unwrap().into();
    let (files, _) = rest.trim_end().rsplit_once('\n').unwrap();
    let content = format!("{header}\n{files}\n");
    let sum = blake3::hash(content.as_bytes()).to_hex();
    std::fs::write(&list, format!("{content}{{\"blake3\":\"{sum}\"}}\n")).unwrap();
}

#[test]
fn generations_of_earlier_releases_are_gone_on_with() {
    runtime().block_on(async {
        let (dir, store, backups) = made().await;
        let other = dir.path().join("other");
        another(&other).await;
        for (source, whose) in [
            (store.clone(), "by its path"),
            (PathBuf::from("."), "by its files"),
        ] {
            std::fs::remove_dir_all(&backups).ok();
            let first = backup(&store, &backups).await;
            as_before(&backups, &source);
            assert_eq!(
                generations(&backups).await.unwrap()[0].name,
                first.generation
            );
            refused(&other, &backups).await;
            let second = backup(&store, &backups).await;
            assert_eq!(second.copied_files, 0, "{whose}");
            assert_eq!(generations(&backups).await.unwrap().len(), 2);
        }
    });
}
