//! The registry, looked at without changing it.

use std::path::Path;

use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_core::json::RawObject;
use minutebook_core::{DatasetEntry, DatasetName};

use crate::config::JsonCatalogConfig;
use crate::error::{JsonError, Result};

/// Checks a registry's file, and gives the entries that can be read. What they say of their data is for the caller to look at. A file that
/// is not there has none.
///
/// # Errors
/// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the file cannot be read.
pub fn check_registry(
    file: &Path,
    config: &JsonCatalogConfig,
    watch: &dyn Watch,
) -> minutebook_core::Result<Vec<DatasetEntry>> {
    check(file, config, watch).map_err(|error| error.into_core("verify", file.display()))
}

fn check(file: &Path, config: &JsonCatalogConfig, watch: &dyn Watch) -> Result<Vec<DatasetEntry>> {
    let bytes = minutebook_fs::read(&*config.fs, file, config.max_registry_bytes)?;
    let Some(bytes) = bytes else {
        return Ok(Vec::new());
    };
    watch.progress(bytes.len() as u64);
    let damaged = |cause: String, line: u64, byte: Option<u64>| {
        let finding = Finding::new(FindingKind::RegistryDamaged, file, cause)
            .at_line(line)
            .mended_by(Mend::Backend)
            .losing_data();
        watch.found(match byte {
            Some(byte) => finding.at_byte(byte),
            None => finding,
        });
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let before = bytes.get(..at).unwrap_or_default();
            let line = before.split(|byte| *byte == b'\n').count() as u64;
            damaged("it is no UTF-8 text".to_owned(), line, Some(at as u64));
            return Ok(Vec::new());
        }
    };
    if text.starts_with('\u{feff}') {
        damaged("it starts with a byte order mark".to_owned(), 1, Some(0));
        return Ok(Vec::new());
    }
    let object = match RawObject::parse(text) {
        Ok(object) => object,
        Err(error) => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let cause = format!("{message}, at column {}", error.column());
            damaged(cause, error.line() as u64, None);
            return Ok(Vec::new());
        }
    };
    let mut entries = Vec::new();
    for (name, raw) in object.iter() {
        match entry(name, raw) {
            Ok(entry) => entries.push(entry),
            Err(why) => watch.found(
                Finding::new(FindingKind::EntryDamaged, file, why)
                    .about(name)
                    .mended_by(Mend::Backend)
                    .losing_data(),
            ),
        }
    }
    Ok(entries)
}

/// The entry, or why it is none.
pub(super) fn entry(name: &str, raw: &str) -> Result<DatasetEntry, String> {
    let name = DatasetName::new(name).map_err(|error| error.message().to_owned())?;
    let mut entry: DatasetEntry = serde_json::from_str(raw).map_err(|error| {
        JsonError::Entry {
            message: error.to_string(),
        }
        .to_string()
    })?;
    entry.name = name;
    Ok(entry)
}
