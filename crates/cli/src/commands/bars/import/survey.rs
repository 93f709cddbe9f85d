//! The first way through a file: what is in it, and what is wrong with it.

use std::collections::HashMap;

use futures_util::StreamExt;
use indexmap::IndexMap;
use minutebook::series::batch::timestamps;
use minutebook::time::{format_timestamp, from_nanos};
use minutebook::{
    Bar, Minutebook, ProblemKind, ReadReport, Row, ScanQuery, SeriesId, Symbol, TimeRange,
    Timeframe,
};

use crate::failure::{Exit, Failure, Outcome};
use crate::input::bars::{BarsInput, Chunk, Places};
use crate::output::format::plural;
use crate::output::progress::Progress;

/// What is in a file. It keeps eight bytes for each bar.
#[derive(Debug)]
pub(super) struct Survey {
    /// The symbols in the order in which they come.
    pub(super) symbols: IndexMap<Symbol, Times>,
    /// What is wrong with single bars.
    pub(super) report: ReadReport,
}

/// The times of one symbol's bars.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// Ascending once the survey is done.
    nanos: Vec<i64>,
    /// Those that occur more than once, each counted once less than it occurs.
    pub(super) duplicates: u64,
    late: u64,
    first_late: u64,
    descending: bool,
}

/// The symbol under which bars without a symbol column are counted until one is given.
fn symbol_of<'a>(chunk: &'a Chunk, given: Option<&'a Symbol>, row: usize) -> Option<&'a Symbol> {
    match (&chunk.symbols, given) {
        (Some(symbols), None) => symbols.get(row),
        // With both, the column tells the bars apart and the symbol picks.
        (Some(symbols), Some(wanted)) => symbols.get(row).filter(|symbol| *symbol == wanted),
        (None, given) => given,
    }
}

/// Calls `f` with each run of rows of one symbol: the symbol, the first row and the row after the last.
pub(super) fn runs(
    chunk: &Chunk,
    given: Option<&Symbol>,
    mut f: impl FnMut(&Symbol, usize, usize) -> Outcome,
) -> Outcome {
    let rows = chunk.batch.num_rows();
    let mut start = 0;
    while start < rows {
        let symbol = symbol_of(chunk, given, start);
        let mut end = start + 1;
        while end < rows && symbol_of(chunk, given, end) == symbol {
            end += 1;
        }
        if let Some(symbol) = symbol {
            f(symbol, start, end)?;
        }
        start = end;
    }
    Ok(())
}

impl Survey {
    /// Goes through the file.
    pub(super) async fn of(
        input: &mut BarsInput,
        given: Option<&Symbol>,
        progress: &Progress,
    ) -> Outcome<Self> {
        let mut survey = Self {
            symbols: IndexMap::new(),
            report: ReadReport::default(),
        };
        let places = input.places();
        let mut pass = input.pass(progress)?;
        while let Some(chunk) = pass.next().await? {
            survey.take(&chunk, given, &places)?;
        }
        drop(pass);
        survey.settle_order(&places);
        if survey.symbols.values_mut().map(Times::settle).sum::<u64>() > 0 {
            survey.name_duplicates(input, given).await?;
        }
        Ok(survey)
    }

    fn take(&mut self, chunk: &Chunk, given: Option<&Symbol>, places: &Places) -> Outcome {
        let bars = Bar::from_batch(&chunk.batch)?;
        let nanos = timestamps(&chunk.batch)?;
        runs(chunk, given, |symbol, start, end| {
            let times = self.symbols.entry(symbol.clone()).or_insert_with(|| Times {
                descending: true,
                ..Times::default()
            });
            for ((bar, place), nanos) in bars
                .iter()
                .zip(&chunk.places)
                .zip(nanos.values())
                .take(end)
                .skip(start)
            {
                times.take(*nanos, *place);
                if let Some(fault) = bar.fault() {
                    let fault = format!("{symbol}: {fault}");
                    self.report
                        .add(places.problem(ProblemKind::InvalidValue, *place, fault));
                }
            }
            Ok(())
        })
    }

