//! Documents and journal of the decisions, as they were at one moment.

use std::collections::BTreeSet;
use std::path::PathBuf;

use minutebook_core::check::Part;
use minutebook_fs::{FileKind, FsFile};

use super::{Source, is_transient, ticks};
use crate::Result;
use crate::backup::copy::{Copier, Kind};
use crate::backup::manifest::is_digest;
use crate::error::io;

const JOURNAL: &str = "decisions.journal.jsonl";
const JOURNAL_FILES: &str = "decisions.journal.";
const LOCK: &str = ".decisions.lock";
/// What is held open at once, at most; a journal has a file for each 64 MiB.
const MAX_OPEN: usize = 128;

/// A file that was opened under the lock: what is open stays what it is.
struct Opened {
    path: PathBuf,
    to: String,
    file: Box<dyn FsFile>,
    kind: Kind,
}

impl Source {
    pub(super) fn decisions(&self, copier: &mut Copier) -> Result<()> {
        copier.part(Part::Decisions);
        // While others write: most of it will not have changed when the lock is taken.
        for (name, path) in self.decision_files(copier)? {
            if name != JOURNAL {
                copier.file(&path, &self.decision(&name))?;
            }
        }
        let lock = self.layout.decisions.join(LOCK);
        let opened = loop {
            let writing = self.lock(&lock)?;
            let opened = self.open_decisions(copier)?;
            // Where there was no lock to hold, the first writer may have come meanwhile.
            if writing.is_some() || self.fs.metadata(&lock).is_err() {
                break opened;
            }
        };
        for Opened {
            path,
            to,
            file,
            kind,
        } in opened
        {
            copier.open_file(&*file, &path, &to, kind)?;
            if path.file_name().is_some_and(|name| name == JOURNAL)
                && let Kind::Grows(len) = kind
            {
                copier.journal_head =
                    last_hash(&*file, len).map_err(|error| io("read the journal", &path, error))?;
            }
        }
        Ok(())
    }

    /// Documents are copied if they have changed, the journal's files are opened: they are appended to, or stay, and can be read when writers go on.
    fn open_decisions(&self, copier: &mut Copier) -> Result<Vec<Opened>> {
        // With what the journal lost in a power cut and the next open of the store puts back.
        let whole = minutebook_json::whole_journal(&self.fs, &self.layout.decisions)?;
        let mut opened: Vec<Opened> = Vec::new();
        let mut seen = BTreeSet::new();
        copier.forget_part(Part::Decisions);
        loop {
            let mut gone = false;
            for (name, path) in self.decision_files(copier)? {
                let to = self.decision(&name);
                if !seen.insert(name.clone())
                    || (name != JOURNAL && copier.keep_if_same(&to, &path)?)
                {
                    continue;
                }
                let of_journal = name.starts_with(JOURNAL_FILES);
                // What is appended to is always opened: it is the one file that others change behind the lock.
                let many = opened.len() >= MAX_OPEN && name != JOURNAL;
                if !of_journal || many {
                    gone |= !copier.file(&path, &to)? && of_journal;
                    continue;
                }
                let found = match name.as_str() {
                    JOURNAL => copier.open_on(&*whole, &path)?,
                    _ => copier.open(&path)?,
                };
                match found {
                    Some((file, meta)) => opened.push(Opened {
                        kind: Kind::Grows(meta.len),
                        path,
                        to,
                        file,
                    }),
                    None => gone = true,
                }
            }
            // A sealed file is compressed without the writers' lock: then it has another name.
            if !gone {
                return Ok(opened);
            }
        }
    }

    fn decision(&self, name: &str) -> String {
        format!("{}{name}", self.decisions)
    }

    /// The files in the directory of the decisions that are theirs.
    fn decision_files(&self, copier: &mut Copier) -> Result<Vec<(String, PathBuf)>> {
        let shared = self.ticks == self.decisions;
        let root = self.layout.decisions == self.root;
        let mut files = Vec::new();
        for (name, kind, path) in self.entries(copier, &self.layout.decisions)? {
            match kind {
                FileKind::File => {
                    let of_ticks =
                        shared && (ticks::stem(&name).is_some() || ticks::is_types(&name));
                    if !of_ticks && !is_transient(&name) && !self.is_else(&path) {
                        files.push((name, path));
                    }
                }
                FileKind::Dir if root || shared => {}
                _ => copier.skip(&path),
            }
        }
        Ok(files)
    }
}

/// The hash of the last line of a journal that has one, among its first bytes; marks have none.
fn last_hash(file: &dyn FsFile, len: u64) -> std::io::Result<Option<String>> {
    const KEY: &[u8] = b",\"hash\":\"";
    const DIGITS: usize = 64;
    /// `,"hash":"`, the digits, `"}`.
    const END: usize = KEY.len() + DIGITS + 2;
    let hash = |line: &[u8]| {
        let digits = line
            .get(line.len().checked_sub(END)?..)?
            .strip_prefix(KEY)?
            .strip_suffix(b"\"}")?;
        let digits = std::str::from_utf8(digits).ok()?;
        is_digest(digits).then(|| digits.to_owned())
    };
    let mut size = 64 << 10;
    loop {
        let start = len.saturating_sub(size);
        let mut bytes = vec![0; usize::try_from(len - start).unwrap_or(0)];
        let read = file.read_full_at(&mut bytes, start)?;
        bytes.truncate(read);
        // What is behind the last newline is no line.
        let mut lines = bytes.rsplit(|byte| *byte == b'\n').skip(1);
        let found = lines.find_map(hash);
        if found.is_some() || start == 0 {
            return Ok(found);
        }
        size = size.saturating_mul(4);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use minutebook_fs::{Fs, OpenMode, SimFs};

    use super::*;

    #[test]
    fn the_head_is_found_behind_marks_and_long_lines() {
        let fs = SimFs::new();
        let file = fs.open(Path::new("/journal"), OpenMode::Append).unwrap();
        assert_eq!(last_hash(&*file, 0).unwrap(), None);
        let (first, second) = ("a".repeat(64), "b".repeat(64));
        let lines = format!("{{\"seq\":1,\"hash\":\"{first}\"}}\n{{\"mark\":1}}\n");
        file.append(lines.as_bytes()).unwrap();
        let len = file.len().unwrap();
        assert_eq!(last_hash(&*file, len).unwrap(), Some(first.clone()));
        let more = format!(
            "{{\"doc\":\"{}\",\"hash\":\"{second}\"}}\n",
            "x".repeat(300_000)
        );
        file.append(more.as_bytes()).unwrap();
        assert_eq!(last_hash(&*file, len).unwrap(), Some(first));
        for _ in 0..20_000 {
            file.append(b"{\"mark\":2}\n").unwrap();
        }
        file.append(b"{\"seq\":3,\"torn").unwrap();
        let len = file.len().unwrap();
        assert_eq!(last_hash(&*file, len).unwrap(), Some(second));
    }
}
