//! Restoring versions, and named snapshots that keep them.

use minutebook_core::{
    ErrorKind, ScanQuery, SeriesId, Snapshot, TimeSeriesRepository, Version, WriteMode,
};
use minutebook_parquet::{Metadata, Operation, Retention, VacuumOptions};

use super::common::{Row, all, as_of, batch, series, threaded};
use super::{UPSERT, content, many, named, open};

#[test]
fn a_restored_version_is_the_newest_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        let id = series();
        let first: Vec<Row> = vec![(1, 1), (2, 2)];
        repo.write(&id, batch(&first), WriteMode::Append)
            .await
            .unwrap();
        repo.write(&id, batch(&[(2, 9), (3, 3)]), UPSERT)
            .await
            .unwrap();
        let note = Metadata::from([("why".into(), "bad vendor data".into())]);
        let wanted = Snapshot::Version(Version(1));
        let restored = repo.restore(&id, wanted, &note).await.unwrap();
        assert_eq!(restored, Version(3));
        assert_eq!(content(&repo).await, first);
        assert_eq!(as_of(&repo, 2).await, [(1, 1), (2, 9), (3, 3)]);
        let again = repo.restore(&id, Snapshot::Latest, &note).await.unwrap();
        assert_eq!(again, Version(3));
        let versions = repo.versions(&id).await.unwrap();
        assert_eq!(versions[2].operation, Operation::Restore);
        assert_eq!(versions[2].note, note);
        // The pin that the restoration held is gone.
        let left = std::fs::read_dir(dir.path().join("@snapshots")).unwrap();
        assert_eq!(left.count(), 0);
        let kept = VacuumOptions::default().retention(Retention::versions(1));
        repo.vacuum(&id, &kept).await.unwrap();
        assert_eq!(content(&repo).await, first);
        let error = repo
            .restore(&id, Snapshot::Version(Version(2)), &note)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn snapshots_keep_what_they_name() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        let (id, other): (SeriesId, SeriesId) = (series(), "@other".parse().unwrap());
        repo.write(&id, batch(&[(1, 1)]), WriteMode::Append)
            .await
            .unwrap();
        repo.write(&other, batch(&[(5, 5)]), WriteMode::Append)
            .await
            .unwrap();
        let both = [
            (id.clone(), Snapshot::Latest),
            (other.clone(), Snapshot::Latest),
        ];
        let note = Metadata::from([("run".into(), "7".into())]);
        let made = repo
            .create_snapshot("Back Test", &both, &note)
            .await
            .unwrap();
        assert_eq!(made.name, "back test");
        assert_eq!(
            made.series,
            [(id.clone(), Version(1)), (other.clone(), Version(1))]
        );
        let taken = repo
            .create_snapshot("back test", &both, &note)
            .await
            .unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        repo.write(&id, batch(&[(1, 2)]), UPSERT).await.unwrap();
        for n in 0..3 {
            repo.write(&id, batch(&[(10 + n, n)]), WriteMode::Append)
                .await
                .unwrap();
        }
        repo.compact(&id).await.unwrap();
        let kept = VacuumOptions::default().retention(Retention::versions(1));
        repo.vacuum(&id, &kept).await.unwrap();
        assert_eq!(repo.versions(&id).await.unwrap().len(), 1);

        // Another process, and the entry of version 1 is gone from the log.
        let again = open(&dir);
        assert_eq!(as_of(&again, 1).await, [(1, 1)]);
        assert_eq!(
            again.snapshots().await.unwrap(),
            std::slice::from_ref(&made)
        );
        let diff = again
            .diff(&id, Snapshot::Version(Version(1)), Snapshot::Latest)
            .await
            .unwrap();
        assert_eq!(diff.ranges.len(), 1);
        // Neither the deletion of the series nor a new life of it takes the rows away.
        again.delete(&id, None).await.unwrap();
        assert_eq!(as_of(&again, 1).await, [(1, 1)]);
        assert_eq!(all(&again).await.unwrap(), None);
        again
            .write(&id, batch(&[(9, 9)]), WriteMode::Append)
            .await
            .unwrap();
        again.vacuum(&id, &kept).await.unwrap();
        assert_eq!(as_of(&again, 1).await, [(1, 1)]);
        assert_eq!(content(&again).await, [(9, 9)]);
        // An old version that is on its way out cannot be named.
        let gone = [(id.clone(), Snapshot::Version(Version(2)))];
        let error = again
            .create_snapshot("late", &gone, &note)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        // One that another snapshot keeps can.
        let pinned = [(id.clone(), Snapshot::Version(Version(1)))];
        again
            .create_snapshot("second", &pinned, &note)
            .await
            .unwrap();

        assert!(again.drop_snapshot("Back Test").await.unwrap());
        assert!(!again.drop_snapshot("back test").await.unwrap());
        assert_eq!(again.snapshot("back test").await.unwrap(), None);
        again.vacuum(&id, &kept).await.unwrap();
        assert_eq!(as_of(&again, 1).await, [(1, 1)]);
        again.drop_snapshot("second").await.unwrap();
        again.vacuum(&id, &kept).await.unwrap();
        let query = ScanQuery::new().as_of(Snapshot::Version(Version(1)));
        let error = again.scan(&id, &query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let files = std::fs::read_dir(dir.path().join("btcusd/1m/data")).unwrap();
        assert_eq!(files.count(), 1);
        // Snapshots are no series.
        let listed = again
            .list(&minutebook_core::SeriesFilter::new())
            .await
            .unwrap();
        assert_eq!(listed, [id, other]);
    });
}

