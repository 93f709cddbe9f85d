//! Each kind of mend stopped before each of its steps: nothing that was there is lost, and the next repair comes to the same store.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use minutebook::check::VerifyOptions;
use minutebook::{
    Decision, DecisionQuery, DecisionRepositoryExt, Error, FindingKind as Kind, Result, SeriesId,
    TimeRange, TimeSeriesRepositoryExt,
};
use minutebook_fs::crash::{self, Crashed, Options};
use minutebook_fs::{Fs, Images, SimFs};
use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};
use minutebook_testkit::test_clock;

use super::crash::{STORE, open};
use super::{runtime, sample};

const JOURNAL: &str = "decisions/decisions.journal.jsonl";
const TICKS: &str = "ticks/btcusd_timeseries.jsonl";
const SEALED: &str = "ticks/solusd~sealed";
const HOURS: &str = "series/btcusd/1h";
/// What is made from other files, and written anew when they change.
const DERIVED: [&str; 5] = [
    ".lock",
    ".index",
    ".checkpoint.jsonl",
    "hint.json",
    "manifest.json",
];

type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Decisions, plain ticks, ticks with sealed segments, bars: how many there are.
type Answers = [usize; 4];

const WHOLE: Answers = [3, 3, 9, 9];

/// A damage, and what is left of the answers when it is mended.
struct Mend {
    name: &'static str,
    kind: Kind,
    left: Answers,
    inflict: fn(&SimFs),
}

const fn mend(name: &'static str, kind: Kind, left: Answers, inflict: fn(&SimFs)) -> Mend {
    Mend {
        name,
        kind,
        left,
        inflict,
    }
}

const DECISIONS: &[Mend] = &[
    mend(
        "journal with a changed line",
        Kind::JournalLineDamaged,
        WHOLE,
        |disk| {
            change_text(disk, JOURNAL, |text| {
                text.replacen("number 1", "number 7", 1)
            });
        },
    ),
    mend(
        "journal without a line",
        Kind::JournalChainBroken,
        WHOLE,
        |disk| {
            change_text(disk, JOURNAL, |text| {
                let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                let second = lines.iter().position(|line| line.contains("number 2"));
                lines.remove(second.unwrap());
                lines.concat()
            });
        },
    ),
    mend("decision removed", Kind::DecisionMissing, WHOLE, |disk| {
        disk.remove_file(&decision(disk, "d-2")).unwrap();
    }),
    mend(
        "decision under another name",
        Kind::DecisionMisnamed,
        WHOLE,
        |disk| rename(disk, &decision(disk, "d-2"), "decisions/notes.json"),
    ),
    mend(
        "decision under another name, its own taken by a directory",
        Kind::DecisionMisnamed,
        WHOLE,
        |disk| {
            let path = decision(disk, "d-2");
            rename(disk, &path, "decisions/notes.json");
            disk.create_dir(&path).unwrap();
        },
    ),
    mend(
        "decision under the name of another, which is taken again",
        Kind::DecisionMisnamed,
        WHOLE,
        |disk| {
            let (path, other) = (decision(disk, "d-1"), decision(disk, "d-2"));
            let bytes = disk.get(&path).unwrap();
            disk.put(&path, &disk.get(&other).unwrap()).unwrap();
            disk.put(&other, &bytes).unwrap();
        },
    ),
];

const TICK_FILES: &[Mend] = &[
    mend(
        "ticks under a name in capitals",
        Kind::TickFileMisnamed,
        WHOLE,
        |disk| rename(disk, &at(TICKS), "ticks/BTCUSD_timeseries.jsonl"),
    ),
    mend(
        "ticks under a name in capitals, their own taken by a directory",
        Kind::NotAFile,
        WHOLE,
        |disk| {
            rename(disk, &at(TICKS), "ticks/BTCUSD_timeseries.jsonl");
            disk.create_dir(&at(TICKS)).unwrap();
        },
    ),
    mend(
        "ticks without the last newline",
        Kind::TickTornTail,
        WHOLE,
        |disk| change(disk, &at(TICKS), |bytes| bytes.truncate(bytes.len() - 1)),
    ),
];

const SEGMENTS: &[Mend] = &[
    mend(
        "sealed segment with a flipped bit",
        Kind::SealedSegmentDamaged,
        [3, 3, 6, 9],
        |disk| {
            change(disk, &sealed("00000001.jsonl.zst"), |bytes| {
                bytes[30] ^= 0x10;
            });
        },
    ),
    mend(
        "sealed segment whose index is damaged",
        Kind::SealedSegmentDamaged,
        WHOLE,
        |disk| {
            change(disk, &sealed("00000001.jsonl.zst"), |bytes| {
                let at = bytes.len() - 100;
                bytes[at] ^= 1;
            });
        },
    ),
    mend(
        "sealed segment lost",
        Kind::SealedSegmentMissing,
        [3, 3, 6, 9],
        |disk| disk.remove_file(&sealed("00000001.jsonl.zst")).unwrap(),
    ),
    mend(
        "manifest of segments lost",
        Kind::SealedManifestDamaged,
        WHOLE,
        |disk| disk.remove_file(&sealed("manifest.json")).unwrap(),
    ),
    mend(
        "manifest of segments damaged",
        Kind::SealedManifestDamaged,
        WHOLE,
        |disk| flip(disk, &sealed("manifest.json")),
    ),
    mend(
        "sealed and not compressed",
        Kind::SealingUnfinished,
        WHOLE,
        |disk| {
            let plain = at("ticks/solusd_timeseries.jsonl");
            rename(disk, &plain, &format!("{SEALED}/00000003.jsonl"));
        },
    ),
    mend(
        "sealed segment of which no manifest tells",
        Kind::SealedSegmentOrphaned,
        WHOLE,
        |disk| disk.put(sealed("00000007.jsonl"), b"{}\n").unwrap(),
    ),
];

