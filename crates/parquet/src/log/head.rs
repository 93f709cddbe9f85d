//! Finding the newest version without listing the log.
//!
//! Versions are numbered without gaps from the oldest kept one on, except while old versions are being removed: first the
//! *anchors* among them (version 1 and the multiples of [`ANCHOR_STEP`]), ascending, each durably, then the others, ascending. So as
//! long as an anchor is there, everything after it is, and doubling steps find the newest. Every commit of an
//! anchor leaves its number as a hint. Where neither the hint's anchor nor version 1 is there, the log is listed, which
//! finds the newest whatever is missing.

use std::sync::Arc;

use serde::Deserialize;

use super::{Commit, Log};
use crate::error::{Fault, Result};

/// Every so many versions one is an anchor.
pub(crate) const ANCHOR_STEP: u64 = 64;

/// The newest version as this process knew it last.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) commit: Arc<Commit>,
    /// Whether this process wrote it.
    pub(crate) ours: bool,
    /// The object's tag, so that a directory that was exchanged is noticed.
    pub(crate) tag: Option<String>,
}

#[derive(Deserialize)]
struct Hint {
    version: u64,
}

pub(crate) fn is_anchor(version: u64) -> bool {
    version == 1 || version.is_multiple_of(ANCHOR_STEP)
}

impl Log {
    /// The newest version, a deletion included; `None` if the series never was.
    pub(crate) async fn newest(&self, known: Option<&Known>) -> Result<Option<Known>> {
        if let Some(known) = known
            && let Some(found) = self.newest_after(known).await?
        {
            return Ok(Some(found));
        }
        // Old versions may be removed while this looks; then the next look finds the newer ones.
        for _ in 0..8 {
            for anchor in [self.hint().await?, Some(1)].into_iter().flatten() {
                let end = self.last_from(anchor).await?;
                // Still there, so nothing after it was removed meanwhile. The end itself is looked at after what follows it.
                if (end == anchor || self.has(anchor).await?)
                    && let Some(found) = self.known(end).await?
                {
                    return Ok(Some(found));
                }
            }
            let Some(listed) = self.versions().await?.last().copied() else {
                return Ok(None);
            };
            if let Some(found) = self.known(listed).await? {
                return Ok(Some(found));
            }
        }
        Err(Fault::Conflict { attempts: 8 })
    }

    /// Looks forward from a version that was the newest; `None` if it is not there any more.
    async fn newest_after(&self, known: &Known) -> Result<Option<Known>> {
        let version = known.commit.version;
        let next = self.read(version + 1).await?;
        if let Some(next) = next {
            if next.parent.as_ref() != Some(&known.commit.id) {
                return Ok(None);
            }
            let end = self.last_from(version + 1).await?;
            // An anchor may be missing because it is being removed: then look from an anchor that is there.
            return if is_anchor(end + 1) {
                Ok(None)
            } else {
                self.known(end).await
            };
        }
        if is_anchor(version + 1) {
            return Ok(None);
        }
        // In this order: versions are removed in ascending order.
        let Some(meta) = self.storage.look(&self.dir.version(version)).await? else {
            return Ok(None);
        };
        let same = if known.tag.is_some() {
            known.tag == meta.e_tag
        } else {
            // Of what this process has just written it knows no tag.
            let read = self.read(version).await?;
            read.is_some_and(|commit| commit.id == known.commit.id)
        };
        Ok(same.then(|| Known {
            tag: meta.e_tag,
            ..known.clone()
        }))
    }

    async fn known(&self, version: u64) -> Result<Option<Known>> {
        let look = self.storage.look(&self.dir.version(version)).await?;
        let read = self.read(version).await?;
        Ok(look.zip(read).map(|(meta, commit)| Known {
            commit,
            ours: false,
            tag: meta.e_tag,
        }))
    }

    async fn hint(&self) -> Result<Option<u64>> {
        let text = self.storage.get(&self.dir.hint(), 1_024).await?;
        let hint = text.and_then(|text| serde_json::from_slice::<Hint>(&text).ok());
        Ok(hint
            .map(|hint| hint.version)
            .filter(|version| is_anchor(*version)))
    }

    async fn has(&self, version: u64) -> Result<bool> {
        self.storage.exists(&self.dir.version(version)).await
    }

    /// The end of the unbroken run that begins at a version, if that is there.
    async fn last_from(&self, start: u64) -> Result<u64> {
        let (mut low, mut step) = (start, 1);
        let mut high = loop {
            if !self.has(low + step).await? {
                break low + step;
            }
            low += step;
            step *= 2;
        };
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.has(middle).await? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
