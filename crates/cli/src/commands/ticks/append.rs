//! `minutebook ticks append`.

mod batch;
mod lines;

use std::path::PathBuf;

use clap::Args;
use minutebook::jsonl::EpochUnit;
use minutebook::{DatasetName, Minutebook, Symbol};
use serde_json::json;

use self::batch::Batch;
use self::lines::Input;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Failure, Outcome};
use crate::input::entries::{Entries, EntryOptions};
use crate::input::times::TimeReader;
use crate::output::format;
use crate::output::table::{Align, Table};

/// Append ticks from JSON Lines (kept letter for letter) or CSV; gzip is recognised by its content.
#[derive(Debug, Args)]
#[command(
    override_usage = "minutebook ticks append [OPTIONS] <SYMBOL> <FILE>\n       minutebook ticks append [OPTIONS] --symbol-field <FIELD> [SYMBOL] <FILE>",
    after_help = "\
Every entry needs a time: RFC 3339, the same without offset (UTC), or a number with --time-unit. It is at \"timestamp\" \
unless --time-field says otherwise; then the line is stored with \"timestamp\" put in front. Fields are named by JSON pointer \
(/Item/time) or with dots (Item.time). With --symbol-field a file of several symbols is taken apart; SYMBOL then picks one \
of them, and without it all are appended.

A file is checked as a whole before anything is written: a line that cannot be read is an error, and nothing is appended. \
JSON Lines on standard input (-) are appended as they come, so that a feed can be piped in: a line that cannot be read is \
an error, and what came before it is kept. --skip-malformed tells such lines and goes on.

Examples:
  minutebook ticks append BTCUSD ticks.jsonl
  feed | minutebook ticks append BTCUSD -
  minutebook ticks append BTCUSD trades.jsonl --time-field T --time-unit ms
  minutebook ticks append --symbol-field Item.instrument --symbol-map 0=BTCUSDT,1=ETHUSDT,2=SOLUSDT \\
      --time-field Item.time_exchange binance_spot_ticks.jsonl.gz"
)]
pub(crate) struct Append {
    /// The symbol, in any case; may be left out with --symbol-field
    #[arg(value_name = "SYMBOL")]
    first: String,
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    second: Option<String>,
    /// Where the time is [default: timestamp]
    #[arg(long, value_name = "FIELD")]
    time_field: Option<String>,
    /// What numbers count since 1970: s, ms, us, ns
    #[arg(long, value_name = "UNIT", value_parser = parsed::<EpochUnit>)]
    time_unit: Option<EpochUnit>,
    /// Where the symbol is
    #[arg(long, value_name = "FIELD")]
    symbol_field: Option<String>,
    /// What the values at --symbol-field mean
    #[arg(long, value_name = "VALUE=SYMBOL,…", value_delimiter = ',', value_parser = mapping, requires = "symbol_field")]
    symbol_map: Vec<(String, Symbol)>,
    /// Leave lines out that cannot be read, and tell which
    #[arg(long)]
    skip_malformed: bool,
    /// Do not register the series in the catalog
    #[arg(long)]
    no_register: bool,
}

fn mapping(text: &str) -> Result<(String, Symbol), String> {
    let (value, symbol) = text.split_once('=').ok_or("write it as VALUE=SYMBOL")?;
    Ok((value.to_owned(), parsed(symbol)?))
}

impl Append {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let (symbol, path) = self.target()?;
        let options = EntryOptions {
            time_field: self.time_field.clone(),
            time_unit: self.time_unit,
            symbol_field: self.symbol_field.clone(),
            symbol_map: self.symbol_map.iter().cloned().collect(),
            symbol,
        };
        let entries = Entries::new(&options);
        let time = entries.time_field()?;
        let times = TimeReader::new(self.time_unit.map(EpochUnit::as_str), None)?;
        let book = context.open()?;
        let mut batch = Batch::new(&book);
        let job = lines::Job {
            entries: &entries,
            options: &options,
            times: &times,
            time: &time,
            skip_malformed: self.skip_malformed,
        };
        let done = match Input::open(&path, context.stdin)? {
            Input::Stream(stream) => job.stream(stream, &mut batch, &mut context.output).await,
            Input::File(source) => job.file(source, &mut batch, &mut context.output).await,
        };
        if let Err(failure) = done {
            return Err(match batch.appended() {
                0 => failure,
                entries => failure.with_note(&format!(
                    "{} before were appended",
                    format::plural_of(entries, "entry", "entries")
                )),
            });
        }
        if batch.symbols().next().is_none() {
            return Err(Failure::data(format!(
                "{}: there is no entry to append in it",
                path.display()
            )));
        }
        self.show(context, &book, &batch).await
    }

    fn target(&self) -> Outcome<(Option<Symbol>, PathBuf)> {
        match &self.second {
            Some(file) => {
                let symbol = parsed::<Symbol>(&self.first)
                    .map_err(|what| Failure::usage(format!("SYMBOL: {what}")))?;
                Ok((Some(symbol), PathBuf::from(file)))
            }
            None if self.symbol_field.is_some() => Ok((None, PathBuf::from(&self.first))),
            None => Err(Failure::usage(
                "SYMBOL and FILE are needed; SYMBOL may be left out with --symbol-field",
            )),
        }
    }

    async fn show(
        &self,
        context: &mut Context<'_>,
        book: &Minutebook,
        batch: &Batch<'_>,
    ) -> Outcome {
        let mut table = Table::new(&[
            ("series", Align::Left),
            ("appended", Align::Right),
            ("rows", Align::Right),
            ("first", Align::Left),
            ("last", Align::Left),
            ("dataset", Align::Left),
        ]);
        for (series, appended) in batch.symbols() {
            let dataset = if self.no_register {
                None
            } else {
                let name = Minutebook::default_name(series)?;
                let registered = book.register_series(&name, series).await;
                registered.map_err(|error| {
                    Failure::from(error).with_note("the ticks are appended; see --no-register")
                })?;
                Some(name)
            };
            let summary = book.ticks().summary(series).await?;
            let (rows, first, last) =
                summary.map_or((0, None, None), |s| (s.rows, s.first, s.last));
            if context.output.json {
                context.output.json_line(&json!({
                    "series": series.to_string(),
                    "appended": appended,
                    "rows": rows,
                    "first": first.map(minutebook::time::format_timestamp),
                    "last": last.map(minutebook::time::format_timestamp),
                    "dataset": dataset.as_ref().map(DatasetName::as_str),
                }))?;
            }
            table.row([
                series.to_string(),
                format::count(appended),
                format::count(rows),
                format::time_or_dash(first),
                format::time_or_dash(last),
                dataset.map_or_else(|| "-".to_owned(), |name| name.to_string()),
            ]);
        }
        if context.output.json {
            return Ok(());
        }
        table.print(&mut context.output)
    }
}
