//! Which entries of a directory changed, as the system itself tells.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;

/// Tells which entries of one directory were created, removed, renamed or written to since it was asked last, by any
/// process of this machine, this one included: see [`Fs::watch_dir`](crate::Fs::watch_dir).
///
/// # Behavior
///
/// - A change is told by the first call that starts after the system call that made it has returned.
/// - An entry may be told several times, and also if in the end nothing about it is different.
/// - Nothing is told of what a program writes through a memory map, or through a name of the file in another directory.
pub trait DirWatch: Debug + Send + 'static {
    /// Calls `changed` with the name of each entry that changed. `false` if changes may be missing from what was told: too many
    /// at once, or the directory was removed or renamed. Then everything has to be looked at again, under a new watch.
    fn changes(&mut self, changed: &mut dyn FnMut(&OsStr)) -> io::Result<bool>;
}
