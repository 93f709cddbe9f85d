//! Appending entries.

use std::sync::Arc;

use minutebook_core::{Result, SeriesId, Version, WriteReceipt};
use minutebook_fs::Locked;
use minutebook_fs::task::blocking;

use super::check::Lines;
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::store::{Series, Store};
use crate::time_series::{forget, put_types};

pub(super) async fn append(
    store: &Arc<Store>,
    series: &SeriesId,
    lines: Lines,
) -> Result<WriteReceipt> {
    let fail = |error: JsonlError| error.of_series("append", series);
    let known = store.series(series).map_err(fail)?;
    if store.config.durability.is_synced() {
        let store = Arc::clone(store);
        blocking(move || append_lines(&store, &known, &lines))
            .await
            .map_err(JsonlError::from)
            .flatten()
            .map_err(fail)
    } else {
        append_lines(store, &known, &lines).map_err(fail)
    }
}

fn append_lines(store: &Store, series: &Series, lines: &Lines) -> Result<WriteReceipt, JsonlError> {
    store.check_batch(&lines.bytes)?;
    let log = store.log(series);
    let end = if lines.bytes.is_empty() {
        match store.reader(series)? {
            Some(file) => minutebook_fs::complete_len(&*file).map_err(JsonlError::Read)?,
            None => 0,
        }
    } else {
        log.with_lock(store.config.durability, |log| {
            if log.is_empty() && store.metadata(&series.data)?.is_none() {
                forget(store, series, &mut series.state())?;
            }
            if let Some(unit) = lines.unit {
                declare(store, series, unit, log)?;
            }
            Ok::<_, JsonlError>(log.append(&lines.bytes)?.end())
        })?
    };
    Ok(WriteReceipt {
        version: Version(end),
        inserted: lines.count,
        replaced: 0,
        skipped: 0,
    })
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
