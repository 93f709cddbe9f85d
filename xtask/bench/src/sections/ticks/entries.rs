//! The entries that are appended.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use minutebook_core::series::batch::{timestamp_array, timestamp_field};
use minutebook_core::time::parse_timestamp;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub(super) struct Tick {
    pub(super) symbol: String,
    pub(super) timestamp: String,
    pub(super) price: f64,
    pub(super) size: f64,
}

/// Ticks as a feed hands them over, to be encoded by whoever stores them.
pub(super) fn entries(lines: &[String]) -> Result<Vec<Tick>> {
    let ticks = lines.iter().map(|line| serde_json::from_str(line));
    Ok(ticks.collect::<Result<_, _>>()?)
}

/// Ticks as columns: what research code has at hand.
pub(super) fn columns(ticks: &[Tick]) -> Result<RecordBatch> {
    let times = ticks
        .iter()
        .map(|tick| parse_timestamp(&tick.timestamp))
        .collect::<Result<Vec<_>, _>>()?;
    let number = |get: fn(&Tick) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(ticks.iter().map(get)))
    };
    let schema = Schema::new(vec![
        timestamp_field(),
        Field::new("symbol", DataType::Utf8, false),
        Field::new("price", DataType::Float64, false),
        Field::new("size", DataType::Float64, false),
    ]);
    let symbols = StringArray::from_iter_values(ticks.iter().map(|tick| tick.symbol.as_str()));
    let columns = vec![
        timestamp_array(times)?,
        Arc::new(symbols),
        number(|tick| tick.price),
        number(|tick| tick.size),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// The same times with fields as exchanges send them: text with escapes, numbers in text, nested values, whole numbers beyond 2^53, whole and broken ones in
/// one column, and fields that only some entries have.
pub(super) fn fills(ticks: &[Tick]) -> Result<String> {
    let mut text = String::new();
    for (n, tick) in ticks.iter().enumerate() {
        let (id, lots) = (9_007_199_254_740_993 + n, n % 7);
        write!(
            text,
            "{{\"timestamp\":\"{}Z\",\"id\":{id},\"side\":\"{}\",\"price\":\"{:.8}\",\"qty\":{}",
            tick.timestamp,
            ["buy", "sell"][n % 2],
            tick.price,
            if lots == 0 {
                n.to_string()
            } else {
                tick.size.to_string()
            }
        )?;
        write!(
            text,
            ",\"book\":{{\"bid\":[{:.1},{lots}],\"ask\":[{:.1},2]}}",
            tick.price - 0.5,
            tick.price + 0.5
        )?;
        match n % 3 {
            0 => text.push_str(",\"note\":\"a \\\"quoted\\\" word \\u00e9\",\"maker\":true}\n"),
            1 => text.push_str(",\"maker\":null}\n"),
            _ => text.push_str("}\n"),
        }
    }
    Ok(text)
}
