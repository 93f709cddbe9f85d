//! What can still be read of a damaged file.

use arrow_array::RecordBatch;
use minutebook_core::series::batch::timestamps;

use super::Inner;
use crate::codec::{Segments, Wanted, has_checksums, without};
use crate::error::{Fault, Result};
use crate::log::{Log, Segment};

/// A stretch that cannot be read is halved until it has no more rows than this.
const SMALLEST: u64 = 64;

/// What a damaged file still gives.
#[derive(Default)]
pub(super) struct Readable {
    pub(super) batches: Vec<RecordBatch>,
    /// From when to when rows are lost, with the times of the rows before and after: there may have been more of the same time.
    pub(super) lost: Vec<(i64, i64)>,
}

impl Readable {
    fn nothing(segment: &Segment) -> Self {
        Self {
            batches: Vec::new(),
            lost: vec![(segment.min, segment.max)],
        }
    }
}

impl Inner {
    /// The rows of a segment that count and can be read, in their order.
    pub(super) async fn readable(&self, log: &Log, segment: &Segment) -> Result<Readable> {
        let reader = self.segments(log);
        if !may_be_vouched_for(&reader, segment).await? {
            return Ok(Readable::nothing(segment));
        }
        let mut open = without(0..segment.rows, &segment.dead);
        open.reverse();
        let mut found = Readable::default();
        // The time of the row before, and whether rows after it are lost.
        let (mut before, mut torn) = (segment.min, false);
        while let Some(rows) = open.pop() {
            let wanted = Wanted {
                columns: None,
                rows: vec![rows.clone()],
                batch_size: 1 << 16,
            };
            match reader.vouched_rows(segment, wanted).await {
                Ok(batches) => {
                    for batch in batches {
                        let times = timestamps(&batch)?.values();
                        let (Some(first), Some(last)) = (times.first(), times.last()) else {
                            continue;
                        };
                        if std::mem::take(&mut torn) {
                            found.lost.push((before, *first));
                        }
                        before = *last;
                        found.batches.push(batch);
                    }
                }
                Err(Fault::Corrupt { .. }) if rows.end - rows.start > SMALLEST => {
                    let middle = rows.start + (rows.end - rows.start) / 2;
                    open.push(middle..rows.end);
                    open.push(rows.start..middle);
                }
                Err(Fault::Corrupt { .. }) => torn = true,
                Err(Fault::Vanished { .. }) => return Ok(Readable::nothing(segment)),
                Err(fault) => return Err(fault),
            }
        }
        if torn {
            found.lost.push((before, segment.max));
        }
        Ok(found)
    }
}

/// Whether a file has checksums in its pages at all; ours have, those of other programs need not. A page that lacks one is refused when it is read.
async fn may_be_vouched_for(reader: &Segments, segment: &Segment) -> Result<bool> {
    let path = reader.path(segment);
    let all = 0..segment.bytes;
    let bytes = reader.storage.ranges(&path, std::slice::from_ref(&all));
    let (footer, bytes) = match (reader.footer(segment).await, bytes.await) {
        (Ok(footer), Ok(bytes)) => (footer, bytes),
        // Cut, or its footer is damaged: nothing of it can be read.
        (Err(Fault::Corrupt { .. } | Fault::Vanished { .. }), _)
        | (_, Err(Fault::Corrupt { .. } | Fault::Vanished { .. })) => return Ok(false),
        (Err(fault), _) | (_, Err(fault)) => return Err(fault),
    };
    let file = bytes.first();
    Ok(file.is_some_and(|file| has_checksums(footer.metadata(), file)))
}
