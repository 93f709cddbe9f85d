//! How many of those who follow keep their file open between two looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many more files may be kept open.
#[derive(Debug, Clone)]
pub(crate) struct Handles(Arc<AtomicUsize>);

/// One of them. Dropped, another may be kept open.
#[derive(Debug)]
pub(super) struct Handle(Handles);

impl Handles {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(most)))
    }

    /// `None` if there are as many as may be.
    pub(super) fn take(&self) -> Option<Handle> {
        let one_less = |free: usize| free.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.is_ok().then(|| Handle(self.clone()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}
