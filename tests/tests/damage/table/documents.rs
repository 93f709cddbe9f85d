//! Damages to documents.

use std::fs;

use super::{Damage, Kind, TEMPORARY, change, damage};

const PARAMS: &str = "documents/runs/2025-01-02/params.json";

pub(super) const DAMAGES: &[Damage] = &[
    damage(
        "document emptied",
        Kind::DocumentTorn,
        &["document runs/2025-01-02/params"],
        |root| {
            fs::write(root.join(PARAMS), "").unwrap();
        },
    ),
    damage(
        "document cut in half",
        Kind::DocumentTorn,
        &["document runs/2025-01-02/params"],
        |root| {
            change(&root.join(PARAMS), |bytes| {
                bytes[..bytes.len() / 2].to_vec()
            });
        },
    ),
    damage(
        "document that is no UTF-8",
        Kind::DocumentTorn,
        &["document runs/2025-01-02/params"],
        |root| {
            change(&root.join(PARAMS), |mut bytes| {
                bytes[3] = 0xff;
                bytes
            });
        },
    ),
    damage(
        "document's place taken by a directory",
        Kind::NotAFile,
        &["document runs/2025-01-02/params"],
        |root| {
            fs::remove_file(root.join(PARAMS)).unwrap();
            fs::create_dir(root.join(PARAMS)).unwrap();
        },
    ),
    damage(
        "temporary file among the documents",
        Kind::StrayTemporary,
        &[],
        |root| {
            fs::write(root.join("documents/runs").join(TEMPORARY), "{").unwrap();
        },
    ),
];
