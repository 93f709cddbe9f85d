//! Result lines as tables: ours beside the best peer, the original's algorithm and the bare limit.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Above this share of foreign processor time a figure is noise.
const NOISY: f64 = 0.1;
/// How the algorithms of the two original programs are called.
const ORIGINALS: [&str; 2] = ["seed", "macrocredit"];

#[derive(Debug, Clone, Deserialize)]
struct Row {
    section: String,
    op: String,
    peer: String,
    n: u64,
    median_s: Option<f64>,
    limit_s: Option<f64>,
    durable: Option<bool>,
    other_cpu: Option<f64>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Row {
    fn is_ours(&self) -> bool {
        self.peer.starts_with("ours")
    }

    fn is_original(&self) -> bool {
        ORIGINALS.iter().any(|name| self.peer.starts_with(name))
    }

    /// Whether what the operation leaves on disk is what counts, so that its durability does too.
    fn is_write(&self) -> bool {
        [
            "save", "append", "write", "delete", "register", "remove", "upsert", "refresh",
        ]
        .iter()
        .any(|start| self.op.starts_with(start))
    }

    /// Whether `peer` does the same work with at least the same promise.
    fn fair(&self, peer: &Self) -> bool {
        // Not every script says it; then the name does.
        let unsynced = ["normal", "nosync"]
            .iter()
            .any(|part| peer.peer.contains(part));
        let durable = peer.durable.unwrap_or(!unsynced);
        let promise = !self.is_write() || self.durable != Some(true) || durable;
        promise && !peer.peer.contains("other format")
    }

    fn time(&self) -> String {
        let noisy = self.other_cpu.is_some_and(|share| share > NOISY);
        let mark = if noisy { " ~" } else { "" };
        self.median_s
            .map_or_else(|| "-".to_owned(), |s| format!("{}{mark}", short(s)))
    }
}

/// All result lines, the last for each section, operation, size and peer.
#[derive(Debug)]
pub(super) struct Results(Vec<Row>);

impl Results {
    pub(super) fn parse(lines: &str) -> Result<Self> {
        let mut rows: Vec<Row> = Vec::new();
        for (i, line) in lines.lines().enumerate() {
            let row: Row = serde_json::from_str(line)
                .with_context(|| format!("line {} of the results: {line}", i + 1))?;
            let key = |row: &Row| (row.section.clone(), row.op.clone(), row.n, row.peer.clone());
            match rows.iter_mut().find(|old| key(old) == key(&row)) {
                // What crashed after it had reported keeps its time.
                Some(old) if old.median_s.is_some() && row.median_s.is_none() => {
                    old.more.insert("crashed_at_exit".to_owned(), true.into());
                }
                Some(old) => *old = row,
                None => rows.push(row),
            }
        }
        Ok(Self(rows))
    }

