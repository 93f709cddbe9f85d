//! Who is told of findings and of progress while a check goes on.

use std::fmt::Debug;
use std::sync::Mutex;

use super::finding::Finding;

/// Takes findings and progress. Checks may call it from several threads.
pub trait Watch: Debug + Send + Sync {
    /// Something was found.
    fn found(&self, finding: Finding);

    /// So many more bytes were looked at.
    fn progress(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Whether the check is to stop.
    fn stopped(&self) -> bool {
        false
    }
}

/// Keeps every finding.
impl Watch for Mutex<Vec<Finding>> {
    fn found(&self, finding: Finding) {
        self.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(finding);
    }
}
