//! `minutebook series check`, `coverage`, `complete` and `resample`.

use clap::Args;
use minutebook::series::{BarValidator, CoverageState};
use minutebook::time::format_timestamp;
use minutebook::{
    Calendar, OnConflict, ScanQuery, SeriesId, TimeSeriesRepositoryExt, Timeframe, WriteMode,
};
use serde_json::json;

use super::group::{Named, files_of, told};
use crate::app::Context;
use crate::args::{Range, parsed};
use crate::failure::{Failure, Outcome};
use crate::output::format::{self, plural};
use crate::output::rows;
use crate::output::table::{Align, Table};

/// When the market is open.
#[derive(Debug, Args)]
struct Market {
    /// When the market is open: 24/7, weekdays, or days and hours in UTC or at an offset: mon-fri 14:30-21:00, mon-fri 09:30-16:00 -05:00
    #[arg(long, value_name = "CALENDAR", value_parser = parsed::<Calendar>)]
    calendar: Option<Calendar>,
    /// Days on which it is closed
    #[arg(long, value_name = "DATE,…", value_delimiter = ',')]
    closed: Vec<chrono::NaiveDate>,
}

impl Market {
    fn get(self) -> Option<Calendar> {
        match (self.calendar, self.closed.is_empty()) {
            (None, true) => None,
            (calendar, _) => Some(calendar.unwrap_or_default().closed_on(self.closed)),
        }
    }
}

/// Validate bars: prices that contradict each other, negative or missing values, times that are double, out of order or off the grid.
#[derive(Debug, Args)]
#[command(after_help = "\
With --json each line is {\"row\", \"timestamp\", \"issue\", \"message\"}. At most 100 bars of each kind of issue are shown; all are counted.

Examples:
  minutebook series check BTCUSD@1h
  minutebook series check AAPL@1d --calendar weekdays --strict")]
pub(crate) struct Check {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    market: Market,
    /// Take prices below zero as they are
    #[arg(long)]
    allow_negative: bool,
    /// Exit with code 5 if anything is wrong
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let mut validator = BarValidator::new();
        if let Some(calendar) = self.market.get() {
            validator = validator.calendar(calendar);
        }
        if self.allow_negative {
            validator = validator.allow_negative_prices();
        }
        let query = ScanQuery::new().range(self.range.get()?);
        let report = book.series().validate_bars(id, &query, validator).await;
        let report = match report {
            Ok(report) => report,
            Err(error) => return Err(told(&book, id, error).await),
        };
        if context.output.json {
            for issue in report.issues() {
                context.output.json_line(&json!({
                    "row": issue.row,
                    "timestamp": format_timestamp(issue.timestamp),
                    "issue": issue.kind.name(),
                    "message": issue.kind.to_string(),
                }))?;
            }
        } else {
            for issue in report.issues() {
                context.output.line(issue.to_string())?;
            }
            for (kind, count) in report.counts() {
                context
                    .output
                    .line(format!("{}: {kind}", plural(*count, "bar")))?;
            }
            if report.is_clean() {
                context.output.line(format!(
                    "{id}: {} checked, nothing is wrong",
                    plural(report.rows(), "bar")
                ))?;
            }
        }
        if self.strict && !report.is_clean() {
            let issues: u64 = report.counts().iter().map(|(_, count)| count).sum();
            return Err(Failure::data(format!("{id}: {}", plural(issues, "issue"))));
        }
        Ok(())
    }
}

/// Show where bars are, where it is known that there are none, and where they are missing.
#[derive(Debug, Args)]
#[command(after_help = "\
States are data, empty (known to be so: see series complete) and unknown: a gap. Bounds that are not given are those of the series.
With --json each line is {\"state\", \"start\", \"end\", \"bars\"}; the end is the close of the last bar.

Examples:
  minutebook series coverage BTCUSD@1h --gaps
  minutebook series coverage AAPL@1d --calendar weekdays --closed 2024-01-01,2024-12-25")]
pub(crate) struct Coverage {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    market: Market,
    /// Only where bars are missing
    #[arg(long)]
    gaps: bool,
}

impl Coverage {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let complete = files_of(&book, id)?.complete_ranges(id).await?;
        let calendar = self.market.get().unwrap_or_default();
        let range = self.range.get()?;
        let found = book
            .series()
            .coverage(id, range, &calendar, &complete)
            .await;
        let found = match found {
            Ok(found) => found,
            Err(error) => return Err(told(&book, id, error).await),
        };
        let spans = found.spans().iter();
        let spans = spans.filter(|span| !self.gaps || span.state == CoverageState::Unknown);
        if context.output.json {
            for span in spans {
                context.output.json_line(&json!({
                    "state": span.state.name(),
                    "start": format_timestamp(span.start),
                    "end": format_timestamp(span.end),
                    "bars": span.bars,
                }))?;
            }
            return Ok(());
        }
        let mut table = Table::new(&[
            ("state", Align::Left),
            ("start", Align::Left),
            ("end", Align::Left),
            ("bars", Align::Right),
        ]);
        let mut any = false;
        for span in spans {
            any = true;
            table.row([
                span.state.name().to_owned(),
                format_timestamp(span.start),
                format_timestamp(span.end),
                format::count(span.bars),
            ]);
        }
        if any {
            table.print(&mut context.output)?;
        }
        context.output.line(format!(
            "{id}: {} there, {} known to be none, {} missing",
            plural(found.bars(CoverageState::Data), "bar"),
            format::count(found.bars(CoverageState::Empty)),
            format::count(found.bars(CoverageState::Unknown))
        ))
    }
}

