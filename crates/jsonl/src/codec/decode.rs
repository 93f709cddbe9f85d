//! Blocks of lines to Arrow batches.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::TimestampNanosecondType;
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{ArrowError, SchemaRef};
use minutebook_core::series::batch::TIMESTAMP;

use super::column::Column;
use super::fields::{Field, Fields};
use super::instant::{self, Instants};
use super::kind::ColumnType;
use super::template::Templates;
use super::token::Token;
use crate::config::EpochUnit;
use crate::index::remember;

/// What to make of lines.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The time, then the columns.
    pub(crate) schema: SchemaRef,
    /// The columns after the time.
    pub(crate) columns: Vec<(String, ColumnType)>,
    /// What numbers in the time column count.
    pub(crate) unit: Option<EpochUnit>,
    /// Rows from this time on, in nanoseconds.
    pub(crate) start: i64,
    /// Rows before this time.
    pub(crate) end: Option<i64>,
}

impl Plan {
    #[inline]
    pub(crate) fn contains(&self, nanos: i64) -> bool {
        self.start <= nanos && self.end.is_none_or(|end| nanos < end)
    }
}

/// The first value of a column that is not of the column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) column: usize,
    /// How many lines of the block come before it.
    pub(crate) line: u64,
    /// The offset of the line in the block.
    pub(crate) byte: u64,
}

/// The rows of a block.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) batch: RecordBatch,
    pub(crate) misfits: Vec<Misfit>,
}

/// Decodes blocks of complete lines. What is no row is left out without a word: the index has counted it.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    plan: &'a Plan,
    places: HashMap<&'a str, usize>,
    instants: Instants,
    templates: Templates<Place>,
    guesses: Vec<(String, Place)>,
    times: Vec<i64>,
    columns: Vec<Column>,
    /// Columns whose value in the row at hand does not fit.
    unfit: Vec<usize>,
    misfits: Vec<Misfit>,
}

/// What a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Time,
    Column(usize),
    Nowhere,
}

impl<'a> Decoder<'a> {
    /// A decoder with room for so many rows.
    pub(crate) fn new(plan: &'a Plan, rows: usize) -> Self {
        let places = plan
            .columns
            .iter()
            .enumerate()
            .map(|(i, (name, _))| (name.as_str(), i))
            .collect();
        let columns = plan
            .columns
            .iter()
            .map(|(_, column_type)| Column::new(*column_type, rows, plan.unit))
            .collect();
        Self {
            plan,
            places,
            instants: Instants::default(),
            templates: Templates::default(),
            guesses: Vec::new(),
            times: Vec::with_capacity(rows),
            columns,
            unfit: Vec::new(),
            misfits: Vec::new(),
        }
    }

    /// Adds the rows of a block of lines. Not to be given a byte order mark.
    pub(crate) fn block(&mut self, bytes: &[u8]) {
        self.lines(bytes, |_, _| {});
    }

    /// Tells of each row of a block its time and how many bytes its line is. For a plan without columns; nothing is added.
    pub(crate) fn measure(&mut self, bytes: &[u8], mut each: impl FnMut(i64, usize)) {
        self.lines(bytes, |it, len| {
            for nanos in it.times.drain(..) {
                each(nanos, len);
            }
        });
    }

    /// How many rows there are so far.
    pub(crate) fn rows(&self) -> usize {
        self.times.len()
    }

    /// What did not fit since it was asked last.
    pub(crate) fn take_misfits(&mut self) -> Vec<Misfit> {
        std::mem::take(&mut self.misfits)
    }

    #[inline]
    fn lines(&mut self, bytes: &[u8], mut after: impl FnMut(&mut Self, usize)) {
        // One check for the block is cheaper than one a line; a block that fails it is looked at line by line.
        let whole = std::str::from_utf8(bytes).ok();
        let mut tokens = Vec::new();
        let mut at = 0;
        let mut line = 0;
        while at < bytes.len() {
            let from = at;
            let quick = whole.and_then(|text| self.templates.line(text, at, &mut tokens));
            if let Some(end) = quick.filter(|_| self.quick(&tokens, line, at as u64)) {
                at = end;
            } else {
                let rest = bytes.get(at..).unwrap_or_default();
                let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                if let Ok(text) = std::str::from_utf8(rest.get(..len).unwrap_or_default()) {
                    self.line(text, line, at as u64);
                }
                at += len + 1;
            }
            after(self, at - from);
            line += 1;
        }
    }

