//! Inputs without the peers: the same shapes as theirs, and the same values every time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use chrono::{DateTime, TimeDelta, Utc};
use minutebook_core::series::Row as _;
use minutebook_core::time::from_nanos;
use minutebook_core::{Bar, Timeframe};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::config::Config;

/// 2024-01-01T00:00:00Z in seconds.
const YEAR_2024: i64 = 1_704_067_200;
/// 2014-01-01T00:00:00Z in seconds: where the minute bars begin.
pub(crate) const YEAR_2014: i64 = 1_388_534_400;
/// 2023-01-01T00:00:00Z in seconds: where the bars of many symbols begin.
pub(crate) const YEAR_2023: i64 = 1_672_531_200;

pub(crate) const ASSETS: [&str; 20] = [
    "BTCUSD", "ETHUSD", "SOLUSD", "XRPUSD", "ADAUSD", "DOGEUSD", "LTCUSD", "LINKUSD", "AVAXUSD",
    "DOTUSD", "EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "USDCAD", "NZDUSD", "USDCHF", "XAUUSD",
    "XAGUSD", "SPX500",
];
const WORDS: [&str; 16] = [
    "momentum",
    "trend",
    "support",
    "resistance",
    "breakout",
    "volume",
    "divergence",
    "range",
    "signal",
    "volatility",
    "regime",
    "risk",
    "liquidity",
    "funding",
    "sentiment",
    "drawdown",
];
const FIELDS: [&str; 15] = [
    "open",
    "high",
    "low",
    "close",
    "volume",
    "rsi",
    "macd",
    "macd_signal",
    "atr",
    "bb_upper",
    "bb_lower",
    "ema_20",
    "ema_50",
    "vwap",
    "spread",
];

/// A small generator with a fixed sequence (`SplitMix64`).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, not including, `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = usize::try_from(high - low + 1).unwrap_or(1);
        low + i64::try_from(self.below(span)).unwrap_or(0)
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Writes every input that is not there yet.
pub(crate) fn missing(config: &Config) -> Result<()> {
    std::fs::create_dir_all(&config.inputs)?;
    std::fs::create_dir_all(&config.dir)?;
    make(&config.decisions_file(), |file| {
        let mut file = BufWriter::new(file);
        for i in 0..config.decisions_total() {
            writeln!(file, "{}", decision(i))?;
        }
        Ok(file.flush()?)
    })?;
    make(&config.ticks_file(), |file| {
        let mut file = BufWriter::new(file);
        let mut ticks = Ticks::new();
        for _ in 0..config.ticks_total() {
            writeln!(file, "{}", ticks.next())?;
        }
        Ok(file.flush()?)
    })?;
    make(&config.bars_file(), |file| {
        let bars = bars(525_600 * config.years, YEAR_2014, Timeframe::MINUTE, 3);
        write_frames(file, [Bar::to_batch(&bars)?])
    })?;
    make(&config.daily_file(), |file| {
        let bars = bars(365, YEAR_2014, Timeframe::DAY, 3);
        write_frames(file, [Bar::to_batch(&bars)?])
    })?;
    make(&config.symbols_file(), |file| {
        let series = (0..config.symbols).flat_map(|i| {
            [("1h", Timeframe::HOUR, 8_760), ("1d", Timeframe::DAY, 365)].map(|(name, frame, n)| {
                let seed = 1_000 + 2 * i as u64 + u64::from(n == 365);
                (symbol(i), name, bars(n, YEAR_2023, frame, seed))
            })
        });
        let frames = series
            .map(|(symbol, timeframe, bars)| labelled(&symbol, timeframe, &bars))
            .collect::<Result<Vec<_>>>()?;
        write_frames(file, frames)
    })
}

/// The name of the i-th of many symbols.
pub(crate) fn symbol(i: usize) -> String {
    format!("SYM{i:03}")
}

/// Writes a file in one step, so that an interrupted run leaves no half input.
fn make(path: &Path, write: impl FnOnce(File) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let temporary = path.with_extension("tmp");
    let file = File::create(&temporary).with_context(|| temporary.display().to_string())?;
    write(file)?;
    Ok(std::fs::rename(&temporary, path)?)
}

