//! The journal's files: sealing the active one, compressing those that are sealed, and taking documents out of them.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;
use minutebook_fs::{Created, Durability, FsError, Locked, create_new, remove, replace};

use super::Store;
use super::refresh::{Freshness, max_line_bytes};
use crate::config::KeepRevisions;
use crate::error::Result;
use crate::journal::{Lines, Mark, Parsed, Pruned, Record, Segment, Start, chain, parse, prune};
use crate::layout;

/// Smaller and slower to write gain little on journals.
const LEVEL: i32 = 3;

impl Store {
    /// Whether the active file is so long that it is sealed.
    pub(crate) fn rotation_is_due(&self) -> bool {
        let least = self.seal_from.load(Ordering::Relaxed);
        self.read_state().journal.active_len() >= least.max(self.config.segment_bytes)
    }

    /// Seals the active file if it is long enough, and does what is then to be done with sealed ones.
    pub(crate) fn rotate_if_due(&self) -> Result<()> {
        if !self.rotation_is_due() {
            return Ok(());
        }
        if !self.rotate(self.config.segment_bytes)? {
            return Ok(());
        }
        self.compress()?;
        if self.config.keep_revisions != KeepRevisions::All {
            self.prune_revisions(self.config.keep_revisions)?;
        }
        Ok(())
    }

    /// Seals the active file if it has at least so many bytes, and starts another.
    pub(crate) fn rotate(&self, least: u64) -> Result<bool> {
        if self.is_plain() {
            return Ok(false);
        }
        let sealed = self.locked(Durability::Buffered, |log| {
            self.update(Freshness::Light)?;
            self.recover_locked(log)?;
            self.seal(log, least)
        })?;
        if sealed {
            // The one in the new file knows nothing of the directory.
            self.locked(Durability::Buffered, |log| {
                self.update(Freshness::Light)?;
                self.recover_locked(log)?;
                let seq = self.read_state().journal.chain.seq;
                self.mark(log, seq, None);
                Ok(())
            })?;
        }
        Ok(sealed)
    }

