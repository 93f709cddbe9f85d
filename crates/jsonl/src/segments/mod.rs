//! A series as an ordered list of files: sealed segments, compressed, then the plain file that is appended to.
//!
//! | file in `btcusd~sealed/` | what |
//! | --- | --- |
//! | `manifest.json` | which segments there are, what is in them, and which number comes next |
//! | `00000001.jsonl.zst` | a sealed segment: the lines as they were, in zstd frames, then its index |
//! | `00000002.jsonl` | the segment with the next number, sealed and not yet compressed |
//!
//! Sealing is one rename of the plain file, under the writers' lock, to the name that the manifest announced before. So whoever reads the
//! manifest, opens the plain file, then the announced name, and finds the manifest unchanged, has every line once ([`view`]).

mod api;
mod compact;
mod due;
mod file;
mod finish;
mod format;
mod guard;
mod look;
mod manifest;
mod mend;
mod opened;
mod plain;
mod removal;
mod rotate;
mod sealers;
mod section;
mod stats;
mod view;

pub use api::SegmentInfo;
pub use compact::{LINE_COLUMN, SegmentHandover};
pub(crate) use due::{Due, before_append, note_end};
pub(crate) use file::SealedFile;
pub(crate) use finish::finish;
pub(crate) use format::Damage;
pub(crate) use guard::Guard;
pub(crate) use look::{Looked, look, look_in_turn, plain_index, sections};
pub(crate) use manifest::{Entry, Known, Manifest, misnumbered};
pub(crate) use opened::Opened;
pub(crate) use plain::{Beside, beside};
pub(crate) use removal::{delete, drop_segments};
pub(crate) use rotate::rotate;
pub(crate) use sealers::Sealers;
pub(crate) use section::Section;
pub(crate) use view::{View, exists, view, view_known};

use std::path::{Path, PathBuf};

/// Bytes of plain lines in one frame.
pub(crate) const FRAME_BYTES: usize = 256 << 10;

/// No segment has a number as high as this: there is room to count on.
pub(crate) const MAX_NUMBER: u64 = u64::MAX / 2;

/// The paths in a series' directory of segments.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) dir: PathBuf,
}

impl Paths {
    pub(crate) fn manifest(&self) -> PathBuf {
        self.dir.join("manifest.json")
    }

    /// A segment that is not yet compressed.
    pub(crate) fn raw(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:08}{RAW}"))
    }

    /// A compressed segment.
    pub(crate) fn sealed(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:08}{SEALED}"))
    }

    /// A compressed segment while it is written.
    pub(crate) fn part(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:08}{PART}"))
    }
}

const RAW: &str = ".jsonl";
const SEALED: &str = ".jsonl.zst";
const PART: &str = ".jsonl.zst.part";

/// What a file in the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    Raw(u64),
    Sealed(u64),
    Part,
}

/// What a file in the directory is; `None` for the manifest, the lock, and what is none of ours.
pub(crate) fn member(path: &Path) -> Option<Member> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(PART) {
        return Some(Member::Part);
    }
    let number = |suffix: &str| {
        let digits = name.strip_suffix(suffix)?;
        // As it is written: two names never have one number.
        let written = digits.len() == 8 || (digits.len() > 8 && !digits.starts_with('0'));
        (written && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().ok())
            .flatten()
            .filter(|number| (1..MAX_NUMBER).contains(number))
    };
    number(SEALED)
        .map(Member::Sealed)
        .or_else(|| number(RAW).map(Member::Raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_known_by_their_names() {
        let paths = Paths {
            dir: "/x~sealed".into(),
        };
        assert_eq!(member(&paths.raw(7)), Some(Member::Raw(7)));
        assert_eq!(
            member(&paths.sealed(123_456_789)),
            Some(Member::Sealed(123_456_789))
        );
        assert_eq!(member(&paths.part(7)), Some(Member::Part));
        assert_eq!(member(&paths.manifest()), None);
        assert_eq!(member(Path::new("/x~sealed/notes.jsonl")), None);
        assert_eq!(member(Path::new("/x~sealed/00000000.jsonl")), None);
        assert_eq!(member(Path::new("/x~sealed/000000007.jsonl")), None);
        // Nothing could be counted on from there.
        let highest = paths.sealed(u64::MAX);
        assert_eq!(member(&highest), None);
    }
}
