//! Paths that a user types become paths of the catalog.

use std::path::Path;

use minutebook::{DataPath, Inspection, Minutebook};

use crate::app::Context;
use crate::failure::{Failure, Outcome};

/// A path as the catalog keeps it: a series as it is, a file inside the store relative to the store, any other file absolute.
pub(super) fn catalog_path(book: &Minutebook, text: &str) -> Outcome<String> {
    let file = match text.parse::<DataPath>()? {
        DataPath::Series(series) => return Ok(DataPath::Series(series).to_string()),
        DataPath::File(file) => file,
    };
    let cannot = |error: std::io::Error| Failure::file("find the file", text, &error);
    let root = match book.root() {
        Some(root) => std::fs::canonicalize(root).map_err(cannot)?,
        None => return Ok(text.to_owned()),
    };
    // The user means the place from where the command is run; a file that is not there yet is taken relative to the store.
    let path = match std::fs::canonicalize(&file) {
        Ok(path) => path,
        Err(_) if file.is_relative() => match std::fs::canonicalize(root.join(&file)) {
            Ok(path) => path,
            Err(_) => return Ok(text.to_owned()),
        },
        Err(_) => return Ok(text.to_owned()),
    };
    let path: &Path = path.strip_prefix(&root).unwrap_or(&path);
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::data(format!(
            "{}: the path is no UTF-8, which the catalog cannot hold",
            path.display()
        ))
    })
}

/// A word about data that gave no statistics.
pub(super) fn without_statistics(
    context: &mut Context<'_>,
    path: &str,
    found: Option<&Inspection>,
) {
    match found {
        Some(found) if found.statistics.is_some() => {}
        Some(_) => context.output.warn(format!(
            "{path}: registered without statistics, which come from Parquet, JSON Lines and series alone"
        )),
        None => context.output.warn(format!(
            "{path}: nothing is there yet; `catalog update` takes the statistics when it is"
        )),
    }
}

/// Of a path of another platform nothing is known, which is no failure.
pub(super) fn foreign_is_nothing(
    looked: minutebook::Result<Option<Inspection>>,
) -> minutebook::Result<Option<Inspection>> {
    match looked {
        Err(error) if error.kind() == minutebook::ErrorKind::Unsupported => Ok(None),
        looked => looked,
    }
}
