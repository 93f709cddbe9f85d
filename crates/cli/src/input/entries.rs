//! Tick entries: JSON objects as a feed writes them, of which a pointer names the time and maybe the symbol.

use std::collections::HashMap;

use minutebook::Symbol;
use minutebook::json_text::RawObject;
use minutebook::jsonl::{EpochUnit, TimeField};
use minutebook::time::{format_timestamp, from_nanos, parse_timestamp, to_nanos};
use serde_json::Value;

use super::columns::{distinct, find, named};
use super::times::TimeReader;
use crate::failure::{Failure, Outcome};

/// What the user said about entries.
#[derive(Debug)]
pub(crate) struct EntryOptions {
    /// Where the time is; `timestamp` unless said.
    pub(crate) time_field: Option<String>,
    /// What numbers count.
    pub(crate) time_unit: Option<EpochUnit>,
    /// Where the symbol is.
    pub(crate) symbol_field: Option<String>,
    /// What the values there mean.
    pub(crate) symbol_map: HashMap<String, Symbol>,
    /// The one symbol, or the one to pick.
    pub(crate) symbol: Option<Symbol>,
}

/// Takes entries apart.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    options: &'a EntryOptions,
    time: String,
    symbol: Option<String>,
}

/// A name as a JSON pointer: `/Item/time`, `Item.time` and `time` alike.
fn pointer(name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("/{}", name.replace('.', "/"))
    }
}

impl<'a> Entries<'a> {
    pub(crate) fn new(options: &'a EntryOptions) -> Self {
        Self {
            time: pointer(options.time_field.as_deref().unwrap_or("timestamp")),
            symbol: options.symbol_field.as_deref().map(pointer),
            options,
        }
    }

    /// Where the store finds the time.
    pub(crate) fn time_field(&self) -> Outcome<TimeField> {
        let field = TimeField::pointer(&self.time)
            .map_err(|error| Failure::usage(format!("--time-field: {}", error.message())))?;
        Ok(match self.options.time_unit {
            Some(unit) => field.epoch(unit),
            None => field,
        })
    }

    /// The symbol that an entry belongs to, `None` for one that was not asked for, or what is wrong with it.
    pub(crate) fn check(&self, entry: &str) -> Result<Option<Symbol>, String> {
        let object = RawObject::parse(entry).map_err(|error| {
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or(&text).to_owned();
            match error.column() {
                0 => format!("not a JSON object: {what}"),
                column => format!("column {column}: not a JSON object: {what}"),
            }
        })?;
        if self.time != "/timestamp" && object.get("timestamp").is_some() {
            return Err("it has a field \"timestamp\" beside the one that --time-field names; leave --time-field out".to_owned());
        }
        let time = value_at(&object, &self.time)?.ok_or_else(|| {
            format!(
                "it has no time at {}; name the field with --time-field",
                self.time
            )
        })?;
        self.check_time(&time)?;
        let Some(place) = &self.symbol else {
            return Ok(self.options.symbol.clone());
        };
        let value = value_at(&object, place)?
            .ok_or_else(|| format!("it has no symbol at {place}; see --symbol-field"))?;
        let symbol = self.symbol_of(&value)?;
        Ok(match &self.options.symbol {
            Some(wanted) if *wanted != symbol => None,
            _ => Some(symbol),
        })
    }

    fn check_time(&self, time: &Value) -> Result<(), String> {
        let place = &self.time;
        match time {
            Value::String(text) => parse_timestamp(text)
                .and_then(to_nanos)
                .map(|_| ())
                .map_err(|error| format!("the time at {place} is \"{text}\": {}", error.message())),
            Value::Number(number) => match self.options.time_unit {
                Some(_) => Ok(()),
                None => Err(format!(
                    "the time at {place} is the number {number}; say what it counts with --time-unit s, ms, us or ns"
                )),
            },
            other => Err(format!("the time at {place} is {other}, which is no time")),
        }
    }

    /// The symbol that a value stands for.
    pub(crate) fn symbol_of(&self, value: &Value) -> Result<Symbol, String> {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let Some(symbol) = self.options.symbol_map.get(&text) {
            return Ok(symbol.clone());
        }
        if !self.options.symbol_map.is_empty() {
            return Err(format!(
                "the symbol {text} is not in --symbol-map; add it as {text}=NAME"
            ));
        }
        Symbol::new(&text).map_err(|error| error.message().to_owned())
    }
}

fn value_at(object: &RawObject, pointer: &str) -> Result<Option<Value>, String> {
    let path = pointer.strip_prefix('/').unwrap_or(pointer);
    let (first, rest) = path
        .split_once('/')
        .map_or((path, None), |(a, b)| (a, Some(b)));
    let Some(raw) = object.get(&first.replace("~1", "/").replace("~0", "~")) else {
        return Ok(None);
    };
    let value: Value = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    Ok(match rest {
        None => Some(value),
        Some(rest) => value.pointer(&format!("/{rest}")).cloned(),
    })
}

