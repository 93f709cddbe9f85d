//! What is known of a series.

use std::sync::Arc;

use minutebook_core::time::from_nanos;
use minutebook_core::{Result, SeriesId, SeriesSummary, Version};
use minutebook_fs::task::blocking;

use crate::error::JsonlError;
use crate::schema::SeriesSchema;
use crate::segments::{self, Section, View};
use crate::store::{Series, Store};

use super::{again_if_moved, shown};

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
    again_if_moved(|| {
        let Some((series, view)) = store.find(id)? else {
            return Ok(None);
        };
        summary_of(store, &series, &view).map(Some)
    })
}

/// What is known of the files that a view names. Of compressed segments nothing is read.
pub(crate) fn summary_of(
    store: &Store,
    series: &Series,
    view: &View,
) -> Result<SeriesSummary, JsonlError> {
    let looked = segments::look(store, series, view, None)?;
    let sections = looked.sections;
    let schema = SeriesSchema::new(&shown(&sections), &looked.types.types, &store.declared);
    let first = sections.iter().filter_map(|s| s.bounds).map(|b| b.0).min();
    let last = sections.iter().filter_map(|s| s.bounds).map(|b| b.1).max();
    let manifest = view.manifest.as_deref();
    let plain = sections
        .iter()
        .filter(|section| manifest.is_none_or(|m| m.get(section.number).is_none()));
    let stored = manifest.map_or(0, |m| m.segments.iter().map(|entry| entry.stored).sum());
    Ok(SeriesSummary {
        rows: sections.iter().map(|section| section.rows).sum(),
        first: first.map(from_nanos),
        last: last.map(from_nanos),
        bytes: stored + plain.map(|section| section.bytes).sum::<u64>(),
        schema: schema.arrow(),
        version: Version(version(view, &sections)),
        key: None,
    })
}

/// How many bytes of complete lines the series has had.
pub(crate) fn version(view: &View, sections: &[Section]) -> u64 {
    let gone = view.manifest.as_ref().map_or(0, |m| m.gone_bytes);
    gone + sections.iter().map(|section| section.end).sum::<u64>()
}
