//! A plain model of a store of series, and random histories that it and a store live through together.

mod plain;
mod steps;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::{
    Capability, ErrorKind, ScanQuery, SeriesFilter, SeriesId, Snapshot, Take, TimeSeriesRepository,
    Version, WriteMode,
};

use self::plain::{Effect, Row, Series, table};
use self::steps::{REMEMBERED, Rows, SERIES, Step, chosen, steps};
use super::support::{Repo, Store, at, drain, range, same_columns, series};
use crate::case::{Failure, Outcome};
use crate::check::{ensure, ensure_eq, shown};
use crate::explore::{NewHarness, World, histories, insist, no_faults, scripts};
use crate::faults::{Faulty, Script, is_injected};

/// Compares random histories of a store with the model.
///
/// # Errors
/// The shortest history found after which the two differ.
pub fn random_histories(new: NewHarness<'_, dyn TimeSeriesRepository>) -> Outcome {
    histories::<_, Replay>(new, steps(), no_faults())
}

/// Compares random histories in which calls fail before and after they took effect.
///
/// # Errors
/// The shortest history found after which the store is in a state that no outcome of the failed calls explains.
pub fn random_histories_with_faults(new: NewHarness<'_, dyn TimeSeriesRepository>) -> Outcome {
    histories::<_, Replay>(new, steps(), scripts())
}

fn faulty(repo: Repo, script: &Script) -> Repo {
    Arc::new(Faulty::new(repo, script.clone()))
}

/// What the model knows of a series.
#[derive(Debug, Default)]
struct Known {
    now: Series,
    version: Version,
    /// The last states, the present one last.
    history: Vec<(Version, Series)>,
}

/// A store and what must be in it.
struct Replay {
    store: Store,
    repo: Repo,
    script: Script,
    model: BTreeMap<SeriesId, Known>,
    /// How many rows were made, so that no two are the same.
    written: i64,
}

#[async_trait]
impl World<dyn TimeSeriesRepository> for Replay {
    type Step = Step;

    async fn open(store: Store, script: Script) -> Outcome<Self> {
        Ok(Self {
            repo: faulty(store.open().await?, &script),
            store,
            script,
            model: BTreeMap::new(),
            written: 0,
        })
    }

    async fn step(mut self, step: Step) -> Outcome<Self> {
        match step {
            Step::Reopen => self.reopen().await,
            step => self.take(step).await.map(|()| self),
        }
    }

    async fn agrees(&self) -> Outcome {
        for id in SERIES {
            self.same(&series(id)?).await?;
        }
        self.lists().await
    }
}

impl Replay {
    fn claims(&self, capability: Capability) -> bool {
        self.repo.capabilities().has(capability)
    }

    async fn reopen(self) -> Outcome<Self> {
        if !self.claims(Capability::Persistent) {
            return Ok(self);
        }
        let repo = faulty(self.store.reopen(self.repo).await?, &self.script);
        let world = Self { repo, ..self };
        world.agrees().await?;
        Ok(world)
    }

    async fn take(&mut self, step: Step) -> Outcome {
        self.store.step();
        match step {
            Step::Append { series: n, rows } => {
                let effect = |before: &Series, made: &[Row]| Ok(before.append(&rows, made));
                self.write(n, &rows, WriteMode::Append, None, effect).await
            }
            Step::Upsert {
                series: n,
                rows,
                on_conflict,
            } => {
                let effect =
                    |before: &Series, made: &[Row]| before.upsert(&rows, made, on_conflict);
                let (mode, needs) = (WriteMode::Upsert { on_conflict }, Capability::Upsert);
                self.write(n, &rows, mode, Some(needs), effect).await
            }
            Step::Replace {
                series: n,
                rows,
                from,
                to,
            } => {
                let effect =
                    |before: &Series, made: &[Row]| before.replace(&rows, made, &(from..to));
                let (mode, needs) = (
                    WriteMode::ReplaceRange(range(from, to)?),
                    Capability::ReplaceRange,
                );
                self.write(n, &rows, mode, Some(needs), effect).await
            }
            Step::Delete {
                series: n,
                range: None,
            } => self.delete(&series(SERIES[n])?).await,
            Step::Delete {
                series: n,
                range: Some((from, to)),
            } => self.delete_range(&series(SERIES[n])?, from..to).await,
            Step::Scan {
                series: n,
                from,
                to,
                take,
                columns,
                batch_size,
            } => {
                let mut query = ScanQuery::new()
                    .range(range(from, to)?)
                    .batch_size(batch_size);
                query.take = take;
                self.scan(&series(SERIES[n])?, query, columns, from..to)
                    .await
            }
            Step::AsOf { series: n, back } => self.as_of(&series(SERIES[n])?, back).await,
            Step::List | Step::Reopen => self.lists().await,
        }
    }

