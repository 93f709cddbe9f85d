//! The plain model of a series, and random steps of a history.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use minutebook_core::series::batch::{TIMESTAMP, timestamp_array, timestamps};
use minutebook_core::time::from_nanos;
use minutebook_core::{ErrorKind, OnConflict, SeriesKey, WriteMode};
use proptest::prelude::*;

/// Time, symbol, number.
pub(crate) type Quote = (i64, usize, i64);

pub(crate) const SYMBOLS: [&str; 3] = ["a", "b", "c"];
/// Names of snapshots.
pub(crate) const NAMES: [&str; 2] = ["one", "two"];

/// What tells rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    None,
    Time,
    Symbol,
}

impl Key {
    pub(crate) fn declared(self) -> Option<SeriesKey> {
        match self {
            Self::None => None,
            Self::Time => Some(SeriesKey::timestamp()),
            Self::Symbol => Some(SeriesKey::new(["symbol"]).unwrap()),
        }
    }

    pub(crate) fn same(self, a: &Quote, b: &Quote) -> bool {
        a.0 == b.0 && (self != Self::Symbol || a.1 == b.1)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Append(Vec<(i64, usize)>),
    Upsert(Vec<(i64, usize)>, OnConflict),
    Replace(Vec<(i64, usize)>, i64, i64),
    DeleteRange(i64, i64),
    DeleteSeries,
    Declare(Key),
    Compact,
    Restore(usize),
    Name(usize, usize),
    Unname(usize),
    Vacuum(u64),
    Reopen,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = || proptest::collection::vec((0..30_i64, 0..SYMBOLS.len()), 0..6);
    let span = || (0..30_i64, 0..12_i64).prop_map(|(from, len)| (from, from + len));
    let on_conflict = prop_oneof![
        3 => Just(OnConflict::Replace),
        1 => Just(OnConflict::Keep),
        1 => Just(OnConflict::Fail),
    ];
    let key = prop_oneof![1 => Just(Key::None), 1 => Just(Key::Time), 2 => Just(Key::Symbol)];
    let step = prop_oneof![
        6 => rows().prop_map(Step::Append),
        5 => (rows(), on_conflict).prop_map(|(rows, on)| Step::Upsert(rows, on)),
        2 => (rows(), span()).prop_map(|(mut rows, (from, to))| {
            rows.retain(|(time, _)| (from..to).contains(time));
            Step::Replace(rows, from, to)
        }),
        2 => span().prop_map(|(from, to)| Step::DeleteRange(from, to)),
        1 => Just(Step::DeleteSeries),
        2 => key.prop_map(Step::Declare),
        2 => Just(Step::Compact),
        3 => (0..8_usize).prop_map(Step::Restore),
        2 => (0..NAMES.len(), 0..6_usize).prop_map(|(name, back)| Step::Name(name, back)),
        1 => (0..NAMES.len()).prop_map(Step::Unname),
        2 => (1..6_u64).prop_map(Step::Vacuum),
        2 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..28)
}

/// A version: its rows in the order written, and its key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) rows: Vec<Quote>,
    pub(crate) key: Key,
    /// Whether it has had a row, and so all columns.
    pub(crate) columns: bool,
}

impl State {
    pub(crate) fn empty() -> Self {
        Self {
            rows: Vec::new(),
            key: Key::None,
            columns: false,
        }
    }

    pub(crate) fn ordered(&self) -> Vec<Quote> {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| row.0);
        rows
    }

    pub(crate) fn twice(rows: &[Quote], key: Key) -> bool {
        let same = |i: usize, row: &Quote| rows.iter().take(i).any(|other| key.same(row, other));
        rows.iter().enumerate().any(|(i, row)| same(i, row))
    }

    pub(crate) fn with(mut self, rows: &[Quote]) -> Self {
        self.rows.extend_from_slice(rows);
        self.columns |= !rows.is_empty();
        self
    }

    /// What a write makes of it, with inserted, replaced and skipped.
    pub(crate) fn write(
        &self,
        made: &[Quote],
        mode: WriteMode,
    ) -> Result<(Self, (u64, u64, u64)), ErrorKind> {
        let upsert = |on| {
            if Self::twice(made, self.key) {
                return Err(ErrorKind::InvalidInput);
            }
            let there = |row: &Quote| self.rows.iter().any(|old| self.key.same(old, row));
            let hits = made.iter().filter(|row| there(row)).count() as u64;
            let fresh = made.len() as u64 - hits;
            match on {
                OnConflict::Fail if hits > 0 => Err(ErrorKind::AlreadyExists),
                OnConflict::Fail | OnConflict::Keep => {
                    let new: Vec<Quote> = made.iter().filter(|row| !there(row)).copied().collect();
                    Ok((self.clone().with(&new), (fresh, 0, hits)))
                }
                OnConflict::Replace => {
                    let mut next = self.clone();
                    let gone = |old: &Quote| made.iter().any(|row| self.key.same(old, row));
                    next.rows.retain(|old| !gone(old));
                    let replaced = (self.rows.len() - next.rows.len()) as u64;
                    Ok((next.with(made), (fresh, replaced, 0)))
                }
            }
        };
        match mode {
            WriteMode::Append if self.key == Key::None => {
                Ok((self.clone().with(made), (made.len() as u64, 0, 0)))
            }
            WriteMode::Append => upsert(OnConflict::Fail),
            WriteMode::Upsert { on_conflict } => upsert(on_conflict),
            WriteMode::ReplaceRange(range) => {
                if self.key != Key::None && Self::twice(made, self.key) {
                    return Err(ErrorKind::InvalidInput);
                }
                let mut next = self.clone();
                next.rows.retain(|row| !range.contains(from_nanos(row.0)));
                let replaced = (self.rows.len() - next.rows.len()) as u64;
                Ok((next.with(made), (made.len() as u64, replaced, 0)))
            }
        }
    }
}

pub(crate) fn table(rows: &[Quote]) -> RecordBatch {
    let times = timestamp_array(rows.iter().map(|row| from_nanos(row.0))).unwrap();
    let symbols: ArrayRef = Arc::new(StringArray::from_iter_values(
        rows.iter().map(|row| SYMBOLS[row.1]),
    ));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)));
    RecordBatch::try_from_iter_with_nullable([
        (TIMESTAMP, times, false),
        ("symbol", symbols, true),
        ("n", n, true),
    ])
    .unwrap()
}

pub(crate) fn quotes(batch: &RecordBatch) -> Vec<Quote> {
    if batch.num_columns() == 1 {
        assert_eq!(batch.num_rows(), 0);
        return Vec::new();
    }
    let symbols = batch.column_by_name("symbol").unwrap().as_string::<i32>();
    let n = batch
        .column_by_name("n")
        .unwrap()
        .as_primitive::<Int64Type>();
    let times = timestamps(batch).unwrap().values().iter();
    let place = |symbol: &str| SYMBOLS.iter().position(|known| *known == symbol).unwrap();
    let symbols = symbols.iter().map(|symbol| place(symbol.unwrap()));
    let rows = times.zip(symbols).zip(n.values());
    rows.map(|((time, symbol), n)| (*time, symbol, *n))
        .collect()
}
