//! What a vacuum takes away beside versions: what killed writers have left.

use std::fs;

use minutebook_fs::{Fs, LockMode, LockWait, OpenMode, OsFs};
use minutebook_parquet::VacuumOptions;

use super::common::{series, threaded};
use super::{content, named};

#[test]
fn temporary_files_go_unless_their_writer_lives() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = named(&dir).await;
        let mut left = Vec::new();
        for place in ["btcusd/1m/data", "btcusd/1m/log", "@snapshots"] {
            let path = dir.path().join(place).join(OsFs.temp_name());
            fs::write(&path, "half a file").unwrap();
            left.push(path);
        }
        let mine = dir.path().join("btcusd/1m/data").join(OsFs.temp_name());
        let file = OsFs.open(&mine, OpenMode::CreateNew).unwrap();
        file.lock(LockMode::Exclusive, LockWait::Try).unwrap();
        let named: Vec<_> = left
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let dry = VacuumOptions::default().dry_run();
        let plan = repo.vacuum(&series(), &dry).await.unwrap();
        assert_eq!((&plan.files, plan.bytes), (&named, 33));
        assert!(left.iter().all(|path| path.exists()));
        let done = repo
            .vacuum(&series(), &VacuumOptions::default())
            .await
            .unwrap();
        assert_eq!(done, plan);
        assert!(!left.iter().any(|path| path.exists()) && mine.exists());
        assert_eq!(content(&repo).await, [(1, 1)]);
        drop(file);
        let next = repo
            .vacuum(&series(), &VacuumOptions::default())
            .await
            .unwrap();
        assert_eq!(next.files.len(), 1);
        assert!(!mine.exists());
    });
}
