//! The sealed segments of a series, each against its digest, and what else lies in their directory.

use std::path::Path;
use std::sync::Arc;

use minutebook_core::SeriesId;
use minutebook_core::check::{Finding, FindingKind, Mend};
use minutebook_fs::{
    FileKind, Fs, FsFile, LineOptions, LineReader, OpenMode, is_temporary, stray_temporaries,
};

use super::Check;
use super::lines::Lines;
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::layout::Names;
use crate::segments::{
    Beside, Entry, Known, Manifest, Member, Paths, SealedFile, beside, member, misnumbered,
};

/// Why a file is not read that a repair, or the next rotation, takes into the series.
const CAME_LATE: &str = "it came after the list of segments was put together from those that were there; the next rotation takes it into the series";

/// What was found in one directory of segments.
#[derive(Default)]
struct Look {
    entries: u64,
    findings: Vec<Finding>,
}

impl Check<'_> {
    /// Checks the segments of a series, and gives the number of their entries.
    pub(super) fn sealed(&self, id: &SeriesId, names: &Names, unit: Option<EpochUnit>) -> u64 {
        let paths = Paths {
            dir: self.dir.join(&names.sealed),
        };
        let first = self.look(id, &paths, unit);
        if first.findings.is_empty() {
            return first.entries;
        }
        // Somebody may have been sealing or compacting: once more when nobody is.
        let held = self.lock(&self.dir.join(&names.seal));
        let second = self.look(id, &paths, unit);
        drop(held);
        for finding in second.findings {
            self.watch.found(finding);
        }
        second.entries
    }

    fn look(&self, id: &SeriesId, paths: &Paths, unit: Option<EpochUnit>) -> Look {
        let mut look = Look::default();
        let mut known = Known::default();
        let path = paths.manifest();
        let refreshed = known.refresh(&*self.config.fs, paths);
        if let Some(problem) = &known.problem {
            look.tell(
                Finding::new(
                    FindingKind::SealedManifestDamaged,
                    &path,
                    problem.message.clone(),
                )
                .mended_by(Mend::Backend),
                id,
            );
        }
        match refreshed {
            Ok(_) => {}
            Err(JsonlError::Newer { version, .. }) => {
                let cause = format!("it has version {version}, which a newer release wrote");
                look.tell(Finding::new(FindingKind::ForeignFile, path, cause), id);
                return look;
            }
            Err(error) => {
                // Without a manifest the segments have to tell, and one of them cannot.
                let cause = format!("{error}; the list of segments is lost as well");
                look.tell(
                    Finding::new(FindingKind::SealedManifestDamaged, path, cause)
                        .mended_by(Mend::Hopeless),
                    id,
                );
                self.without_manifest(id, paths, &mut look);
                return look;
            }
        }
        let empty = Manifest::new(String::new());
        let manifest = known.manifest.as_deref().unwrap_or(&empty);
        for entry in &manifest.segments {
            if self.watch.stopped() {
                return look;
            }
            self.segment(id, paths, entry, unit, &mut look);
        }
        self.members(id, paths, manifest, unit, &mut look);
        look.find_again(&*self.config.fs, paths, manifest, id);
        look
    }

    /// One segment that the manifest names.
    fn segment(
        &self,
        id: &SeriesId,
        paths: &Paths,
        entry: &Entry,
        unit: Option<EpochUnit>,
        look: &mut Look,
    ) {
        let path = paths.sealed(entry.number);
        let file = match SealedFile::open(&*self.config.fs, &path) {
            Ok(Some(file)) => file,
            Ok(None) => {
                let cause = format!("the manifest names it, with {} lines", entry.lines);
                look.tell(
                    Finding::new(FindingKind::SealedSegmentMissing, path, cause)
                        .mended_by(Mend::Backend)
                        .losing_data(),
                    id,
                );
                return;
            }
            Err(error) => {
                look.tell(
                    Finding::new(FindingKind::Unreadable, path, error.to_string())
                        .mended_by(Mend::Hopeless),
                    id,
                );
                return;
            }
        };
        let damage = match file.digest() {
            Ok((digest, bytes)) if digest == entry.digest && bytes == entry.bytes => {
                file.stats().err().map(|error| (error.to_string(), false))
            }
            Ok(_) => Some(("its lines are not those that were sealed".to_owned(), true)),
            Err(error) => Some((error.to_string(), true)),
        };
        if let Some((cause, lost)) = damage {
            let finding = Finding::new(FindingKind::SealedSegmentDamaged, path, cause)
                .mended_by(Mend::Backend);
            let finding = if lost { finding.losing_data() } else { finding };
            look.tell(finding, id);
            return;
        }
        self.lines(id, &path, Arc::new(file), unit, look);
    }

    /// The lines of a sealed file.
    fn lines(
        &self,
        id: &SeriesId,
        path: &std::path::Path,
        file: Arc<dyn FsFile>,
        unit: Option<EpochUnit>,
        look: &mut Look,
    ) {
        let options = LineOptions::default().max_line_bytes(self.config.max_line_bytes);
        let mut lines = Lines {
            watch: self.watch,
            told: Some(Vec::new()),
            id,
            path,
            lock: None,
            unit,
            line: 0,
            entries: 0,
        };
        if let Err(error) = lines.read(&mut LineReader::new(file, options)) {
            look.tell(
                Finding::new(FindingKind::Unreadable, path, error.to_string())
                    .mended_by(Mend::Hopeless),
                id,
            );
        }
        look.entries += lines.entries;
        look.findings.extend(lines.told.unwrap_or_default());
    }

    /// What lies in the directory beside the segments that the manifest names.
    fn members(
        &self,
        id: &SeriesId,
        paths: &Paths,
        manifest: &Manifest,
        unit: Option<EpochUnit>,
        look: &mut Look,
    ) {
        let Some(found) = self.listed(id, paths, look) else {
            return;
        };
        let unfinished = |path: &std::path::Path, cause: &str| {
            Finding::new(FindingKind::SealingUnfinished, path, cause).mended_by(Mend::Backend)
        };
        let has = |wanted: Member| found.iter().any(|(member, _)| *member == wanted);
        let mut is_older = false;
        for (member, path) in &found {
            match *member {
                Member::Part => look.tell(
                    unfinished(path, "left over of a compression that was interrupted"),
                    id,
                ),
                Member::Raw(number) if number == manifest.next => {
                    look.tell(
                        unfinished(path, "it was sealed, and is not compressed yet"),
                        id,
                    );
                    match self.config.fs.open(path, OpenMode::Read) {
                        Ok(file) => self.lines(id, path, file.into(), unit, look),
                        Err(error) => look.tell(
                            Finding::new(FindingKind::Unreadable, path, error.to_string())
                                .mended_by(Mend::Hopeless),
                            id,
                        ),
                    }
                }
                Member::Raw(number)
                    if let Some(entry) = manifest.get(number)
                        && self.is_another(paths, entry) =>
                {
                    let cause = "the compressed segment of its number is whole and has other lines";
                    look.tell(
                        Finding::new(FindingKind::SealedSegmentOrphaned, path, cause)
                            .mended_by(Mend::MoveAway),
                        id,
                    );
                }
                Member::Raw(number) if manifest.get(number).is_some() => look.tell(
                    unfinished(path, "it is compressed, and was to be removed"),
                    id,
                ),
                Member::Sealed(number) if manifest.get(number).is_some() => {}
                Member::Sealed(number)
                    if let Some(says) = misnumbered(&*self.config.fs, paths, number) =>
                {
                    let cause = format!(
                        "it says that it is segment {says}: a copy of it, or it was renamed"
                    );
                    look.tell(
                        Finding::new(FindingKind::SealedSegmentOrphaned, path, cause)
                            .mended_by(Mend::MoveAway),
                        id,
                    );
                }
                // Of a rotation that was interrupted before the manifest named it.
                Member::Sealed(number)
                    if number == manifest.next && has(Member::Raw(number)) => {}
                Member::Sealed(number) if number >= manifest.next => is_older = true,
                Member::Raw(number) | Member::Sealed(number)
                    if manifest.leaving.contains(&number) =>
                {
                    look.tell(
                        unfinished(path, "it was taken out of the series, and was to be removed"),
                        id,
                    );
                }
                Member::Raw(_) if !manifest.knows_its_holes() => {
                    look.tell(unfinished(path, CAME_LATE), id);
                }
                Member::Sealed(number)
                    if !manifest.knows_its_holes() && self.is_whole(path, number) =>
                {
                    look.tell(unfinished(path, CAME_LATE), id);
                }
                Member::Raw(_) | Member::Sealed(_) => look.tell(
                    Finding::new(
                        FindingKind::SealedSegmentOrphaned,
                        path,
                        "the manifest does not name it: it was moved to another store, or a file was put there",
                    )
                    .mended_by(Mend::MoveAway),
                    id,
                ),
            }
        }
        if is_older {
            let cause = "there are segments that it does not know and that came after it: it is an older copy";
            look.tell(
                Finding::new(FindingKind::SealedManifestDamaged, paths.manifest(), cause)
                    .mended_by(Mend::MoveAway),
                id,
            );
        }
    }

    /// Whether a plain segment has other lines than the compressed one of its number, which is whole.
    fn is_another(&self, paths: &Paths, entry: &Entry) -> bool {
        let found = beside(&*self.config.fs, paths, entry);
        matches!(found, Ok(Some(Beside::Another)))
    }

    /// Whether a file is a whole segment of this number.
    fn is_whole(&self, path: &std::path::Path, number: u64) -> bool {
        SealedFile::open(&*self.config.fs, path)
            .is_ok_and(|file| file.is_some_and(|file| matches!(file.whole(number), Ok(Some(_)))))
    }

    /// Each segment by itself, where no manifest can be put together because of some of them.
    fn without_manifest(&self, id: &SeriesId, paths: &Paths, look: &mut Look) {
        let Some(found) = self.listed(id, paths, look) else {
            return;
        };
        for (member, path) in found {
            let Member::Sealed(_) = member else { continue };
            let looked = SealedFile::open(&*self.config.fs, &path);
            let whole = looked.and_then(|file| file.map(|file| file.stats()).transpose());
            if let Err(error) = whole {
                look.tell(
                    Finding::new(FindingKind::SealedSegmentDamaged, path, error.to_string())
                        .mended_by(Mend::MoveAway)
                        .losing_data(),
                    id,
                );
            }
        }
    }

    /// The files that may be segments. What is none is told of.
    fn listed(
        &self,
        id: &SeriesId,
        paths: &Paths,
        look: &mut Look,
    ) -> Option<Vec<(Member, std::path::PathBuf)>> {
        let mut found = Vec::new();
        let mut temporary = false;
        let listed = self.config.fs.visit_dir(&paths.dir, &mut |entry| {
            let path = paths.dir.join(&entry.name);
            match member(&path) {
                Some(member) if entry.kind == FileKind::File => found.push((member, path)),
                _ if path == paths.manifest() => {}
                _ if entry.name.to_str().is_some_and(is_temporary) => temporary = true,
                _ => {
                    let cause = "it is no file of a segment";
                    look.tell(Finding::new(FindingKind::ForeignFile, path, cause), id);
                }
            }
            true
        });
        let strays = match listed {
            Ok(()) if temporary => {
                stray_temporaries(&*self.config.fs, &paths.dir).map_err(|error| error.to_string())
            }
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        };
        match strays {
            Ok(strays) => {
                for path in strays {
                    let cause = "its writer died, or was killed, before it gave the file its name";
                    look.tell(
                        Finding::new(FindingKind::StrayTemporary, path, cause)
                            .mended_by(Mend::MoveAway),
                        id,
                    );
                }
            }
            Err(error) => {
                look.tell(
                    Finding::new(FindingKind::Unreadable, &paths.dir, error)
                        .mended_by(Mend::Hopeless),
                    id,
                );
                return None;
            }
        }
        found.sort_by(|a, b| a.1.cmp(&b.1));
        Some(found)
    }
}

