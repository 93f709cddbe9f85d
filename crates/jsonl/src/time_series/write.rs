//! Appending Arrow batches.

use std::sync::Arc;

use arrow_array::RecordBatch;
use minutebook_core::series::batch::checked;
use minutebook_core::{Result, SeriesId, Version, WriteMode, WriteReceipt};
use minutebook_fs::task::blocking;
use minutebook_fs::{Appended, Created, Locked, create_new};

use super::scan::again_if_moved;
use crate::codec::encode::{Encoded, EncodedColumn, Rows};
use crate::codec::kind::{ColumnType, Seen};
use crate::error::JsonlError;
use crate::index::{Columns, Ends, Index, Part};
use crate::schema::known_type;
use crate::segments;
use crate::store::{Series, State, Store};
use crate::types_file::Types;

/// Up to so many rows are written on the calling task where no sync is waited for.
const INLINE_ROWS: usize = 256;

pub(super) async fn write(
    store: &Arc<Store>,
    series: &SeriesId,
    batch: RecordBatch,
    mode: WriteMode,
) -> Result<WriteReceipt> {
    let fail = |error: JsonlError| error.of_series("write", series);
    if mode != WriteMode::Append {
        let why = "JSON Lines series are append-only: rows cannot be replaced; use Append";
        return Err(fail(JsonlError::Unsupported(why)));
    }
    let batch = checked(batch).map_err(|error| fail(error.into()))?;
    let known = store.series(series).map_err(fail)?;
    let small = batch.num_rows() <= INLINE_ROWS && !store.config.durability.is_synced();
    let far = is_far(store, &known).map_err(fail)?;
    let work = {
        let store = Arc::clone(store);
        move || {
            segments::before_append(&store, &known);
            append(&store, &known, &batch, far)
        }
    };
    if small && !far {
        work().map_err(fail)
    } else {
        blocking(work)
            .await
            .map_err(JsonlError::from)
            .flatten()
            .map_err(fail)
    }
}

fn append(
    store: &Arc<Store>,
    series: &Arc<Series>,
    batch: &RecordBatch,
    far: bool,
) -> Result<WriteReceipt, JsonlError> {
    let rows = Rows::new(batch, store.config.max_line_bytes)?;
    // What could be refused is written in memory first: nothing of it may be seen then.
    let encoded = if rows.can_be_piecewise(store.config.max_batch_bytes) {
        None
    } else {
        let encoded = rows.encode()?;
        store.check_batch(encoded.len())?;
        Some(encoded)
    };
    if far {
        again_if_moved(|| read_ahead(store, series))?;
    }
    let log = store.log(series);
    let end = log.with_lock(store.config.durability, |log| {
        let mut state = series.state();
        append_locked(store, series, &mut state, log, &rows, encoded)
    })?;
    if series.index_is_due(store) && !series.keep_index_aside(store) {
        series.keep_index(store);
    }
    Ok(WriteReceipt {
        version: Version(end),
        inserted: batch.num_rows() as u64,
        replaced: 0,
        skipped: 0,
    })
}

/// Whether there may be much to read before a batch can be checked.
fn is_far(store: &Store, series: &Series) -> Result<bool, JsonlError> {
    let meta = store.metadata(&series.data)?;
    let state = series.state();
    let of_segments = state.segments.known.manifest.is_some() || meta.is_none();
    let plain = match (&state.index, meta) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(index), Some(meta)) => index.is_far(&meta),
    };
    Ok(plain || (of_segments && state.segments.shown.is_none()))
}

/// The long part of the reading, before others have to wait for the writers' lock.
fn read_ahead(store: &Store, series: &Series) -> Result<(), JsonlError> {
    let Some(view) = segments::view(store, series)? else {
        return Ok(());
    };
    let looked = segments::look_in_turn(store, series, &view, None, &series.writers)?;
    let Some(manifest) = &view.manifest else {
        return Ok(());
    };
    let number = view.number();
    let sealed = looked.sections.iter();
    let sealed = sealed.filter(|section| section.number < number);
    let columns = Arc::new(super::scan::columns_of(sealed));
    let mut state = series.state();
    // As it is under the lock, if nothing comes between.
    if state.is_now(&view) && state.unit(store) == looked.unit {
        let as_of = (manifest.generation, view.raw.is_some());
        state.segments.shown = Some((as_of, columns));
    }
    Ok(())
}

