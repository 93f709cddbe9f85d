//! The damages: what each is called, how it is inflicted, what a check must call it, and which answers it may cost.

mod catalog;
mod decisions;
mod documents;
mod segments;
mod series;
mod ticks;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use minutebook::FindingKind as Kind;

pub(crate) struct Damage {
    pub(crate) name: &'static str,
    pub(crate) inflict: fn(&Path),
    /// The kind that must be among the findings.
    pub(crate) kind: Kind,
    /// The answers that may be others afterwards, by the beginning of what they are about. All others must be the same.
    pub(crate) costs: &'static [&'static str],
}

const fn damage(
    name: &'static str,
    kind: Kind,
    costs: &'static [&'static str],
    inflict: fn(&Path),
) -> Damage {
    Damage {
        name,
        inflict,
        kind,
        costs,
    }
}

const JOURNAL: &str = "decisions/decisions.journal.jsonl";
const BTC: &str = "ticks/btcusd_timeseries.jsonl";
const HOURS: &str = "series/btcusd/1h";
const TEMPORARY: &str = ".minutebook-1-0000000000000001-1.tmp";
const REGISTRY: &str = "registry.json";

/// A decision's file.
fn decision(root: &Path, id: &str) -> PathBuf {
    let ending = format!("_{id}.json");
    let found = fs::read_dir(root.join("decisions")).unwrap();
    let mut paths = found.map(|entry| entry.unwrap().path());
    paths
        .find(|path| path.to_str().unwrap().ends_with(&ending))
        .unwrap()
}

fn change(path: &Path, with: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let bytes = with(fs::read(path).unwrap());
    // Another file, as a restore or an editor makes it.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn change_text(path: &Path, with: impl FnOnce(String) -> String) {
    change(path, |bytes| {
        with(String::from_utf8(bytes).unwrap()).into_bytes()
    });
}

fn change_lines(path: &Path, with: impl FnOnce(&mut Vec<String>)) {
    change_text(path, |text| {
        let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
        with(&mut lines);
        lines.concat()
    });
}

/// Where the lines of the chain are, marks left out.
fn chain(lines: &[String]) -> Vec<usize> {
    let at = lines.iter().enumerate();
    at.filter(|(_, line)| !line.starts_with("{\"mark\""))
        .map(|(i, _)| i)
        .collect()
}

/// Files of a series' folder, by name.
pub(super) fn files(root: &Path, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn version(root: &Path, version: u64) -> PathBuf {
    root.join(HOURS).join(format!("log/{version:020}.json"))
}

fn flip(path: &Path, share: usize) {
    change(path, |mut bytes| {
        let at = bytes.len() / share;
        bytes[at] ^= 0x10;
        bytes
    });
}

fn age(path: &Path) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_hours(48))
        .unwrap();
}

/// Every damage.
pub(crate) fn damages() -> impl Iterator<Item = &'static Damage> {
    let parts = [
        decisions::DAMAGES,
        ticks::DAMAGES,
        segments::DAMAGES,
        series::DAMAGES,
        catalog::DAMAGES,
        documents::DAMAGES,
    ];
    parts.into_iter().flatten()
}
