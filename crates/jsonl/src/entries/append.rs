//! Appending entries.

use std::sync::Arc;

use minutebook_core::{Result, SeriesId, Version, WriteReceipt};
use minutebook_fs::task::{blocking, has_pool};
use minutebook_fs::{Durability, Locked};

use super::check::{Append, Lines};
use super::group;
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::segments;
use crate::store::{Series, Store};
use crate::time_series::{again_if_moved, forget, put_types, version};

pub(super) async fn append(
    store: &Arc<Store>,
    series: &SeriesId,
    lines: Lines,
) -> Result<WriteReceipt> {
    let fail = |error: JsonlError| error.of_series("append", series);
    let known = store.series(series).map_err(fail)?;
    let durability = store.config.durability;
    let count = lines.count;
    let end = if durability.is_synced() && count > 0 && has_pool() {
        store.check_batch(lines.len()).map_err(fail)?;
        group::append(store, &known, lines).await
    } else if durability.is_synced() {
        let store = Arc::clone(store);
        blocking(move || {
            let end = append_lines(&store, &known, &lines, durability)?;
            if known.index_is_due(&store) && !known.keep_index_aside(&store) {
                known.keep_index(&store);
            }
            Ok(end)
        })
        .await
        .map_err(JsonlError::from)
        .flatten()
    } else {
        return append_here(store, series, &lines).await;
    };
    Ok(receipt(end.map_err(fail)?, count))
}

/// As [`append`], on the calling task: where no sync is waited for.
pub(super) async fn append_here(
    store: &Arc<Store>,
    series: &SeriesId,
    lines: &impl Append,
) -> Result<WriteReceipt> {
    let fail = |error: JsonlError| error.of_series("append", series);
    let known = store.series(series).map_err(fail)?;
    let end = append_lines(store, &known, lines, Durability::Buffered).map_err(fail)?;
    if known.index_is_due(store) && !known.keep_index_aside(store) {
        let store = Arc::clone(store);
        blocking(move || known.keep_index(&store))
            .await
            .map_err(|error| fail(error.into()))?;
    }
    Ok(receipt(end, lines.count()))
}

fn receipt(end: u64, inserted: u64) -> WriteReceipt {
    WriteReceipt {
        version: Version(end),
        inserted,
        replaced: 0,
        skipped: 0,
    }
}

/// Appends lines, and gives the version after them.
pub(crate) fn append_lines(
    store: &Arc<Store>,
    series: &Arc<Series>,
    lines: &impl Append,
    durability: Durability,
) -> Result<u64, JsonlError> {
    store.check_batch(lines.bytes())?;
    if lines.count() == 0 {
        return again_if_moved(|| {
            let Some(view) = segments::view(store, series)? else {
                return Ok(0);
            };
            let looked = segments::look(store, series, &view, None)?;
            Ok(version(&view, &looked.sections))
        });
    }
    segments::before_append(store, series);
    let log = store.log(series);
    log.with_lock(durability, |log| under_lock(store, series, log, lines))
}

/// Appends lines, at least one, under the writers' lock, and gives the version after them.
pub(super) fn under_lock(
    store: &Store,
    series: &Series,
    log: &mut Locked<'_>,
    lines: &impl Append,
) -> Result<u64, JsonlError> {
    if log.is_empty() && store.metadata(&series.data)?.is_none() {
        forget(store, series, &mut series.state())?;
    }
    if let Some(unit) = lines.unit() {
        declare(store, series, unit, log)?;
    }
    let end = lines.append_to(log)?.end();
    segments::note_end(store, series, None, log.opened(), end)
}

/// Writes down what numeric times count, so that every reader knows.
fn declare(
    store: &Store,
    series: &Series,
    unit: EpochUnit,
    _log: &Locked<'_>,
) -> Result<(), JsonlError> {
    let mut state = series.state();
    state.types.refresh(&*store.config.fs, &series.types)?;
    match state.types.types.epoch_unit {
        Some(known) if known == unit => Ok(()),
        Some(known) => Err(JsonlError::Input(format!(
            "numbers in \"timestamp\" count {known} in this series and {unit} in the entries"
        ))),
        None => {
            let mut types = state.types.types.clone();
            types.epoch_unit = Some(unit);
            put_types(store, series, &mut state, Some(types))
        }
    }
}