/// Say that nothing is missing in a range: where it has no bars, there are none to be had.
#[derive(Debug, Args)]
#[command(after_help = "\
Without arguments it lists the ranges of which this was said.

Examples:
  minutebook series complete BTCUSD@1h --since 2024-03-01T04:00Z --until 2024-03-01T06:00Z
  minutebook series complete BTCUSD@1h")]
pub(crate) struct Complete {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    range: Range,
    /// Take it back
    #[arg(long)]
    undo: bool,
}

impl Complete {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let files = files_of(&book, id)?;
        let range = self.range.get()?;
        if !range.is_all() || self.undo {
            let marked = files.mark_complete(id, range, !self.undo).await;
            if let Err(error) = marked {
                return Err(told(&book, id, error).await);
            }
        }
        let ranges = files.complete_ranges(id).await?;
        if ranges.is_empty() && !context.output.json {
            context.output.note("no range is said to be complete");
        }
        for range in ranges {
            if context.output.json {
                context.output.json_line(&json!({
                    "since": range.start().map(format_timestamp),
                    "until": range.end().map(format_timestamp),
                }))?;
            } else {
                context.output.line(range.to_string())?;
            }
        }
        Ok(())
    }
}

/// Make bars of a coarser timeframe: the first open, the highest high, the lowest low, the last close, the sum of the volumes.
#[derive(Debug, Args)]
#[command(after_help = "\
Every bar is made of all the finer bars that belong to it, whatever the range. The newest may still be running.

Examples:
  minutebook series resample BTCUSD@1m 1h --since 2024-01-01
  minutebook series resample BTCUSD@1m 1h --write     keep them as BTCUSD@1h")]
pub(crate) struct Resample {
    #[command(flatten)]
    named: Named,
    /// The coarser span: 15m, 1h, 4h, 1d, 1w, 1mo
    #[arg(value_parser = parsed::<Timeframe>)]
    timeframe: Timeframe,
    #[command(flatten)]
    range: Range,
    /// Write them to the series of that timeframe; bars that are there are replaced
    #[arg(long)]
    write: bool,
}

impl Resample {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let id = &self.named.series;
        let range = self.range.get()?;
        let made = match book.series().resampled(id, self.timeframe, range).await {
            Ok(made) => made,
            Err(error) if error.kind() == minutebook::ErrorKind::InvalidInput => {
                return Err(Failure::usage(error.message()));
            }
            Err(error) => return Err(told(&book, id, error).await),
        };
        if !self.write {
            rows::print(&mut context.output, &made)?;
            return context.output.finish();
        }
        let symbol = id.symbol().cloned().ok_or_else(|| {
            Failure::usage(format!(
                "{id} has no symbol; bars of it have no place to go"
            ))
        })?;
        let target = SeriesId::bars(symbol, self.timeframe);
        if target == *id {
            return Err(Failure::usage(format!("{id} has this timeframe already")));
        }
        let mode = WriteMode::Upsert {
            on_conflict: OnConflict::Replace,
        };
        let receipt = book.series().write(&target, made, mode).await?;
        if context.output.json {
            return context.output.json_line(&json!({
                "series": target.to_string(),
                "inserted": receipt.inserted,
                "replaced": receipt.replaced,
                "version": receipt.version.0,
            }));
        }
        context.output.line(format!(
            "{target}: {} inserted, {} replaced",
            plural(receipt.inserted, "bar"),
            format::count(receipt.replaced)
        ))
    }
}
