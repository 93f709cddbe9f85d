//! Stores by their URL, and below a prefix.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::sync::Arc;

use common::{all, batch, series, threaded};
use futures_util::StreamExt;
use minutebook_core::{Error, ErrorKind, TimeSeriesRepository, WriteMode};
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use object_store::ObjectStore;
use object_store::memory::InMemory;

fn open(url: &str, options: &[(&str, &str)]) -> Result<ParquetTimeSeriesRepository, Error> {
    let options = options.iter().copied();
    ParquetTimeSeriesRepository::open_url(url, options, ParquetConfig::default())
}

#[test]
fn directories_and_memory() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/a%20b", dir.path().display());
    threaded(async {
        for url in [url.as_str(), "memory:///some/where"] {
            let repo = open(url, &[]).unwrap();
            repo.probe().await.unwrap();
            let rows = vec![(1, 1), (2, 2)];
            repo.write(&series(), batch(&rows), WriteMode::Append)
                .await
                .unwrap();
            assert_eq!(all(&repo).await.unwrap(), Some(rows), "{url}");
        }
    });
    assert!(dir.path().join("a b/btcusd/1m/log").is_dir());
    for url in ["series", "", "ftp://host/x", "https://example.org/x"] {
        let error = open(url, &[]).unwrap_err();
        let known = [ErrorKind::InvalidInput, ErrorKind::Unsupported];
        assert!(known.contains(&error.kind()), "{url}: {error:?}");
    }
}

/// Two stores in one bucket do not see each other.
#[test]
fn prefixes_are_apart() {
    let bucket = Arc::new(InMemory::new());
    let open = |prefix: &str| {
        let store = Arc::clone(&bucket) as _;
        ParquetTimeSeriesRepository::with_store_below(store, prefix, ParquetConfig::default())
            .unwrap()
    };
    threaded(async {
        for (prefix, n) in [("one", 1), ("one/two", 2), ("", 3)] {
            let repo = open(prefix);
            repo.write(&series(), batch(&[(n, n)]), WriteMode::Append)
                .await
                .unwrap();
        }
        for (prefix, n) in [("one", 1), ("one/two", 2), ("", 3)] {
            let repo = open(prefix);
            assert_eq!(all(&repo).await.unwrap(), Some(vec![(n, n)]), "{prefix}");
            let listed = repo.list(&minutebook_core::SeriesFilter::new()).await;
            assert_eq!(listed.unwrap(), [series()], "{prefix}");
        }
        let objects = bucket.list(None).collect::<Vec<_>>().await;
        let paths = objects.into_iter().map(|object| object.unwrap().location);
        let mut paths: Vec<String> = paths.map(|path| path.to_string()).collect();
        paths.retain(|path| path.contains("/log/"));
        paths.sort();
        let entry = "btcusd/1m/log/00000000000000000001.json";
        let expected = [
            entry.to_owned(),
            format!("one/{entry}"),
            format!("one/two/{entry}"),
        ];
        assert_eq!(paths, expected);
    });
}

/// What is not built in says so; what is can be set up, by options, without asking the network.
#[test]
fn clouds() {
    let s3: &[_] = &[
        ("aws_region", "eu-central-1"),
        ("aws_access_key_id", "a"),
        ("aws_secret_access_key", "b"),
    ];
    let key = ("google_skip_signature", "true");
    let azure: &[_] = &[
        ("azure_storage_account_name", "a"),
        ("azure_storage_account_key", "YWJj"),
    ];
    for (built, feature, url, options) in [
        (cfg!(feature = "s3"), "s3", "s3://bucket/series", s3),
        (cfg!(feature = "gcs"), "gcs", "gs://bucket/series", &[key]),
        (
            cfg!(feature = "azure"),
            "azure",
            "az://container/series",
            azure,
        ),
    ] {
        match open(url, options) {
            Ok(_) => assert!(built, "{url}"),
            Err(error) => {
                assert!(!built, "{url}: {error:?}");
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.message().contains(feature), "{error}");
            }
        }
        if built {
            let error = open(url, &[("no_such_option", "x")]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}
