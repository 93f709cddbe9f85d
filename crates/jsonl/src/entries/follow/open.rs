//! Which file to go on with, and where in it.

use std::sync::Arc;

use minutebook_fs::{FsFile, Item, LineReader, ReverseLines, complete_len};

use super::files::{File, files, mark, open_file};
use super::reader::{CHECK_BYTES, Current, Follower, Next};
use super::{FollowFrom, Position};
use crate::entries::judge::Place;
use crate::error::JsonlError;
use crate::store::Series;
impl Follower {
    /// Opens the file to go on with, where to go on; `false` if it is not there yet.
    pub(super) fn open(&mut self) -> Result<bool, JsonlError> {
        const ATTEMPTS: usize = 16;
        for _ in 1..ATTEMPTS {
            match self.open_once() {
                Err(JsonlError::Moved) => {}
                done => return done,
            }
        }
        self.open_once()
    }

    fn open_once(&mut self) -> Result<bool, JsonlError> {
        let Some((series, view)) = self.store.find(&self.id)? else {
            // Whatever comes is new, unless it is not known yet what there was.
            self.next = match self.next {
                Next::From(FollowFrom::At(_)) if self.closed.is_none() => self.next,
                _ => Next::First,
            };
            self.closed = None;
            return Ok(false);
        };
        {
            let mut state = series.state();
            state.refresh_types(&self.store, &series)?;
            self.judge.set_unit(state.unit(&self.store));
        }
        let lineage = view.manifest.as_ref().map_or("", |manifest| &manifest.id);
        let goes_on = view
            .manifest
            .as_ref()
            .is_some_and(|manifest| manifest.is_of(&self.lineage));
        if !self.lineage.is_empty() && !goes_on {
            tracing::warn!(series = %self.id, "the series that is followed was deleted; what there is now is read from its start");
            self.next = Next::First;
        }
        if !lineage.is_empty() {
            lineage.clone_into(&mut self.lineage);
        }
        let files = files(&view);
        let last = files.last().map_or(0, File::number);
        // Up to before this one.
        let sealed = view.manifest.as_ref().map_or(1, |manifest| manifest.next)
            + u64::from(view.raw.is_some());
        match self.next {
            Next::First | Next::From(FollowFrom::Start) => self.begin(&series, files, 0, 0),
            Next::Behind(number) => {
                if last > number || sealed > number {
                    self.begin(&series, files, number + 1, 0)
                } else {
                    // The plain file went, and not to be sealed.
                    self.begin(&series, files, 0, 0)
                }
            }
            Next::From(FollowFrom::End) => {
                let Some(File::Open(_, file, true)) = files.last() else {
                    self.next = Next::Behind(last);
                    return Ok(false);
                };
                let end = complete_len(&**file).map_err(JsonlError::Read)?;
                self.begin(&series, files, last, end)
            }
            Next::From(FollowFrom::Last(entries)) => {
                let (number, offset) = self.back(&series, &files, entries, None)?;
                self.begin(&series, files, number, offset)
            }
            Next::Before(entries, end) => {
                let same = files.iter().find(|file| file.number() == end.segment);
                let end = match same {
                    Some(file) if end.offset < u64::MAX => {
                        // Of a call that has failed since, nothing counts.
                        let (segment, offset) = self.where_in(&series, file, end)?;
                        (segment > 0).then_some(Position {
                            segment,
                            offset,
                            ..end
                        })
                    }
                    Some(_) => Some(end),
                    None => (end.segment < last).then_some(end),
                };
                let (number, offset) = match end {
                    Some(end) => self.back(&series, &files, entries, Some(end))?,
                    None => (0, 0),
                };
                self.begin(&series, files, number, offset)
            }
            Next::From(FollowFrom::At(position)) => {
                let same = files.iter().find(|file| file.number() == position.segment);
                match same {
                    Some(file) => {
                        let (number, offset) = self.where_in(&series, file, position)?;
                        self.begin(&series, files, number, offset)
                    }
                    // Moved away by compaction: on with what is left.
                    None if position.segment < last
                        || self.closed.is_some() && position.segment < sealed =>
                    {
                        self.begin(&series, files, position.segment + 1, 0)
                    }
                    None => self.begin(&series, files, 0, 0),
                }
            }
        }
    }

    /// Where to go on in the file of a position: there, if the file is still the one that had it.
    fn where_in(
        &mut self,
        series: &Series,
        file: &File,
        position: Position,
    ) -> Result<(u64, u64), JsonlError> {
        let opened = open_file(&self.store, series, file)?;
        if !self.is_not_another(file, &*opened)? {
            return Ok((0, 0));
        }
        let there = (position.segment, position.offset);
        // By one byte it is told at least whether a line ends there.
        let behind = match &self.closed {
            Some(closed) => &closed.behind[..],
            None if position.offset > 0 => b"\n",
            None => b"",
        };
        let mut now = vec![0; behind.len()];
        let read = opened
            .read_full_at(&mut now, position.offset - behind.len() as u64)
            .map_err(JsonlError::Read)?;
        let same = read == behind.len() && now == behind;
        let long = opened.len().map_err(JsonlError::Read)? >= position.offset;
        if same && (position.offset == 0 || long && mark(&*opened)? == position.mark) {
            return Ok(there);
        }
        if self.closed.is_none() {
            return Ok((0, 0));
        }
        self.closed = None;
        let place = Place::new(&series.resource(), None);
        let end = self.still_there(&opened, position.offset, &place)?;
        Ok(end.map_or((0, 0), |end| (position.segment, end)))
    }

