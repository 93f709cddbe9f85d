//! Following a series: the entries that are there, and those that come, as `tail -f` shows them.

mod files;
mod handles;
mod open;
mod reader;
mod ticker;
mod trail;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use minutebook_core::series::ReportHandle;
use minutebook_core::{Error, ReadReport, Result, SeriesId};
use minutebook_fs::task::blocking;

pub(crate) use self::handles::Handles;
pub(super) use self::reader::CHECK_BYTES;
use self::reader::Follower;
use super::Entry;
use crate::error::JsonlError;
use crate::time_series::JsonlTimeSeriesRepository;

/// Where to begin to follow a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FollowFrom {
    /// At its first entry.
    Start,
    /// Behind its last entry: what is appended after the call of [`follow`](JsonlTimeSeriesRepository::follow).
    #[default]
    End,
    /// With its last so many entries before the call.
    Last(usize),
    /// Behind the entry after which [`Follow::position`] gave this. If the series is another one by now (deleted and begun again), at its first entry.
    At(Position),
}

/// A place between two entries of a series, which may be kept and taken up by another process.
///
/// Its text is `segment:offset:mark`: the number of the segment, counted from 1 over the life of the series, the offset in its lines, and a checksum of
/// its first line, by which it is noticed that the series is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) mark: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{:08x}", self.segment, self.offset, self.mark)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (segment, rest) = text.split_once(':')?;
            let (offset, mark) = rest.split_once(':')?;
            Some(Self {
                segment: segment.parse().ok().filter(|segment| *segment > 0)?,
                offset: offset.parse().ok()?,
                mark: u32::from_str_radix(mark, 16).ok()?,
            })
        };
        parse().ok_or_else(|| {
            let shown = text.escape_debug();
            Error::invalid(format!(
                "\"{shown}\" is no position in a series; write it as SEGMENT:OFFSET:MARK"
            ))
        })
    }
}

/// How to follow a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowQuery {
    /// Where to begin. Behind its last entry.
    pub from: FollowFrom,
    /// How often to look for more when there is nothing. 20 ms.
    pub poll_interval: Duration,
    /// Whether a line that is no entry is an error instead of an item of the report.
    pub strict: bool,
}

impl Default for FollowQuery {
    fn default() -> Self {
        Self {
            from: FollowFrom::End,
            poll_interval: Duration::from_millis(20),
            strict: false,
        }
    }
}

impl FollowQuery {
    /// From its end on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where to begin.
    #[must_use]
    pub fn from(mut self, from: FollowFrom) -> Self {
        self.from = from;
        self
    }

    /// Sets how often to look for more when there is nothing.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// A line that is no entry ends the stream with an error ([`Corrupt`](minutebook_core::ErrorKind::Corrupt)).
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

/// The entries of a series as they come. It ends only with an error.
pub struct Follow {
    report: ReportHandle,
    position: Option<Position>,
    entries: Pin<Box<Entries>>,
}

type Entries = dyn Stream<Item = Result<(Entry, Position)>> + Send;

impl JsonlTimeSeriesRepository {
    /// Follows a series: its entries from where `query` says, and those that any process appends, in the order of the file.
    ///
    /// Only complete lines are seen. The series need not exist yet; it may be rotated, and deleted and begun again: then its new entries follow from the
    /// first. Entries that compaction moved away before they were read are not seen. Works with and without a tokio runtime.
    ///
    /// What is appended after this call comes, whenever the first entry is asked for: the call looks where the series ends, which may fail; the stream begins with that error then.
    /// Lines that were read and that their writer took back, since its call failed, are told of in the [report](Follow::report).
    ///
    /// Of all who follow, [`max_open_series`](crate::JsonlConfig::max_open_series) keep their file open. The others open it when it has grown or is another
    /// one; what was appended to a file after their last look, and is deleted before the next, they do not see.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use minutebook_jsonl::{FollowFrom, FollowQuery, JsonlConfig, JsonlTimeSeriesRepository};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let repo = JsonlTimeSeriesRepository::open(dir.path(), JsonlConfig::default())?;
    /// let btc = "BTCUSD@ticks".parse()?;
    /// let mut feed = repo.follow(&btc, &FollowQuery::new().from(FollowFrom::Start));
    /// repo.append_entries(&btc, &[r#"{"timestamp": "2025-01-01", "price": 42496.10}"#]).await?;
    /// if let Some(entry) = feed.next().await {
    ///     assert!(entry?.text().contains("42496.10"));
    /// }
    /// // Kept, this is where another process goes on.
    /// let here = feed.position().map(|position| position.to_string());
    /// # assert!(here.is_some_and(|text| text.parse::<minutebook_jsonl::Position>().is_ok()));
    /// # Ok::<(), minutebook_core::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn follow(&self, series: &SeriesId, query: &FollowQuery) -> Follow {
        let report = ReportHandle::default();
        let follower = Follower::new(&self.store, series, query, report.clone());
        let (pause, series) = (query.poll_interval, series.clone());
        let start = (Some(follower), VecDeque::new());
        let entries = stream::unfold(start, move |(mut follower, mut ready)| {
            let series = series.clone();
            async move {
                loop {
                    if let Some(entry) = ready.pop_front() {
                        return Some((Ok(entry), (follower, ready)));
                    }
                    // After an error there is nobody who follows any more, and the stream ends.
                    let mut own = follower.take()?;
                    let done = blocking(move || {
                        let more = own.more();
                        (own, more)
                    });
                    match done.await {
                        Ok((own, Ok(more))) => {
                            follower = Some(own);
                            ready = more;
                        }
                        Ok((_, Err(error))) => {
                            let error = error.of_series("follow", &series);
                            return Some((Err(error), (None, ready)));
                        }
                        Err(error) => {
                            let error = JsonlError::from(error).of_series("follow", &series);
                            return Some((Err(error), (None, ready)));
                        }
                    }
                    if ready.is_empty() {
                        ticker::sleep(pause).await;
                    }
                }
            }
        });
        Follow {
            report,
            position: None,
            entries: Box::pin(entries),
        }
    }
}

impl Follow {
    /// The place behind the entry that was given last; `None` before the first.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What was no entry so far.
    pub fn report(&self) -> ReadReport {
        self.report.snapshot()
    }
}

impl Stream for Follow {
    type Item = Result<Entry>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.entries.poll_next_unpin(context);
        next.map(|item| {
            item.map(|found| {
                found.map(|(entry, position)| {
                    self.position = Some(position);
                    entry
                })
            })
        })
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("position", &self.position)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
