//! What is known of a series.

use std::sync::Arc;

use minutebook_core::time::from_nanos;
use minutebook_core::{Result, SeriesId, SeriesSummary, Version};
use minutebook_fs::task::blocking;

use crate::error::JsonlError;
use crate::schema::SeriesSchema;
use crate::store::Store;

pub(super) async fn summary(
    store: &Arc<Store>,
    series: &SeriesId,
) -> Result<Option<SeriesSummary>> {
    let (store, id) = (Arc::clone(store), series.clone());
    blocking(move || look(&store, &id))
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map_err(|error| error.of_series("summary", series))
}

fn look(store: &Store, id: &SeriesId) -> Result<Option<SeriesSummary>, JsonlError> {
    let Some((series, file)) = store.find(id)? else {
        return Ok(None);
    };
    let mut state = series.state();
    let index = state.refresh(store, &series, &file)?;
    let schema = SeriesSchema::new(&index.part.columns, &state.types.types, &store.declared);
    drop(state);
    let bounds = index.part.bounds();
    Ok(Some(SeriesSummary {
        rows: index.part.rows,
        first: bounds.map(|(first, _)| from_nanos(first)),
        last: bounds.map(|(_, last)| from_nanos(last)),
        bytes: index.len,
        schema: schema.arrow(),
        version: Version(index.end),
    }))
}
