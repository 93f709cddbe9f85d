//! Group commit: mutations that wait at the same time are carried out by one of the waiting threads, with one sync.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Done, Op};
use crate::error::{JsonError, Result};

#[derive(Debug)]
struct Job {
    ops: Mutex<Option<Vec<Op>>>,
    done: Mutex<Option<Vec<Result<Done>>>>,
}

/// Mutations that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Vec<Arc<Job>>>,
    turn: Mutex<()>,
}

impl Queue {
    /// Returns when `ops` were carried out, by this thread or another, and gives one result for each.
    pub(crate) fn submit(
        &self,
        ops: Vec<Op>,
        run: impl FnOnce(Vec<Op>) -> Vec<Result<Done>>,
    ) -> Vec<Result<Done>> {
        let count = ops.len();
        let job = Arc::new(Job {
            ops: Mutex::new(Some(ops)),
            done: Mutex::new(None),
        });
        lock(&self.waiting).push(Arc::clone(&job));
        let turn = lock(&self.turn);
        if let Some(done) = lock(&job.done).take() {
            return done;
        }
        let jobs = std::mem::take(&mut *lock(&self.waiting));
        let mut all = Vec::new();
        let mut shares = Vec::with_capacity(jobs.len());
        for job in jobs {
            let ops = lock(&job.ops).take().unwrap_or_default();
            shares.push((job, ops.len()));
            all.extend(ops);
        }
        let mut results = run(all).into_iter();
        for (job, share) in shares {
            *lock(&job.done) = Some(results.by_ref().take(share).collect());
        }
        drop(turn);
        // Empty only if another thread took this job and panicked over it.
        lock(&job.done)
            .take()
            .unwrap_or_else(|| (0..count).map(|_| Err(JsonError::Abandoned)).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn deletes(ids: &[String]) -> Vec<Op> {
        ids.iter()
            .map(|id| Op::Delete(id.parse().unwrap()))
            .collect()
    }

    /// Each delete "removes" as many as its id's number says.
    fn run(ops: &[Op]) -> Vec<Result<Done>> {
        let number = |op: &Op| match op {
            Op::Delete(id) => Ok(Done::Deleted(id.as_str().parse().unwrap())),
            _ => Err(JsonError::Missing),
        };
        ops.iter().map(number).collect()
    }

    #[test]
    fn everybody_gets_the_results_of_their_own() {
        let (queue, calls) = (Queue::default(), AtomicUsize::new(0));
        let barrier = Barrier::new(16);
        std::thread::scope(|scope| {
            for thread in 0..16_u64 {
                let (queue, calls, barrier) = (&queue, &calls, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for i in 0..50 {
                        let ids = [
                            (thread * 1000 + i).to_string(),
                            (thread * 1000 + i + 500).to_string(),
                        ];
                        let done = queue.submit(deletes(&ids), |ops| {
                            calls.fetch_add(1, Ordering::Relaxed);
                            run(&ops)
                        });
                        for (id, done) in ids.iter().zip(done) {
                            assert!(matches!(done, Ok(Done::Deleted(n)) if n.to_string() == *id));
                        }
                    }
                });
            }
        });
        assert!(calls.load(Ordering::Relaxed) <= 800);
    }
}
