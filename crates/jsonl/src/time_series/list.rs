//! Which series there are: by the names of the files alone.

use std::sync::Arc;

use minutebook_core::{Problem, ProblemKind, ReadReport, Result, SeriesFilter, SeriesId};
use minutebook_fs::task::blocking;
use minutebook_fs::{FileKind, FsError};

use crate::error::JsonlError;
use crate::layout::{self, Entry};
use crate::segments;
use crate::store::Store;

pub(super) async fn list(
    store: &Arc<Store>,
    filter: &SeriesFilter,
) -> Result<(Vec<SeriesId>, ReadReport)> {
    let (store, filter) = (Arc::clone(store), filter.clone());
    blocking(move || visit(&store, &filter))
        .await
        .map_err(JsonlError::from)
        .flatten()
        .map_err(|error| error.of("list"))
}

fn visit(store: &Store, filter: &SeriesFilter) -> Result<(Vec<SeriesId>, ReadReport), JsonlError> {
    let dir = store.root.path();
    let mut found = Vec::new();
    let mut sealed = Vec::new();
    let mut report = ReadReport::default();
    let mut problem = |kind, name: &str, message: &str| {
        tracing::warn!(
            name,
            message,
            "a file that looks like a series was left out"
        );
        report.add(Problem::new(
            kind,
            dir.join(name).display().to_string(),
            message,
        ));
    };
    store
        .config
        .fs
        .visit_dir(dir, &mut |file| {
            let name = file.name.to_string_lossy();
            match layout::entry(&name) {
                Entry::Series(series) if file.kind == FileKind::File => {
                    if filter.matches(&series) {
                        found.push(series);
                    }
                }
                Entry::Sealed(series) if file.kind == FileKind::Dir => {
                    if filter.matches(&series) {
                        sealed.push(series);
                    }
                }
                Entry::Series(_) => problem(
                    ProblemKind::NotAFile,
                    &name,
                    "has the name of a series and is no regular file; it was left out",
                ),
                Entry::Sealed(_) => problem(
                    ProblemKind::NotAFile,
                    &name,
                    "has the name of a directory of segments and is none; it was left out",
                ),
                Entry::Foreign => problem(
                    ProblemKind::InvalidName,
                    &name,
                    "ends like a series and no series has this name; it was left out",
                ),
                Entry::Other => {}
            }
            true
        })
        .map_err(|error| FsError::not_applied("list", "read the directory", dir, error))?;
    found.sort_unstable();
    // Between two segments a series has no plain file.
    sealed.retain(|series| found.binary_search(series).is_err());
    for id in sealed {
        let series = store.series(&id)?;
        if segments::exists(store, &series)? {
            found.push(id);
        }
    }
    found.sort_unstable();
    Ok((found, report))
}
