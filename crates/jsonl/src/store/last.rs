//! The end of a store: when nobody has a handle of it any more.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::{Store, lock};

/// The thread that writes an index down.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// It, or the one that did so last.
    pub(super) thread: Option<JoinHandle<()>>,
    /// Nobody is left who would wait for another one.
    pub(super) ended: bool,
}

/// What repositories and appenders share, beside the store. As the last of them is dropped it waits for the thread that writes an index down, and no other is started
/// after that: a program that ends then leaves a whole index.
#[derive(Debug)]
pub(crate) struct Last(pub(crate) Arc<Store>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.sealers.end();
        let thread = {
            let mut keeper = lock(&self.0.keeper);
            keeper.ended = true;
            keeper.thread.take()
        };
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes indexes panicked");
        }
    }
}
