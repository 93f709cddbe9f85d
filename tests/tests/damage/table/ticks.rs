//! Damages to ticks.

use std::fs;

use super::{BTC, Damage, Kind, change, change_lines, change_text, damage};

pub(super) const DAMAGES: &[Damage] = &[
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
];
