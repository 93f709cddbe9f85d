//! The change feed: the journal's lines as they come, each when it was carried out.
//!
//! A thread of its own follows the journal with a cheap look now and then, and waits for a reader that is slow; so a feed works with
//! every executor, and holds few changes in memory.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Arc;

use minutebook_core::{
    ChangeStream, DecisionChange, DecisionState, Error, ErrorKind, Position, WatchFrom,
};

use super::Store;
use super::refresh::max_line_bytes;
use super::unrecorded::Unrecorded;
use crate::error::{JsonError, Result};
use crate::feed;
use crate::journal::{Lines, Span, Told, detail};

/// How the journal's lines end before the newline: 64 digits of the line's own hash, a quote and a brace.
const HASH_END: u64 = 66;
/// So many digits of a hash stand in a position.
const DIGITS: usize = 16;
/// A mark is shorter than this.
const MARK: u64 = 200;

/// A place between two lines: the journal's offset, and the first digits of the hash of the last line before it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    offset: u64,
    head: String,
}

impl Place {
    fn new(offset: u64, hash: &str) -> Self {
        Self {
            offset,
            head: hash.get(..DIGITS).unwrap_or(hash).to_owned(),
        }
    }

    fn position(&self) -> Result<Position> {
        Position::new(format!("{}-{}", self.offset, self.head)).map_err(JsonError::Core)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (offset, head) = text.split_once('-').ok_or(())?;
        if head.len() != DIGITS || !head.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(());
        }
        Ok(Self {
            offset: offset.parse().map_err(|_| ())?,
            head: head.to_owned(),
        })
    }
}

impl Store {
    /// Follows the changes from a place on.
    pub(crate) fn watch(self: &Arc<Self>, from: &WatchFrom) -> Result<ChangeStream> {
        self.follow_journal()?;
        let mut follower = match from {
            WatchFrom::Start => Follower::open(self, None)?,
            WatchFrom::Now => {
                let (offset, head) = self.read_state().journal.marked.clone();
                Follower::open(self, Some(Place::new(offset, &head)))?
            }
            WatchFrom::After(position) => {
                let gone = || gone(position);
                let place: Place = position.as_str().parse().map_err(|()| gone())?;
                self.check(&place).map_err(|_| gone())?;
                Follower::open(self, Some(place))?
            }
        };
        // What follows the place shows whether it belongs to this journal.
        follower.read_on()?;
        follower.foreign.only_new = matches!(from, WatchFrom::Now);
        let start = follower.place.position()?;
        let interval = self.config.watch_interval;
        let changes = feed::spawn(interval, move || follower.next())
            .map_err(|error| JsonError::Core(no_thread(error)))?;
        Ok(ChangeStream::new(start, changes))
    }

    /// Whether a line ends at this place, and, where that can be told from it alone, the one that the place names.
    fn check(&self, place: &Place) -> Result<()> {
        if place.offset == 0 {
            return Ok(());
        }
        let changed = || JsonError::JournalChanged {
            path: self.log.path().to_owned(),
            offset: place.offset,
        };
        let state = self.read_state();
        let (end, head) = (state.journal.offset, state.journal.chain.head.clone());
        drop(state);
        if place.offset > end || (place.offset == end && !head.starts_with(&place.head)) {
            return Err(changed());
        }
        let before = |len: u64| {
            let len = len.min(place.offset);
            let span = Span {
                offset: place.offset - len,
                len,
            };
            crate::journal::text(&*self.fs, self.log.path(), span)
        };
        let tail = before(HASH_END + 1)?;
        if tail.starts_with(&place.head) && tail.ends_with("\"}\n") {
            return Ok(());
        }
        // After a mark, which has no hash: then the line that follows shows it.
        let text = before(MARK).or_else(|_| before(HASH_END + 1))?;
        let line = text.strip_suffix('\n').ok_or_else(changed)?;
        let line = line.rsplit('\n').next().unwrap_or_default();
        if line.starts_with("{\"mark\":") {
            Ok(())
        } else {
            Err(changed())
        }
    }

    /// How far the journal goes now.
    fn journal_end(&self) -> Result<u64> {
        self.follow_journal()?;
        Ok(self.read_state().journal.offset)
    }
}

fn gone(position: &Position) -> JsonError {
    let message = "the journal has no such position, or no longer; start with what it has, or now";
    JsonError::Core(Error::new(ErrorKind::NotFound, message).with_resource(position))
}

