//! A check where nothing may be written, and in bounded memory. Each is a process of its own: this program again, running an ignored test.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use minutebook::check::VerifyOptions;
use minutebook_tests::{contents, copy_of};

use super::{runtime, sample, whole};

const DIR: &str = "MINUTEBOOK_TEST_STORE";
const TICKS: usize = 100 << 20;
const LINE: usize = 256;
const DECISIONS: usize = 20_000;
/// Less than the ticks alone have.
const MOST: u64 = 64 << 20;

fn dir() -> PathBuf {
    std::env::var_os(DIR).unwrap().into()
}

fn child(program: &Path, test: &str, store: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(DIR, store)
        .current_dir("/");
    command
}

fn run(mut child: Command) {
    let output = loop {
        match child.output() {
            // A test beside this one has started a program while the copy was being written, which holds it open for a moment.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                std::thread::yield_now();
            }
            ran => break ran.unwrap(),
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{out}\n{err}"
    );
}

#[test]
#[ignore = "a process that another test starts"]
fn check_what_cannot_be_written() {
    let root = dir();
    for place in ["", "decisions", "ticks", "series", "documents"] {
        let denied = fs::write(root.join(place).join("new"), "").unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{place}");
    }
    let report = runtime().block_on(sample::open(&root).verify(&VerifyOptions::new()));
    let report = report.unwrap();
    assert_eq!(report.total(), 0, "{:#?}", report.findings);
    assert_eq!((report.decisions, report.datasets), (7, 6));
    assert_eq!((report.tick_series, report.series), (3, 2));
}

fn change_modes(dir: &Path, of_dirs: u32, of_files: u32) {
    fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            change_modes(&path, of_dirs, of_files);
        } else {
            fs::set_permissions(path, Permissions::from_mode(of_files)).unwrap();
        }
    }
    fs::set_permissions(dir, Permissions::from_mode(of_dirs)).unwrap();
}

#[test]
fn a_store_that_cannot_be_written_is_checked_and_stays_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let store = copy_of(whole().0.path());
    let before = contents(store.path());
    change_modes(store.path(), 0o555, 0o444);
    let program = std::env::current_exe().unwrap();
    let test = "limits::check_what_cannot_be_written";
    if fs::metadata(store.path()).unwrap().uid() == 0 {
        // Permissions do not bind the superuser: the child is somebody else, who may not reach this program's directory.
        let copy = place.path().join("program");
        fs::copy(program, &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
        let mut child = child(&copy, test, store.path());
        child.uid(65534).gid(65534);
        run(child);
    } else {
        run(child(&program, test, store.path()));
    }
    change_modes(store.path(), 0o755, 0o644);
    assert_eq!(contents(store.path()), before);
}

fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[test]
#[ignore = "a process that another test starts"]
fn check_a_large_store() {
    let report = runtime().block_on(sample::open(&dir()).verify(&VerifyOptions::new()));
    let report = report.unwrap();
    assert_eq!(report.damage, 0, "{:#?}", report.findings);
    assert_eq!(report.decisions, 7 + DECISIONS as u64);
    assert!(report.tick_entries > (TICKS / LINE) as u64 && report.bytes > TICKS as u64);
    let peak = peak();
    println!("peak of {} MiB", peak >> 20);
    assert!(peak < MOST, "{peak} bytes of memory");
}

#[test]
fn a_check_takes_less_memory_than_the_store_has_bytes() {
    let store = copy_of(whole().0.path());
    let ticks = fs::File::create(store.path().join("ticks/large_timeseries.jsonl")).unwrap();
    let mut ticks = std::io::BufWriter::new(ticks);
    for n in 0..TICKS / LINE {
        let (second, minute, hour) = (n % 60, n / 60 % 60, n / 3_600 % 24);
        let day = 1 + n / 86_400;
        let mut line = format!(
            "{{\"timestamp\":\"2025-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z\",\"price\":{n}.25,\"note\":\""
        );
        line.extend(std::iter::repeat_n('x', LINE - 3 - line.len()));
        ticks.write_all(line.as_bytes()).unwrap();
        ticks.write_all(b"\"}\n").unwrap();
    }
    ticks.flush().unwrap();
    for n in 0..DECISIONS {
        let name = format!("decisions/2025-03-01_n-{n}.json");
        let text = format!(
            "{{\"id\": \"n-{n}\", \"timestamp\": \"2025-03-01T00:00:00\", \"asset_pair\": \"BTCUSD\", \"action\": \"BUY\"}}"
        );
        fs::write(store.path().join(name), text).unwrap();
    }
    let program = std::env::current_exe().unwrap();
    run(child(&program, "limits::check_a_large_store", store.path()));
}
