//! How much there is to look at, for the progress.

use std::path::PathBuf;

use minutebook_fs::task::blocking;
use minutebook_fs::{FileKind, Fs};

use crate::Result;
use crate::disk::Disk;

/// The bytes of all parts; what cannot be listed counts nothing.
pub(crate) async fn of(disk: &Disk) -> Result<u64> {
    let fs = std::sync::Arc::clone(&disk.fs);
    let layout = disk.layout.clone();
    let work = move || {
        let mut total = fs
            .metadata(&layout.registry)
            .map_or(0, |registry| registry.len);
        for (place, deep) in [
            (layout.decisions, false),
            (layout.ticks, true),
            (layout.series, true),
            (layout.documents, true),
        ] {
            total += bytes_in(&*fs, place, deep);
        }
        total
    };
    blocking(work).await.map_err(|error| {
        crate::Error::new(crate::ErrorKind::Unavailable, error.to_string()).with_operation("verify")
    })
}

fn bytes_in(fs: &dyn Fs, place: PathBuf, deep: bool) -> u64 {
    let mut open = vec![place];
    let mut total = 0;
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs.read_dir(&dir) else {
            continue;
        };
        for entry in entries {
            let path = dir.join(entry.name);
            match entry.kind {
                FileKind::Dir if deep => open.push(path),
                FileKind::File => total += fs.identify(&path).map_or(0, |file| file.len),
                _ => {}
            }
        }
    }
    total
}