impl Look {
    fn tell(&mut self, finding: Finding, id: &SeriesId) {
        self.findings.push(finding.about(id));
    }

    /// Segments that are missing and lie there with the name of another one get their own back.
    fn find_again(&mut self, fs: &dyn Fs, paths: &Paths, manifest: &Manifest, id: &SeriesId) {
        let at = |look: &Self, kind: FindingKind, path: &Path| {
            let is_it = |finding: &Finding| finding.kind == kind && finding.path == path;
            look.findings.iter().position(is_it)
        };
        for entry in &manifest.segments {
            let (missing, orphaned) = (
                FindingKind::SealedSegmentMissing,
                FindingKind::SealedSegmentOrphaned,
            );
            let target = paths.sealed(entry.number);
            let Some(gone) = at(self, missing, &target) else {
                continue;
            };
            let is_it = |path: &Path| {
                let file = SealedFile::open(fs, path).ok().flatten();
                let whole = file.and_then(|file| file.whole(entry.number).ok().flatten());
                whole.is_some_and(|found| {
                    (found.id, found.digest) == (entry.id.clone(), entry.digest.clone())
                })
            };
            let orphans = self.findings.iter().filter(|found| found.kind == orphaned);
            let Some(path) = orphans
                .map(|found| found.path.clone())
                .find(|path| is_it(path))
            else {
                continue;
            };
            if let Some(orphan) = at(self, orphaned, &path) {
                let cause = format!(
                    "it is segment {}, which the manifest names: it was renamed",
                    entry.number
                );
                self.findings[gone] = Finding::new(missing, path, cause)
                    .mended_by(Mend::Rename(target))
                    .about(id);
                self.findings.remove(orphan);
            }
        }
    }
}
