//! `minutebook bars import`.

mod survey;
mod write;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use minutebook::time::format_timestamp;
use minutebook::{DatasetName, OnConflict, Symbol, Timeframe, WriteMode};
use serde_json::json;

use self::survey::Survey;
use self::write::Written;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Exit, Failure, Outcome};
use crate::input::bars::{BarsInput, BarsOptions};
use crate::input::source::Source;
use crate::input::times::TimeReader;
use crate::output::format::{self, plural};
use crate::output::progress::Progress;
use crate::output::table::{Align, Table};

/// Import bars from CSV, JSON Lines or Parquet; gzip is recognised by its content.
#[derive(Debug, Args)]
#[command(
    override_usage = "minutebook bars import [OPTIONS] <SYMBOL> <TIMEFRAME> <FILE>\n       minutebook bars import [OPTIONS] --symbol-column <NAME> [SYMBOL] <TIMEFRAME> <FILE>",
    after_help = "\
Columns are found by name in any case: timestamp, datetime, date or time; open, high, low, close, volume. Other columns \
are kept under their names in snake_case. With --symbol-column a file of several symbols is taken apart; SYMBOL then \
picks one of them, and without it all are imported. - is standard input.

The file is checked as a whole before anything is written. A line that cannot be read is an error, and nothing is \
written. A bar that contradicts itself (high below low, a price outside them, a missing number), a time that occurs \
twice and bars out of order are told with their lines and imported all the same; --skip-faulty leaves contradicting bars \
out, --strict refuses the file.

A bar that is there already is replaced, so an import can be repeated. The series is registered in the catalog under its \
symbol and timeframe (btcusd_1h).

Examples:
  minutebook bars import BTCUSD 1h BTC_USD_H1.parquet
  minutebook bars import --symbol-column Ticker 1d us_stocks_daily.csv.gz
  minutebook bars import AAPL --symbol-column Ticker 1d us_stocks_daily.csv.gz
  minutebook bars import EURUSD 15m ticks.csv --time-format '%d.%m.%Y %H:%M' --timezone +02:00"
)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Import {
    /// The symbol, in any case; may be left out with --symbol-column
    #[arg(value_name = "SYMBOL")]
    first: String,
    /// The span of a bar: 1m, 15m, 1h, 4h, 1d, 1w, 1mo
    #[arg(value_name = "TIMEFRAME")]
    second: String,
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    third: Option<String>,
    /// The column that says which symbol a bar belongs to
    #[arg(long, value_name = "NAME")]
    symbol_column: Option<String>,
    /// The column of the times
    #[arg(long, value_name = "NAME")]
    time_column: Option<String>,
    /// How times are written: a format (%d.%m.%Y %H:%M), or s, ms, us, ns for numbers since 1970 [default: recognised]
    #[arg(long, value_name = "FORMAT")]
    time_format: Option<String>,
    /// The zone of times without offset: UTC or an offset like -05:00 [default: UTC]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    timezone: Option<String>,
    /// The file has no volume: store 0
    #[arg(long)]
    no_volume: bool,
    /// What to do with a bar whose time is there already
    #[arg(long, value_enum, default_value_t = Conflict::Replace, value_name = "WHAT")]
    on_conflict: Conflict,
    /// Add every bar, also where its time is there already
    #[arg(long, conflicts_with = "on_conflict")]
    append: bool,
    /// Refuse the whole file if anything is wrong with a bar
    #[arg(long)]
    strict: bool,
    /// Leave bars out that contradict themselves
    #[arg(long, conflicts_with = "strict")]
    skip_faulty: bool,
    /// Register the series in the catalog under this name
    #[arg(long, value_name = "NAME", value_parser = parsed::<DatasetName>)]
    register: Option<DatasetName>,
    /// Do not register the series in the catalog
    #[arg(long, conflicts_with = "register")]
    no_register: bool,
}

/// What to do with a bar whose time is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Conflict {
    /// The new bar takes its place
    Replace,
    /// The stored bar stays
    Keep,
    /// The import fails, and nothing is written
    Fail,
}

impl Import {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let (symbol, timeframe, path) = self.target()?;
        let times = TimeReader::new(self.time_format.as_deref(), self.timezone.as_deref())?;
        let book = context.open()?;
        let source = Source::open(&path, context.stdin)?;
        let watched = context.output.watched;
        let options = BarsOptions {
            time_column: self.time_column.clone(),
            symbol_column: self.symbol_column.clone(),
            no_volume: self.no_volume,
            times,
        };
        let mut input = BarsInput::open(source, options, watched)?;

