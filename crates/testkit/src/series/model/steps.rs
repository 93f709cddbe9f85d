//! Random steps of a history.

use minutebook_core::{OnConflict, Take};
use proptest::prelude::*;

use crate::explore::STEPS;

pub(super) const SERIES: [&str; 3] = ["BTCUSD@1m", "BTCUSD@ticks", "@btcusd"];

/// The columns beside `timestamp` and `n`.
pub(super) const COLUMNS: [&str; 3] = ["price", "venue", "maker"];

/// How many earlier versions the model remembers; every backend keeps more.
pub(super) const REMEMBERED: usize = 6;

/// Rows to write: their times, and which of [`COLUMNS`] the batch has.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) times: Vec<i64>,
    pub(super) columns: u8,
}

/// One step of a history; series are places in [`SERIES`].
#[derive(Debug, Clone)]
pub(super) enum Step {
    Append {
        series: usize,
        rows: Rows,
    },
    Upsert {
        series: usize,
        rows: Rows,
        on_conflict: OnConflict,
    },
    Replace {
        series: usize,
        rows: Rows,
        from: i64,
        to: i64,
    },
    Delete {
        series: usize,
        range: Option<(i64, i64)>,
    },
    Scan {
        series: usize,
        from: i64,
        to: i64,
        take: Take,
        columns: u8,
        batch_size: usize,
    },
    AsOf {
        series: usize,
        back: usize,
    },
    List,
    Reopen,
}

/// The columns that the bits choose.
pub(super) fn chosen(columns: u8) -> impl Iterator<Item = &'static str> {
    let of = COLUMNS.into_iter().enumerate();
    of.filter(move |(bit, _)| columns & (1 << bit) != 0)
        .map(|(_, column)| column)
}

fn rows() -> impl Strategy<Value = Rows> {
    let times = proptest::collection::vec(0..20_i64, 0..6);
    (times, 0..8_u8).prop_map(|(times, columns)| Rows { times, columns })
}

fn spans() -> impl Strategy<Value = (i64, i64)> {
    (0..20_i64, 0..20_i64).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn writes() -> impl Strategy<Value = Step> {
    let on_conflict = prop_oneof![
        3 => Just(OnConflict::Replace),
        1 => Just(OnConflict::Keep),
        1 => Just(OnConflict::Fail),
    ];
    let id = 0..SERIES.len();
    let append = (id.clone(), rows()).prop_map(|(series, rows)| Step::Append { series, rows });
    let upsert =
        (id.clone(), rows(), on_conflict).prop_map(|(series, rows, on_conflict)| Step::Upsert {
            series,
            rows,
            on_conflict,
        });
    let replace =
        (id.clone(), rows(), spans()).prop_map(|(series, rows, (from, to))| Step::Replace {
            series,
            rows,
            from,
            to,
        });
    let delete = (id, proptest::option::weighted(0.8, spans()))
        .prop_map(|(series, range)| Step::Delete { series, range });
    prop_oneof![8 => append, 4 => upsert, 3 => replace, 2 => delete]
}

fn reads() -> impl Strategy<Value = Step> {
    let take = prop_oneof![
        Just(Take::All),
        (0..8_usize).prop_map(Take::First),
        (0..8_usize).prop_map(Take::Last),
    ];
    let id = 0..SERIES.len();
    let scan = (id.clone(), spans(), take, 0..8_u8, 1..6_usize).prop_map(
        |(series, (from, to), take, columns, batch_size)| Step::Scan {
            series,
            from,
            to,
            take,
            columns,
            batch_size,
        },
    );
    let as_of = (id, 0..REMEMBERED).prop_map(|(series, back)| Step::AsOf { series, back });
    prop_oneof![4 => scan, 2 => as_of, 1 => Just(Step::List), 1 => Just(Step::Reopen)]
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(prop_oneof![2 => writes(), 1 => reads()], 1..STEPS)
}