#[test]
fn only_a_snapshot_from_before_a_removal_keeps_what_it_names() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = open(&dir);
        for n in 1..4 {
            let rows = many(n * 10_000, n * 10_000 + 3_000);
            repo.write(&series(), batch(&rows), WriteMode::Append)
                .await
                .unwrap();
        }
        let first = [(series(), Snapshot::Version(Version(1)))];
        let make = async |name: &str| {
            let made = repo.create_snapshot(name, &first, &Metadata::new()).await;
            made.map(drop).map_err(|error| error.kind())
        };
        make("one").await.unwrap();
        // A vacuum has begun to remove what is before version 3, and was killed.
        let floor = dir.path().join("btcusd/1m/log/00000000000000000003.floor");
        std::fs::write(&floor, "{}\n").unwrap();
        let raised = std::fs::metadata(&floor).unwrap().modified().unwrap();
        let one = dir.path().join("@snapshots/one.json");
        let written = |at| {
            let file = std::fs::File::options().append(true).open(&one).unwrap();
            file.set_modified(at).unwrap();
        };
        let second = std::time::Duration::from_secs(1);
        written(raised + second);
        // A copy has other times; the mark says that the snapshot was made before anything was removed, and so it is for one made beside it.
        make("beside").await.unwrap();
        assert!(repo.drop_snapshot("one").await.unwrap());
        make("one").await.unwrap();
        assert!(repo.drop_snapshot("beside").await.unwrap());
        let restored = repo
            .restore(&series(), Snapshot::Version(Version(1)), &Metadata::new())
            .await
            .unwrap();
        assert_eq!(content(&repo).await, many(10_000, 13_000));
        let before = Snapshot::Version(Version(restored.0 - 1));
        repo.restore(&series(), before, &Metadata::new())
            .await
            .unwrap();
        let marks = || {
            let files = std::fs::read_dir(dir.path().join("@snapshots")).unwrap();
            let files = files.map(|file| file.unwrap().path());
            files
                .filter(|file| file.extension().is_some_and(|it| it == "kept"))
                .collect::<Vec<_>>()
        };
        let [mark] = marks().try_into().unwrap();
        // Whoever made it was killed before that, or an earlier release made it: then the times decide.
        std::fs::remove_file(mark).unwrap();
        written(raised + second);
        assert_eq!(make("two").await, Err(ErrorKind::NotFound));
        written(raised - second);
        make("three").await.unwrap();
        // One that was made too late, by somebody who was killed before it was taken back, names what is gone.
        let data = std::fs::read_dir(dir.path().join("btcusd/1m/data")).unwrap();
        let mut data: Vec<_> = data.map(|entry| entry.unwrap().path()).collect();
        data.sort();
        std::fs::remove_file(&data[0]).unwrap();
        assert_eq!(make("four").await, Err(ErrorKind::NotFound));
        let names: Vec<_> = repo.snapshots().await.unwrap();
        let names: Vec<_> = names.iter().map(|named| named.name.as_str()).collect();
        assert_eq!(names, ["one", "three"]);
    });
}

#[test]
fn a_damaged_snapshot_stops_a_vacuum() {
    let dir = tempfile::tempdir().unwrap();
    threaded(async {
        let repo = named(&dir).await;
        let file = dir.path().join("@snapshots/a.json");
        let mut text = std::fs::read(&file).unwrap();
        let middle = text.len() / 2;
        text[middle] ^= 1;
        std::fs::write(&file, text).unwrap();
        let error = repo
            .vacuum(&series(), &VacuumOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("a.json"), "{error}");
        assert_eq!(content(&repo).await, [(1, 1)]);
    });
}
