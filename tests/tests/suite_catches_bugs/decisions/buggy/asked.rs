//! The bugs of answers to questions.

use chrono::TimeDelta;
use minutebook_core::{
    Cursor, DecisionFilter, DecisionPage, DecisionQuery, DecisionRepository, ReadReport, Result,
    StoredDecision, TimeRange,
};

use super::{Bug, Buggy, digest};

fn closed(range: TimeRange) -> TimeRange {
    let end = range.end().map(|end| end + TimeDelta::nanoseconds(1));
    TimeRange::between(range.start(), end).unwrap()
}

impl Buggy {
    pub(super) fn filter(&self, filter: &DecisionFilter) -> DecisionFilter {
        let mut filter = filter.clone();
        match self.bug {
            Bug::RangeEndClosed => filter.time = closed(filter.time),
            Bug::ConfidenceIgnored => filter.min_confidence = None,
            Bug::FieldsIgnored => filter.fields.clear(),
            Bug::DeleteMatchingIgnoresPair => filter.asset_pair = None,
            _ => {}
        }
        filter
    }

    pub(super) async fn all(&self) -> Result<Vec<StoredDecision>> {
        let mut all = self.inner.query(&DecisionQuery::new()).await?.decisions;
        all.extend(self.shared.lock().unwrap().ghosts.iter().cloned());
        Ok(all)
    }

    pub(super) fn shown(&self, mut stored: StoredDecision) -> StoredDecision {
        if self.bug == Bug::RevisionIsDigest {
            stored.revision = digest(&stored.decision);
        }
        stored
    }

    pub(super) async fn answered(&self, query: &DecisionQuery) -> Result<DecisionPage> {
        if self.bug == Bug::CursorOrderUnchecked && query.check().is_err() {
            return Ok(DecisionPage::default());
        }
        query.check()?;
        let mut asked = query.clone();
        if self.bug != Bug::DeleteMatchingIgnoresPair {
            asked.filter = self.filter(&query.filter);
        }
        let mut all = self.all().await?;
        match self.bug {
            Bug::LimitOffByOne => asked.limit = query.limit.map(|limit| limit + 1),
            Bug::LimitBeforeOrder => {
                if let Some(limit) = query.limit {
                    all.retain(|stored| query.filter.matches(stored));
                    all.sort_by_key(|stored| stored.decision.id().clone());
                    all.truncate(limit);
                }
            }
            Bug::PairComparedExactly => {
                if let Some(pair) = &query.filter.asset_pair {
                    all.retain(|stored| {
                        stored.decision.asset_pair().as_deref() == Some(pair.as_str())
                    });
                }
            }
            Bug::PrefixMatchesAnywhere => {
                if let Some(prefix) = asked.filter.id_prefix.take() {
                    all.retain(|stored| stored.decision.id().as_str().contains(&prefix));
                }
            }
            Bug::EffectiveTimeIgnoresRecordedAt if !query.filter.time.is_all() => {
                all.retain(|stored| stored.decision.timestamp().is_some());
            }
            _ => {}
        }
        if let (Bug::CursorInclusive, Some(_)) = (self.bug, &asked.after) {
            // The decision on which the cursor stands comes once more.
            let page = query.answer(all.clone(), ReadReport::default());
            let cursor = asked.after.take();
            let mut page = page;
            let on = all
                .iter()
                .find(|stored| Some(Cursor::at(query.order, stored)) == cursor);
            page.decisions.splice(0..0, on.cloned());
            page.decisions.truncate(query.limit.unwrap_or(usize::MAX));
            return Ok(page);
        }
        let mut page = asked.answer(all, ReadReport::default());
        match self.bug {
            Bug::OrderReversed => page.decisions.reverse(),
            Bug::TiesUnordered => {
                page.decisions.sort_by_key(|stored| {
                    (
                        std::cmp::Reverse(stored.time()),
                        stored.decision.id().as_str().len(),
                    )
                });
            }
            Bug::NextMissing => page.next = None,
            Bug::NextOnTheLastPage => {
                let last = page.decisions.last();
                page.next = last.map(|last| Cursor::at(query.order, last));
            }
            _ => {}
        }
        page.decisions = page
            .decisions
            .into_iter()
            .map(|stored| self.shown(stored))
            .collect();
        Ok(page)
    }
}