const SERIES: &[Mend] = &[
    mend(
        "segment removed",
        Kind::SegmentMissing,
        [3, 3, 9, 4],
        |disk| disk.remove_file(&rows(disk, 0)).unwrap(),
    ),
    mend(
        "segment with a flipped bit",
        Kind::SegmentDamaged,
        [3, 3, 9, 4],
        |disk| flip(disk, &rows(disk, 0)),
    ),
    mend(
        "file of rows that no version names",
        Kind::SegmentOrphaned,
        WHOLE,
        |disk| {
            let orphan = at(&format!(
                "{HOURS}/data/00000000000000000009-00000000000000aa.parquet"
            ));
            let mut bytes = disk.get(rows(disk, 0)).unwrap();
            bytes.push(0);
            disk.put(&orphan, &bytes).unwrap();
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(48);
            disk.set_modified(&orphan, long_ago).unwrap();
        },
    ),
    mend(
        "newest version damaged",
        Kind::VersionDamaged,
        [3, 3, 9, 8],
        |disk| flip(disk, &version(3)),
    ),
    mend("old version damaged", Kind::VersionDamaged, WHOLE, |disk| {
        flip(disk, &version(1));
    }),
    mend(
        "version missing in between",
        Kind::VersionMissing,
        WHOLE,
        |disk| disk.remove_file(&version(2)).unwrap(),
    ),
];

fn at(file: &str) -> PathBuf {
    Path::new(STORE).join(file)
}

fn sealed(name: &str) -> PathBuf {
    at(SEALED).join(name)
}

fn version(version: u64) -> PathBuf {
    at(&format!("{HOURS}/log/{version:020}.json"))
}

fn find(disk: &SimFs, folder: &str, ending: &str, nth: usize) -> PathBuf {
    let inside =
        |path: &PathBuf| path.starts_with(at(folder)) && path.to_string_lossy().ends_with(ending);
    disk.tree().into_keys().filter(inside).nth(nth).unwrap()
}

fn decision(disk: &SimFs, id: &str) -> PathBuf {
    find(disk, "decisions", &format!("_{id}.json"), 0)
}

fn rows(disk: &SimFs, nth: usize) -> PathBuf {
    find(disk, HOURS, ".parquet", nth)
}

fn rename(disk: &SimFs, from: &Path, to: &str) {
    Fs::rename(disk, from, &at(to)).unwrap();
}

fn change(disk: &SimFs, path: &Path, with: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk.get(path).unwrap();
    with(&mut bytes);
    disk.put(path, &bytes).unwrap();
}

fn change_text(disk: &SimFs, file: &str, with: impl FnOnce(String) -> String) {
    change(disk, &at(file), |bytes| {
        *bytes = with(String::from_utf8(bytes.clone()).unwrap()).into_bytes();
    });
}

fn flip(disk: &SimFs, path: &Path) {
    change(disk, path, |bytes| {
        let at = bytes.len() / 3;
        bytes[at] ^= 0x10;
    });
}

fn series(name: &str) -> SeriesId {
    name.parse().unwrap()
}

async fn fill(disk: &SimFs) -> Result<()> {
    let book = open(disk)?;
    // Each append of bars is a segment of its own.
    let config = ParquetConfig::default()
        .fs(Arc::new(disk.clone()))
        .clock(test_clock())
        .merge_floor_rows(0);
    let segmented = ParquetTimeSeriesRepository::open(at("series"), config)?;
    for n in 1..=3 {
        let mut decision = Decision::new(format!("d-{n}").parse()?);
        decision.set("note", &format!("number {n}"))?;
        book.decisions().create(&decision).await?;
    }
    let log = book.tick_log()?.unwrap();
    for part in 0..3 {
        let line =
            |n| format!("{{\"timestamp\": \"2025-02-0{n}T0{part}:00:00\", \"price\": {n}.5}}");
        let lines = [line(1), line(2), line(3)];
        log.append_entries(&series("SOLUSD@ticks"), &lines).await?;
        if part < 2 {
            log.rotate(&series("SOLUSD@ticks")).await?;
        } else {
            log.append_entries(&series("BTCUSD@ticks"), &lines).await?;
        }
        let bars = match part {
            0 => sample::bars(0, 5),
            1 => sample::bars(5, 8),
            _ => sample::bars(8, 9),
        };
        segmented.append_bars(&series("BTCUSD@1h"), &bars).await?;
    }
    Ok(())
}

