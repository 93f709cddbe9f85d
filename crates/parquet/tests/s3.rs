//! The client of S3 that the feature `s3` brings, against a server in this process that answers as S3 does:
//! `cargo test -p minutebook-parquet --features s3 --test s3`.
#![cfg(feature = "s3")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{all, as_of, batch, range, series};
use minutebook_core::{
    ErrorKind, OnConflict, SeriesFilter, Snapshot, TimeSeriesRepository, Version, WriteMode,
};
use minutebook_parquet::{
    Metadata, ParquetConfig, ParquetTimeSeriesRepository, Retention, VacuumOptions,
};

/// The client needs the network of its runtime.
fn threaded<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(future)
}

/// A bucket called `bucket`.
#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// As stores that do not know conditional writes.
    careless: AtomicBool,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn request(from: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if from.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = headers
        .get("content-length")
        .map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    from.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    });
    Some(Request {
        method,
        path: decoded(path),
        query: query.collect(),
        headers,
        body,
    })
}

const MODIFIED: &str = "2024-01-01T00:00:00.000Z";

impl Bucket {
    /// Status, headers and body.
    fn answer(&self, request: &Request) -> (u16, String, Vec<u8>) {
        let key = request
            .path
            .trim_start_matches("/bucket")
            .trim_start_matches('/');
        let mut objects = self.objects.lock().unwrap();
        match request.method.as_str() {
            "PUT" => {
                let only_new = request
                    .headers
                    .get("if-none-match")
                    .is_some_and(|v| v == "*");
                let careless = self.careless.load(Ordering::SeqCst);
                if only_new && !careless && objects.contains_key(key) {
                    let text = "<Error><Code>PreconditionFailed</Code></Error>";
                    return (412, String::new(), text.into());
                }
                objects.insert(key.to_owned(), request.body.clone());
                (200, "ETag: \"x\"\r\n".into(), Vec::new())
            }
            "GET" if key.is_empty() => (200, String::new(), list(&objects, &request.query)),
            "GET" | "HEAD" => {
                let Some(bytes) = objects.get(key) else {
                    let text = "<Error><Code>NoSuchKey</Code></Error>";
                    return (404, String::new(), text.into());
                };
                let tag = "ETag: \"x\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
                let Some(span) = request.headers.get("range") else {
                    return (200, tag.into(), bytes.clone());
                };
                let (from, to) = span
                    .strip_prefix("bytes=")
                    .unwrap()
                    .split_once('-')
                    .unwrap();
                let from: usize = from.parse().unwrap();
                let to = to.parse().unwrap_or(usize::MAX).min(bytes.len() - 1);
                let head = format!("{tag}Content-Range: bytes {from}-{to}/{}\r\n", bytes.len());
                (206, head, bytes[from..=to].to_vec())
            }
            "DELETE" => {
                objects.remove(key);
                (204, String::new(), Vec::new())
            }
            "POST" if request.query.contains_key("delete") => {
                let text = String::from_utf8(request.body.clone()).unwrap();
                let mut answer = String::from("<DeleteResult>");
                for part in text.split("<Key>").skip(1) {
                    let key = part.split("</Key>").next().unwrap();
                    objects.remove(key);
                    write!(answer, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
                }
                answer.push_str("</DeleteResult>");
                (200, String::new(), answer.into_bytes())
            }
            other => panic!("{other} {}", request.path),
        }
    }
}

fn list(objects: &BTreeMap<String, Vec<u8>>, query: &BTreeMap<String, String>) -> Vec<u8> {
    assert_eq!(query["list-type"], "2");
    let prefix = query.get("prefix").map_or("", String::as_str);
    let (mut found, mut prefixes) = (String::new(), std::collections::BTreeSet::new());
    for (key, bytes) in objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let below = &key[prefix.len()..];
        if let (Some(_), Some((dir, _))) = (query.get("delimiter"), below.split_once('/')) {
            prefixes.insert(format!("{prefix}{dir}/"));
            continue;
        }
        let size = bytes.len();
        write!(
            found,
            "<Contents><Key>{key}</Key><LastModified>{MODIFIED}</LastModified><ETag>x</ETag><Size>{size}</Size></Contents>"
        )
        .unwrap();
    }
    for prefix in prefixes {
        write!(
            found,
            "<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"
        )
        .unwrap();
    }
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>").into()
}

