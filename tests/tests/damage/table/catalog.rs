//! Damages to the catalog.

use std::fs;

use super::{Damage, Kind, REGISTRY, TEMPORARY, change, change_text, damage, flip};

pub(super) const DAMAGES: &[Damage] = &[
    damage(
        "registry cut in half",
        Kind::RegistryDamaged,
        &["entry"],
        |root| {
            change(&root.join(REGISTRY), |bytes| {
                bytes[..bytes.len() / 2].to_vec()
            });
        },
    ),
    damage(
        "registry emptied",
        Kind::RegistryDamaged,
        &["entry"],
        |root| {
            fs::write(root.join(REGISTRY), "").unwrap();
        },
    ),
    damage(
        "registry behind a byte order mark",
        Kind::RegistryDamaged,
        &[],
        |root| {
            change_text(&root.join(REGISTRY), |text| format!("\u{feff}{text}"));
        },
    ),
    damage(
        "registry with a hole of zeros",
        Kind::RegistryDamaged,
        &["entry"],
        |root| {
            change(&root.join(REGISTRY), |mut bytes| {
                let at = bytes.len() / 2;
                bytes[at..at + 8].fill(0);
                bytes
            });
        },
    ),
    damage(
        "registry with a name twice",
        Kind::RegistryDamaged,
        &[],
        |root| {
            change_text(&root.join(REGISTRY), |text| {
                let first = &text[text.find('"').unwrap()..text.find("\n  },").unwrap() + 5];
                text.replacen('{', &format!("{{\n  {first}"), 1)
            });
        },
    ),
    damage(
        "entry without an instrument",
        Kind::EntryDamaged,
        &["entry vix"],
        |root| {
            change_text(&root.join(REGISTRY), |text| {
                text.replace("\"instrument\": \"VIX\"", "\"instrument\": 7")
            });
        },
    ),
    damage(
        "entry whose file is gone",
        Kind::EntryDangling,
        &["entry vix"],
        |root| {
            fs::remove_file(root.join("data/vix.parquet")).unwrap();
        },
    ),
    damage(
        "entry whose series is gone",
        Kind::EntryDangling,
        &["series @other", "entry other"],
        |root| {
            fs::remove_dir_all(root.join("series/@named")).unwrap();
        },
    ),
    damage(
        "entry with other statistics",
        Kind::EntryDrifted,
        &["entry vix"],
        |root| {
            change_text(&root.join(REGISTRY), |text| {
                text.replace("\"row_count\": 3000", "\"row_count\": 2999")
            });
        },
    ),
    damage(
        "entry that leads out of the store",
        Kind::EntryOutside,
        &["entry vix"],
        |root| {
            change_text(&root.join(REGISTRY), |text| {
                text.replace("data/vix.parquet", "../../etc/passwd")
            });
        },
    ),
    damage(
        "file of an entry cut",
        Kind::DatasetDamaged,
        &["entry vix"],
        |root| {
            change(&root.join("data/vix.parquet"), |bytes| {
                bytes[..bytes.len() / 2].to_vec()
            });
        },
    ),
    damage(
        "file of an entry with a flipped bit",
        Kind::DatasetDamaged,
        &["entry vix"],
        |root| {
            flip(&root.join("data/vix.parquet"), 3);
        },
    ),
    damage(
        "temporary file beside the registry",
        Kind::StrayTemporary,
        &[],
        |root| {
            fs::write(root.join(TEMPORARY), "{").unwrap();
        },
    ),
];