/// Checks the batch against everything that is in the file now, and appends it. Gives the version after it.
fn append_locked(
    store: &Store,
    series: &Series,
    state: &mut State,
    log: &mut Locked<'_>,
    rows: &Rows,
    encoded: Option<Encoded>,
) -> Result<u64, JsonlError> {
    // Segments move to Parquet without the writers' lock.
    let sealed = again_if_moved(|| sealed_columns(store, series, state))?;
    let index = current(store, series, state)?;
    let none = Columns::default();
    let mut shown = index.as_ref().map_or(&none, |index| &index.part.columns);
    let all;
    if let Some(sealed) = sealed {
        let mut both = (*sealed).clone();
        for (name, seen) in shown.iter() {
            both.add(name, seen);
        }
        all = both;
        shown = &all;
    }
    let before = state.types.types.clone();
    let types = types_with(&rows.columns, shown, &before, store)?;
    if rows.count() == 0 {
        let version = again_if_moved(|| {
            let Some(view) = segments::view_known(store, series, state)? else {
                return Ok(None);
            };
            let sections = segments::sections(store, series, state, &view)?;
            Ok(Some(super::summary::version(&view, &sections)))
        })?;
        if let Some(version) = version {
            return Ok(version);
        }
        put_types(store, series, state, types)?;
        let created = create_new(
            &*store.config.fs,
            &series.data,
            b"",
            store.config.durability,
        )?;
        if created == Created::AlreadyExists {
            tracing::debug!(path = %series.data.display(), "a program that takes no lock made the file");
        }
        return Ok(0);
    }
    drop(index);
    let changed = types.is_some();
    put_types(store, series, state, types)?;
    let (appended, part, ends) = match put(log, rows, encoded) {
        Ok(done) => done,
        Err(error) => {
            if changed && error.nothing_applied() {
                // Best effort: a type too many only says what a column of nulls would be.
                if let Err(error) = put_types(store, series, state, Some(before)) {
                    tracing::warn!(path = %series.types.display(), %error, "column types of a failed write are left over");
                }
            }
            return Err(error);
        }
    };
    if let Some(index) = &mut state.index
        && appended.repaired.is_none()
    {
        // If something came between, the next look at the file finds it.
        Arc::make_mut(index).absorb(part, appended.offset, &ends);
    }
    segments::note_end(store, series, Some(state), log.opened(), appended.end())
}

/// Writes the lines: those that were made, or one piece after another while the next are made. Gives what is in them.
fn put(
    log: &mut Locked<'_>,
    rows: &Rows,
    encoded: Option<Encoded>,
) -> Result<(Appended, Part, Ends), JsonlError> {
    let mut ends = Ends::default();
    if let Some(encoded) = encoded {
        let appended = log.append_parts(encoded.parts.iter().map(|part| part.as_slice()))?;
        encoded.parts.iter().for_each(|piece| ends.add(piece));
        return Ok((appended, encoded.part, ends));
    }
    let mut part = Part::default();
    let appended = rows.piecewise(|pieces| {
        log.append_made(pieces.map(|piece| {
            let mut piece = piece?;
            if let Some(in_piece) = piece.more.take() {
                rows.add(&mut part, in_piece?, ends.len);
            }
            ends.add(piece.as_ref());
            Ok::<_, JsonlError>(piece)
        }))
    })?;
    Ok((appended, part, ends))
}

/// What the columns of the segments before the plain file have shown; `None` if there are none. Under the writers' lock.
fn sealed_columns(
    store: &Store,
    series: &Series,
    state: &mut State,
) -> Result<Option<Arc<Columns>>, JsonlError> {
    let known = &mut state.segments.known;
    known.refresh(&*store.config.fs, &series.sealed)?;
    let Some(manifest) = known.manifest.clone() else {
        state.live_is("", 1);
        return Ok(None);
    };
    let raw = store.metadata(&series.sealed.raw(manifest.next))?;
    let as_of = (manifest.generation, raw.is_some());
    let plain = state.index.as_ref().map(Arc::clone);
    state.live_is(&manifest.id, manifest.next + u64::from(raw.is_some()));
    if let Some(raw) = &raw
        && let Some(plain) = plain.filter(|plain| plain.is_of(raw.id))
    {
        state.segments.raw = Some(plain);
    }
    if let Some((_, shown)) = state.segments.shown.as_ref().filter(|(of, _)| *of == as_of) {
        return Ok(Some(Arc::clone(shown)));
    }
    let Some(mut view) = segments::view_known(store, series, state)? else {
        return Ok(None);
    };
    view.live = None;
    let sections = segments::sections(store, series, state, &view)?;
    let shown = Arc::new(super::shown(&sections));
    state.segments.shown = Some((as_of, Arc::clone(&shown)));
    Ok(Some(shown))
}

