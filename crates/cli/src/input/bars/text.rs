//! Bars from text cells.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use csv::StringRecord;
use minutebook::Symbol;
use minutebook::series::batch::{timestamp_array, timestamp_field};
use minutebook::time::from_nanos;

use super::plan::{BAR_COLUMNS, Extra, Kind, Plan};
use super::{BarsOptions, Chunk};
use crate::failure::{Failure, Outcome};
use crate::input::records::Records;

/// One way through a text file.
pub(crate) struct Text<'a> {
    pub(super) records: Records,
    pub(super) record: StringRecord,
    pub(super) plan: &'a Plan,
    pub(super) options: &'a BarsOptions,
    pub(super) name: String,
}

impl Text<'_> {
    pub(super) fn next(&mut self, rows: usize) -> Outcome<Option<Chunk>> {
        let roles = self.plan.roles;
        let mut places = Vec::new();
        let mut times = Vec::new();
        let mut numbers: [Vec<f64>; 5] = Default::default();
        let mut symbols: Option<Vec<Symbol>> = roles.symbol.map(|_| Vec::new());
        let mut extras: Vec<Cells> = self.plan.extras.iter().map(Cells::new).collect();
        while places.len() < rows {
            let Some(line) = self.records.next(&mut self.record)? else {
                break;
            };
            let record = &self.record;
            let cell = |at: usize| record.get(at).unwrap_or("");
            let bad = |what: String| Failure::data(format!("{}, line {line}: {what}", self.name));
            let time = match roles.time_of_day {
                Some(at) => self
                    .options
                    .times
                    .nanos(&format!("{} {}", cell(roles.time), cell(at))),
                None => self.options.times.nanos(cell(roles.time)),
            };
            times.push(from_nanos(time.map_err(bad)?));
            let at = roles.prices.map(Some).into_iter().chain([roles.volume]);
            for ((at, column), name) in at.zip(&mut numbers).zip(&BAR_COLUMNS[1..]) {
                column.push(match at {
                    Some(at) => {
                        number(cell(at)).map_err(|what| bad(format!("the {name} {what}")))?
                    }
                    None => 0.0,
                });
            }
            if let Some((at, symbols)) = roles.symbol.zip(symbols.as_mut()) {
                let text = cell(at);
                match symbols.last() {
                    Some(last) if last.as_str() == text => symbols.push(last.clone()),
                    _ => symbols
                        .push(Symbol::new(text).map_err(|error| bad(error.message().to_owned()))?),
                }
            }
            for (cells, extra) in extras.iter_mut().zip(&self.plan.extras) {
                cells.push(cell(extra.at));
            }
            places.push(line);
        }
        if places.is_empty() {
            return Ok(None);
        }
        let mut fields = vec![timestamp_field()];
        let mut columns = vec![timestamp_array(times)?];
        for (name, values) in BAR_COLUMNS[1..].iter().zip(numbers) {
            fields.push(Field::new(*name, DataType::Float64, false));
            columns.push(Arc::new(Float64Array::from(values)));
        }
        for (extra, cells) in self.plan.extras.iter().zip(extras) {
            let array = cells.finish();
            fields.push(Field::new(&extra.name, array.data_type().clone(), true));
            columns.push(array);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map_err(|error| Failure::data(format!("{}: {error}", self.name)))?;
        Ok(Some(Chunk {
            batch,
            places,
            symbols,
        }))
    }
}

/// An empty cell is a number that is missing: NaN, which the check of the bar reports.
fn number(cell: &str) -> Result<f64, String> {
    if cell.is_empty() {
        return Ok(f64::NAN);
    }
    cell.parse().map_err(|_| {
        let shown: String = cell.escape_debug().take(40).collect();
        format!("\"{shown}\" is no number; mend or remove the line")
    })
}

/// The cells of one column beside the bars.
enum Cells {
    Boolean(Vec<Option<bool>>),
    Integer(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
}

impl Cells {
    fn new(extra: &Extra) -> Self {
        match extra.kind {
            Kind::Boolean => Self::Boolean(Vec::new()),
            Kind::Integer => Self::Integer(Vec::new()),
            Kind::Float => Self::Float(Vec::new()),
            Kind::Text | Kind::Nothing => Self::Text(Vec::new()),
        }
    }

    fn push(&mut self, cell: &str) {
        match self {
            // The type was found from these very cells, so what does not parse is empty.
            Self::Boolean(cells) => cells.push(match cell {
                "true" | "True" => Some(true),
                "false" | "False" => Some(false),
                _ => None,
            }),
            Self::Integer(cells) => cells.push(cell.parse().ok()),
            Self::Float(cells) => cells.push(cell.parse().ok()),
            Self::Text(cells) => cells.push((!cell.is_empty()).then(|| cell.to_owned())),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Boolean(cells) => Arc::new(BooleanArray::from(cells)),
            Self::Integer(cells) => Arc::new(Int64Array::from(cells)),
            Self::Float(cells) => Arc::new(Float64Array::from(cells)),
            Self::Text(cells) => Arc::new(StringArray::from(cells)),
        }
    }
}
