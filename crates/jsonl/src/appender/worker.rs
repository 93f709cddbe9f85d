//! The thread that writes what was pushed.

use std::sync::Arc;

use minutebook_fs::Durability;

use super::queue::{Job, Queue, Waiting};
use crate::entries::append_lines;
use crate::error::{Failure, JsonlError};
use crate::store::{Series, Store};

/// Writes until the queue is closed and empty.
pub(super) fn run(queue: &Queue, store: &Arc<Store>) {
    let end = End { queue };
    loop {
        match queue.next() {
            Job::Write(batch, upto) => match write(store, batch) {
                Ok(due) => {
                    queue.note_written(upto);
                    for series in due {
                        series.keep_index(store);
                    }
                }
                Err((error, rest)) => {
                    let series = rest.first().map(|waiting| waiting.series.id.to_string());
                    stop(queue, &error, series, rest);
                }
            },
            Job::Sync(upto) => match store.sync() {
                Ok(()) => queue.note_durable(upto),
                Err(error) => stop(queue, &error, None, Vec::new()),
            },
            Job::End => break,
        }
    }
    drop(end);
}

fn stop(queue: &Queue, error: &JsonlError, series: Option<String>, rest: Vec<Waiting>) {
    let failure = Failure::new(error, series);
    tracing::error!(%failure, entries = rest.iter().map(|waiting| waiting.lines.count).sum::<u64>(), "the appender stops: a write or a sync failed");
    queue.fail(failure, rest);
}

/// One lock and one write for each series. Gives the series whose index is to be written down; what was not written, if one of them fails.
fn write(
    store: &Arc<Store>,
    batch: Vec<Waiting>,
) -> Result<Vec<Arc<Series>>, (JsonlError, Vec<Waiting>)> {
    let mut due = Vec::new();
    let mut batch = batch.into_iter();
    while let Some(waiting) = batch.next() {
        let written = append_lines(store, &waiting.series, &waiting.lines, Durability::Buffered);
        match written {
            Ok(_) if waiting.series.index_is_due(store) => due.push(waiting.series),
            Ok(_) => {}
            Err(error) => {
                let rest = std::iter::once(waiting).chain(batch).collect();
                return Err((error, rest));
            }
        }
    }
    Ok(due)
}

/// Tells those who wait that the thread has ended, also when it panicked.
struct End<'a> {
    queue: &'a Queue,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.queue.end(std::thread::panicking());
    }
}
