//! Where data comes from and for how long it is good: what `register` and `update` take alike.

use clap::Args;
use minutebook::time::{WrittenTime, parse_timestamp};
use minutebook::{DatasetChange, DatasetEntry, DatasetName, Minutebook};

use crate::args::parsed;

/// Where data comes from.
#[derive(Debug, Args)]
pub(crate) struct Provenance {
    /// Where the data comes from; the field "source" of the metadata
    #[arg(long)]
    source: Option<String>,
    /// When the data was fetched or made; "now" is the present
    #[arg(long, value_name = "TIME", value_parser = written)]
    retrieved_at: Option<Retrieved>,
    /// For how long after that it is good: 90s, 15m, 6h, 1d, 2w
    #[arg(long, value_name = "SPAN", value_parser = seconds)]
    ttl: Option<u64>,
    /// A dataset that it was made from; may be given several times
    #[arg(long, value_name = "NAME", value_parser = parsed::<DatasetName>)]
    derived_from: Vec<DatasetName>,
}

#[derive(Debug, Clone)]
enum Retrieved {
    Now,
    At(WrittenTime),
}

impl Provenance {
    /// Whether anything was said.
    pub(super) fn is_some(&self) -> bool {
        self.source.is_some()
            || self.retrieved_at.is_some()
            || self.ttl.is_some()
            || !self.derived_from.is_empty()
    }

    pub(super) fn describe(self, book: &Minutebook, mut entry: DatasetEntry) -> DatasetEntry {
        entry.retrieved_at = self.retrieved_at(book);
        entry.ttl_seconds = self.ttl;
        entry.derived_from = self.derived_from;
        match self.source {
            Some(source) => entry.with_source(source),
            None => entry,
        }
    }

    pub(super) fn change(self, book: &Minutebook, mut change: DatasetChange) -> DatasetChange {
        if let Some(time) = self.retrieved_at(book) {
            change = change.retrieved_at(Some(time));
        }
        if let Some(seconds) = self.ttl {
            change = change.ttl_seconds(Some(seconds));
        }
        if !self.derived_from.is_empty() {
            change = change.derived_from(self.derived_from);
        }
        match self.source {
            Some(source) => change.metadata("source", source),
            None => change,
        }
    }

    fn retrieved_at(&self, book: &Minutebook) -> Option<WrittenTime> {
        match &self.retrieved_at {
            Some(Retrieved::Now) => Some(book.now().into()),
            Some(Retrieved::At(time)) => Some(time.clone()),
            None => None,
        }
    }
}

fn written(text: &str) -> Result<Retrieved, String> {
    if text == "now" {
        return Ok(Retrieved::Now);
    }
    parse_timestamp(text).map_err(|error| error.message().to_owned())?;
    Ok(Retrieved::At(WrittenTime::new(text)))
}

fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no span; write it as 90s, 15m, 6h, 1d or 2w");
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("2w"), Ok(1_209_600));
        for wrong in [
            "",
            "1",
            "d",
            "1y",
            "-1d",
            "1.5h",
            "99999999999999999999s",
            "9999999999999999999w",
            "1é",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
    }
}
