//! Removing a series.

use std::sync::Arc;

use minutebook_core::{Result, SeriesId, TimeRange};
use minutebook_fs::remove;
use minutebook_fs::task::blocking;

use crate::error::JsonlError;
use crate::store::Store;

pub(super) async fn delete(
    store: &Arc<Store>,
    series: &SeriesId,
    range: Option<TimeRange>,
) -> Result<u64> {
    if range.is_some() {
        let why =
            "JSON Lines series are append-only: a range cannot be deleted, only a whole series";
        return Err(JsonlError::Unsupported(why).of_series("delete", series));
    }
    let (store, id) = (Arc::clone(store), series.clone());
    blocking(move || delete_all(&store, &id))
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map_err(|error| error.of_series("delete", series))
}

fn delete_all(store: &Store, id: &SeriesId) -> Result<u64, JsonlError> {
    let Some((series, file)) = store.find(id)? else {
        return Ok(0);
    };
    // The long part of the counting is done before others have to wait for the lock.
    series.state().refresh(store, &series, &file)?;
    drop(file);
    let fs = &*store.config.fs;
    let durability = store.config.durability;
    // Under the writers' lock nobody appends to a file that is going away; who waits for it makes a new one.
    store.log(&series).with_lock(durability, |_| {
        let Some(file) = store.reader(&series)? else {
            return Ok(0);
        };
        let mut state = series.state();
        let rows = state.refresh(store, &series, &file)?.part.rows;
        drop(file);
        remove(fs, &series.data, durability)?;
        state.index = None;
        // After the lines: types without lines are of no account, lines without types would lose something.
        state.types.remove(fs, &series.types, durability)?;
        Ok(rows)
    })
}