/// The index of the file as it is now; `None` if there is no file. Then what is left of an earlier series is cleared away.
fn current(
    store: &Store,
    series: &Series,
    state: &mut State,
) -> Result<Option<Arc<Index>>, JsonlError> {
    let Some(meta) = store.metadata(&series.data)? else {
        forget(store, series, state)?;
        return Ok(None);
    };
    state.types.refresh(&*store.config.fs, &series.types)?;
    if let Some(index) = state.index.as_ref().filter(|index| index.is_current(&meta)) {
        return Ok(Some(Arc::clone(index)));
    }
    match store.reader(series)? {
        Some(file) => state.refresh(store, series, &file).map(Some),
        None => Ok(None),
    }
}

/// Clears away what is left of a series whose lines are gone. Under the writers' lock.
pub(crate) fn forget(store: &Store, series: &Series, state: &mut State) -> Result<(), JsonlError> {
    state.forget_index();
    series.remove_index(store)?;
    state
        .segments
        .known
        .refresh(&*store.config.fs, &series.sealed)?;
    if state.segments.known.manifest.is_some() {
        // Only the plain file is gone: it was sealed.
        return Ok(());
    }
    if store.metadata(&series.types)?.is_some() {
        let durability = store.config.durability;
        state.types.remove(&store.root, &series.types, durability)?;
    } else {
        state.types = crate::types_file::Known::default();
    }
    Ok(())
}

/// Checks each column against the series. The types to write down, if there are new ones that the lines do not show.
fn types_with(
    columns: &[EncodedColumn],
    shown: &Columns,
    types: &Types,
    store: &Store,
) -> Result<Option<Types>, JsonlError> {
    let mut more = None;
    for column in columns {
        let Some(column_type) = column.column_type else {
            continue;
        };
        match known_type(&column.name, shown, types, &store.declared) {
            Some(known) if known == column_type => {}
            // Instants are written as text, and a column of nothing else may be declared to be read back as instants.
            Some(ColumnType::Time) if column_type == ColumnType::Utf8 => {}
            // A price of 100.0 is 100 in many a feed: whole numbers that no batch declared are numbers.
            Some(ColumnType::Int64)
                if column_type == ColumnType::Float64
                    && types.get(&column.name).is_none()
                    && shown.get(&column.name).is_none_or(Seen::fits_floats) => {}
            Some(known) => {
                return Err(JsonlError::Types(format!(
                    "the column \"{}\" has the type {} in the series and {} in the batch; cast it, or append the rows as JSON entries",
                    column.name,
                    known.data_type(),
                    column_type.data_type()
                )));
            }
            // Lines do not tell of nulls, and not whether whole numbers are meant to stay whole.
            None if column.seen == Seen::NONE || column_type == ColumnType::Int64 => more
                .get_or_insert_with(|| types.clone())
                .add(&column.name, column_type),
            None => {}
        }
    }
    Ok(more)
}

/// Writes the file of types, if there is something to write. Under the writers' lock.
pub(crate) fn put_types(
    store: &Store,
    series: &Series,
    state: &mut State,
    types: Option<Types>,
) -> Result<(), JsonlError> {
    let Some(types) = types else {
        return Ok(());
    };
    if let Some(problem) = &state.types.problem {
        return Err(JsonlError::Types(format!(
            "{}; move {} away and write again",
            problem.message, problem.resource
        )));
    }
    let fs = &*store.config.fs;
    types.write(fs, &series.types, store.config.durability)?;
    state.types.refresh(fs, &series.types)?;
    Ok(())
}