    async fn write(
        &mut self,
        place: usize,
        rows: &Rows,
        mode: WriteMode,
        needs: Option<Capability>,
        effect: impl FnOnce(&Series, &[Row]) -> Effect,
    ) -> Outcome {
        let id = &series(SERIES[place])?;
        let before = self.model.get(id).map(|known| known.now.clone());
        if rows.times.is_empty() && (before.is_none() || rows.columns != 0) {
            // Whether a batch without rows makes a series or a column is left to the backend.
            return Ok(());
        }
        let before = before.unwrap_or_default();
        let mut made = Vec::new();
        for time in &rows.times {
            self.written += 1;
            made.push(Row::new(*time, self.written, rows.columns));
        }
        let columns: Vec<_> = std::iter::once("n").chain(chosen(rows.columns)).collect();
        let expected = match needs {
            Some(needs) if !self.claims(needs) => Err(ErrorKind::Unsupported),
            _ => effect(&before, &made),
        };
        let result = self.repo.write(id, table(&made, &columns)?, mode).await;
        match (result, expected) {
            (Err(error), expected) if is_injected(&error) => {
                self.settle(id, expected.ok().map(|(next, _)| next)).await
            }
            (Ok(receipt), Ok((next, counts))) => {
                ensure_eq!(
                    (receipt.inserted, receipt.replaced, receipt.skipped),
                    counts,
                    "rows inserted, replaced and skipped"
                );
                // Without a row that is written nothing changes, whatever columns the batch has.
                let changed = counts.0 > 0 || counts.1 > 0;
                let old = self.model.get(id).map(|known| known.version);
                if changed {
                    ensure!(
                        Some(receipt.version) > old,
                        "the version went from {old:?} to {}",
                        receipt.version
                    );
                    self.advance(id, next, receipt.version);
                } else {
                    ensure_eq!(
                        Some(receipt.version),
                        old,
                        "the version after nothing changed"
                    );
                }
                self.same(id).await
            }
            (Err(error), Err(kind)) => {
                ensure_eq!(error.kind(), kind, "how the write failed: {error}");
                self.same(id).await
            }
            (result, expected) => Err(Failure::new(format!(
                "the write gave {} and the model says {:?}",
                shown(&result),
                expected.map(|(_, counts)| counts)
            ))),
        }
    }

    fn advance(&mut self, id: &SeriesId, next: Series, version: Version) {
        let known = self.model.entry(id.clone()).or_default();
        known.version = version;
        known.history.push((version, next.clone()));
        if known.history.len() > REMEMBERED {
            known.history.remove(0);
        }
        known.now = next;
    }

    /// After a fault: the store is as it was or as the call would have made it. Which of the two, a read decides.
    async fn settle(&mut self, id: &SeriesId, next: Option<Series>) -> Outcome {
        let summary = insist(|| self.repo.summary(id)).await?;
        let was = self.model.get(id).map(|known| known.version);
        let is = summary.map(|summary| summary.version);
        if let (Some(next), Some(version), true) = (next, is, is != was) {
            self.advance(id, next, version);
        }
        self.same(id).await
    }

    async fn delete(&mut self, id: &SeriesId) -> Outcome {
        let rows = self.model.get(id).map_or(0, |known| known.now.rows.len());
        match self.repo.delete(id, None).await {
            Err(error) if is_injected(&error) => {
                if insist(|| self.repo.summary(id)).await?.is_none() {
                    self.model.remove(id);
                }
            }
            result => {
                ensure_eq!(result?, rows as u64, "how many rows went with the series");
                self.model.remove(id);
            }
        }
        self.same(id).await
    }

