//! What goes to the user: results to standard output, everything else to standard error.

pub(crate) mod format;
pub(crate) mod progress;
pub(crate) mod rows;
pub(crate) mod table;

use std::io::Write;

use minutebook::ReadReport;
use serde::Serialize;
use serde_json::Value;

use crate::failure::{Exit, Failure, Outcome};

/// How many warnings of one kind are spelled out before they are only counted.
const SPELLED_OUT: usize = 20;

/// Where output goes and in which form.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
pub(crate) struct Output<'a> {
    pub(crate) stdout: &'a mut dyn Write,
    pub(crate) stderr: &'a mut dyn Write,
    /// Results as JSON.
    pub(crate) json: bool,
    /// No notes and no warnings.
    pub(crate) quiet: bool,
    /// Colour on standard error.
    pub(crate) color: bool,
    /// Whether somebody watches standard error.
    pub(crate) watched: bool,
    /// How wide a table may be; `None` is as wide as it needs.
    pub(crate) width: Option<u16>,
}

impl Output<'_> {
    /// A line of results.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Outcome {
        self.stdout.write_all(text.as_ref().as_bytes())?;
        self.stdout.write_all(b"\n")?;
        Ok(())
    }

    /// A JSON value on one line of results.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Outcome {
        let text = serde_json::to_string(value).map_err(|error| {
            Failure::new(Exit::Failure, format!("cannot write the output: {error}"))
        })?;
        self.line(text)
    }

    /// The result of a command that does something: a value for programs, a sentence for people.
    pub(crate) fn result(&mut self, value: &Value, sentence: impl AsRef<str>) -> Outcome {
        if self.json {
            self.json_line(value)
        } else {
            self.line(sentence)
        }
    }

    /// A remark that is no result.
    pub(crate) fn note(&mut self, text: impl AsRef<str>) {
        if !self.quiet {
            self.say("", text.as_ref());
        }
    }

    /// Something that the user should look at, but that stops nothing.
    pub(crate) fn warn(&mut self, text: impl AsRef<str>) {
        if !self.quiet {
            let label = if self.color {
                "\x1b[33mwarning:\x1b[0m "
            } else {
                "warning: "
            };
            self.say(label, text.as_ref());
        }
    }

    /// What went wrong.
    pub(crate) fn error(&mut self, text: &str) {
        let label = if self.color {
            "\x1b[31merror:\x1b[0m "
        } else {
            "error: "
        };
        self.say(label, text);
    }

    /// Everything that a read met, one warning each, cut where it gets long.
    pub(crate) fn report(&mut self, report: &ReadReport) {
        for problem in report.problems().iter().take(SPELLED_OUT) {
            self.warn(problem.to_string());
        }
        let more = report.total().saturating_sub(SPELLED_OUT as u64);
        if more > 0 {
            self.warn(format!("and {} more", format::count(more)));
        }
    }

    fn say(&mut self, label: &str, text: &str) {
        // There is nowhere left to complain if standard error itself is gone.
        let _ = writeln!(self.stderr, "{label}{text}");
    }

    /// Pushes out what was buffered.
    pub(crate) fn finish(&mut self) -> Outcome {
        self.stdout.flush()?;
        Ok(())
    }
}
