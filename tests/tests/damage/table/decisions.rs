//! Damages to decisions and their journal.

use std::fs;

use super::{
    Damage, JOURNAL, Kind, TEMPORARY, chain, change, change_lines, change_text, damage, decision,
    flip,
};

pub(super) const DAMAGES: &[Damage] = &[
    damage("decision emptied", Kind::DecisionTorn, &[], |root| {
        fs::write(decision(root, "d-3"), "").unwrap();
    }),
    damage("decision cut in half", Kind::DecisionTorn, &[], |root| {
        change(&decision(root, "d-3"), |bytes| {
            bytes[..bytes.len() / 2].to_vec()
        });
    }),
    damage("decision full of zeros", Kind::DecisionTorn, &[], |root| {
        change(&decision(root, "d-3"), |bytes| vec![0; bytes.len()]);
    }),
    damage(
        "decision that is no UTF-8",
        Kind::DecisionTorn,
        &[],
        |root| {
            change(&decision(root, "d-3"), |mut bytes| {
                bytes[12] = 0xff;
                bytes
            });
        },
    ),
    damage(
        "decision of nobody, cut off",
        Kind::DecisionTorn,
        &[],
        |root| {
            fs::write(root.join("decisions/2025-02-02_x.json"), "{\"id\": \"x\", ").unwrap();
        },
    ),
    damage("decision removed", Kind::DecisionMissing, &[], |root| {
        fs::remove_file(decision(root, "d-4")).unwrap();
    }),
    damage(
        "decision's place taken by a directory",
        Kind::NotAFile,
        &[],
        |root| {
            let path = decision(root, "d-4");
            fs::remove_file(&path).unwrap();
            fs::create_dir(path).unwrap();
        },
    ),
    #[cfg(unix)]
    damage(
        "decision's place taken by a link",
        Kind::NotAFile,
        &[],
        |root| {
            let path = decision(root, "d-4");
            fs::rename(&path, root.join("elsewhere.json")).unwrap();
            std::os::unix::fs::symlink(root.join("elsewhere.json"), path).unwrap();
        },
    ),
    damage(
        "decision with a key twice",
        Kind::DecisionSpoiled,
        &[],
        |root| {
            change_text(&decision(root, "d-5"), |text| {
                text.replacen('{', "{\"id\": \"d-5\",", 1)
            });
        },
    ),
    damage(
        "decision without its id",
        Kind::DecisionSpoiled,
        &[],
        |root| {
            change_text(&decision(root, "d-5"), |text| {
                text.replacen("\"id\"", "\"no\"", 1)
            });
        },
    ),
    damage(
        "decision behind a byte order mark",
        Kind::DecisionMarked,
        &[],
        |root| {
            change_text(&decision(root, "d-5"), |text| format!("\u{feff}{text}"));
        },
    ),
    damage(
        "decision in two files",
        Kind::DecisionDuplicate,
        &[],
        |root| {
            fs::copy(
                decision(root, "d-5"),
                root.join("decisions/2024-01-01_d-5.json"),
            )
            .unwrap();
        },
    ),
    damage(
        "decision under another name",
        Kind::DecisionMisnamed,
        &[],
        |root| {
            fs::rename(decision(root, "d-6"), root.join("decisions/notes.json")).unwrap();
        },
    ),
    damage(
        "temporary file of a dead writer",
        Kind::StrayTemporary,
        &[],
        |root| {
            fs::write(root.join("decisions").join(TEMPORARY), "{\"id\"").unwrap();
        },
    ),
    damage(
        "journal with a changed line",
        Kind::JournalLineDamaged,
        &[],
        |root| {
            change_lines(&root.join(JOURNAL), |lines| {
                let first = chain(lines)[0];
                lines[first] = lines[first].replace("number 1", "number 7");
            });
        },
    ),
    damage(
        "journal with a cut line in it",
        Kind::JournalLineDamaged,
        &[],
        |root| {
            change_lines(&root.join(JOURNAL), |lines| {
                let first = chain(lines)[0];
                let half = lines[first].len() / 2;
                lines[first].truncate(half);
                lines[first].push('\n');
            });
        },
    ),
    damage(
        "journal without a line",
        Kind::JournalChainBroken,
        &[],
        |root| {
            change_lines(&root.join(JOURNAL), |lines| {
                let first = chain(lines)[0];
                lines.remove(first);
            });
        },
    ),
    damage(
        "journal with lines that changed places",
        Kind::JournalChainBroken,
        &[],
        |root| {
            change_lines(&root.join(JOURNAL), |lines| {
                let chain = chain(lines);
                lines.swap(chain[3], chain[4]);
            });
        },
    ),
    damage(
        "journal with a line put in",
        Kind::JournalChainBroken,
        &[],
        |root| {
            change_lines(&root.join(JOURNAL), |lines| {
                let first = chain(lines)[0];
                let line = lines[first].clone();
                lines.insert(first + 2, line);
            });
        },
    ),
    damage(
        "journal with a torn tail",
        Kind::JournalTornTail,
        &[],
        |root| {
            change_text(&root.join(JOURNAL), |text| text + "{\"prev\":\"12");
        },
    ),
    damage(
        "journal removed",
        Kind::JournalMissing,
        &["decision "],
        |root| {
            fs::remove_file(root.join(JOURNAL)).unwrap();
        },
    ),
    damage("checkpoint damaged", Kind::CheckpointDamaged, &[], |root| {
        flip(&root.join("decisions/.decisions.checkpoint.jsonl"), 2);
    }),
    damage("checkpoint cut", Kind::CheckpointDamaged, &[], |root| {
        change(
            &root.join("decisions/.decisions.checkpoint.jsonl"),
            |bytes| bytes[..20].to_vec(),
        );
    }),
];
