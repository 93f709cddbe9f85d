//! What is known of the journal up to some line: derived, checked, and left aside if anything does not fit.
//!
//! A small head names the runs, which together are a table by id. Nothing but the head is read to open one. A checkpoint adds a run of
//! what changed since the last, and merges it with those before that are not much longer: so there are few runs, and each row is
//! written a few times in all.

mod row;
mod run;

use std::fmt::Write as _;
use std::path::Path;

use minutebook_core::json::push_string;
use minutebook_fs::{Durability, Fs, FsError};
use serde::Deserialize;

pub(crate) use row::{Bytes, Entry, Key, Row, Seen, Sight};
pub(crate) use run::Damaged;
use run::{Merge, Run, RunWriter, Source};

use super::line::{Chain, Lost};
use crate::layout;

const FORMAT: u32 = 2;
/// A head has a line for each run, and there are few.
const MAX_BYTES: u64 = 1 << 20;
/// A run is merged with a newer one that has a quarter of its rows or more.
const RATIO: u64 = 4;

/// Which part of the journal a checkpoint is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) offset: u64,
    /// Up to here the files had reached the device.
    pub(crate) durable: u64,
    pub(crate) chain: Chain,
    pub(crate) proof: String,
    /// The run of the machine in which a sync of files failed: what it takes for written then may not be, so `durable` stays until the next. And what that
    /// sync was to make durable.
    pub(crate) failed: Option<(String, Lost)>,
}

/// Rows by key, in runs; the newest is first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    runs: Vec<Run>,
}

/// A checkpoint as read.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) head: Head,
    pub(crate) table: Table,
}

#[derive(Deserialize)]
struct Start {
    checkpoint: u32,
    offset: u64,
    durable: u64,
    seq: u64,
    #[serde(rename = "head")]
    hash: String,
    proof: String,
    #[serde(default)]
    failed: Option<(String, Lost)>,
}

#[derive(Deserialize)]
struct RunLine {
    run: String,
    rows: u64,
    blocks: u64,
}

#[derive(Deserialize)]
struct Sum {
    sum: String,
}

impl Checkpoint {
    /// Opens a checkpoint; `None` if there is none, or one that is damaged or of another format.
    pub(crate) fn load(fs: &dyn Fs, dir: &Path) -> Result<Option<Self>, FsError> {
        let path = dir.join(layout::CHECKPOINT);
        // A writer may just have replaced head and runs.
        for _ in 0..3 {
            let Some(bytes) = minutebook_fs::read(fs, &path, MAX_BYTES)? else {
                return Ok(None);
            };
            let Some((head, lines)) = decode(&bytes) else {
                break;
            };
            let open = |line: &RunLine| {
                layout::is_run(&line.run)
                    .then(|| Run::open(fs, dir, &line.run, line.rows, line.blocks).ok()?)
                    .flatten()
            };
            if let Some(runs) = lines.iter().map(open).collect() {
                let table = Table { runs };
                return Ok(Some(Self { head, table }));
            }
        }
        tracing::warn!(path = %path.display(), "a checkpoint that does not fit is left aside; the whole journal is read");
        Ok(None)
    }
}

fn decode(bytes: &[u8]) -> Option<(Head, Vec<RunLine>)> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (content, sum) = text.split_at(text.rfind('\n')? + 1);
    let sum: Sum = serde_json::from_str(sum).ok()?;
    if sum.sum != blake3::hash(content.as_bytes()).to_hex().as_str() {
        return None;
    }
    let mut lines = content.lines();
    let start: Start = serde_json::from_str(lines.next()?).ok()?;
    if start.checkpoint != FORMAT {
        return None;
    }
    let head = Head {
        offset: start.offset,
        durable: start.durable.min(start.offset),
        chain: Chain {
            seq: start.seq,
            head: start.hash,
        },
        proof: start.proof,
        failed: start.failed,
    };
    let runs = lines.map(|line| serde_json::from_str(line).ok());
    Some((head, runs.collect::<Option<_>>()?))
}

impl Table {
    /// The row with this key.
    pub(crate) fn get(&self, key: Key) -> Result<Option<Row>, Damaged> {
        for run in &self.runs {
            if let Some(bytes) = run.find(key)? {
                return row::decode(&bytes).map(Some).ok_or_else(|| run.damaged());
            }
        }
        Ok(None)
    }

    /// Every row that counts.
    pub(crate) fn scan(&self, take: &mut dyn FnMut(Row)) -> Result<(), Damaged> {
        let sources = self.runs.iter().map(|run| Source::Run(run.rows()));
        let mut merge = Merge::new(sources.collect())?;
        while let Some(bytes) = merge.next()? {
            let Some(row) = row::decode(&bytes.bytes) else {
                let run = self.runs.first().map(|run| run.name.clone());
                return Err(Damaged::Row {
                    run: run.unwrap_or_default(),
                });
            };
            take(row);
        }
        Ok(())
    }