fn write_frames(file: File, frames: impl IntoIterator<Item = RecordBatch>) -> Result<()> {
    let mut frames = frames.into_iter();
    let Some(first) = frames.next() else {
        return Ok(());
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = ArrowWriter::try_new(file, first.schema(), Some(properties))?;
    writer.write(&first)?;
    for frame in frames {
        writer.write(&frame)?;
    }
    writer.close()?;
    Ok(())
}

fn labelled(symbol: &str, timeframe: &str, bars: &[Bar]) -> Result<RecordBatch> {
    let batch = Bar::to_batch(bars)?;
    let text = |value: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            value,
            batch.num_rows(),
        )))
    };
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for (name, value) in [("symbol", symbol), ("tf", timeframe)] {
        fields.push(Arc::new(Field::new(name, DataType::Utf8, false)));
        columns.push(text(value));
    }
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// Bars whose prices walk in whole cents.
pub(crate) fn bars(count: usize, start: i64, timeframe: Timeframe, seed: u64) -> Vec<Bar> {
    let mut random = Random::new(seed);
    let step = timeframe.duration().unwrap_or(TimeDelta::minutes(1));
    let mut time = at(start);
    let mut close = 100_000_i64;
    (0..count)
        .map(|_| {
            let open = close;
            close = (close + random.between(-15, 15) - 1_000).abs() + 1_000;
            let bar = Bar {
                timestamp: time,
                open: scaled(open, 100.0),
                high: scaled(open.max(close) + random.between(0, 19), 100.0),
                low: scaled(open.min(close) - random.between(0, 19), 100.0),
                close: scaled(close, 100.0),
                volume: scaled(random.between(1, 5_000_000), 1_000.0),
            };
            time += step;
            bar
        })
        .collect()
}

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    from_nanos(seconds * 1_000_000_000)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "the integers here are far below 2^52"
)]
fn scaled(value: i64, by: f64) -> f64 {
    value as f64 / by
}

/// The i-th decision document, about 1 KB.
fn decision(i: usize) -> String {
    let mut random = Random::new(1_000_003 + i as u64);
    let id = uuid_v4(&mut random);
    let time = at(YEAR_2024)
        + TimeDelta::seconds(60 * i64::try_from(i).unwrap_or(0))
        + TimeDelta::microseconds(random.between(1, 999_999));
    let mut words = String::new();
    while words.len() < 300 {
        words.push_str(random.pick::<&str>(&WORDS));
        words.push(' ');
    }
    let mut market = String::new();
    for field in FIELDS {
        let value = scaled(random.between(10_000, 70_000_000_000), 1e6);
        // Writing into a String cannot fail.
        let _ = write!(
            market,
            "{}\"{field}\":{value}",
            if market.is_empty() { "" } else { "," }
        );
    }
    let (pair, action) = (random.pick(&ASSETS), random.pick(&["BUY", "SELL", "HOLD"]));
    let (confidence, size) = (
        scaled(random.between(0, 10_000), 1e4),
        scaled(random.between(0, 10_000_000), 1e6),
    );
    let (stop, take) = (
        scaled(random.between(1_000, 5_000), 1e3),
        scaled(random.between(2_000, 15_000), 1e3),
    );
    let (side, executed) = (
        random.pick(&["LONG", "SHORT", "FLAT"]),
        random.below(10) < 3,
    );
    let time = time.format("%Y-%m-%dT%H:%M:%S%.6f");
    format!(
        "{{\"id\":\"{id}\",\"timestamp\":\"{time}\",\"asset_pair\":\"{pair}\",\"action\":\"{action}\",\
         \"confidence\":{confidence},\"reasoning\":\"{}\",\"market_data\":{{{market}}},\"ai_provider\":\"ensemble\",\
         \"position\":{{\"side\":\"{side}\",\"size\":{size},\"stop_loss\":{stop},\"take_profit\":{take}}},\
         \"executed\":{executed}}}",
        words.trim_end()
    )
}

fn uuid_v4(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

/// A price that walks by tenths, at times that grow by up to 200 ms.
struct Ticks {
    random: Random,
    time: DateTime<Utc>,
    cents: i64,
}

impl Ticks {
    fn new() -> Self {
        Self {
            random: Random::new(2),
            time: at(YEAR_2024),
            cents: 4_250_000,
        }
    }

    fn next(&mut self) -> String {
        self.time += TimeDelta::microseconds(self.random.between(1, 199_999));
        self.cents += self.random.between(-50, 50) * 10;
        let time = self.time.format("%Y-%m-%dT%H:%M:%S%.6f");
        let price = scaled(self.cents, 100.0);
        let size = scaled(self.random.between(1, 99_999), 10_000.0);
        format!(
            "{{\"symbol\": \"BTCUSD\", \"timestamp\": \"{time}\", \"price\": {price:?}, \"size\": {size:?}}}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutebook_core::Decision;

    #[test]
    fn inputs_are_the_same_every_time_and_readable() {
        assert_eq!(decision(7), decision(7));
        assert_ne!(decision(7), decision(8));
        let document = Decision::from_json(&decision(7)).unwrap();
        let size = document.to_json().len();
        assert!((800..1_300).contains(&size), "{size} bytes");
        assert!(document.timestamp().is_some());
        let (mut a, mut b) = (Ticks::new(), Ticks::new());
        assert_eq!(a.next(), b.next());
        assert!(serde_json::from_str::<serde_json::Value>(&a.next()).unwrap()["price"].is_f64());
    }

    #[test]
    fn bars_are_valid() {
        let bars = bars(5_000, YEAR_2014, Timeframe::MINUTE, 3);
        assert!(bars.iter().all(|bar| bar.fault().is_none()));
        assert_eq!(bars[1].timestamp - bars[0].timestamp, TimeDelta::minutes(1));
    }
}
