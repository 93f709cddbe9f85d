//! The bundled bars.

use chrono::{DateTime, Utc};
use minutebook::time::parse_timestamp;
use minutebook::{Bar, Symbol};

use crate::failure::{Exit, Failure, Outcome};

/// See `demo/README.md` for where it comes from.
const CSV: &str = include_str!("../../../demo/us_stocks_daily_2011_2012.csv");

/// Daily bars of some symbols, on the same days.
#[derive(Debug)]
pub(super) struct Sample {
    /// Each symbol with its bars in ascending order of time.
    pub(super) symbols: Vec<(Symbol, Vec<Bar>)>,
}

impl Sample {
    /// The open of the first bar.
    pub(super) fn start(&self) -> DateTime<Utc> {
        let first = self.symbols.first().and_then(|(_, bars)| bars.first());
        first.map_or(DateTime::UNIX_EPOCH, |bar| bar.timestamp)
    }
}

/// Reads the bundled bars.
pub(super) fn read() -> Outcome<Sample> {
    let broken = |what: String| {
        Failure::new(
            Exit::Corrupt,
            format!("the bundled sample data is damaged: {what}"),
        )
    };
    let mut reader = csv::Reader::from_reader(CSV.as_bytes());
    let mut symbols: Vec<(Symbol, Vec<Bar>)> = Vec::new();
    for record in reader.deserialize::<(String, String, f64, f64, f64, f64, f64, f64)>() {
        let (ticker, date, open, high, low, close, volume, _) =
            record.map_err(|e| broken(e.to_string()))?;
        let bar = Bar {
            timestamp: parse_timestamp(&date)?,
            open,
            high,
            low,
            close,
            volume,
        };
        match symbols.last_mut() {
            Some((symbol, bars)) if symbol.as_str() == ticker => bars.push(bar),
            _ => symbols.push((Symbol::new(&ticker)?, vec![bar])),
        }
    }
    let days = |bars: &[Bar]| bars.iter().map(|bar| bar.timestamp).collect::<Vec<_>>();
    match symbols.split_first() {
        Some(((_, first), rest)) if rest.iter().all(|(_, bars)| days(bars) == days(first)) => {
            Ok(Sample { symbols })
        }
        _ => Err(broken("the symbols have different days".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_whole_and_sound() {
        let sample = read().unwrap();
        assert_eq!(sample.symbols.len(), 2);
        for (_, bars) in &sample.symbols {
            assert_eq!(bars.len(), 502);
            assert!(bars.iter().all(|bar| bar.fault().is_none()));
            assert!(
                bars.windows(2)
                    .all(|pair| pair[0].timestamp < pair[1].timestamp)
            );
        }
    }
}
