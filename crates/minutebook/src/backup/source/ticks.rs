//! The ticks: each series as it was at one moment.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use minutebook_core::SeriesId;
use minutebook_core::check::Part;
use minutebook_fs::{FileKind, FsFile};
use minutebook_jsonl::series_of_file;

use super::{Held, Limits, Source, is_transient};
use crate::Result;
use crate::backup::copy::{Copier, Kind};
use crate::check::run;
use crate::disk::Disk;

const SEALED: &str = "~sealed";
/// A segment while it is compressed.
const PART: &str = ".part";

/// A file that was opened under the locks: what is open stays what it is.
struct Opened {
    file: Box<dyn FsFile>,
    from: PathBuf,
    to: String,
    kind: Kind,
}

impl Source {
    /// All ticks. Gives for each series the newest Parquet version that its copy may go with.
    pub(super) async fn tick_series(
        self: &Arc<Self>,
        disk: &Disk,
        copier: Copier,
    ) -> Result<(Copier, Limits)> {
        let source = Arc::clone(self);
        let (mut copier, stems) = run(move || {
            let mut copier = copier;
            copier.part(Part::Ticks);
            let stems = source.stems(&mut copier)?;
            Ok((copier, stems))
        })
        .await?;
        let mut limits = Limits::new();
        for stem in stems {
            let opened = loop {
                let source = Arc::clone(self);
                let (opened, held);
                (copier, opened, held) = run({
                    let stem = stem.clone();
                    move || {
                        source.segments(&mut copier, &stem)?;
                        let (opened, held) = source.open_series(&mut copier, &stem)?;
                        Ok((copier, opened, held))
                    }
                })
                .await?;
                // While nobody can move a segment to Parquet: a later version may have taken in lines that this copy has in its tick files.
                if let Some(series) = series(&stem) {
                    let newest = match disk.series_files.existing()? {
                        Some(repository) => repository.newest_version(&series).await?.unwrap_or(0),
                        None => 0,
                    };
                    limits.insert(series, newest);
                }
                // Where there was no lock to hold, the first rotation may have begun meanwhile.
                if held.is_some() || self.fs.metadata(&self.sealing_lock(&stem)).is_err() {
                    break opened;
                }
            };
            copier = run(move || {
                for Opened {
                    file,
                    from,
                    to,
                    kind,
                } in opened
                {
                    copier.open_file(&*file, &from, &to, kind)?;
                }
                Ok(copier)
            })
            .await?;
        }
        Ok((copier, limits))
    }

    /// The stems of the series. Files that belong to none are copied.
    fn stems(&self, copier: &mut Copier) -> Result<BTreeSet<String>> {
        let shared = self.layout.ticks == self.layout.decisions;
        let root = self.layout.ticks == self.root;
        let mut stems = BTreeSet::new();
        for (name, kind, path) in self.entries(copier, &self.layout.ticks)? {
            if let Some(stem) = stem(&name) {
                stems.insert(stem.to_owned());
            } else if kind == FileKind::File {
                if !is_transient(&name) && !shared && !self.is_else(&path) {
                    copier.file(&path, &format!("{}{name}", self.ticks))?;
                }
            } else if !root && !self.is_part(&path) {
                copier.skip(&path);
            }
        }
        Ok(stems)
    }

    /// The sealed segments, without a lock: they never change, and most of what there is is in them.
    fn segments(&self, copier: &mut Copier, stem: &str) -> Result<()> {
        let sealed = format!("{stem}{SEALED}");
        for (name, kind, path) in self.entries(copier, &self.layout.ticks.join(&sealed))? {
            if kind == FileKind::File && is_member(&name) {
                let to = format!("{}{sealed}/{name}", self.ticks);
                copier.file(&path, &to)?;
            }
        }
        copier.forget_below(&format!("{}{sealed}/", self.ticks));
        Ok(())
    }

    /// What is held by who seals and compacts; it is made by the first who does.
    fn sealing_lock(&self, stem: &str) -> PathBuf {
        self.layout.ticks.join(format!(".{stem}.seal"))
    }

    /// Opens the files of a series while nobody seals, compacts or appends. The lock of who seals and compacts is given back held.
    fn open_series(&self, copier: &mut Copier, stem: &str) -> Result<(Vec<Opened>, Held)> {
        let dir = &self.layout.ticks;
        let mut opened = Vec::new();
        let sealing = self.lock(&self.sealing_lock(stem))?;
        let sealed = format!("{stem}{SEALED}");
        for (name, kind, path) in self.entries(copier, &dir.join(&sealed))? {
            if kind != FileKind::File {
                copier.skip(&path);
                continue;
            }
            let to = format!("{}{sealed}/{name}", self.ticks);
            if !is_member(&name) || copier.keep_if_same(&to, &path)? {
                continue;
            }
            if let Some((file, _)) = copier.open(&path)? {
                opened.push(Opened {
                    file,
                    from: path,
                    to,
                    kind: Kind::Whole,
                });
            }
        }
        let _writing = self.lock(&dir.join(format!(".{stem}.lock")))?;
        for name in [format!("{stem}_timeseries.jsonl"), format!("{stem}~.jsonl")] {
            let path = dir.join(&name);
            // With what a crash or another program has left after the last line: a copy drops nothing.
            if let Some((file, meta)) = copier.open(&path)? {
                opened.push(Opened {
                    file,
                    from: path,
                    to: format!("{}{name}", self.ticks),
                    kind: Kind::Grows(meta.len),
                });
            }
        }
        let name = format!(".{stem}.types");
        let path = dir.join(&name);
        if let Some((file, _)) = copier.open(&path)? {
            opened.push(Opened {
                file,
                from: path,
                to: format!("{}{name}", self.ticks),
                kind: Kind::Whole,
            });
        }
        Ok((opened, sealing))
    }

    /// Whether a directory is a part of the store, or has one in it.
    fn is_part(&self, path: &std::path::Path) -> bool {
        let layout = &self.layout;
        [&layout.decisions, &layout.series, &layout.documents]
            .into_iter()
            .any(|part| part.starts_with(path))
    }
}

/// Whether a file of a directory of sealed segments is copied.
fn is_member(name: &str) -> bool {
    !is_transient(name) && !name.ends_with(PART)
}

/// Whether a name is that of a directory of sealed segments.
pub(super) fn is_sealed(name: &str) -> bool {
    !name.starts_with('.') && name.ends_with(SEALED)
}

/// Whether a name is that of the file that says the types of a series.
pub(super) fn is_types(name: &str) -> bool {
    name.starts_with('.') && name.strip_suffix(".types").is_some()
}

/// The name of a tick series in the names of its files.
pub(super) fn stem(name: &str) -> Option<&str> {
    if name.starts_with('.') {
        return None;
    }
    ["_timeseries.jsonl", "~.jsonl", SEALED]
        .iter()
        .find_map(|end| name.strip_suffix(end))
}

fn series(stem: &str) -> Option<SeriesId> {
    series_of_file(&format!("{stem}{SEALED}"))
}