    /// Reads every run to its end, which proves it.
    pub(crate) fn prove(&self) -> Result<(), Damaged> {
        for run in &self.runs {
            let mut rows = run.rows();
            let mut count = 0;
            while let Some(bytes) = rows.next()? {
                row::decode(&bytes.bytes).ok_or_else(|| run.damaged())?;
                count += 1;
            }
            if count != run.rows {
                return Err(run.damaged());
            }
        }
        Ok(())
    }

    /// The names of its files.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().map(|run| run.name.as_str())
    }
}

/// Writes a checkpoint of the rows of `before` and those that changed since, and gives its table. Without a sync: one that a power cut
/// tears is left aside.
pub(crate) fn store(
    fs: &dyn Fs,
    dir: &Path,
    head: &Head,
    before: Option<&Table>,
    mut changed: Vec<Bytes>,
) -> Result<Table, StoreError> {
    changed.sort_by_key(|row| row.key);
    // The last of one key counts.
    changed.reverse();
    changed.dedup_by_key(|row| row.key);
    changed.reverse();
    let old = before
        .map(|table| table.runs.as_slice())
        .unwrap_or_default();
    let mut total = changed.len() as u64;
    let merged = old
        .iter()
        .take_while(|run| {
            let merge = total > 0 && run.rows < total.saturating_mul(RATIO);
            total += if merge { run.rows } else { 0 };
            merge
        })
        .count();
    let (merged, kept) = old.split_at(merged);
    let mut runs = Vec::with_capacity(kept.len() + 1);
    if !changed.is_empty() {
        let mut sources = vec![Source::Memory(changed.into_iter())];
        sources.extend(merged.iter().map(|run| Source::Run(run.rows())));
        runs.extend(write_run(
            fs,
            dir,
            head.chain.seq,
            sources,
            kept.is_empty(),
        )?);
    }
    runs.extend_from_slice(kept);
    let table = Table { runs };
    let text = encode(head, &table);
    minutebook_fs::replace(
        fs,
        &dir.join(layout::CHECKPOINT),
        text.as_bytes(),
        Durability::Buffered,
    )?;
    Ok(table)
}

/// Why a checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{0}")]
    Fs(#[from] FsError),
    /// One of the runs that it was to be made of.
    #[error("{0}")]
    Damaged(#[from] Damaged),
}

/// Writes the rows of these sources as one run; none if nothing is left of them.
fn write_run(
    fs: &dyn Fs,
    dir: &Path,
    seq: u64,
    sources: Vec<Source>,
    is_last: bool,
) -> Result<Option<Run>, StoreError> {
    let hash = blake3::hash(fs.temp_name().as_bytes()).to_hex();
    let name = layout::run(seq, hash.get(..16).unwrap_or_default());
    let path = dir.join(&name);
    let step = |error| FsError::unknown("checkpoint", "write", &path, error);
    let write = || -> Result<Run, StoreError> {
        let mut merge = Merge::new(sources)?;
        let mut out = RunWriter::create(fs, dir, name.clone()).map_err(step)?;
        while let Some(row) = merge.next()? {
            // Nothing older is left that it would have to hide.
            if !(is_last && row.is_gone()) {
                out.push(&row).map_err(step)?;
            }
        }
        Ok(out.finish().map_err(step)?)
    };
    let written = write();
    if !written.as_ref().is_ok_and(|run| run.rows > 0) {
        // What cannot be removed now is removed by a later checkpoint.
        let _ = fs.remove_file(&path);
    }
    Ok(Some(written?).filter(|run| run.rows > 0))
}

fn encode(head: &Head, table: &Table) -> String {
    let Head {
        offset,
        durable,
        chain,
        proof,
        failed,
    } = head;
    let mut text = format!(
        "{{\"checkpoint\":{FORMAT},\"offset\":{offset},\"durable\":{durable},\"seq\":{},\"head\":\"{}\",\"proof\":\"{proof}\"",
        chain.seq, chain.head,
    );
    if let Some((run, failed)) = failed {
        text.push_str(",\"failed\":[");
        push_string(&mut text, run);
        // Writing to a string cannot fail.
        let _ = write!(text, ",\"{}\"]", failed.as_str());
    }
    text.push_str("}\n");
    for run in &table.runs {
        text.push_str("{\"run\":");
        push_string(&mut text, &run.name);
        // Writing to a string cannot fail.
        let _ = writeln!(text, ",\"rows\":{},\"blocks\":{}}}", run.rows, run.blocks);
    }
    let sum = blake3::hash(text.as_bytes()).to_hex();
    let _ = writeln!(text, "{{\"sum\":\"{sum}\"}}");
    text
}

#[cfg(test)]
mod tests;