fn no_thread(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "no thread could be started to follow the journal",
    )
    .with_source(error)
}

/// Reads the journal forwards and gives what was carried out.
struct Follower {
    store: Arc<Store>,
    lines: Lines,
    /// After the last change that was given.
    place: Place,
    /// How far it has read.
    read: u64,
    /// What the first line must follow.
    expected: Option<Place>,
    /// Journaled, but not yet known to be carried out.
    pending: VecDeque<(u64, Place, DecisionState)>,
    /// Carried out, to be given.
    ready: VecDeque<(Place, DecisionState)>,
    /// How often the end was met although the store knows of more.
    behind: u32,
    /// What other programs do.
    foreign: Unrecorded,
}

impl Follower {
    fn open(store: &Arc<Store>, from: Option<Place>) -> Result<Self> {
        let max_line = max_line_bytes(store.config.max_document_bytes);
        let offset = from.as_ref().map_or(0, |place| place.offset);
        let genesis = Place::new(0, crate::journal::GENESIS);
        Ok(Self {
            store: Arc::clone(store),
            lines: Lines::open(&store.fs, &store.dir, offset, max_line)?,
            place: from.clone().unwrap_or(genesis),
            read: offset,
            expected: from,
            pending: VecDeque::new(),
            ready: VecDeque::new(),
            behind: 0,
            foreign: Unrecorded::default(),
        })
    }

    /// The next change; `None` if there is none yet.
    fn next(&mut self) -> minutebook_core::Result<Option<DecisionChange>> {
        self.step().map_err(|error| {
            let journal = self.store.log.path().display();
            error.into_core("watch", journal)
        })
    }

    fn step(&mut self) -> Result<Option<DecisionChange>> {
        if self.ready.is_empty() {
            self.read_on()?;
        }
        if self.ready.is_empty() {
            // Recorded if that can be, and read from the journal then.
            let place = &self.place;
            let told = self.foreign.look(&self.store)?;
            self.ready
                .extend(told.into_iter().map(|state| (place.clone(), state)));
            self.read_on()?;
        }
        let Some((place, state)) = self.ready.pop_front() else {
            return Ok(None);
        };
        let position = place.position()?;
        self.place = place;
        Ok(Some(DecisionChange { position, state }))
    }

    /// Reads until there is something to give, or to the end.
    fn read_on(&mut self) -> Result<()> {
        while self.ready.is_empty() {
            let Some(line) = self.lines.next()? else {
                return self.at_end();
            };
            let (start, end) = (line.start, line.end);
            let detail = detail(start, line.bytes);
            if let Some(expected) = self.expected.as_ref().filter(|place| start != place.offset) {
                // What stood there is gone: the reader was set to what is left.
                return Err(gone(&expected.position()?));
            }
            self.read = end;
            self.behind = 0;
            let Some(detail) = detail else {
                self.expected = None;
                continue;
            };
            let Some(link) = detail.link else {
                if let Told::Mark(mark) = detail.told {
                    self.mark(mark);
                }
                if let Some(expected) = &mut self.expected {
                    expected.offset = end;
                }
                continue;
            };
            if let Some(expected) = self.expected.take()
                && !link.prev.starts_with(&expected.head)
            {
                return Err(gone(&self.place.position()?));
            }
            match detail.told {
                Told::State(state) => {
                    let place = Place::new(end, &link.hash);
                    self.pending.push_back((link.seq, place, state));
                }
                Told::Void(void) => self.pending.retain(|(seq, ..)| !void.contains(seq)),
                Told::Mark(_) => {}
            }
        }
        Ok(())
    }

    fn mark(&mut self, mark: u64) {
        while self.pending.front().is_some_and(|(seq, ..)| *seq <= mark) {
            let done = self.pending.pop_front();
            self.ready
                .extend(done.map(|(_, place, state)| (place, state)));
        }
    }

    /// Whether the end is that of the journal: one that was put in its place is not followed in silence.
    fn at_end(&mut self) -> Result<()> {
        let end = self.store.journal_end()?;
        self.behind = if end == self.read { 0 } else { self.behind + 1 };
        if end < self.read || self.behind > 3 {
            return Err(JsonError::JournalChanged {
                path: self.store.log.path().to_owned(),
                offset: self.read,
            });
        }
        Ok(())
    }
}