    async fn delete_range(&mut self, id: &SeriesId, within: Range<i64>) -> Outcome {
        let now = self.model.get(id).map(|known| &known.now);
        let (next, gone) = now.map_or_else(Default::default, |now| now.without(&within));
        let doomed = range(within.start, within.end)?;
        match self.repo.delete(id, Some(doomed)).await {
            Err(error) if is_injected(&error) => {
                return self.settle(id, (gone > 0).then_some(next)).await;
            }
            result if !self.claims(Capability::DeleteRange) => {
                let kind = result.err().map(|error| error.kind());
                ensure_eq!(
                    kind,
                    Some(ErrorKind::Unsupported),
                    "how a deletion of a range fails where that is not claimed"
                );
            }
            result => {
                ensure_eq!(result?, gone, "how many rows were deleted");
                if gone > 0 {
                    let summary = insist(|| self.repo.summary(id)).await?;
                    let version = summary.map(|summary| summary.version).unwrap_or_default();
                    let old = self.model.get(id).map(|known| known.version);
                    ensure!(
                        Some(version) > old,
                        "a deletion took the version from {old:?} to {version}"
                    );
                    self.advance(id, next, version);
                }
            }
        }
        self.same(id).await
    }

    async fn scan(
        &self,
        id: &SeriesId,
        query: ScanQuery,
        columns: u8,
        within: Range<i64>,
    ) -> Outcome {
        let Some(known) = self.model.get(id) else {
            return self.same(id).await;
        };
        let there = |column: &&str| known.now.columns.contains(column);
        let wanted: Vec<_> = chosen(columns).filter(there).collect();
        let query = query.columns(wanted.iter().copied());
        let inside = |row: &&Row| within.contains(&row.time);
        let mut rows: Vec<_> = known.now.rows.iter().filter(inside).cloned().collect();
        if self.claims(Capability::TimeOrdered) {
            rows.sort_by_key(|row| row.time);
        }
        let rows = match query.take {
            Take::First(n) => &rows[..n.min(rows.len())],
            Take::Last(n) => &rows[rows.len().saturating_sub(n)..],
            _ => &rows[..],
        };
        let stream = insist(|| self.repo.scan(id, &query)).await?;
        let found = drain(stream, query.batch_size).await?;
        same_columns(&found, &table(rows, &wanted)?)
            .map_err(|failure| failure.context(format!("{id} by {query:?}")))
    }

    async fn as_of(&self, id: &SeriesId, back: usize) -> Outcome {
        let history = self.model.get(id).map(|known| &known.history);
        let Some((version, was)) = history.and_then(|states| states.iter().rev().nth(back)) else {
            return Ok(());
        };
        let query = ScanQuery::new().as_of(Snapshot::Version(*version));
        let result = insist(|| self.repo.scan(id, &query)).await;
        if !self.claims(Capability::AsOf) {
            let kind = result.err().map(|error| error.kind());
            ensure_eq!(
                kind,
                Some(ErrorKind::Unsupported),
                "how a scan as of version {version} fails where that is not claimed"
            );
            return Ok(());
        }
        let found = drain(result?, query.batch_size).await?;
        let expected = was.batch(self.claims(Capability::TimeOrdered))?;
        same_columns(&found, &expected)
            .map_err(|failure| failure.context(format!("{id} as of version {version}")))
    }

    /// One series is as the model says.
    async fn same(&self, id: &SeriesId) -> Outcome {
        let summary = insist(|| self.repo.summary(id)).await?;
        let query = ScanQuery::new().batch_size(3);
        let scan = insist(|| self.repo.scan(id, &query)).await;
        let Some(known) = self.model.get(id) else {
            ensure_eq!(summary, None, "the summary of {id}, which is not there");
            let kind = scan.err().map(|error| error.kind());
            ensure_eq!(
                kind,
                Some(ErrorKind::NotFound),
                "how a scan of {id} fails, which is not there"
            );
            return Ok(());
        };
        let times = || known.now.rows.iter().map(|row| row.time);
        let found = summary.map(|s| (s.rows, s.first, s.last, s.version));
        let (first, last) = (times().min().map(at), times().max().map(at));
        ensure_eq!(
            found,
            Some((times().count() as u64, first, last, known.version)),
            "rows, first, last and version of {id}"
        );
        let found = drain(scan?, query.batch_size).await?;
        let expected = known.now.batch(self.claims(Capability::TimeOrdered))?;
        same_columns(&found, &expected).map_err(|failure| failure.context(id))
    }

    async fn lists(&self) -> Outcome {
        let all = SeriesFilter::new();
        let listed = insist(|| self.repo.list(&all)).await?;
        let expected: Vec<_> = self.model.keys().cloned().collect();
        ensure_eq!(listed, expected, "the series listed");
        Ok(())
    }
}
