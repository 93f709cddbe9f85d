//! The lines of one file, each judged.

use std::io;
use std::path::Path;

use minutebook_core::check::{Finding, FindingKind, Mend, Watch};
use minutebook_core::series::batch::TIMESTAMP;
use minutebook_core::{ProblemKind, SeriesId};
use minutebook_fs::{Item, LineReader, TornTail};

use crate::codec::fields::Fields;
use crate::config::EpochUnit;
use crate::index::{Time, is_blank, malformed, text_of};

/// The lines of one file as they come by.
pub(super) struct Lines<'a> {
    pub(super) watch: &'a dyn Watch,
    /// Where findings go, if not to the watch at once.
    pub(super) told: Option<Vec<Finding>>,
    pub(super) id: &'a SeriesId,
    pub(super) path: &'a Path,
    /// The lock of those who append to the file; a sealed one has none, and the backend takes lines out of it.
    pub(super) lock: Option<&'a Path>,
    pub(super) unit: Option<EpochUnit>,
    pub(super) line: u64,
    pub(super) entries: u64,
}

impl Lines<'_> {
    pub(super) fn read(&mut self, reader: &mut LineReader) -> io::Result<()> {
        while let Some(item) = reader.next()? {
            self.line += 1;
            let (offset, end) = (item.offset(), item.end());
            match item {
                Item::Line(line) => match judge(line.bytes, self.unit) {
                    Ok(Some(_)) => self.entries += 1,
                    Ok(None) => {}
                    Err((ProblemKind::BadTimestamp, why)) => {
                        self.entries += 1;
                        self.tell(FindingKind::TickLineUntimed, why, offset, None);
                    }
                    Err((_, why)) => {
                        self.tell(FindingKind::TickLineMalformed, why, offset, Some(end));
                    }
                },
                Item::TooLong { .. } => {
                    let why = format!("a line of {} bytes", end - offset);
                    self.tell(FindingKind::TickLineTooLong, why, offset, None);
                }
            }
            self.watch.progress(end - offset);
            if self.line.is_multiple_of(4_096) && self.watch.stopped() {
                break;
            }
        }
        Ok(())
    }

    fn tell(&mut self, kind: FindingKind, why: String, offset: u64, take_out_to: Option<u64>) {
        let mut finding = Finding::new(kind, self.path, why)
            .about(self.id)
            .at_line(self.line)
            .at_byte(offset);
        if let Some(to) = take_out_to {
            finding = finding
                .mended_by(match self.lock {
                    Some(lock) => Mend::TakeOut {
                        from: offset,
                        to: Some(to),
                        lock: Some(lock.to_owned()),
                    },
                    None => Mend::Backend,
                })
                .losing_data();
        }
        match &mut self.told {
            Some(told) => told.push(finding),
            None => self.watch.found(finding),
        }
    }

    pub(super) fn torn(&self, torn: TornTail, bytes: Option<&[u8]>) {
        let Some(lock) = self.lock else { return };
        let whole = bytes.is_some_and(|bytes| matches!(judge(bytes, self.unit), Ok(Some(_))));
        let (cause, mend) = if whole {
            let mend = Mend::CloseLine {
                lock: lock.to_owned(),
            };
            (
                "a whole entry without its newline: a writer died, or another program ended the file so",
                mend,
            )
        } else {
            let mend = Mend::TakeOut {
                from: torn.offset,
                to: None,
                lock: Some(lock.to_owned()),
            };
            ("a part of a line: a writer died while it wrote it", mend)
        };
        self.watch.found(
            Finding::new(FindingKind::TickTornTail, self.path, cause)
                .about(self.id)
                .at_line(self.line + 1)
                .at_byte(torn.offset)
                .mended_by(mend),
        );
    }
}

/// The time of the entry on a line; `None` if the line is blank.
pub(crate) fn judge(
    bytes: &[u8],
    unit: Option<EpochUnit>,
) -> Result<Option<i64>, (ProblemKind, String)> {
    let text = text_of(bytes)?;
    if is_blank(text) {
        return Ok(None);
    }
    let mut fields = Fields::new(text);
    let mut time = Time::Missing;
    while let Some(field) = fields.next().map_err(|flaw| malformed(&flaw))? {
        if field.is(TIMESTAMP) {
            time.meet(&field, unit);
        }
    }
    time.instant().map(Some)
}
