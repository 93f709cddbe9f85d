//! Processes that append lines of one byte of payload up to the limit of a line to one series, while others read.

#![allow(clippy::unwrap_used, reason = "a test program")]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::*;
use futures_util::StreamExt;
use minutebook_core::{ScanQuery, TimeSeriesRepository};
use minutebook_fs::Durability;
use minutebook_jsonl::{
    EntryQuery, FollowFrom, FollowQuery, JsonlConfig, JsonlTimeSeriesRepository,
};

const WRITERS: usize = 4;
const COUNT: usize = 200;
/// The longest line that may be written, its newline included.
const LIMIT: usize = 64 << 20;

/// Entry `n` of a writer. One of every other is as long as a line can be.
fn entry(writer: usize, n: usize) -> String {
    let start =
        format!("{{\"timestamp\":\"2025-01-01T00:00:00\",\"w\":{writer},\"n\":{n},\"p\":\"");
    let payload = match n {
        _ if writer.is_multiple_of(2) && n == 100 + 30 * writer => LIMIT - start.len() - 3,
        _ if n % 50 == 7 => 1 << 20,
        _ => [1, 2, 30, 4_095, 9_000, 66_000][n % 6],
    };
    // Of a letter that no other writer has.
    let letter = char::from(b'a' + u8::try_from(writer).unwrap());
    start + &letter.to_string().repeat(payload) + "\"}"
}

/// That an entry is whole, and the next one of its writer.
fn see(next: &mut [usize; WRITERS], text: &str) {
    let number = |key: &str| {
        let digits = text[text.find(key).unwrap() + key.len()..]
            .split(',')
            .next();
        digits.unwrap().parse::<usize>().unwrap()
    };
    let (writer, n) = (number("\"w\":"), number("\"n\":"));
    assert_eq!(n, next[writer], "writer {writer}");
    // Compared as bytes: the text would fill the message.
    assert!(
        text.as_bytes() == entry(writer, n).as_bytes(),
        "{writer}: {n}"
    );
    next[writer] += 1;
}

fn open(dir: &Path) -> JsonlTimeSeriesRepository {
    let config = JsonlConfig::default().durability(Durability::Buffered);
    JsonlTimeSeriesRepository::open(dir, config).unwrap()
}

#[test]
#[ignore = "a process that the other test starts"]
fn one_writer() {
    let repo = open(std::env::var("WRITER_DIR").unwrap().as_ref());
    let writer = std::env::var("WRITER").unwrap().parse().unwrap();
    run(async {
        for n in 0..COUNT {
            let entry = entry(writer, n);
            repo.append_entries(&btc(), &[entry]).await.unwrap();
        }
    });
}

fn start(dir: &Path, writer: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "one_writer", "--nocapture"])
        .env("WRITER_DIR", dir)
        .env("WRITER", writer.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn lines_of_every_length_are_whole_for_every_reader() {
    let place = Place::new();
    let writers: Vec<_> = (0..WRITERS).map(|n| start(place.dir.path(), n)).collect();
    let follower = {
        let repo = open(place.dir.path());
        std::thread::spawn(move || {
            run(async {
                let mut follow = repo.follow(&btc(), &FollowQuery::new().from(FollowFrom::Start));
                let mut next = [0; WRITERS];
                while next != [COUNT; WRITERS] {
                    see(&mut next, follow.next().await.unwrap().unwrap().text());
                }
                assert!(follow.report().is_clean(), "{:?}", follow.report());
            });
        })
    };
    // Who reads the end sees whole lines too, and never fewer than before.
    let mut before = 0;
    for mut writer in writers {
        while writer.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let Some(summary) = run(place.repo.summary(&btc())).unwrap() else {
                continue;
            };
            assert!(summary.rows >= before);
            before = summary.rows;
            let last = EntryQuery::new().last(2);
            let (last, report) = run(texts(&place.repo, &btc(), &last)).unwrap();
            assert!(report.is_clean(), "{report:?}");
            assert!(last.iter().all(|text| text.ends_with("\"}")));
        }
        assert!(writer.wait().unwrap().success());
    }
    follower.join().unwrap();
    let query = ScanQuery::new().columns(["w"]);
    let (rows, report) = run(scan(&place.repo, &btc(), &query)).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(rows.num_rows(), WRITERS * COUNT);
}
