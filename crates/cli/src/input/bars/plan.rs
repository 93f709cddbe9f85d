//! Which column of a text file is what, and of which type those are that are kept beside the bars.

use csv::StringRecord;

use super::BarsOptions;
use crate::failure::{Failure, Outcome};
use crate::input::columns::{distinct, find, named};
use crate::input::records::Records;
use crate::input::source::{Format, Source};
use crate::output::progress::Progress;

/// The columns that every bar has.
pub(crate) const BAR_COLUMNS: [&str; 6] = ["timestamp", "open", "high", "low", "close", "volume"];

/// The places of the columns of a file.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The names as the file has them.
    pub(crate) columns: Vec<String>,
    pub(crate) roles: Roles,
    /// Columns that are kept beside the bars.
    pub(crate) extras: Vec<Extra>,
    pub(crate) likely_symbol_column: Option<String>,
}

/// The columns with a meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Roles {
    pub(crate) time: usize,
    /// The time of day, where date and time stand apart.
    pub(crate) time_of_day: Option<usize>,
    /// Open, high, low, close.
    pub(crate) prices: [usize; 4],
    /// `None` if the user said that there is none.
    pub(crate) volume: Option<usize>,
    pub(crate) symbol: Option<usize>,
}

/// A column that is kept beside the bars.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What all cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Empty.
    Nothing,
    Boolean,
    Integer,
    Float,
    Text,
}

impl Kind {
    fn of(cell: &str) -> Self {
        if cell.is_empty() {
            Self::Nothing
        } else if cell.parse::<i64>().is_ok() {
            Self::Integer
        } else if cell.parse::<f64>().is_ok() {
            Self::Float
        } else if matches!(cell, "true" | "false" | "True" | "False") {
            Self::Boolean
        } else {
            Self::Text
        }
    }

    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, kind) | (kind, Self::Nothing) => kind,
            (a, b) if a == b => a,
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Self::Float,
            _ => Self::Text,
        }
    }
}

impl Roles {
    /// Finds the columns by what the user said and by their names.
    pub(crate) fn find(columns: &[String], options: &BarsOptions, file: &str) -> Outcome<Self> {
        let list = || columns.join(", ");
        let missing = |what: &str, way_out: &str| {
            Failure::data(format!(
                "{file}: there is no column \"{what}\"; it has {}{way_out}",
                list()
            ))
        };
        let said = |name: &str, option: &str| {
            named(columns, name).ok_or_else(|| {
                Failure::usage(format!(
                    "{option} {name}: {file} has no such column; it has {}",
                    list()
                ))
            })
        };
        let (time, time_of_day) = match &options.time_column {
            Some(name) => (said(name, "--time-column")?, None),
            None => time_columns(columns).ok_or_else(|| {
                missing(
                    "timestamp",
                    "; name the column of the times with --time-column",
                )
            })?,
        };
        let price = |long: &str, short: &str| {
            find(columns, &[long, short])
                .ok_or_else(|| missing(long, "; rename the column that it is"))
        };
        let volume =
            find(columns, &["volume", "vol", "v", "tickvol"]).filter(|_| !options.no_volume);
        if volume.is_none() && !options.no_volume {
            return Err(missing(
                "volume",
                "; rename the column that it is, or say --no-volume to store 0",
            ));
        }
        let symbol = options
            .symbol_column
            .as_deref()
            .map(|name| said(name, "--symbol-column"))
            .transpose()?;
        Ok(Self {
            time,
            time_of_day,
            prices: [
                price("open", "o")?,
                price("high", "h")?,
                price("low", "l")?,
                price("close", "c")?,
            ],
            volume,
            symbol,
        })
    }

    /// The columns without a meaning, with the names under which they are kept.
    pub(crate) fn others(&self, columns: &[String]) -> Vec<(usize, String)> {
        let has_role = |at: usize| {
            at == self.time
                || Some(at) == self.time_of_day
                || self.prices.contains(&at)
                || Some(at) == self.volume
                || Some(at) == self.symbol
        };
        let places: Vec<usize> = (0..columns.len()).filter(|at| !has_role(*at)).collect();
        let names = distinct(places.iter().map(|at| columns[*at].as_str()), &BAR_COLUMNS);
        places.into_iter().zip(names).collect()
    }
}

/// The column of the times, or those of the date and of the time of day where they stand apart.
fn time_columns(columns: &[String]) -> Option<(usize, Option<usize>)> {
    let whole = find(
        columns,
        &["timestamp", "datetime", "date_time", "open_time"],
    );
    match (whole, find(columns, &["date"]), find(columns, &["time"])) {
        (Some(at), ..) | (None, Some(at), None) | (None, None, Some(at)) => Some((at, None)),
        (None, Some(date), Some(time)) => Some((date, Some(time))),
        // What pandas calls an index without a name.
        (None, None, None) => Some((find(columns, &["index_level_0", "index"])?, None)),
    }
}

impl Plan {
    /// Looks at the heading of a text file, and at all cells where types or columns have to be found out.
    pub(crate) fn of_text(
        source: &mut Source,
        format: Format,
        options: &BarsOptions,
        progress: &Progress,
    ) -> Outcome<Self> {
        let name = source.name.clone();
        let mut records = Records::open(source, format, progress)?;
        if format == Format::Csv {
            let roles = Roles::find(records.columns(), options, &name)?;
            if roles.others(records.columns()).is_empty() {
                return Ok(Self::new(records.columns().to_vec(), roles, &[]));
            }
        }
        let mut kinds: Vec<Kind> = Vec::new();
        let mut record = StringRecord::new();
        while records.next(&mut record)?.is_some() {
            kinds.resize(record.len().max(kinds.len()), Kind::Nothing);
            for (kind, cell) in kinds.iter_mut().zip(record.iter()) {
                if *kind != Kind::Text {
                    *kind = kind.with(Kind::of(cell));
                }
            }
        }
        let columns = records.columns().to_vec();
        kinds.resize(columns.len(), Kind::Nothing);
        let roles = Roles::find(&columns, options, &name)?;
        Ok(Self::new(columns, roles, &kinds))
    }

    fn new(columns: Vec<String>, roles: Roles, kinds: &[Kind]) -> Self {
        let extras: Vec<Extra> = roles
            .others(&columns)
            .into_iter()
            // A column without a single value has no type, and nothing to keep.
            .filter_map(|(at, name)| match kinds.get(at) {
                None | Some(Kind::Nothing) => None,
                Some(kind) => Some(Extra {
                    at,
                    name,
                    kind: *kind,
                }),
            })
            .collect();
        let likely_symbol_column = extras
            .iter()
            .find(|extra| {
                matches!(
                    extra.name.as_str(),
                    "ticker" | "symbol" | "instrument" | "name" | "pair"
                )
            })
            .map(|extra| columns[extra.at].clone());
        Self {
            columns,
            roles,
            extras,
            likely_symbol_column,
        }
    }
}