    /// Takes in a line of simple values; `false` if it must be read field by field.
    #[inline]
    fn quick(&mut self, tokens: &[(Place, Token<'_>)], line: u64, byte: u64) -> bool {
        let time = tokens.iter().find(|(place, _)| *place == Place::Time);
        let instants = &mut self.instants;
        let Some(nanos) = time.and_then(|(_, token)| instants.nanos(token, self.plan.unit)) else {
            return false;
        };
        if !self.plan.contains(nanos) {
            return true;
        }
        let row = self.times.len();
        self.times.push(nanos);
        for (place, token) in tokens {
            if let Place::Column(place) = *place
                && let Some(column) = self.columns.get_mut(place)
                && !column.push(token)
            {
                self.misfit(place, line, byte);
            }
        }
        for column in &mut self.columns {
            column.pad(row + 1);
        }
        true
    }

    #[cold]
    fn misfit(&mut self, column: usize, line: u64, byte: u64) {
        if self.misfits.iter().all(|known| known.column != column) {
            self.misfits.push(Misfit { column, line, byte });
        }
    }

    fn line(&mut self, text: &str, line: u64, byte: u64) {
        let row = self.times.len();
        self.unfit.clear();
        match self.row(text, row) {
            Some(nanos) => {
                self.times.push(nanos);
                for column in &mut self.columns {
                    if column.len() == row {
                        column.push_null();
                    }
                }
                for column in std::mem::take(&mut self.unfit) {
                    self.misfit(column, line, byte);
                }
            }
            None => {
                for column in &mut self.columns {
                    if column.len() > row {
                        column.truncate(row);
                    }
                }
            }
        }
    }

    /// The time of a line that is a row in the range, its values pushed.
    #[inline]
    fn row(&mut self, text: &str, row: usize) -> Option<i64> {
        let mut fields = Fields::new(text);
        let mut time = None;
        let mut values = Vec::with_capacity(self.guesses.len() + 1);
        while let Some(field) = fields.next().ok()? {
            let place = self.place(values.len(), &field);
            let token = Token::of(field.value);
            match place {
                Place::Time if time.is_some() => return None,
                Place::Time => {
                    let nanos = instant::nanos(&token, self.plan.unit)?;
                    if !self.plan.contains(nanos) {
                        return None;
                    }
                    time = Some(nanos);
                }
                Place::Column(place) => {
                    if let Some(column) = self.columns.get_mut(place) {
                        // The key is there twice: the last one counts, as for every JSON reader.
                        column.truncate_to(row);
                        if !column.push(&token) {
                            self.unfit.push(place);
                        }
                    }
                }
                Place::Nowhere => {}
            }
            let end = fields.position();
            values.push((end - field.value.text.len(), end, place));
        }
        if self.templates.wants_more() && time.is_some() && unique(&values) {
            let line = text.strip_suffix('\r').unwrap_or(text);
            self.templates.learn(line, values);
        }
        time
    }

    #[inline]
    fn place(&mut self, i: usize, field: &Field<'_>) -> Place {
        if let Some((name, place)) = self.guesses.get(i)
            && field.is(name)
        {
            return *place;
        }
        let key = field.key();
        let place = match self.places.get(&*key) {
            Some(place) => Place::Column(*place),
            None if key == TIMESTAMP => Place::Time,
            None => Place::Nowhere,
        };
        remember(&mut self.guesses, i, key.into_owned(), place);
        place
    }

    /// The rows so far as a batch.
    pub(crate) fn finish(self) -> Result<Decoded, ArrowError> {
        let times = PrimitiveArray::<TimestampNanosecondType>::try_new(
            ScalarBuffer::from(self.times),
            None,
        )?
        .with_timezone("UTC");
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(times)];
        for column in self.columns {
            arrays.push(column.finish()?);
        }
        Ok(Decoded {
            batch: RecordBatch::try_new(Arc::clone(&self.plan.schema), arrays)?,
            misfits: self.misfits,
        })
    }
}

/// Whether no column occurs twice.
fn unique(values: &[(usize, usize, Place)]) -> bool {
    const MOST: usize = 100;
    let twice = |n: usize, place| {
        place != Place::Nowhere && values.iter().take(n).any(|(_, _, known)| *known == place)
    };
    values.len() <= MOST
        && values
            .iter()
            .enumerate()
            .all(|(n, (_, _, place))| !twice(n, *place))
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use arrow_schema::{DataType, Field, Schema};
    use minutebook_core::series::batch::timestamp_field;

    use super::*;

    fn plan(start: i64, end: Option<i64>) -> Plan {
        let fields = vec![
            timestamp_field(),
            Field::new("price", DataType::Float64, true),
            Field::new("note", DataType::Utf8, true),
        ];
        Plan {
            schema: Arc::new(Schema::new(fields)),
            columns: vec![
                ("price".to_owned(), ColumnType::Float64),
                ("note".to_owned(), ColumnType::Utf8),
            ],
            unit: Some(EpochUnit::Nanoseconds),
            start,
            end,
        }
    }

    fn decode(plan: &Plan, bytes: &[u8]) -> Decoded {
        let mut decoder = Decoder::new(plan, 8);
        decoder.block(bytes);
        decoder.finish().unwrap()
    }

    #[test]
    fn rows_are_collected_and_others_left_out() {
        let lines = b"{\"timestamp\":1,\"price\":1.5,\"note\":\"a\"}\n\
            {\"price\":2.5}\n\
            \n\
            {\"note\":\"x\",\"price\":9,\"timestamp\":2\n\
            {\"other\":{},\"timestamp\":3,\"price\":3.0,\"price\":4.0}\r\n\
            {\"timestamp\":4,\"timestamp\":4}\n\
            {\"timestamp\":5,\"note\":\"\xff\"}\n\
            {\"note\":\"late\",\"timestamp\":\"1970-01-01T00:00:00.000000006Z\"}\n";
        let decoded = decode(&plan(i64::MIN, None), lines);
        let times = decoded
            .batch
            .column(0)
            .as_primitive::<TimestampNanosecondType>();
        assert_eq!(times.values().as_ref(), [1, 3, 6]);
        let price = decoded.batch.column(1).as_primitive::<Float64Type>();
        assert_eq!(
            price.iter().collect::<Vec<_>>(),
            [Some(1.5), Some(4.0), None]
        );
        let note = decoded.batch.column(2).as_string::<i32>();
        assert_eq!(
            note.iter().collect::<Vec<_>>(),
            [Some("a"), None, Some("late")]
        );
        assert!(decoded.misfits.is_empty());
    }

    #[test]
    fn the_range_is_half_open_wherever_the_time_stands() {
        let lines = b"{\"price\":1,\"timestamp\":1}\n{\"timestamp\":2,\"price\":2}\n{\"price\":3,\"timestamp\":3}\n";
        let decoded = decode(&plan(2, Some(3)), lines);
        assert_eq!(decoded.batch.num_rows(), 1);
        let price = decoded.batch.column(1).as_primitive::<Float64Type>();
        assert_eq!(price.values().as_ref(), [2.0]);
    }

    #[test]
    fn a_value_of_another_type_is_null_and_told() {
        let lines = b"{\"timestamp\":1,\"price\":1}\n{\"timestamp\":2,\"price\":\"x\"}\n{\"timestamp\":3,\"price\":[]}\n";
        let decoded = decode(&plan(i64::MIN, None), lines);
        assert_eq!(decoded.batch.column(1).null_count(), 2);
        let first = Misfit {
            column: 0,
            line: 1,
            byte: 26,
        };
        assert_eq!(decoded.misfits, [first]);
    }
}