/// Rows of CSV as entries.
#[derive(Debug)]
pub(crate) struct Rows {
    time: usize,
    symbol: Option<usize>,
    keys: Vec<String>,
}

impl Rows {
    /// Finds the columns.
    pub(crate) fn new(columns: &[String], options: &EntryOptions, file: &str) -> Outcome<Self> {
        let said = |name: &str, option: &str| {
            named(columns, name).ok_or_else(|| {
                Failure::usage(format!(
                    "{option} {name}: {file} has no such column; it has {}",
                    columns.join(", ")
                ))
            })
        };
        let time = match &options.time_field {
            Some(name) => said(name, "--time-field")?,
            None => find(columns, &["timestamp", "datetime", "time", "date"]).ok_or_else(|| {
                Failure::data(format!(
                    "{file}: there is no column of times; name it with --time-field; it has {}",
                    columns.join(", ")
                ))
            })?,
        };
        Ok(Self {
            time,
            symbol: options
                .symbol_field
                .as_deref()
                .map(|name| said(name, "--symbol-field"))
                .transpose()?,
            keys: distinct(columns.iter().map(String::as_str), &[]),
        })
    }

    /// A row as an entry with its time as `timestamp`, and the symbol if a column says it.
    pub(crate) fn entry(
        &self,
        record: &csv::StringRecord,
        times: &TimeReader,
    ) -> Result<(String, Option<Value>), String> {
        let text = record.get(self.time).unwrap_or("");
        let nanos = times.nanos(text)?;
        // The text stays as it was written where every reader understands it.
        let same = parse_timestamp(text)
            .and_then(to_nanos)
            .is_ok_and(|read| read == nanos);
        let time = if same {
            text.to_owned()
        } else {
            format_timestamp(from_nanos(nanos))
        };
        let mut object = serde_json::Map::new();
        object.insert("timestamp".to_owned(), time.into());
        for (at, (key, cell)) in self.keys.iter().zip(record).enumerate() {
            if at == self.time || Some(at) == self.symbol || cell.is_empty() {
                continue;
            }
            // What is a number or a truth value in JSON is one; everything else is text.
            let value = match serde_json::from_str(cell) {
                Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
                _ => cell.into(),
            };
            object.insert(key.clone(), value);
        }
        let symbol = self.symbol.and_then(|at| record.get(at)).map(Value::from);
        Ok((Value::Object(object).to_string(), symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> EntryOptions {
        EntryOptions {
            time_field: Some("Item.time".to_owned()),
            time_unit: None,
            symbol_field: Some("/Item/instrument".to_owned()),
            symbol_map: HashMap::from([("0".to_owned(), "BTCUSDT".parse().unwrap())]),
            symbol: None,
        }
    }

    #[test]
    fn nested_entries_are_taken_apart() {
        let options = options();
        let entries = Entries::new(&options);
        let entry = r#"{"Item":{"time":"2025-03-25T23:07:00.773674205Z","instrument":0}}"#;
        assert_eq!(
            entries.check(entry).unwrap(),
            Some("BTCUSDT".parse().unwrap())
        );
        let only_eth = EntryOptions {
            symbol: Some("ETHUSDT".parse().unwrap()),
            ..super::tests::options()
        };
        assert_eq!(Entries::new(&only_eth).check(entry).unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_said_with_a_way_out() {
        let options = options();
        let entries = Entries::new(&options);
        for (entry, says) in [
            (r#"{"Item":"#, "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"{"Item":{"instrument":0}}"#, "--time-field"),
            (r#"{"Item":{"time":"soon","instrument":0}}"#, "soon"),
            (
                r#"{"Item":{"time":1700000000,"instrument":0}}"#,
                "--time-unit",
            ),
            (r#"{"Item":{"time":"2025-01-01"}}"#, "--symbol-field"),
            (r#"{"Item":{"time":"2025-01-01","instrument":7}}"#, "7=NAME"),
            (
                r#"{"timestamp":"2025-01-01","Item":{"time":"2025-01-01","instrument":0}}"#,
                "leave --time-field out",
            ),
        ] {
            let error = entries.check(entry).unwrap_err();
            assert!(error.contains(says), "{entry}: {error}");
        }
    }

    #[test]
    fn rows_become_entries() {
        let columns = ["Date", "Last Price", "Side", "Ticker", "Note"].map(str::to_owned);
        let options = EntryOptions {
            time_field: None,
            symbol_field: Some("ticker".to_owned()),
            ..super::tests::options()
        };
        let rows = Rows::new(&columns, &options, "f").unwrap();
        let times = TimeReader::new(None, None).unwrap();
        let record = csv::StringRecord::from(vec!["3/1/2000", "1.50", "buy", "AAPL", ""]);
        let (entry, symbol) = rows.entry(&record, &times).unwrap();
        assert_eq!(
            entry,
            r#"{"timestamp":"2000-03-01T00:00:00Z","last_price":1.5,"side":"buy"}"#
        );
        assert_eq!(symbol, Some("AAPL".into()));
    }
}
