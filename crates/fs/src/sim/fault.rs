//! Faults that a test arranges for.

use std::io;
use std::path::Path;

use super::process::OpKind;

/// A fault: which operation it hits, and what happens then.
///
/// ```
/// use minutebook_fs::{Fault, OpKind, SimFs};
/// let disk = SimFs::new();
/// // The second sync of a file whose path contains "journal" fails with EIO.
/// disk.inject(Fault::on(OpKind::SyncData).at("journal").after(1).errno(5));
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    kind: OpKind,
    path: Option<String>,
    skip: u64,
    times: u64,
    effect: Effect,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    Kind(io::ErrorKind),
    Errno(i32),
    Short(usize),
}

impl Fault {
    /// A fault of the next operation of this kind: EIO, unless another effect is set.
    pub fn on(kind: OpKind) -> Self {
        Self {
            kind,
            path: None,
            skip: 0,
            times: 1,
            effect: Effect::Errno(5),
        }
    }

    /// Only on paths that contain this text.
    #[must_use]
    pub fn at(mut self, part_of_path: &str) -> Self {
        self.path = Some(part_of_path.to_owned());
        self
    }

    /// Lets this many such operations pass first.
    #[must_use]
    pub fn after(mut self, operations: u64) -> Self {
        self.skip = operations;
        self
    }

    /// Hits this many operations.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Hits all operations from then on.
    #[must_use]
    pub fn forever(self) -> Self {
        self.times(u64::MAX)
    }

    /// The operation fails with this kind of error and changes nothing.
    #[must_use]
    pub fn error(mut self, kind: io::ErrorKind) -> Self {
        self.effect = Effect::Kind(kind);
        self
    }

    /// The operation fails with this error number of the operating system (5 is EIO) and changes nothing.
    #[must_use]
    pub fn errno(mut self, errno: i32) -> Self {
        self.effect = Effect::Errno(errno);
        self
    }

    /// An append takes this many bytes only and reports that. Other operations are not affected.
    #[must_use]
    pub fn short(mut self, bytes: usize) -> Self {
        self.effect = Effect::Short(bytes);
        self
    }

    pub(super) fn strike(&mut self, kind: OpKind, path: &Path) -> Option<Effect> {
        let text = path.to_string_lossy();
        if kind != self.kind
            || self.times == 0
            || self
                .path
                .as_ref()
                .is_some_and(|part| !text.contains(part.as_str()))
        {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if self.times != u64::MAX {
            self.times -= 1;
        }
        Some(self.effect)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.times == 0
    }
}
