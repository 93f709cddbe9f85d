//! Damages to series.

use std::fs;

use super::{Damage, HOURS, Kind, TEMPORARY, age, change, damage, files, flip, version};

pub(super) const DAMAGES: &[Damage] = &[
    damage(
        "newest version damaged",
        Kind::VersionDamaged,
        &["series BTC", "entry btcusd_1h"],
        |root| {
            flip(&version(root, 3), 2);
        },
    ),
    damage("old version damaged", Kind::VersionDamaged, &[], |root| {
        flip(&version(root, 1), 2);
    }),
    damage(
        "version with the content of another",
        Kind::VersionDamaged,
        &[],
        |root| {
            fs::copy(version(root, 1), version(root, 2)).unwrap();
        },
    ),
    damage(
        "version missing in between",
        Kind::VersionMissing,
        &[],
        |root| {
            fs::remove_file(version(root, 2)).unwrap();
        },
    ),
    damage(
        "segment removed",
        Kind::SegmentMissing,
        &["series BTC", "entry btcusd_1h"],
        |root| {
            fs::remove_file(&files(root, "series/btcusd/1h/data")[0]).unwrap();
        },
    ),
    damage(
        "segment cut",
        Kind::SegmentDamaged,
        &["series BTC", "entry btcusd_1h"],
        |root| {
            change(&files(root, "series/btcusd/1h/data")[0], |bytes| {
                bytes[..bytes.len() / 2].to_vec()
            });
        },
    ),
    damage(
        "segment with a flipped bit",
        Kind::SegmentDamaged,
        &["series BTC", "entry btcusd_1h"],
        |root| {
            flip(&files(root, "series/btcusd/1h/data")[0], 3);
        },
    ),
    damage(
        "segment with the bytes of another",
        Kind::SegmentDamaged,
        &["series BTC", "entry btcusd_1h"],
        |root| {
            let files = files(root, "series/btcusd/1h/data");
            fs::copy(&files[1], &files[0]).unwrap();
        },
    ),
    damage(
        "segment emptied",
        Kind::SegmentDamaged,
        &["series @other", "entry other"],
        |root| {
            for file in files(root, "series/@named/other/data") {
                fs::write(file, "").unwrap();
            }
        },
    ),
    damage(
        "file of rows that no version names",
        Kind::SegmentOrphaned,
        &[],
        |root| {
            let data = root.join(HOURS).join("data");
            let orphan = data.join("00000000000000000009-00000000000000aa.parquet");
            fs::copy(&files(root, "series/btcusd/1h/data")[0], &orphan).unwrap();
            age(&orphan);
        },
    ),
    damage("hint of garbage", Kind::HintDamaged, &[], |root| {
        fs::write(root.join(HOURS).join("log/hint.json"), "{version").unwrap();
    }),
    damage(
        "hint at a version that is not there",
        Kind::HintDamaged,
        &[],
        |root| {
            fs::write(
                root.join(HOURS).join("log/hint.json"),
                "{\"version\":640}\n",
            )
            .unwrap();
        },
    ),
    damage(
        "temporary file among versions",
        Kind::StrayTemporary,
        &[],
        |root| {
            fs::write(root.join(HOURS).join("log").join(TEMPORARY), "{").unwrap();
        },
    ),
];
