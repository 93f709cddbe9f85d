//! Documents on disk: every crash point, files of other programs, links.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use minutebook_core::{
    DocumentFilter, DocumentName, DocumentRepository, DocumentRepositoryExt, ErrorKind,
};
use minutebook_fs::SimFs;
use minutebook_fs::crash::{Options, enumerate};
use minutebook_json::{JsonDocuments, JsonDocumentsConfig};

/// Without a runtime everything runs inline, so that each run takes the same steps.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}

fn open(disk: &SimFs) -> Result<JsonDocuments, String> {
    let config = JsonDocumentsConfig::default().fs(Arc::new(disk.clone()));
    JsonDocuments::open("/store/documents", config).map_err(|error| format!("{error:?}"))
}

fn name(text: &str) -> DocumentName {
    text.parse().unwrap()
}

fn state(disk: &SimFs) -> Result<String, String> {
    let documents = open(disk)?;
    let listed = run(documents.list(&DocumentFilter::new())).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for info in listed {
        let text = run(documents.get(&info.name)).map_err(|error| error.to_string())?;
        found.push(format!("{}={}", info.name, text.ok_or("it is gone")?.text));
    }
    found.sort();
    Ok(found.join(" "))
}

/// Afterwards there is the old state or the new, and the new one if it was acknowledged.
fn check(operation: impl Fn(&JsonDocuments) -> bool, old: &str, new: &str) {
    let report = enumerate(
        &Options::default(),
        |disk| {
            let documents = open(disk)?;
            for (of, text) in [("a", "1"), ("runs/x/b", "2")] {
                run(documents.save(&name(of), text)).map_err(|error| error.to_string())?;
            }
            Ok(())
        },
        |disk| open(disk).is_ok_and(|documents| operation(&documents)),
        |crashed| {
            let found = state(&crashed.disk)?;
            if found == new || (found == old && !crashed.out) {
                Ok(())
            } else {
                Err(found)
            }
        },
    );
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 5, "{report:?}");
}

#[test]
fn a_save_over_another() {
    check(
        |documents| run(documents.save(&name("a"), "[3]")).is_ok(),
        "a=1 runs/x/b=2",
        "a=[3] runs/x/b=2",
    );
}

#[test]
fn a_save_in_new_directories() {
    check(
        |documents| run(documents.save(&name("runs/y/z/c"), "3")).is_ok(),
        "a=1 runs/x/b=2",
        "a=1 runs/x/b=2 runs/y/z/c=3",
    );
}

#[test]
fn a_deletion() {
    check(
        |documents| run(documents.delete(&name("runs/x/b"))).is_ok(),
        "a=1 runs/x/b=2",
        "a=1",
    );
}

#[tokio::test]
async fn what_other_programs_put_there_is_read_or_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let documents = JsonDocuments::open(folder.path(), JsonDocumentsConfig::default()).unwrap();
    let file = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    file("runs/theirs.json", "{\n  \"n\": 1\n}\n");
    file("notes.txt", "x");
    file("not encoded.json", "1");
    file("broken.json", "{\n  \"a\": }");
    file(".minutebook-1-0000000000000001-1.tmp", "");
    let listed = documents.list(&DocumentFilter::new()).await.unwrap();
    let mut names: Vec<_> = listed.iter().map(|info| info.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["broken", "runs/theirs"]);
    let value: Option<serde_json::Value> = documents.load(&name("runs/theirs")).await.unwrap();
    assert_eq!(value.unwrap()["n"], 1);
    let error = documents.get(&name("broken")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("line 2"), "{error}");
    documents.save(&name("broken"), "1").await.unwrap();
    assert_eq!(
        documents.get(&name("broken")).await.unwrap().unwrap().text,
        "1"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn links_do_not_lead_out() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("x.json"), "1").unwrap();
    let documents = JsonDocuments::open(
        folder.path().join("documents"),
        JsonDocumentsConfig::default(),
    )
    .unwrap();
    std::os::unix::fs::symlink(&outside, documents.path().join("runs")).unwrap();
    std::os::unix::fs::symlink(outside.join("x.json"), documents.path().join("x.json")).unwrap();
    for of in ["runs/x", "x"] {
        assert!(documents.get(&name(of)).await.is_err(), "{of}");
        assert!(documents.save(&name(of), "2").await.is_err(), "{of}");
    }
    assert!(documents.delete(&name("runs/x")).await.is_err());
    assert_eq!(documents.list(&DocumentFilter::new()).await.unwrap(), []);
    assert_eq!(
        std::fs::read_to_string(outside.join("x.json")).unwrap(),
        "1"
    );
}
