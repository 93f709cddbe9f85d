//! What was read of segments and is kept in memory: segments never change, so it stays true.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;

use super::footer::Footer;

/// What a key, its place in the order of use and their bookkeeping take, roughly.
const OVERHEAD: usize = 256;

/// The footers and newest rows used last, up to so many bytes together.
#[derive(Debug)]
pub(crate) struct SegmentCache {
    room: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    /// Keys by when they were last used.
    order: BTreeMap<u64, Key>,
    bytes: usize,
    clock: u64,
}

/// The path of a file, and for rows their columns; none for its footer.
type Key = (String, Option<Columns>);
/// Names of columns; none for all.
type Columns = Option<Vec<String>>;

#[derive(Debug)]
struct Entry {
    value: Value,
    bytes: usize,
    used: u64,
}

#[derive(Debug, Clone)]
enum Value {
    Footer(Arc<Footer>),
    Rows(RecordBatch),
}

impl SegmentCache {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            room,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn footer(&self, path: &str) -> Option<Arc<Footer>> {
        match self.get(&(path.to_owned(), None)) {
            Some(Value::Footer(footer)) => Some(footer),
            _ => None,
        }
    }

    pub(crate) fn keep_footer(&self, path: &str, footer: &Arc<Footer>) {
        // The Arrow form of the schema and what leads to the metadata take about as much again as a small footer does.
        let bytes = footer.metadata().memory_size() + 4_096;
        self.keep(
            (path.to_owned(), None),
            Value::Footer(Arc::clone(footer)),
            bytes,
        );
    }

    /// The last rows of a segment, as they were kept.
    pub(crate) fn rows(&self, path: &str, columns: &Columns) -> Option<RecordBatch> {
        match self.get(&(path.to_owned(), Some(columns.clone()))) {
            Some(Value::Rows(rows)) => Some(rows),
            _ => None,
        }
    }

    pub(crate) fn keep_rows(&self, path: &str, columns: &Columns, rows: &RecordBatch) {
        let bytes = rows.get_array_memory_size();
        self.keep(
            (path.to_owned(), Some(columns.clone())),
            Value::Rows(rows.clone()),
            bytes,
        );
    }

    fn get(&self, key: &Key) -> Option<Value> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept {
            entries,
            order,
            clock,
            ..
        } = &mut *kept;
        let entry = entries.get_mut(key)?;
        *clock += 1;
        if let Some(key) = order.remove(&entry.used) {
            order.insert(*clock, key);
        }
        entry.used = *clock;
        Some(entry.value.clone())
    }

    fn keep(&self, key: Key, value: Value, bytes: usize) {
        let bytes = bytes + OVERHEAD + key.0.len();
        // One thing must not push out everything else.
        if bytes > self.room / 4 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(&key);
        kept.clock += 1;
        let used = kept.clock;
        kept.order.insert(used, key.clone());
        kept.entries.insert(key, Entry { value, bytes, used });
        kept.bytes += bytes;
        while kept.bytes > self.room
            && let Some((_, oldest)) = kept.order.first_key_value()
        {
            let oldest = oldest.clone();
            kept.forget(&oldest);
        }
    }
}

impl Kept {
    fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;

    use super::*;

    fn rows(count: usize) -> RecordBatch {
        let values = Int64Array::from(vec![1; count]);
        RecordBatch::try_from_iter([("x", Arc::new(values) as _)]).unwrap()
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let cache = SegmentCache::new(10_000);
        for path in ["a", "b", "c"] {
            cache.keep_rows(path, &None, &rows(250));
        }
        assert!(cache.rows("a", &None).is_some());
        for path in ["d", "e"] {
            cache.keep_rows(path, &None, &rows(250));
        }
        let there = |path| cache.rows(path, &None).is_some();
        assert!(there("a") && !there("b") && there("e"));
        assert!(cache.kept.lock().unwrap().bytes <= 10_000);
    }

    #[test]
    fn columns_tell_entries_apart_and_what_is_too_large_is_not_kept() {
        let cache = SegmentCache::new(10_000);
        let some = Some(vec!["x".to_owned()]);
        cache.keep_rows("a", &some, &rows(3));
        assert!(cache.rows("a", &some).is_some() && cache.rows("a", &None).is_none());
        cache.keep_rows("a", &some, &rows(4));
        assert_eq!(cache.rows("a", &some).unwrap().num_rows(), 4);
        cache.keep_rows("big", &None, &rows(1_000));
        assert!(cache.rows("big", &None).is_none());
        assert!(SegmentCache::new(0).rows("a", &some).is_none());
    }
}
