//! Memory for lines that is used again. Fresh memory costs as much as writing lines into it: the system gives out and clears each page of it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// About so many bytes of lines are in one piece: they stay in the processor's cache until they are in the file.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// The room of a piece: the last line may go beyond.
const ROOM: usize = PIECE_BYTES + (16 << 10);

/// So many are kept by a process, 17 MB in all.
const MOST: usize = 64;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Room for a piece of lines, which goes back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    pub(crate) fn new() -> Self {
        let known = free().pop();
        Self(known.unwrap_or_else(|| Vec::with_capacity(ROOM)))
    }

    /// Bytes that were put elsewhere.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        // One that grew for a long line is given back to the system.
        if (ROOM..=2 * ROOM).contains(&bytes.capacity()) {
            bytes.clear();
            let mut free = free();
            if free.len() < MOST {
                free.push(bytes);
            }
        }
    }
}

fn free() -> MutexGuard<'static, Vec<Vec<u8>>> {
    // Nothing here is left half-done by a panic.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}
