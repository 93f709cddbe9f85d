//! Result lines, in the form of the peers' scripts: one JSON object a line.

use std::fs::OpenOptions;
use std::io::Write as _;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::measure::Timing;

/// How this implementation is called among the peers: as it comes, every acknowledged write on the device.
pub(crate) const OURS: &str = "ours";
/// The same, but a write survives the process and not the machine.
pub(crate) const BUFFERED: &str = "ours-buffered";

/// One result.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    section: &'static str,
    op: String,
    peer: String,
    n: usize,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Record {
    pub(crate) fn new(section: &'static str, op: &str, peer: &str, n: usize) -> Self {
        Self {
            section,
            op: op.to_owned(),
            peer: peer.to_owned(),
            n,
            more: Map::new(),
        }
    }

    /// Adds the times.
    pub(crate) fn timed(mut self, timing: &Timing) -> Self {
        self = self
            .with("median_s", timing.median())
            .with("min_s", timing.min())
            .with("max_s", timing.max())
            .with("runs", timing.seconds.len());
        match timing.other_cpu {
            Some(share) => self.with("other_cpu", share),
            None => self,
        }
    }

    /// Adds the time that the bare machine needs for the least that this operation must do, and what that is.
    pub(crate) fn limit(self, timing: &Timing, what: &str) -> Self {
        self.with("limit_s", timing.median()).with("limit", what)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// Appends the line to the result file and shows it.
    pub(crate) fn write(&self, config: &Config) -> Result<()> {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&config.out)
            .with_context(|| config.out.display().to_string())?;
        let mut line = serde_json::to_string(&json!(self))?;
        line.push('\n');
        file.write_all(line.as_bytes())?;
        let seconds = |key: &str| self.more.get(key).and_then(Value::as_f64);
        let time = seconds("median_s").map_or_else(|| "-".to_owned(), short);
        let limit = seconds("limit_s").map_or_else(String::new, |s| format!("limit {}", short(s)));
        println!(
            "{:11} {:34} {:14} n={:<9} {time:>9}  {limit}",
            self.section, self.op, self.peer, self.n
        );
        Ok(())
    }
}

/// Seconds for people: three digits and a unit.
pub(crate) fn short(seconds: f64) -> String {
    for (unit, factor) in [("s", 1.0), ("ms", 1e3), ("µs", 1e6)] {
        let value = seconds * factor;
        if value >= 1.0 {
            let digits = if value >= 100.0 {
                0
            } else {
                usize::from(value < 10.0) + 1
            };
            return format!("{value:.digits$} {unit}");
        }
    }
    format!("{:.0} ns", seconds * 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_keys_of_the_peers() {
        let timing = Timing {
            seconds: vec![2.0, 1.0, 3.0],
            other_cpu: Some(0.1),
        };
        let record = Record::new("A.decisions", "get_by_id", OURS, 1_000)
            .timed(&timing)
            .with("durable", true);
        assert_eq!(
            json!(record),
            json!({"section": "A.decisions", "op": "get_by_id", "peer": "ours", "n": 1000, "median_s": 2.0,
                   "min_s": 1.0, "max_s": 3.0, "runs": 3, "other_cpu": 0.1, "durable": true})
        );
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in [
            (1.5, "1.50 s"),
            (0.0123, "12.3 ms"),
            (1.77e-4, "177 µs"),
            (8e-8, "80 ns"),
        ] {
            assert_eq!(short(seconds), text);
        }
    }
}
