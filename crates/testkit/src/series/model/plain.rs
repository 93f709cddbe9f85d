//! The model itself: a series is a list of rows in the order written.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::{ErrorKind, OnConflict};

use super::steps::{Rows, chosen};
use crate::case::Outcome;
use crate::data::FLOATS;
use crate::series::support::{BASE, batch, times};

const TEXTS: [&str; 4] = ["", "x", "line\nbreak", "é \"q\""];

/// One row: its time, its number, and its values in the other columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) time: i64,
    n: i64,
    price: Option<f64>,
    venue: Option<&'static str>,
    maker: Option<bool>,
}

impl Row {
    /// A new row; `n` tells it from all others. Every value is there, since a column of nulls alone has no type in every format.
    pub(super) fn new(time: i64, n: i64, columns: u8) -> Self {
        let has = |name| chosen(columns).any(|column| column == name);
        let pick = usize::try_from(n).unwrap_or(0);
        Self {
            time,
            n,
            price: has("price").then(|| FLOATS[pick % FLOATS.len()]),
            venue: has("venue").then(|| TEXTS[pick % TEXTS.len()]),
            maker: has("maker").then_some(pick.is_multiple_of(3)),
        }
    }
}

/// Rows as a batch of these columns.
pub(super) fn table(rows: &[Row], columns: &[&'static str]) -> Outcome<RecordBatch> {
    let time = times(rows.iter().map(|row| BASE + row.time).collect());
    let mut arrays: Vec<(&str, ArrayRef)> = vec![(TIMESTAMP, time)];
    for column in columns {
        let array: ArrayRef = match *column {
            "n" => Arc::new(rows.iter().map(|row| Some(row.n)).collect::<Int64Array>()),
            "price" => Arc::new(rows.iter().map(|row| row.price).collect::<Float64Array>()),
            "venue" => Arc::new(rows.iter().map(|row| row.venue).collect::<StringArray>()),
            _ => Arc::new(rows.iter().map(|row| row.maker).collect::<BooleanArray>()),
        };
        arrays.push((column, array));
    }
    batch(arrays)
}

/// A series: its rows in the order written.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
}

/// Rows inserted, replaced and skipped.
pub(super) type Counts = (u64, u64, u64);

/// What a write does: the state afterwards and the counts of its receipt.
pub(super) type Effect = Result<(Series, Counts), ErrorKind>;

impl Series {
    /// The rows as a batch, in the order in which a scan gives them.
    pub(super) fn batch(&self, ordered: bool) -> Outcome<RecordBatch> {
        let mut rows = self.rows.clone();
        if ordered {
            // Stable: equal times stay in the order written.
            rows.sort_by_key(|row| row.time);
        }
        table(&rows, &self.columns)
    }

    fn with_columns(&self, rows: &Rows) -> Self {
        let mut next = self.clone();
        for column in std::iter::once("n").chain(chosen(rows.columns)) {
            if !next.columns.contains(&column) {
                next.columns.push(column);
            }
        }
        next
    }

    fn holds(&self, time: i64) -> bool {
        self.rows.iter().any(|row| row.time == time)
    }

    fn lost(&self, next: &Self) -> u64 {
        (self.rows.len() - next.rows.len()) as u64
    }

    pub(super) fn append(&self, rows: &Rows, made: &[Row]) -> (Self, Counts) {
        let mut next = self.with_columns(rows);
        next.rows.extend_from_slice(made);
        (next, (made.len() as u64, 0, 0))
    }

    pub(super) fn upsert(&self, rows: &Rows, made: &[Row], on_conflict: OnConflict) -> Effect {
        let twice = |row: &Row| made.iter().filter(|other| other.time == row.time).count() > 1;
        if made.iter().any(twice) {
            return Err(ErrorKind::InvalidInput);
        }
        let mut next = self.with_columns(rows);
        let conflicts = made.iter().filter(|row| self.holds(row.time)).count() as u64;
        let inserted = made.len() as u64 - conflicts;
        match on_conflict {
            OnConflict::Fail if conflicts > 0 => Err(ErrorKind::AlreadyExists),
            OnConflict::Fail | OnConflict::Keep => {
                let new = made.iter().filter(|row| !self.holds(row.time));
                next.rows.extend(new.cloned());
                Ok((next, (inserted, 0, conflicts)))
            }
            OnConflict::Replace => {
                next.rows
                    .retain(|row| !made.iter().any(|new| new.time == row.time));
                let replaced = self.lost(&next);
                next.rows.extend_from_slice(made);
                Ok((next, (inserted, replaced, 0)))
            }
        }
    }

    pub(super) fn replace(&self, rows: &Rows, made: &[Row], within: &Range<i64>) -> Effect {
        if made.iter().any(|row| !within.contains(&row.time)) {
            return Err(ErrorKind::InvalidInput);
        }
        let mut next = self.with_columns(rows);
        next.rows.retain(|row| !within.contains(&row.time));
        let replaced = self.lost(&next);
        next.rows.extend_from_slice(made);
        Ok((next, (made.len() as u64, replaced, 0)))
    }

    /// The series without the rows in a range, and how many those were.
    pub(super) fn without(&self, within: &Range<i64>) -> (Self, u64) {
        let mut next = self.clone();
        next.rows.retain(|row| !within.contains(&row.time));
        let gone = self.lost(&next);
        (next, gone)
    }
}