    fn settle_order(&mut self, places: &Places) {
        for (symbol, times) in &self.symbols {
            // A file with the newest bar first is in an order of its own.
            if times.late > 0 && !times.descending {
                self.report.add(places.problem(
                    ProblemKind::InvalidValue,
                    times.first_late,
                    format!(
                        "{symbol}: {} earlier than the bar before, here for the first time; bars are kept in order of time",
                        plural(times.late, "bar")
                    ),
                ));
            }
        }
    }

    /// Goes through the file again to say where the times are that occur twice.
    async fn name_duplicates(&mut self, input: &mut BarsInput, given: Option<&Symbol>) -> Outcome {
        let mut wanted: HashMap<(Symbol, i64), Option<u64>> = HashMap::new();
        for (symbol, times) in &self.symbols {
            for pair in times.nanos.windows(2).filter(|pair| pair[0] == pair[1]) {
                wanted.insert((symbol.clone(), pair[0]), None);
            }
        }
        let places = input.places();
        let mut pass = input.pass(&Progress::new(false, "", 0))?;
        while let Some(chunk) = pass.next().await? {
            let nanos = timestamps(&chunk.batch)?;
            runs(&chunk, given, |symbol, start, end| {
                for row in start..end {
                    let key = (symbol.clone(), nanos.value(row));
                    if let Some(first) = wanted.get_mut(&key) {
                        match first {
                            None => *first = Some(chunk.places[row]),
                            Some(first) => {
                                let message = format!(
                                    "{symbol}: a second bar at {}, after the one in {}",
                                    format_timestamp(from_nanos(key.1)),
                                    places.name(*first)
                                );
                                let place = chunk.places[row];
                                self.report.add(places.problem(
                                    ProblemKind::InvalidValue,
                                    place,
                                    message,
                                ));
                            }
                        }
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// How many bars have a time that an earlier one of the same symbol has.
    pub(super) fn duplicates(&self) -> u64 {
        self.symbols.values().map(|times| times.duplicates).sum()
    }

    /// Fails if a bar of the file is stored already.
    pub(super) async fn refuse_stored(
        &self,
        book: &Minutebook,
        timeframe: Timeframe,
        file: &str,
    ) -> Outcome {
        for (symbol, times) in &self.symbols {
            let series = SeriesId::bars(symbol.clone(), timeframe);
            let (Some(first), Some(last)) = (times.nanos.first(), times.nanos.last()) else {
                continue;
            };
            if book.series().summary(&series).await?.is_none() {
                continue;
            }
            let range = TimeRange::inclusive(from_nanos(*first), from_nanos(*last))?;
            let query = ScanQuery::new().range(range).columns(Vec::<String>::new());
            let mut stream = book.series().scan(&series, &query).await?;
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let stored = timestamps(&batch)?;
                let hit = stored
                    .values()
                    .iter()
                    .find(|nanos| times.nanos.binary_search(nanos).is_ok());
                if let Some(nanos) = hit {
                    return Err(Failure::new(
                        Exit::Conflict,
                        format!(
                            "{file}: {series} has a bar at {} already; nothing was imported, use --on-conflict replace or keep",
                            format_timestamp(from_nanos(*nanos))
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Times {
    fn take(&mut self, nanos: i64, place: u64) {
        if let Some(before) = self.nanos.last() {
            if nanos < *before {
                if self.late == 0 {
                    self.first_late = place;
                }
                self.late += 1;
            } else {
                self.descending = false;
            }
        }
        self.nanos.push(nanos);
    }

    /// Puts the times in order and counts those that occur more than once.
    fn settle(&mut self) -> u64 {
        if self.late > 0 {
            self.nanos.sort_unstable();
        }
        let twice = self
            .nanos
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .count();
        self.duplicates = twice as u64;
        self.duplicates
    }
}