    /// Whether the plain file is not another one than the plain file that was closed: that would have another number if it had been sealed.
    fn is_not_another(&self, file: &File, opened: &dyn FsFile) -> Result<bool, JsonlError> {
        let was = self.closed.as_ref().and_then(|closed| closed.live);
        let (Some(was), File::Open(_, _, true)) = (was, file) else {
            return Ok(true);
        };
        Ok(opened.metadata().map_err(JsonlError::Read)?.id == was)
    }

    /// Goes on with the first file that has at least this number; at an offset, if it is this very file.
    fn begin(
        &mut self,
        series: &Series,
        files: Vec<File>,
        number: u64,
        offset: u64,
    ) -> Result<bool, JsonlError> {
        let Some(file) = files.into_iter().find(|file| file.number() >= number) else {
            // The next plain file is not there yet.
            self.closed = None;
            self.next = match number {
                0 => Next::First,
                number => Next::Behind(number - 1),
            };
            return Ok(false);
        };
        let is_live = matches!(file, File::Open(_, _, true));
        let opened = open_file(&self.store, series, &file)?;
        let start = if file.number() == number { offset } else { 0 };
        // A sealed file stays as it is.
        let check = if is_live { CHECK_BYTES } else { 0 };
        let options = self.options(check).start(start);
        let live = if is_live {
            Some(opened.metadata().map_err(JsonlError::Read)?.id)
        } else {
            None
        };
        let resource = if is_live {
            series.resource()
        } else {
            series.sealed.sealed(file.number()).display().to_string()
        };
        let closed = self.closed.take();
        let behind = if !is_live {
            Vec::new()
        } else if start > 0 && self.trail.ends_at(start) {
            closed.map(|it| it.behind).unwrap_or_default()
        } else {
            self.lead_up_to(series, &opened, start)?
        };
        let lines = LineReader::new(Arc::clone(&opened), options);
        self.current = Some(Current {
            lines: lines.after(&behind),
            file: opened,
            number: file.number(),
            mark: 0,
            place: Place::new(&resource, (!is_live).then_some(file.number())),
            at_end: false,
            live,
            leaving: false,
        });
        self.closed = None;
        Ok(true)
    }

    /// The bytes before the place where a file is begun to be read. Somebody may be at work with a call to which that place belongs, so the lines before it are noted.
    fn lead_up_to(
        &mut self,
        series: &Series,
        file: &Arc<dyn FsFile>,
        start: u64,
    ) -> Result<Vec<u8>, JsonlError> {
        /// So much before it.
        const LEAD_BYTES: u64 = 8 << 20;
        self.trail.begin(start);
        let len = usize::try_from(start).map_or(CHECK_BYTES, |start| start.min(CHECK_BYTES));
        let mut behind = vec![0; len];
        let mut look = || file.read_full_at(&mut behind, start - len as u64);
        let (read, settled) = match self.store.while_none_writes(series, &mut look) {
            Some(read) => (read, true),
            None => (look(), false),
        };
        let read = read.map_err(JsonlError::Read)?;
        behind.truncate(read);
        if read < len || start == 0 || settled {
            return Ok(if read < len { Vec::new() } else { behind });
        }
        let from = start.saturating_sub(LEAD_BYTES);
        let options = self.options(0).start(from).end(start);
        let mut lines = LineReader::new(Arc::clone(file), options);
        let mut is_whole = from == 0;
        while let Some(item) = lines.next().map_err(JsonlError::Read)? {
            // The first is a part of a line, or cannot be told from one.
            if std::mem::replace(&mut is_whole, true) {
                self.trail.add(&item);
            }
        }
        Ok(behind)
    }

    /// Where the last so many entries begin.
    fn back(
        &self,
        series: &Series,
        files: &[File],
        entries: usize,
        end: Option<Position>,
    ) -> Result<(u64, u64), JsonlError> {
        let mut left = entries;
        let last = files.last().map_or(0, File::number);
        let mut place = match (end, files.last()) {
            (Some(end), _) => (end.segment, end.offset),
            (None, Some(file)) => {
                let opened = open_file(&self.store, series, file)?;
                (last, complete_len(&*opened).map_err(JsonlError::Read)?)
            }
            (None, None) => (last, 0),
        };
        let upto = place.0;
        for file in files.iter().rev().filter(|file| file.number() <= upto) {
            if left == 0 {
                break;
            }
            let opened = open_file(&self.store, series, file)?;
            let mut options = self.options(0);
            if let Some(end) = end.filter(|end| end.segment == file.number()) {
                options = options.end(end.offset);
            }
            let mut lines = ReverseLines::new(opened, options).map_err(JsonlError::Read)?;
            while left > 0
                && let Some(item) = lines.next().map_err(JsonlError::Read)?
            {
                place = (file.number(), item.offset());
                // As the reading forwards will see it, without telling of it twice.
                if let Item::Line(line) = item
                    && self.judge.is_entry(line.bytes)
                {
                    left -= 1;
                }
            }
        }
        Ok(place)
    }
}