        let progress = Progress::new(watched, "checking", input.bytes());
        let survey = Survey::of(&mut input, symbol.as_ref(), &progress).await;
        progress.finish();
        let survey = survey?;
        self.judge(context, &input, &survey)?;
        if self.mode()
            == (WriteMode::Upsert {
                on_conflict: OnConflict::Fail,
            })
        {
            survey.refuse_stored(&book, timeframe, input.name()).await?;
        }

        let progress = Progress::new(watched, "importing", input.bytes());
        let job = write::Job {
            book: &book,
            timeframe,
            symbol: symbol.as_ref(),
            mode: self.mode(),
            skip_faulty: self.skip_faulty,
            register: !self.no_register,
            name: self.register.as_ref(),
        };
        let written = job.run(&mut input, &survey, &progress).await;
        progress.finish();
        show(context, &written?)
    }

    /// The symbol, the timeframe and the file, of which the symbol may be missing where a column says it.
    fn target(&self) -> Outcome<(Option<Symbol>, Timeframe, PathBuf)> {
        let (symbol, timeframe, file) = match &self.third {
            Some(file) => (Some(&self.first), &self.second, file),
            None if self.symbol_column.is_some() => (None, &self.first, &self.second),
            None => {
                return Err(Failure::usage(
                    "SYMBOL, TIMEFRAME and FILE are needed; SYMBOL may be left out with --symbol-column",
                ));
            }
        };
        let symbol = symbol
            .map(|text| parsed::<Symbol>(text))
            .transpose()
            .map_err(|what| Failure::usage(format!("SYMBOL: {what}")))?;
        let timeframe = parsed::<Timeframe>(timeframe)
            .map_err(|what| Failure::usage(format!("TIMEFRAME {timeframe:?}: {what}")))?;
        if self.register.is_some() && symbol.is_none() {
            return Err(Failure::usage(
                "--register names one dataset; name the SYMBOL that it is",
            ));
        }
        Ok((symbol, timeframe, PathBuf::from(file)))
    }

    fn mode(&self) -> WriteMode {
        if self.append {
            return WriteMode::Append;
        }
        WriteMode::Upsert {
            on_conflict: match self.on_conflict {
                Conflict::Replace => OnConflict::Replace,
                Conflict::Keep => OnConflict::Keep,
                Conflict::Fail => OnConflict::Fail,
            },
        }
    }

    /// Tells what is wrong with the file, and stops where it may not be imported.
    fn judge(&self, context: &mut Context<'_>, input: &BarsInput, survey: &Survey) -> Outcome {
        if survey.symbols.is_empty() {
            return Err(Failure::data(match &self.symbol_column {
                Some(_) => format!("{}: no bar of the symbol that was asked for", input.name()),
                None => format!("{}: there is no bar in it", input.name()),
            }));
        }
        context.output.report(&survey.report);
        if survey.duplicates() > 0
            && self.symbol_column.is_none()
            && let Some(column) = input.likely_symbol_column()
        {
            return Err(Failure::data(format!(
                "{}: times occur more than once, and the column {column:?} looks like the reason; take the file apart with --symbol-column {column:?}",
                input.name()
            )));
        }
        let problems = survey.report.total();
        if self.strict && problems > 0 {
            return Err(Failure::data(format!(
                "{}: {} and --strict: nothing was imported; mend the file, or leave --strict out",
                input.name(),
                plural(problems, "problem")
            )));
        }
        if self.on_conflict == Conflict::Fail && !self.append && survey.duplicates() > 0 {
            return Err(Failure::new(
                Exit::Conflict,
                format!(
                    "{}: {} more than once in the file; nothing was imported, use --on-conflict replace or keep",
                    input.name(),
                    plural(survey.duplicates(), "time")
                ),
            ));
        }
        Ok(())
    }
}

fn show(context: &mut Context<'_>, written: &[Written]) -> Outcome {
    if context.output.json {
        for one in written {
            context.output.json_line(&json!({
                "series": one.series.to_string(),
                "inserted": one.inserted,
                "replaced": one.replaced,
                "skipped": one.skipped,
                "first": one.first.map(format_timestamp),
                "last": one.last.map(format_timestamp),
                "version": one.version.0,
                "dataset": one.dataset.as_ref().map(DatasetName::as_str),
            }))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&[
        ("series", Align::Left),
        ("inserted", Align::Right),
        ("replaced", Align::Right),
        ("skipped", Align::Right),
        ("first", Align::Left),
        ("last", Align::Left),
        ("dataset", Align::Left),
    ]);
    for one in written {
        table.row([
            one.series.to_string(),
            format::count(one.inserted),
            format::count(one.replaced),
            format::count(one.skipped),
            format::time_or_dash(one.first),
            format::time_or_dash(one.last),
            one.dataset
                .as_ref()
                .map_or_else(|| "-".to_owned(), ToString::to_string),
        ]);
    }
    table.print(&mut context.output)
}
