//! What a line is: an entry, none that is asked for, or damage that is told of.

use std::sync::Arc;

use minutebook_core::series::ReportHandle;
use minutebook_core::time::from_nanos;
use minutebook_core::{Problem, ProblemKind, TimeRange};
use minutebook_fs::Item;

use super::stream::Entry;
use crate::codec::fields::Fields;
use crate::config::EpochUnit;
use crate::error::JsonlError;
use crate::index::{Time, is_blank, malformed, text_of};

/// The file that lines are in.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) resource: Arc<str>,
    /// The number of the segment; `None` for the plain file.
    pub(super) segment: Option<u64>,
}

/// Decides what a line is.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) unit: Option<EpochUnit>,
    pub(super) range: (i64, Option<i64>),
    /// Whether there is a range: then what has no time is left out.
    pub(super) bounded: bool,
    strict: bool,
    /// Where problems go; `None` if they were all told of at the start.
    pub(super) report: Option<ReportHandle>,
}

impl Place {
    pub(super) fn new(resource: &str, segment: Option<u64>) -> Self {
        Self {
            resource: resource.into(),
            segment,
        }
    }
}

impl Judge {
    pub(super) fn new(range: TimeRange, strict: bool, report: ReportHandle) -> Self {
        Self {
            unit: None,
            range: range.nanos(),
            bounded: !range.is_all(),
            strict,
            report: Some(report),
        }
    }

    /// Sets what numbers in the time column count.
    pub(super) fn set_unit(&mut self, unit: Option<EpochUnit>) {
        self.unit = unit;
    }

    /// Whether a line is an entry, without a word about one that is none.
    pub(super) fn is_entry(&self, bytes: &[u8]) -> bool {
        text_of(bytes).is_ok_and(|text| {
            !is_blank(text)
                && self
                    .time(text)
                    .map_or_else(|(kind, _)| kind == ProblemKind::BadTimestamp, |_| true)
        })
    }

    pub(super) fn item(
        &self,
        item: Item<'_>,
        line: Option<u64>,
        place: &Place,
    ) -> Result<Option<Entry>, JsonlError> {
        match item {
            Item::Line(found) => self.line(found.bytes, found.offset, line, place),
            Item::TooLong { offset, end } => {
                let message = format!("a line of {} bytes was skipped", end - offset);
                let problem = Problem::new(ProblemKind::TooLarge, &*place.resource, message);
                self.tell(placed(problem, offset, line)).map(|()| None)
            }
        }
    }

    /// The entry on a line, which is given without its line break, if there is one that is asked for.
    pub(super) fn line(
        &self,
        bytes: &[u8],
        offset: u64,
        line: Option<u64>,
        place: &Place,
    ) -> Result<Option<Entry>, JsonlError> {
        let text = match text_of(bytes) {
            Ok(text) if is_blank(text) => return Ok(None),
            Ok(text) => text,
            Err(found) => return self.told(found, offset, line, place).map(|()| None),
        };
        let nanos = match self.time(text) {
            Ok(nanos) => Some(nanos),
            Err(found) => {
                let kept = found.0 == ProblemKind::BadTimestamp && !self.bounded;
                self.told(found, offset, line, place)?;
                if !kept {
                    return Ok(None);
                }
                None
            }
        };
        let (start, end) = self.range;
        let inside = nanos.is_none_or(|nanos| start <= nanos && end.is_none_or(|end| nanos < end));
        Ok(inside.then(|| {
            let time = nanos.map(from_nanos);
            Entry::new(text.to_owned(), time, offset, line, place.segment)
        }))
    }

    fn time(&self, text: &str) -> Result<i64, (ProblemKind, String)> {
        let mut fields = Fields::new(text);
        let mut time = Time::Missing;
        while let Some(field) = fields.next().map_err(|flaw| malformed(&flaw))? {
            if field.is(minutebook_core::series::batch::TIMESTAMP) {
                time.meet(&field, self.unit);
            }
        }
        time.instant()
    }

    fn told(
        &self,
        (kind, message): (ProblemKind, String),
        offset: u64,
        line: Option<u64>,
        place: &Place,
    ) -> Result<(), JsonlError> {
        self.tell(placed(
            Problem::new(kind, &*place.resource, message),
            offset,
            line,
        ))
    }

    pub(super) fn tell(&self, problem: Problem) -> Result<(), JsonlError> {
        let Some(report) = &self.report else {
            return Ok(());
        };
        if self.strict {
            return Err(JsonlError::Damaged(Box::new(problem)));
        }
        tracing::debug!(%problem, "a line is no entry");
        report.add(problem);
        Ok(())
    }
}

fn placed(problem: Problem, offset: u64, line: Option<u64>) -> Problem {
    let problem = problem.at_byte(offset);
    match line {
        Some(line) => problem.at_line(line + 1),
        None => problem,
    }
}
