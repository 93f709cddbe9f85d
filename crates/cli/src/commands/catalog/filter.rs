//! Which datasets: what `list`, `stale`, `export` and `update` take alike.

use clap::Args;
use minutebook::time::parse_timestamp;
use minutebook::{DatasetFilter, DatasetName, TimeRange};
use serde_json::Value;

use crate::args::{Range, key_value, parsed};
use crate::failure::Outcome;

/// Conditions that all must hold.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Of exactly this instrument
    #[arg(long)]
    instrument: Option<String>,
    /// Of exactly this tenor or timeframe
    #[arg(long)]
    tenor: Option<String>,
    /// Whose name begins so
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Whose name matches: * stands for any characters, ? for one
    #[arg(long, value_name = "PATTERN")]
    pattern: Option<String>,
    /// With this field of metadata; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, Value)>,
    /// Made from this dataset
    #[arg(long, value_name = "NAME", value_parser = parsed::<DatasetName>)]
    derived_from: Option<DatasetName>,
    /// With data from the first to the last of these times
    #[arg(long, value_name = "FIRST..LAST", value_parser = closed_range)]
    covers: Option<TimeRange>,
    #[command(flatten)]
    range: Range,
}

impl Filter {
    pub(crate) fn get(self) -> Outcome<DatasetFilter> {
        let mut filter = DatasetFilter::new();
        filter.instrument = self.instrument;
        filter.tenor = self.tenor;
        filter.name_prefix = self.prefix;
        filter.name_pattern = self.pattern;
        filter.metadata = self.metadata;
        filter.derived_from = self.derived_from;
        filter.covers = self.covers;
        filter.overlaps = Some(self.range.get()?).filter(|range| *range != TimeRange::all());
        Ok(filter)
    }
}

fn closed_range(text: &str) -> Result<TimeRange, String> {
    let (first, last) = text
        .split_once("..")
        .ok_or("write it as FIRST..LAST, for example 2024-01-01..2024-01-31")?;
    let instant = |text| parse_timestamp(text).map_err(|error| error.message().to_owned());
    TimeRange::inclusive(instant(first)?, instant(last)?)
        .map_err(|error| error.message().to_owned())
}