/// Serves the bucket for as long as the process lives, and says where.
fn serve(bucket: &Arc<Bucket>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let bucket = Arc::clone(bucket);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let bucket = Arc::clone(&bucket);
            std::thread::spawn(move || {
                let mut to = stream.try_clone().unwrap();
                let mut from = BufReader::new(stream);
                while let Some(request) = request(&mut from) {
                    let (status, headers, body) = bucket.answer(&request);
                    let len = body.len();
                    let head =
                        format!("HTTP/1.1 {status} X\r\nContent-Length: {len}\r\n{headers}\r\n");
                    let body = if request.method == "HEAD" {
                        &[][..]
                    } else {
                        &body
                    };
                    if to.write_all(&[head.as_bytes(), body].concat()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    endpoint
}

fn open(endpoint: &str) -> ParquetTimeSeriesRepository {
    let options = [
        ("aws_endpoint", endpoint),
        ("aws_allow_http", "true"),
        ("aws_region", "eu-central-1"),
        ("aws_access_key_id", "key"),
        ("aws_secret_access_key", "secret"),
    ];
    let config = ParquetConfig::default().merge_floor_rows(0);
    ParquetTimeSeriesRepository::open_url("s3://bucket/research/series", options, config).unwrap()
}

#[test]
fn a_series_lives_in_a_bucket() {
    let bucket = Arc::new(Bucket::default());
    let endpoint = serve(&bucket);
    let upsert = WriteMode::Upsert {
        on_conflict: OnConflict::Replace,
    };
    threaded(async {
        let repo = open(&endpoint);
        repo.probe().await.unwrap();
        assert!(bucket.objects.lock().unwrap().is_empty());
        let rows: Vec<_> = (0..500).map(|n| (n * 10, n)).collect();
        repo.write(&series(), batch(&rows), WriteMode::Append)
            .await
            .unwrap();
        repo.write(&series(), batch(&[(10, -1), (15, 7)]), upsert)
            .await
            .unwrap();
        repo.delete(&series(), Some(range(1_000, 5_000)))
            .await
            .unwrap();
        let mut expected: Vec<_> = rows[..100].to_vec();
        expected[1].1 = -1;
        expected.insert(2, (15, 7));
        let other = open(&endpoint);
        assert_eq!(all(&other).await.unwrap(), Some(expected.clone()));
        assert_eq!(other.list(&SeriesFilter::new()).await.unwrap(), [series()]);
        assert_eq!(as_of(&other, 1).await, rows);
        other.compact(&series()).await.unwrap();
        let one = [(series(), Snapshot::Version(Version(1)))];
        other
            .create_snapshot("first", &one, &Metadata::new())
            .await
            .unwrap();
        let options = VacuumOptions::default().retention(Retention::versions(1));
        let gone = other.vacuum(&series(), &options).await.unwrap();
        assert_eq!(gone.versions, [1, 2, 3]);
        assert_eq!(all(&open(&endpoint)).await.unwrap(), Some(expected));
        assert_eq!(as_of(&other, 1).await, rows);
        assert!(other.verify(&series()).await.unwrap().problems.is_clean());
        other.delete(&series(), None).await.unwrap();
        assert_eq!(all(&repo).await.unwrap(), None);
    });
    let objects = bucket.objects.lock().unwrap();
    assert!(
        objects
            .keys()
            .all(|key| key.starts_with("research/series/")),
        "{:?}",
        objects.keys()
    );
}

#[test]
fn eight_writers_lose_nothing() {
    let endpoint = serve(&Arc::new(Bucket::default()));
    threaded(async {
        let writers = (0..8_i64).map(|writer| {
            let repo = open(&endpoint);
            tokio::spawn(async move {
                for i in 0..6 {
                    let at = writer * 100 + i;
                    repo.write(&series(), batch(&[(at, at)]), WriteMode::Append)
                        .await
                        .unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let repo = open(&endpoint);
        let expected = (0..8).flat_map(|w| (0..6).map(move |i| (w * 100 + i, w * 100 + i)));
        assert_eq!(all(&repo).await.unwrap(), Some(expected.collect()));
        assert_eq!(repo.versions(&series()).await.unwrap().len(), 48);
    });
}

#[test]
fn a_bucket_that_overwrites_is_refused() {
    let bucket = Arc::new(Bucket::default());
    bucket.careless.store(true, Ordering::SeqCst);
    let endpoint = serve(&bucket);
    threaded(async {
        let repo = open(&endpoint);
        let error = repo.probe().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let given = batch(&[(1, 1)]);
        let error = repo
            .write(&series(), given, WriteMode::Append)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    });
}
