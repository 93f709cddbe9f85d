//! The thread that writes what was pushed.

use std::collections::VecDeque;
use std::sync::Arc;

use minutebook_fs::Durability;

use super::queue::Queue;
use super::state::{Job, Waiting};
use crate::entries::append_lines;
use crate::error::{Failure, JsonlError};
use crate::store::{Series, Store};

/// Writes until the queue is closed and empty.
pub(super) fn run(queue: &Queue, store: &Arc<Store>) {
    let mut end = End {
        queue,
        hand: VecDeque::new(),
    };
    loop {
        match queue.next() {
            Job::Write(batch, upto) => match write(queue, store, end.take(batch)) {
                Ok((due, entries)) => {
                    queue.note_written(upto, entries);
                    for series in due {
                        if !series.keep_index_aside(store) {
                            series.keep_index(store);
                        }
                    }
                }
                Err(error) => {
                    let rest: Vec<_> = end.hand.drain(..).collect();
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

/// One lock and one write for each series. What is written is taken out of the batch, and so is what a series refuses: the others go on. Gives the series whose index is
/// to be written down, and how many entries were written.
fn write(
    queue: &Queue,
    store: &Arc<Store>,
    batch: &mut VecDeque<Waiting>,
) -> Result<(Vec<Arc<Series>>, u64), JsonlError> {
    let (mut due, mut entries) = (Vec::new(), 0);
    while let Some(waiting) = batch.front() {
        match append_lines(store, &waiting.series, &waiting.lines, Durability::Buffered) {
            Ok(_) => {
                entries += waiting.lines.count;
                let written = batch.pop_front().map(|waiting| waiting.series);
                due.extend(written.filter(|series| series.index_is_due(store)));
            }
            Err(error) if error.is_of_the_series() => {
                let failure = Failure::new(&error, Some(waiting.series.id.to_string()));
                tracing::error!(%failure, entries = waiting.lines.count, "the entries of a series were refused; those of others are written");
                if let Some(refused) = batch.pop_front() {
                    queue.refuse(&failure, refused);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok((due, entries))
}

/// Tells those who wait that the thread has ended, also when it panicked: then what it had in hand is not known to be written.
struct End<'a> {
    queue: &'a Queue,
    hand: VecDeque<Waiting>,
}

impl End<'_> {
    fn take(&mut self, batch: Vec<Waiting>) -> &mut VecDeque<Waiting> {
        self.hand = batch.into();
        &mut self.hand
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.queue
            .end(std::thread::panicking(), self.hand.drain(..).collect());
    }
}
