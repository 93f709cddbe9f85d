//! The damages: what each is called, how it is inflicted, what a check must call it, and which answers it may cost.

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
fn files(root: &Path, folder: &str) -> Vec<PathBuf> {
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

pub(crate) const DAMAGES: &[Damage] = &[
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
    damage("ticks with a torn tail", Kind::TickTornTail, &[], |root| {
        change_text(&root.join(BTC), |text| text + "{\"timestamp\":\"2025-");
    }),
    damage(
        "ticks without the last newline",
        Kind::TickTornTail,
        &[],
        |root| {
            change_text(&root.join(BTC), |mut text| {
                text.pop();
                text
            });
        },
    ),
    damage(
        "ticks with a line of garbage",
        Kind::TickLineMalformed,
        &[],
        |root| {
            change_lines(&root.join(BTC), |lines| {
                lines.insert(20, "%% 17 \u{7}\n".to_owned());
            });
        },
    ),
    damage(
        "ticks with a line cut short",
        Kind::TickLineMalformed,
        &["ticks BTC", "entry btcusd_ticks"],
        |root| {
            change_lines(&root.join(BTC), |lines| {
                lines[7].truncate(9);
                lines[7].push('\n');
            });
        },
    ),
    damage(
        "ticks with a hole of zeros",
        Kind::TickLineMalformed,
        &["ticks BTC", "entry btcusd_ticks"],
        |root| {
            change(&root.join(BTC), |mut bytes| {
                bytes[100..180].fill(0);
                bytes
            });
        },
    ),
    damage(
        "ticks that are no UTF-8",
        Kind::TickLineMalformed,
        &["ticks BTC", "entry btcusd_ticks"],
        |root| {
            change(&root.join(BTC), |mut bytes| {
                bytes[5] = 0xfe;
                bytes
            });
        },
    ),
    damage(
        "ticks with two lines in one",
        Kind::TickLineMalformed,
        &["ticks BTC", "entry btcusd_ticks"],
        |root| {
            change_lines(&root.join(BTC), |lines| {
                let next = lines.remove(6);
                lines[5].pop();
                lines[5].push_str(&next);
            });
        },
    ),
    damage(
        "ticks under a name in capitals",
        Kind::TickFileMisnamed,
        &[],
        |root| {
            fs::rename(root.join(BTC), root.join("ticks/BTCUSD_timeseries.jsonl")).unwrap();
        },
    ),
    damage(
        "ticks' place taken by a directory",
        Kind::NotAFile,
        &["ticks BTC", "entry btcusd_ticks"],
        |root| {
            fs::remove_file(root.join(BTC)).unwrap();
            fs::create_dir(root.join(BTC)).unwrap();
        },
    ),
    damage(
        "file of types damaged",
        Kind::TypesDamaged,
        &["ticks ETH"],
        |root| {
            fs::write(root.join("ticks/.ethusd.types"), "{\"format\": ").unwrap();
        },
    ),
    damage(
        "file of types of no series",
        Kind::TypesOrphaned,
        &[],
        |root| {
            fs::copy(
                root.join("ticks/.ethusd.types"),
                root.join("ticks/.ghost.types"),
            )
            .unwrap();
        },
    ),
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