/// The store that is damaged, made once.
fn whole() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| {
        let disk = SimFs::new();
        runtime().block_on(fill(&disk)).unwrap();
        assert_eq!(runtime().block_on(answers(&disk)).unwrap(), WHOLE);
        disk.tree()
    })
}

fn damaged(mend: &Mend, disk: &SimFs) {
    for (path, bytes) in whole() {
        if let Some(bytes) = bytes {
            disk.put(path, bytes).unwrap();
        }
    }
    (mend.inflict)(disk);
}

async fn answers(disk: &SimFs) -> Result<Answers> {
    let book = open(disk)?;
    let (ticks, all) = (book.ticks(), TimeRange::all);
    Ok([
        book.decisions()
            .query(&DecisionQuery::new())
            .await?
            .decisions
            .len(),
        ticks.ticks(&series("BTCUSD@ticks"), all()).await?.len(),
        ticks.ticks(&series("SOLUSD@ticks"), all()).await?.len(),
        book.series().bars(&series("BTCUSD@1h"), all()).await?.len(),
    ])
}

/// Every file that is not made from others is there as a whole, wherever it lies now, or all of its lines are.
fn kept(before: &Tree, disk: &SimFs, when: &str) -> std::result::Result<(), String> {
    let now: Vec<Vec<u8>> = disk.tree().into_values().flatten().collect();
    let lines = |bytes: &'_ [u8]| -> BTreeSet<Vec<u8>> {
        bytes
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let all: BTreeSet<_> = now.iter().flat_map(|bytes| lines(bytes)).collect();
    for (path, bytes) in before {
        let name = path.to_string_lossy();
        let Some(bytes) = bytes.as_ref().filter(|bytes| !now.contains(bytes)) else {
            continue;
        };
        let there = name.ends_with(".jsonl") && lines(bytes).is_subset(&all);
        // A damaged one is kept too.
        let derived = DERIVED.iter().any(|ending| name.ends_with(ending))
            && whole().get(path) == before.get(path);
        if !there && !derived {
            return Err(format!("{when}: the bytes of {name} are lost"));
        }
    }
    Ok(())
}

fn told(error: &Error) -> String {
    format!("{error:?}")
}

fn check<T>(
    mend: &Mend,
    before: &Tree,
    crashed: &Crashed<'_, T>,
) -> std::result::Result<(), String> {
    let disk = &crashed.disk;
    kept(before, disk, "after the crash")?;
    runtime().block_on(async {
        let repair = async || {
            let book = open(disk)?;
            book.repair(&VerifyOptions::new()).await
        };
        let again = repair().await.map_err(|error| told(&error))?;
        if !again.failed.is_empty() || !again.after.is_clean() {
            return Err(format!(
                "not mended: {:?} {:?}",
                again.failed, again.after.findings
            ));
        }
        kept(before, disk, "after the second repair")?;
        let found = answers(disk).await.map_err(|error| told(&error))?;
        if found != mend.left {
            return Err(format!("it answers {found:?} instead of {:?}", mend.left));
        }
        Ok(())
    })
}

fn stop_anywhere(mends: &[Mend]) {
    let mut failures = Vec::new();
    for mend in mends {
        let disk = SimFs::new();
        damaged(mend, &disk);
        let before = disk.tree();
        let options = VerifyOptions::new();
        let found = runtime().block_on(async { open(&disk)?.verify(&options).await });
        let found = found.unwrap().findings;
        if !found.iter().any(|found| found.kind == mend.kind) {
            failures.push(format!("== {}: found {found:?}", mend.name));
            continue;
        }
        let seen = RefCell::new(HashSet::<Tree>::new());
        let report = crash::enumerate(
            &Options::default().images(Images::default().max(6)),
            |disk| {
                damaged(mend, disk);
                Ok(())
            },
            |disk| runtime().block_on(async { open(disk)?.repair(&options).await }),
            |crashed| {
                // Most stops leave what another has left.
                let new = seen.borrow_mut().insert(crashed.disk.tree());
                if new {
                    check(mend, &before, crashed)
                } else {
                    Ok(())
                }
            },
        );
        match report {
            Ok(report) => {
                assert!(report.steps > 1, "{}: {report:?}", mend.name);
            }
            Err(failure) => failures.push(format!("== {}\n{failure}", mend.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn mends_of_decisions_can_be_stopped_anywhere() {
    stop_anywhere(DECISIONS);
}

#[test]
fn mends_of_tick_files_can_be_stopped_anywhere() {
    stop_anywhere(TICK_FILES);
}

#[test]
fn mends_of_sealed_segments_can_be_stopped_anywhere() {
    stop_anywhere(SEGMENTS);
}

#[test]
fn mends_of_series_can_be_stopped_anywhere() {
    stop_anywhere(SERIES);
}
