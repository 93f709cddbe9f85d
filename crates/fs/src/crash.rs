//! Crash tests: an operation is stopped after each of its steps, and every state of the disk that this may leave is
//! looked at.
//!
//! ```
//! use std::path::Path;
//! use minutebook_fs::crash::{self, Kind, Options};
//! use minutebook_fs::{Durability, read, replace};
//!
//! let path = Path::new("/doc");
//! let report = crash::enumerate(
//!     &Options::default(),
//!     |disk| replace(disk, path, b"old", Durability::Synced).map_err(|e| e.to_string()),
//!     |disk| replace(disk, path, b"new", Durability::Synced),
//!     |crashed| {
//!         let found = read(&crashed.disk, path, 10).map_err(|e| e.to_string())?.unwrap_or_default();
//!         match (crashed.out.is_ok(), found.as_slice()) {
//!             (true, b"new") | (false, b"old" | b"new") => Ok(()),
//!             (_, other) => Err(format!("{other:?}")),
//!         }
//!     },
//! )?;
//! assert!(report.states > 10);
//! # Ok::<(), Box<crash::Failure>>(())
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sim::{Images, OpEvent, OpKind, SimFs};

/// Settings of [`enumerate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// Which states a power cut leaves are looked at, for each step.
    pub images: Images,
}

impl Options {
    /// Sets which states a power cut leaves are looked at, for each step.
    #[must_use]
    pub fn images(mut self, images: Images) -> Self {
        self.images = images;
        self
    }
}

/// What stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The process: all that it did is there, its locks are free.
    Process,
    /// The machine: what was not synced may be lost.
    Power,
}

/// A state that a crash left.
#[derive(Debug)]
pub struct Crashed<'a, T> {
    /// The disk, as the next process finds it.
    pub disk: SimFs,
    /// What stopped.
    pub kind: Kind,
    /// How many mutating operations were done.
    pub step: u64,
    /// Whether the operation had come to its end.
    pub completed: bool,
    /// What the operation returned: what it acknowledged.
    pub out: &'a T,
    /// What became of the changes that were not durable, in words.
    pub what: &'a str,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Mutating operations of one undisturbed run.
    pub steps: u64,
    /// Runs that were stopped, or came to their end.
    pub runs: u64,
    /// States of the disk that were checked.
    pub states: u64,
}

/// A state that did not pass the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the check said.
    pub message: String,
    /// What stopped, and where.
    pub place: String,
    /// What became of the changes that were not durable.
    pub what: String,
    /// The operations up to there.
    pub trace: Vec<OpEvent>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message)?;
        writeln!(f, "  {}", self.place)?;
        if !self.what.is_empty() {
            writeln!(f, "  {}", self.what)?;
        }
        for (i, event) in self.trace.iter().enumerate() {
            writeln!(f, "  {i:4} {event}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Runs `operation` on a fresh disk once for each place where it can be stopped, and `check` on every state of the
/// disk that this may leave.
///
/// `setup` makes the disk, and what it made is durable. `operation` runs as a process of its own; its calls fail from
/// some step on, and what it returns should say what it acknowledged until then. A stopped append leaves any part of
/// its bytes. `check` opens the disk as a program would that starts after the crash; it may write, since each state is
/// a copy. A panic in it is a failure with its message.
///
/// `setup` and `operation` must do the same each time: one thread, no clock, no chance.
///
/// # Errors
///
/// The first [`Failure`].
pub fn enumerate<T>(
    options: &Options,
    setup: impl Fn(&SimFs) -> Result<(), String>,
    operation: impl Fn(&SimFs) -> T,
    check: impl Fn(&Crashed<'_, T>) -> Result<(), String>,
) -> Result<Report, Box<Failure>> {
    let prepare = || -> Result<SimFs, Box<Failure>> {
        let disk = SimFs::new();
        setup(&disk).map_err(|message| {
            Box::new(Failure {
                message,
                place: "in the setup".to_owned(),
                what: String::new(),
                trace: disk.trace(),
            })
        })?;
        disk.settle();
        Ok(disk)
    };
    let undisturbed = prepare()?.new_process();
    operation(&undisturbed);
    let trace = undisturbed.trace();
    let mut report = Report {
        steps: trace.len() as u64,
        runs: 0,
        states: 0,
    };
    for step in 0..=report.steps {
        let event = usize::try_from(step).ok().and_then(|i| trace.get(i));
        for bytes in parts(event) {
            let process = prepare()?.new_process();
            process.crash_within(step, bytes);
            let out = operation(&process);
            report.runs += 1;
            let run = Run {
                process: &process,
                step,
                event,
                bytes,
                out: &out,
            };
            run.check(options, &check, &mut report)?;
        }
    }
    Ok(report)
}

/// How much of a stopped append to leave.
fn parts(event: Option<&OpEvent>) -> Vec<usize> {
    let mut parts = vec![0];
    if let Some(event) =
        event.filter(|event| matches!(event.kind, OpKind::Append | OpKind::WriteAt))
    {
        parts.extend([1, event.bytes / 2, event.bytes.saturating_sub(1)]);
    }
    parts.sort_unstable();
    parts.dedup();
    parts
}

struct Run<'a, T> {
    process: &'a SimFs,
    step: u64,
    event: Option<&'a OpEvent>,
    bytes: usize,
    out: &'a T,
}

impl<T> Run<'_, T> {
    fn check(
        &self,
        options: &Options,
        check: &impl Fn(&Crashed<'_, T>) -> Result<(), String>,
        report: &mut Report,
    ) -> Result<(), Box<Failure>> {
        let mut states = vec![(Kind::Process, self.process.process_crash(), String::new())];
        let images = self.process.images_after_crash(&options.images);
        states.extend(
            images
                .into_iter()
                .map(|image| (Kind::Power, image.fs, image.what)),
        );
        for (kind, disk, what) in states {
            report.states += 1;
            let crashed = Crashed {
                disk,
                kind,
                step: self.step,
                completed: self.event.is_none(),
                out: self.out,
                what: &what,
            };
            let result =
                catch_unwind(AssertUnwindSafe(|| check(&crashed))).unwrap_or_else(|panic| {
                    Err(format!(
                        "the check panicked: {}",
                        crate::task::message(&*panic)
                    ))
                });
            if let Err(message) = result {
                let place = self.place(kind);
                return Err(Box::new(Failure {
                    message,
                    place,
                    what,
                    trace: self.process.trace(),
                }));
            }
        }
        Ok(())
    }

    fn place(&self, kind: Kind) -> String {
        let kind = match kind {
            Kind::Process => "process killed",
            Kind::Power => "power cut",
        };
        match self.event {
            None => format!("{kind} after the operation had come to its end"),
            Some(event) if self.bytes > 0 => format!(
                "{kind} at step {}, with {} bytes of {event}",
                self.step, self.bytes
            ),
            Some(event) => format!("{kind} before step {}: {event}", self.step),
        }
    }
}

#[cfg(test)]
mod tests;
