//! Group commit: mutations that wait at the same time are carried out together, with one sync.
//!
//! Who finds nobody at work leads: it takes what waits, carries it out, and goes on until nothing waits. Everybody else waits without
//! a thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Done, Op};
use crate::error::{JsonError, Result};

/// The mutations of one caller.
#[derive(Debug)]
pub(crate) struct Job {
    ops: Mutex<Vec<Op>>,
    count: usize,
    end: Mutex<End>,
}

#[derive(Debug)]
enum End {
    Waiting(Option<Waker>),
    Done(Vec<Result<Done>>),
    Taken,
}

impl Job {
    fn new(ops: Vec<Op>) -> Self {
        Self {
            count: ops.len(),
            ops: Mutex::new(ops),
            end: Mutex::new(End::Waiting(None)),
        }
    }

    fn finish(&self, results: Vec<Result<Done>>) {
        let before = std::mem::replace(&mut *lock(&self.end), End::Done(results));
        if let End::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }

    fn abandon(&self) {
        let waits = matches!(*lock(&self.end), End::Waiting(_));
        if waits {
            self.finish((0..self.count).map(|_| Err(JsonError::Abandoned)).collect());
        }
    }
}

/// The results of a job, in the order of its mutations.
#[derive(Debug)]
pub(crate) struct Results(Arc<Job>);

impl Future for Results {
    type Output = Vec<Result<Done>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut end = lock(&self.0.end);
        match &mut *end {
            End::Waiting(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            End::Done(_) | End::Taken => match std::mem::replace(&mut *end, End::Taken) {
                End::Done(results) => Poll::Ready(results),
                _ => Poll::Ready(Vec::new()),
            },
        }
    }
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Arc<Job>>,
    led: bool,
}

/// Mutations that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    line: Mutex<Line>,
}

impl Queue {
    /// Puts mutations into the line, and says whether the caller has to [lead](Self::lead) it.
    pub(crate) fn enter(&self, ops: Vec<Op>) -> (Results, bool) {
        let job = Arc::new(Job::new(ops));
        let mut line = lock(&self.line);
        line.waiting.push(Arc::clone(&job));
        let leads = !std::mem::replace(&mut line.led, true);
        (Results(job), leads)
    }

    /// Carries out what waits, until nothing does. If `run` panics, those who wait are told.
    pub(crate) fn lead(&self, mut run: impl FnMut(Vec<Op>) -> Vec<Result<Done>>) {
        let mut lead = Lead {
            queue: self,
            jobs: Vec::new(),
        };
        loop {
            {
                let mut line = lock(&self.line);
                if line.waiting.is_empty() {
                    line.led = false;
                    return;
                }
                lead.jobs = std::mem::take(&mut line.waiting);
            }
            let all = lead
                .jobs
                .iter()
                .flat_map(|job| std::mem::take(&mut *lock(&job.ops)))
                .collect();
            let mut results = run(all).into_iter();
            for job in lead.jobs.drain(..) {
                job.finish(results.by_ref().take(job.count).collect());
            }
        }
    }

    /// Nobody will lead although somebody should: all who wait are told.
    pub(crate) fn abandon(&self) {
        let mut line = lock(&self.line);
        line.led = false;
        for job in line.waiting.drain(..) {
            job.abandon();
        }
    }
}

/// The one who carries out; tells those who wait if it panics.
struct Lead<'a> {
    queue: &'a Queue,
    jobs: Vec<Arc<Job>>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.jobs.iter().for_each(|job| job.abandon());
            self.queue.abandon();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

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

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn everybody_gets_the_results_of_their_own() {
        let (queue, calls) = (Arc::new(Queue::default()), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for task in 0..16_u64 {
            let (queue, calls) = (Arc::clone(&queue), Arc::clone(&calls));
            tasks.push(tokio::spawn(async move {
                for i in 0..50 {
                    let ids = [
                        (task * 1000 + i).to_string(),
                        (task * 1000 + i + 500).to_string(),
                    ];
                    let (results, leads) = queue.enter(deletes(&ids));
                    if leads {
                        queue.lead(|ops| {
                            calls.fetch_add(1, Ordering::Relaxed);
                            run(&ops)
                        });
                    }
                    for (id, done) in ids.iter().zip(results.await) {
                        assert!(matches!(done, Ok(Done::Deleted(n)) if n.to_string() == *id));
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(calls.load(Ordering::Relaxed) <= 800);
    }

    #[tokio::test]
    async fn who_waits_for_a_leader_that_panics_is_told_and_the_next_leads() {
        let queue = Arc::new(Queue::default());
        let (first, leads) = queue.enter(deletes(&["1".to_owned()]));
        assert!(leads);
        let mut second = None;
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            queue.lead(|_| {
                second = Some(queue.enter(deletes(&["2".to_owned()])).0);
                panic!("on purpose")
            });
        }));
        assert!(panicked.is_err());
        let waited = tokio::time::timeout(Duration::from_mins(1), async {
            (first.await, second.unwrap().await)
        });
        let (first, second) = waited.await.unwrap();
        for results in [first, second] {
            assert!(matches!(results.as_slice(), [Err(JsonError::Abandoned)]));
        }
        assert!(queue.enter(Vec::new()).1);
    }
}
