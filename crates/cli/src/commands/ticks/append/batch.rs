//! Entries on their way into the store: collected by symbol, appended together.

use indexmap::IndexMap;
use minutebook::jsonl::TimeField;
use minutebook::{Minutebook, SeriesId, Symbol};

use crate::failure::{Failure, Outcome};

/// How many bytes are collected before they are appended.
const COLLECTED: usize = 64 << 20;

/// Entries that wait, and what was appended.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    book: &'a Minutebook,
    waiting: IndexMap<Symbol, Vec<String>>,
    bytes: usize,
    appended: IndexMap<SeriesId, u64>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(book: &'a Minutebook) -> Self {
        Self {
            book,
            waiting: IndexMap::new(),
            bytes: 0,
            appended: IndexMap::new(),
        }
    }

    /// Takes an entry and says whether it is time to flush.
    pub(super) fn push(&mut self, symbol: Symbol, entry: String) -> bool {
        self.bytes += entry.len();
        self.waiting.entry(symbol).or_default().push(entry);
        self.bytes >= COLLECTED
    }

    /// Appends what waits, in one write for each symbol.
    pub(super) async fn flush(&mut self, time: &TimeField) -> Outcome {
        self.bytes = 0;
        if self.waiting.is_empty() {
            return Ok(());
        }
        let log = self
            .book
            .tick_log()?
            .ok_or_else(|| Failure::usage("this store keeps its ticks elsewhere than in files"))?;
        for (symbol, entries) in std::mem::take(&mut self.waiting) {
            let series = SeriesId::ticks(symbol);
            let receipt = log.append_entries_at(&series, &entries, time).await?;
            *self.appended.entry(series).or_default() += receipt.inserted;
        }
        Ok(())
    }

    /// How many entries were appended.
    pub(super) fn appended(&self) -> u64 {
        self.appended.values().sum()
    }

    /// The series that got entries, and how many.
    pub(super) fn symbols(&self) -> impl Iterator<Item = (&SeriesId, u64)> {
        self.appended
            .iter()
            .map(|(series, entries)| (series, *entries))
    }
}
