//! Bars in files: CSV, JSON Lines and Parquet as chunks of one form.

mod plan;
mod tabular;
mod text;

use arrow_array::RecordBatch;
use csv::StringRecord;
use minutebook::{Problem, ProblemKind, Symbol};

use self::plan::Plan;
use self::tabular::Tabular;
use self::text::Text;
use super::records::Records;
use super::source::{Format, Source};
use super::times::TimeReader;
use crate::failure::Outcome;
use crate::output::progress::Progress;

/// How many rows a chunk has at most.
const CHUNK: usize = 65_536;

/// What the user said about a file.
#[derive(Debug)]
pub(crate) struct BarsOptions {
    pub(crate) time_column: Option<String>,
    pub(crate) symbol_column: Option<String>,
    /// The file has no volume: it is 0.
    pub(crate) no_volume: bool,
    pub(crate) times: TimeReader,
}

/// A file of bars that can be gone through several times.
#[derive(Debug)]
pub(crate) struct BarsInput {
    source: Source,
    format: Format,
    options: BarsOptions,
    /// For text, where the columns are found out before the first pass.
    plan: Option<Plan>,
}

/// How places of a file are told: by line, or by row where there are no lines.
#[derive(Debug)]
pub(crate) struct Places {
    file: String,
    rows: bool,
}

impl Places {
    /// A problem at a place.
    pub(crate) fn problem(&self, kind: ProblemKind, place: u64, message: String) -> Problem {
        if self.rows {
            Problem::new(kind, format!("{}, row {place}", self.file), message)
        } else {
            Problem::new(kind, &*self.file, message).at_line(place)
        }
    }

    /// What a place is called: `line 7`, `row 7`.
    pub(crate) fn name(&self, place: u64) -> String {
        format!("{} {place}", if self.rows { "row" } else { "line" })
    }
}

/// Some bars of a file.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// `timestamp`, `open`, `high`, `low`, `close`, `volume`, and what else the file has.
    pub(crate) batch: RecordBatch,
    /// The line or row of each bar.
    pub(crate) places: Vec<u64>,
    /// The symbol of each bar, if the file says it.
    pub(crate) symbols: Option<Vec<Symbol>>,
}

impl BarsInput {
    /// Looks at the file's columns, and at all of its text cells where types have to be found out.
    pub(crate) fn open(mut source: Source, options: BarsOptions, watched: bool) -> Outcome<Self> {
        let format = source.format()?;
        let plan = match format {
            Format::Parquet => None,
            Format::Csv | Format::JsonLines => {
                let progress = Progress::new(watched, "looking at the columns", source.bytes);
                let plan = Plan::of_text(&mut source, format, &options, &progress);
                progress.finish();
                Some(plan?)
            }
        };
        Ok(Self {
            source,
            format,
            options,
            plan,
        })
    }

    /// What the file is called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    /// The file's length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.source.bytes
    }

    /// How places of the file are told.
    pub(crate) fn places(&self) -> Places {
        Places {
            file: self.source.name.clone(),
            rows: self.format == Format::Parquet,
        }
    }

    /// A column that looks as if it told symbols apart and was not named as doing so.
    pub(crate) fn likely_symbol_column(&self) -> Option<&str> {
        self.plan.as_ref()?.likely_symbol_column.as_deref()
    }

    /// Goes through the file from its start.
    pub(crate) fn pass(&mut self, progress: &Progress) -> Outcome<Pass<'_>> {
        Ok(match &self.plan {
            Some(plan) => {
                let records = Records::open(&mut self.source, self.format, progress)?
                    .with_columns(&plan.columns);
                Pass::Text(Text {
                    records,
                    record: StringRecord::new(),
                    plan,
                    options: &self.options,
                    name: self.source.name.clone(),
                })
            }
            None => Pass::Tabular(Tabular::open(&self.source, &self.options, progress)?),
        })
    }
}

/// One way through a file.
pub(crate) enum Pass<'a> {
    Text(Text<'a>),
    Tabular(Tabular<'a>),
}

impl Pass<'_> {
    /// The next chunk, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Outcome<Option<Chunk>> {
        match self {
            Self::Text(text) => text.next(CHUNK),
            Self::Tabular(tabular) => tabular.next().await,
        }
    }
}
