//! Removing a series.

use std::sync::Arc;

use minutebook_core::{Result, SeriesId, TimeRange};
use minutebook_fs::task::blocking;

use crate::error::JsonlError;
use crate::segments::{self, Guard};
use crate::store::{Series, Store};

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
    loop {
        let Some((series, view)) = store.find(id)? else {
            return Ok(0);
        };
        // The long part of the counting is done before others have to wait for the lock.
        match segments::look(store, &series, &view, None) {
            // Somebody takes segments away meanwhile: each time there are fewer of them.
            Err(JsonlError::Moved) => continue,
            counted => drop(counted?),
        }
        let guard = match view.manifest {
            Some(_) => Some(Guard::exclusive(store, &series)?),
            None => None,
        };
        if let Some(rows) = delete_locked(store, &series, guard.as_ref())? {
            return Ok(rows);
        }
    }
}

/// Deletes under the writers' lock: nobody appends to a file that is going away, and who waits for the lock makes a new one. `None` if the series
/// got its first segment meanwhile.
fn delete_locked(
    store: &Store,
    series: &Series,
    guard: Option<&Guard>,
) -> Result<Option<u64>, JsonlError> {
    let durability = store.config.durability;
    store.log(series).with_lock(durability, |_| {
        let Some(view) = segments::view(store, series)? else {
            return Ok(Some(0));
        };
        if view.manifest.is_some() && guard.is_none() {
            return Ok(None);
        }
        let mut state = series.state();
        let sections = segments::sections(store, series, &mut state, &view)?;
        let rows = sections.iter().map(|section| section.rows).sum();
        drop((sections, view));
        if let Some(guard) = guard {
            // First, so that nothing that was sealed comes back beside lines that are written later.
            segments::delete(store, series, &mut state, guard)?;
        }
        store.root.remove(&series.data, durability)?;
        state.forget_index();
        // After the lines: types without lines are of no account, lines without types would lose something.
        state.types.remove(&store.root, &series.types, durability)?;
        series.remove_index(store)?;
        Ok(Some(rows))
    })
}
