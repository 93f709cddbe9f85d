//! Documents' files that are written, without a name, by the one who saves, while another thread journals and syncs.
//!
//! Nobody sees such a file before it gets its name, which is after the sync as ever, and a crash leaves nothing of it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use minutebook_fs::{Fs, Unnamed, task};

use super::{Op, Store};

/// So many at most, since each is an open file.
const MOST: usize = 64;

#[derive(Debug)]
enum Stage {
    /// The text that it is to hold.
    Wanted(String),
    Written(Unnamed),
    /// Nobody needs it any more, or it cannot be had.
    Over,
}

/// A file that may be prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    stage: Mutex<Stage>,
    count: Arc<AtomicUsize>,
}

impl Prepared {
    fn new(text: &str, count: &Arc<AtomicUsize>) -> Option<Self> {
        let more = |now: usize| (now < MOST).then_some(now + 1);
        let counted = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        counted.ok().map(|_| Self {
            stage: Mutex::new(Stage::Wanted(text.to_owned())),
            count: Arc::clone(count),
        })
    }

    /// Writes the file, unless the one who needs it was faster.
    pub(super) fn write(&self, fs: &dyn Fs, dir: &Path) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Wanted(text) = &*stage {
            // If that fails, who needs it tries again and says why.
            let written = Unnamed::write(fs, dir, text.as_bytes());
            *stage = written.map_or(Stage::Over, Stage::Written);
        }
    }

    /// The file, if it is written, or is just being.
    pub(super) fn take(&self) -> Option<Unnamed> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *stage, Stage::Over) {
            Stage::Written(file) => Some(file),
            Stage::Wanted(_) | Stage::Over => None,
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Store {
    /// What the caller can do meanwhile: for one decision that is new, if another thread carries it out and syncs.
    pub(super) fn prepare(&self, ops: &mut [Op]) -> Option<Arc<Prepared>> {
        let [Op::Save(coming, _)] = ops else {
            return None;
        };
        if self.is_plain() || !self.config.durability.is_synced() || !task::has_pool() {
            return None;
        }
        {
            let state = self.read_state();
            let id = coming.document.decision.id();
            // An update replaces a file that has a name, and one that changes nothing needs none.
            if !state.listed || !state.index.files_of(id).is_empty() {
                return None;
            }
        }
        let prepared = Arc::new(Prepared::new(&coming.text, &self.prepared)?);
        coming.prepared = Some(Arc::clone(&prepared));
        Some(prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutebook_fs::{OsFs, SimFs};

    #[test]
    fn it_is_written_once_and_taken_once() {
        let (dir, count) = (tempfile::tempdir().unwrap(), Arc::default());
        let prepared = Prepared::new("{}", &count).unwrap();
        prepared.write(&OsFs, dir.path());
        prepared.write(&OsFs, dir.path());
        // Where the system has no such files there is none.
        if let Some(file) = prepared.take() {
            let path = dir.path().join("a.json");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
            assert!(file.link(&path).unwrap().0.is_created());
            assert_eq!(std::fs::read(&path).unwrap(), b"{}");
        }
        assert!(prepared.take().is_none());
    }

    #[test]
    fn who_comes_too_late_writes_nothing() {
        let (disk, count) = (SimFs::new(), Arc::default());
        disk.create_dir(Path::new("/d")).unwrap();
        let prepared = Prepared::new("{}", &count).unwrap();
        assert!(prepared.take().is_none());
        let before = disk.operations();
        prepared.write(&disk, Path::new("/d"));
        assert_eq!(disk.operations(), before);
    }

    #[test]
    fn there_are_never_too_many() {
        let count = Arc::default();
        let all: Vec<_> = (0..MOST)
            .map(|_| Prepared::new("{}", &count).unwrap())
            .collect();
        assert!(Prepared::new("{}", &count).is_none());
        drop(all);
        assert!(Prepared::new("{}", &count).is_some());
    }
}
