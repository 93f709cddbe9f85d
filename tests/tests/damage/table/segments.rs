//! Damages of sealed segments of ticks.

use std::fs;
use std::path::{Path, PathBuf};

use minutebook_fs::Durability;
use minutebook_jsonl::{JsonlConfig, JsonlTimeSeriesRepository};

use super::{Damage, Kind, TEMPORARY, change, change_text, damage, flip};

const PLAIN: &str = "ticks/solusd_timeseries.jsonl";
const ROWS: &[&str] = &["ticks SOL", "entry solusd_ticks"];

fn sealed(root: &Path, name: &str) -> PathBuf {
    root.join("ticks/solusd~sealed").join(name)
}

fn segment(root: &Path, number: u32) -> PathBuf {
    sealed(root, &format!("{number:08}.jsonl.zst"))
}

/// As a program that rotates.
fn rotate(root: &Path) {
    let dir = root.join("ticks");
    let rotated = std::thread::spawn(move || {
        let config = JsonlConfig::default().durability(Durability::Buffered);
        let log = JsonlTimeSeriesRepository::open(&dir, config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let series = "SOLUSD@ticks".parse().unwrap();
        let rotated = runtime.unwrap().block_on(log.rotate(&series));
        rotated.unwrap().unwrap();
    });
    rotated.join().unwrap();
}

pub(super) const DAMAGES: &[Damage] = &[
    damage(
        "sealed segment with a flipped bit",
        Kind::SealedSegmentDamaged,
        ROWS,
        |root| flip(&segment(root, 1), 3),
    ),
    damage(
        "sealed segment cut short",
        Kind::SealedSegmentDamaged,
        ROWS,
        |root| change(&segment(root, 2), |bytes| bytes[..bytes.len() / 2].to_vec()),
    ),
    damage(
        "sealed segment emptied",
        Kind::SealedSegmentDamaged,
        ROWS,
        |root| change(&segment(root, 2), |_| Vec::new()),
    ),
    damage(
        "sealed segment whose index is damaged",
        Kind::SealedSegmentDamaged,
        &[],
        |root| {
            change(&segment(root, 1), |mut bytes| {
                let at = bytes.len() - 100;
                bytes[at] ^= 1;
                bytes
            });
        },
    ),
    damage(
        "sealed segment replaced by another",
        Kind::SealedSegmentDamaged,
        ROWS,
        |root| {
            fs::copy(segment(root, 1), segment(root, 2)).unwrap();
        },
    ),
    damage(
        "sealed segment lost",
        Kind::SealedSegmentMissing,
        ROWS,
        |root| fs::remove_file(segment(root, 1)).unwrap(),
    ),
    damage(
        "sealed segment with a torn line",
        Kind::TickLineMalformed,
        &[],
        |root| {
            change_text(&root.join(PLAIN), |text| {
                format!("{text}{{\"timestamp\": \n")
            });
            rotate(root);
        },
    ),
    damage(
        "manifest of segments lost",
        Kind::SealedManifestDamaged,
        &[],
        |root| fs::remove_file(sealed(root, "manifest.json")).unwrap(),
    ),
    damage(
        "manifest of segments damaged",
        Kind::SealedManifestDamaged,
        &[],
        |root| flip(&sealed(root, "manifest.json"), 2),
    ),
    damage(
        "manifest and a segment damaged",
        Kind::SealedSegmentDamaged,
        ROWS,
        |root| {
            fs::remove_file(sealed(root, "manifest.json")).unwrap();
            change(&segment(root, 2), |bytes| bytes[..bytes.len() - 3].to_vec());
        },
    ),
    damage(
        "manifest older than its segments",
        Kind::SealedManifestDamaged,
        &[],
        |root| {
            let older = fs::read(sealed(root, "manifest.json")).unwrap();
            rotate(root);
            fs::write(sealed(root, "manifest.json"), older).unwrap();
        },
    ),
    damage(
        "sealed segment copied under a later number",
        Kind::SealedSegmentOrphaned,
        &[],
        |root| {
            fs::copy(segment(root, 1), segment(root, 9)).unwrap();
        },
    ),
    damage(
        "sealed segment copied under the next number",
        Kind::SealedSegmentOrphaned,
        &[],
        |root| {
            fs::copy(segment(root, 1), segment(root, 3)).unwrap();
        },
    ),
    damage(
        "sealed segment copied, and the manifest lost",
        Kind::SealedSegmentOrphaned,
        &[],
        |root| {
            fs::copy(segment(root, 2), segment(root, 9)).unwrap();
            fs::remove_file(sealed(root, "manifest.json")).unwrap();
        },
    ),
    damage(
        "sealed segment renamed",
        Kind::SealedSegmentMissing,
        &[],
        |root| fs::rename(segment(root, 1), segment(root, 9)).unwrap(),
    ),
    damage(
        "sealed segment of which no manifest tells",
        Kind::SealedSegmentOrphaned,
        &[],
        |root| {
            // As a rotation, and a lock-free program after it.
            fs::write(sealed(root, "00000007.jsonl"), "{}\n").unwrap();
        },
    ),
    damage(
        "part of a compression left over",
        Kind::SealingUnfinished,
        &[],
        |root| fs::write(sealed(root, "00000003.jsonl.zst.part"), "begun").unwrap(),
    ),
    damage(
        "sealed and not compressed",
        Kind::SealingUnfinished,
        &[],
        |root| fs::rename(root.join(PLAIN), sealed(root, "00000003.jsonl")).unwrap(),
    ),
    damage(
        "index of a tick file damaged",
        Kind::TickIndexDamaged,
        &[],
        |root| fs::write(root.join("ticks/.btcusd.index"), "{\"format\"").unwrap(),
    ),
    damage(
        "temporary file among the segments",
        Kind::StrayTemporary,
        &[],
        |root| fs::write(sealed(root, TEMPORARY), "begun").unwrap(),
    ),
];