    fn seal(&self, log: &mut Locked<'_>, least: u64) -> Result<bool> {
        let active = self.path(layout::JOURNAL);
        let Some(old) = Segment::active(&*self.fs, &self.dir)? else {
            return Ok(false);
        };
        if log.len() < least.max(1) || !self.read_state().pending.is_empty() {
            return Ok(false);
        }
        let step = |step, error| FsError::unknown("seal", step, &active, error);
        // Under both names for a moment, so that there is never none: a crash leaves the second name of a file that goes on.
        let sealed = self.path(&layout::sealed_segment(old.first));
        let packed = self.path(&layout::packed_segment(old.first));
        if self.fs.identify(&packed).is_ok() {
            // Its number was given before, by a journal that this one took the place of.
            tracing::warn!(path = %packed.display(), "the journal stays one file: a sealed one of an earlier journal is in the way, which a repair moves");
            self.seal_later(log);
            return Ok(false);
        }
        self.sync_whole(log)?;
        match self.fs.hard_link(&active, &sealed) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let same = |path| self.fs.identify(path).map(|found| found.id).ok();
                if same(&sealed) != same(&active) {
                    self.seal_later(log);
                    return Err(step("link", error).into());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the journal stays one file: the file system has no links");
                self.seal_later(log);
                return Ok(false);
            }
        }
        self.fs
            .sync_dir(&self.dir)
            .map_err(|error| FsError::names("seal", &active, error))?;
        let mut chain = self.read_state().journal.chain.clone();
        let start = Start {
            base: old.base + log.len(),
            before: old.first,
        };
        let mut text = Vec::new();
        chain.segment(&mut text, start, self.config.clock.now());
        let mark = Mark::new(chain.seq, self.boot.clone(), None);
        text.extend_from_slice(mark.to_line().as_bytes());
        replace(&*self.fs, &active, &text, Durability::Synced)?;
        // Documents that are taken out of sealed files are to be nowhere else.
        log.clear_ring()?;
        self.seal_from.store(0, Ordering::Relaxed);
        tracing::info!(path = %sealed.display(), "a file of the journal was sealed");
        Ok(true)
    }

    /// It cannot be sealed now, and every write would try again.
    fn seal_later(&self, log: &Locked<'_>) {
        let later = log.len().saturating_add(self.config.segment_bytes);
        self.seal_from.store(later, Ordering::Relaxed);
    }

    /// Compresses the sealed files that are not yet.
    pub(crate) fn compress(&self) -> Result<()> {
        if self.is_plain() {
            return Ok(());
        }
        let mut files = chain(&*self.fs, &self.dir, 0)?;
        files.pop();
        for segment in files.iter().filter(|segment| !segment.is_packed()) {
            let packed = self.path(&layout::packed_segment(segment.first));
            let bytes = pack(segment.reader()?)
                .map_err(|error| FsError::not_applied("seal", "compress", &packed, error))?;
            if create_new(&*self.fs, &packed, &bytes, Durability::Synced)? == Created::Created {
                remove(&*self.fs, &segment.path, Durability::Synced)?;
            }
        }
        // What a crash left between the two.
        for segment in files.iter().filter(|segment| segment.is_packed()) {
            let plain = self.path(&layout::sealed_segment(segment.first));
            let Some(bytes) = minutebook_fs::read(&*self.fs, &plain, u64::MAX)? else {
                continue;
            };
            if is_left_over(&bytes, &segment.bytes()?) {
                remove(&*self.fs, &plain, Durability::Synced)?;
            } else {
                tracing::warn!(path = %plain.display(), "a sealed file is not what its compressed one is, and stays");
            }
        }
        Ok(())
    }

    /// The sealed files in the directory, compressed or not.
    pub(crate) fn sealed_files(&self) -> Result<Vec<PathBuf>> {
        let step = |error| FsError::not_applied("list", "list the directory", &self.dir, error);
        let mut found = Vec::new();
        for entry in self.fs.read_dir(&self.dir).map_err(step)? {
            let name = entry.name.to_string_lossy();
            let rest = name.strip_prefix("decisions.journal.").unwrap_or_default();
            let number = rest
                .strip_suffix(".jsonl")
                .or_else(|| rest.strip_suffix(".jsonl.zst"));
            if number
                .is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
            {
                found.push(self.dir.join(&entry.name));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Takes the documents of earlier revisions that are not to be kept out of the sealed files. The chain says what they hold
    /// then, before they do. Gives back how many were taken out.
    pub(crate) fn prune_revisions(&self, keep: KeepRevisions) -> Result<u64> {
        if self.is_plain() {
            return Ok(0);
        }
        if keep == KeepRevisions::All {
            return Ok(0);
        }
        // What is in a plain file beside its compressed one would stay.
        self.compress()?;
        let counts = match keep {
            KeepRevisions::Newest(_) => self.count_revisions()?,
            KeepRevisions::All | KeepRevisions::Since(_) => HashMap::new(),
        };
        let mut rule = Rule {
            keep,
            now: self.config.clock.now(),
            counts,
            seen: HashMap::new(),
        };
        let mut files = chain(&*self.fs, &self.dir, 0)?;
        files.pop();
        let mut total = 0;
        for segment in files.iter().filter(|segment| segment.is_packed()) {
            total += self.locked(Durability::Buffered, |log| {
                self.update(Freshness::Light)?;
                self.recover_locked(log)?;
                self.prune_segment(log, segment.first, &mut rule)
            })?;
        }
        Ok(total)
    }

    fn prune_segment(&self, log: &mut Locked<'_>, first: u64, rule: &mut Rule) -> Result<u64> {
        let Some(segment) = Segment::sealed(&*self.fs, &self.dir, first)? else {
            return Ok(0);
        };
        let plain = segment.bytes()?;
        let mut kept = Vec::with_capacity(plain.len());
        let mut pruned = 0;
        for line in plain.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let without = self.to_prune(text, rule)?.and_then(|record| {
                let text = std::str::from_utf8(text).ok()?;
                prune(text, &record)
            });
            match without {
                Some(text) => {
                    pruned += 1;
                    kept.extend_from_slice(text.as_bytes());
                    kept.push(b'\n');
                }
                None => kept.extend_from_slice(line),
            }
        }
        if pruned == 0 {
            return Ok(0);
        }
        let packed = self.path(&layout::packed_segment(first));
        let bytes = pack(kept.as_slice())
            .map_err(|error| FsError::not_applied("prune", "compress", &packed, error))?;
        let note = Pruned {
            segment: first,
            sum: blake3::hash(&kept).to_hex().to_string(),
        };
        let mut chain = self.read_state().journal.chain.clone();
        let mut lines = Vec::new();
        chain.pruned(&mut lines, &note, self.config.clock.now());
        self.mark_before_change(log)?;
        let appended = log.append(&lines)?;
        log.sync_whole()?;
        self.absorb(appended.offset, &lines)?;
        replace(&*self.fs, &packed, &bytes, Durability::Synced)?;
        // Where they may still be if a crash came before it was cleared.
        log.clear_ring()?;
        self.mark(log, chain.seq, None);
        Ok(pruned)
    }

    /// What the line says, if it holds a document that is to go. Never the last one of a decision that is there.
    fn to_prune(&self, line: &[u8], rule: &mut Rule) -> Result<Option<Record>> {
        let Parsed::Entry(entry) = parse(0, line) else {
            return Ok(None);
        };
        let (id, token, expired) = match &entry.record {
            Record::Put(put) => (&put.id, put.token, rule.is_over(&put.id, put.at)),
            // What another program had written goes with what replaced it.
            Record::Found(found) => {
                let expired = match rule.keep {
                    KeepRevisions::All => false,
                    KeepRevisions::Newest(_) => true,
                    KeepRevisions::Since(age) => rule.now.signed_duration_since(found.at) > age,
                };
                (&found.id, found.token, expired)
            }
            _ => return Ok(None),
        };
        if !expired || entry.pruned {
            return Ok(None);
        }
        let known = self.read_state().known.get(id)?;
        let goes = known.is_none_or(|known| known.token != token);
        Ok(goes.then_some(entry.record))
    }

    fn count_revisions(&self) -> Result<HashMap<DecisionId, u64>> {
        let max_line = max_line_bytes(self.config.max_document_bytes);
        let mut lines = Lines::open(&self.fs, &self.dir, 0, max_line)?;
        let mut counts = HashMap::new();
        while let Some(line) = lines.next()? {
            if let Parsed::Entry(entry) = parse(line.start, line.bytes)
                && let Record::Put(put) = entry.record
            {
                *counts.entry(put.id).or_default() += 1;
            }
        }
        Ok(counts)
    }
}

/// Which revisions go, as they are met from the oldest on.
struct Rule {
    keep: KeepRevisions,
    now: DateTime<Utc>,
    counts: HashMap<DecisionId, u64>,
    seen: HashMap<DecisionId, u64>,
}

impl Rule {
    fn is_over(&mut self, id: &DecisionId, at: DateTime<Utc>) -> bool {
        match self.keep {
            KeepRevisions::All => false,
            KeepRevisions::Since(age) => self.now.signed_duration_since(at) > age,
            KeepRevisions::Newest(count) => {
                let seen = self.seen.entry(id.clone()).or_default();
                *seen += 1;
                let all = self.counts.get(id).copied().unwrap_or(0);
                all.saturating_sub(*seen) >= count
            }
        }
    }
}

/// Whether a plain file holds only what its compressed one does, or did until documents were taken out of it.
fn is_left_over(plain: &[u8], packed: &[u8]) -> bool {
    let lines = |bytes| <[u8]>::split_inclusive(bytes, |byte| *byte == b'\n');
    let entry = |line: &[u8]| match parse(0, line.strip_suffix(b"\n").unwrap_or(line)) {
        Parsed::Entry(entry) => Some(entry),
        Parsed::Mark(_) | Parsed::Damaged(_) => None,
    };
    let is_same = |(before, now): (&[u8], &[u8])| {
        before == now
            || entry(before)
                .zip(entry(now))
                .is_some_and(|(before, now)| now.pruned && before.hash == now.hash)
    };
    plain.len() == packed.len() && lines(plain).zip(lines(packed)).all(is_same)
}

fn pack(plain: impl io::Read) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut plain = plain;
    io::copy(&mut plain, &mut encoder)?;
    encoder.finish()
}