    /// The sections in order of appearance, each with its (operation, size) pairs in order.
    fn groups(&self) -> Vec<(&str, Vec<Vec<&Row>>)> {
        let mut sections: Vec<(&str, Vec<Vec<&Row>>)> = Vec::new();
        for row in &self.0 {
            let at = sections.iter().position(|(name, _)| *name == row.section);
            let at = at.unwrap_or_else(|| {
                sections.push((row.section.as_str(), Vec::new()));
                sections.len() - 1
            });
            let groups = &mut sections[at].1;
            match groups
                .iter_mut()
                .find(|group| (group[0].op.as_str(), group[0].n) == (row.op.as_str(), row.n))
            {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        sections
    }

    /// A table a section: a line for each operation of ours.
    pub(super) fn summary(&self) -> String {
        let mut out = String::new();
        for (section, groups) in self.groups() {
            let ours: Vec<_> = groups
                .iter()
                .flat_map(|group| {
                    group
                        .iter()
                        .filter(|row| row.is_ours() && row.median_s.is_some())
                        .map(move |row| (*row, group))
                })
                .collect();
            if ours.is_empty() {
                line(
                    &mut out,
                    &format!(
                        "### {section}\n\n| operation | n | | time | |\n|---|--:|---|--:|---|"
                    ),
                );
                let rows = || groups.iter().flatten();
                let own = rows().any(|row| row.peer == "rust");
                for row in rows().filter(|row| !own || row.peer == "rust") {
                    line(
                        &mut out,
                        &format!(
                            "| {} | {} | {} | {} | {} |",
                            row.op,
                            row.n,
                            row.peer,
                            row.time(),
                            extras(row)
                        ),
                    );
                }
            } else {
                line(
                    &mut out,
                    &format!(
                        "### {section}\n\n| operation | n | | time | best peer | its time | ours / peer | original / ours | limit | ours / limit |\n\
                         |---|--:|---|--:|---|--:|--:|--:|--:|--:|"
                    ),
                );
                for (row, group) in ours {
                    line(&mut out, &summary_line(row, group));
                }
            }
            out.push('\n');
        }
        out.push_str(
            "`~`: other processes used more than a tenth of the machine meanwhile. ours / peer: below 1 is faster than every peer. Durable\n\
             writes are compared with durable writes only; \"original\" is the algorithm of the original programs.\n",
        );
        out
    }

    /// A table an operation, with every peer.
    pub(super) fn details(&self) -> String {
        let mut out = String::new();
        for (section, groups) in self.groups() {
            line(&mut out, &format!("\n## {section}"));
            for mut group in groups {
                line(
                    &mut out,
                    &format!(
                        "\n**{}** (n={})\n\n| | median | durable | notes |\n|---|--:|---|---|",
                        group[0].op, group[0].n
                    ),
                );
                group.sort_by(|a, b| {
                    a.median_s
                        .unwrap_or(f64::MAX)
                        .total_cmp(&b.median_s.unwrap_or(f64::MAX))
                });
                for row in group {
                    let durable = row
                        .durable
                        .map_or("", |durable| if durable { "yes" } else { "no" });
                    line(
                        &mut out,
                        &format!(
                            "| {} | {} | {durable} | {} |",
                            row.peer,
                            row.time(),
                            extras(row)
                        ),
                    );
                }
            }
        }
        out
    }
}

fn summary_line(row: &Row, group: &[&Row]) -> String {
    let fastest = |wanted: &dyn Fn(&Row) -> bool| {
        group
            .iter()
            .filter(|other| !other.is_ours() && other.median_s.is_some() && wanted(other))
            .min_by(|a, b| {
                a.median_s
                    .unwrap_or(f64::MAX)
                    .total_cmp(&b.median_s.unwrap_or(f64::MAX))
            })
            .copied()
    };
    let over = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => ratio(a / b),
        _ => String::new(),
    };
    let peer = fastest(&|other| !other.is_original() && row.fair(other));
    let original = fastest(&|other| other.is_original());
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.op,
        row.n,
        row.peer,
        row.time(),
        peer.map_or("", |peer| &peer.peer),
        peer.map_or_else(String::new, Row::time),
        over(row.median_s, peer.and_then(|peer| peer.median_s)),
        over(
            original.and_then(|original| original.median_s),
            row.median_s
        ),
        row.limit_s.map_or_else(String::new, short),
        over(row.median_s, row.limit_s),
    )
}

/// What a line says beside its times.
fn extras(row: &Row) -> String {
    row.more
        .iter()
        .filter(|(key, _)| !["min_s", "max_s", "runs", "best_s"].contains(&key.as_str()))
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}: {text}"),
            Value::Number(number) if number.is_f64() => {
                format!("{key} {:.2}", number.as_f64().unwrap_or(f64::NAN))
            }
            other => format!("{key} {other}"),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

fn line(out: &mut String, text: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn ratio(value: f64) -> String {
    if value >= 99.5 {
        format!("{value:.0}")
    } else if value >= 9.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Seconds for people: three digits and a unit.
fn short(seconds: f64) -> String {
    for (unit, factor) in [("s", 1.0), ("ms", 1e3), ("µs", 1e6)] {
        let value = seconds * factor;
        if value >= 1.0 {
            return format!("{} {unit}", ratio(value));
        }
    }
    format!("{:.0} ns", seconds * 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"section":"A","op":"save_one","peer":"ours","n":10,"median_s":0.0005,"limit_s":0.00025,"durable":true}
{"section":"A","op":"save_one","peer":"ours-buffered","n":10,"median_s":0.00005,"durable":false}
{"section":"A","op":"save_one","peer":"lmdb-nosync","n":10,"median_s":0.00001,"durable":false}
{"section":"A","op":"save_one","peer":"sqlite","n":10,"median_s":9,"durable":true}
{"section":"A","op":"save_one","peer":"sqlite","n":10,"median_s":0.001,"durable":true,"other_cpu":0.5}
{"section":"A","op":"save_one","peer":"seed","n":10,"median_s":0.1,"durable":false}
{"section":"A","op":"get","peer":"ours","n":10,"median_s":0.00001,"durable":true}
{"section":"A","op":"get","peer":"lmdb-nosync","n":10,"median_s":0.000005,"durable":false}
"#;

    #[test]
    fn durable_writes_are_compared_with_durable_ones_and_reads_with_all() {
        let summary = Results::parse(LINES).unwrap().summary();
        let rows: Vec<_> = summary
            .lines()
            .filter(|line| line.contains("ours"))
            .collect();
        assert_eq!(
            rows[1],
            "| save_one | 10 | ours | 500 µs | sqlite | 1.00 ms ~ | 0.50 | 200 | 250 µs | 2.00 |"
        );
        assert_eq!(
            rows[2],
            "| save_one | 10 | ours-buffered | 50.0 µs | lmdb-nosync | 10.0 µs | 5.00 | 2000 |  |  |"
        );
        assert!(
            rows[3].contains("| lmdb-nosync | 5.00 µs | 2.00 |"),
            "{}",
            rows[3]
        );
    }

    #[test]
    fn a_crash_after_the_report_keeps_the_time() {
        let crashed = format!(
            "{LINES}{}\n",
            r#"{"section":"A","op":"get","peer":"ours","n":10,"failed":true}"#
        );
        let details = Results::parse(&crashed).unwrap().details();
        assert!(
            details.contains("| ours | 10.0 µs | yes | crashed_at_exit true |"),
            "{details}"
        );
        assert!(Results::parse("no json").is_err());
    }
}
