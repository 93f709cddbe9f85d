//! A bot that follows two moving averages, and keeps its record as a real one would.

use chrono::TimeDelta;
use minutebook::time::format_timestamp;
use minutebook::{
    Action, Bar, Clock, Decision, DecisionId, DecisionRepositoryExt, ManualClock, Minutebook,
    ScanQuery, SeriesId, Symbol, Tick, TimeRange, TimeSeriesRepositoryExt, Timeframe,
};
use serde_json::json;

use super::sample::Sample;
use crate::failure::Outcome;

/// So many days have gone before the bot begins.
const HISTORY: usize = 252;
const FAST: usize = 10;
const SLOW: usize = 30;

/// What a run left.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) decisions: u64,
    pub(super) bars: u64,
    pub(super) ticks: u64,
    pub(super) datasets: u64,
}

/// The bot.
#[derive(Debug)]
pub(super) struct Bot<'a> {
    book: &'a Minutebook,
    clock: &'a ManualClock,
    run: Run,
}

/// What the bot knows of one symbol between two days.
#[derive(Debug, Default)]
struct Position {
    /// A decision that waits for the next open.
    pending: Option<Decision>,
    /// The decision that opened the position, and the price.
    open: Option<(DecisionId, f64)>,
}

impl<'a> Bot<'a> {
    pub(super) fn new(book: &'a Minutebook, clock: &'a ManualClock) -> Self {
        Self {
            book,
            clock,
            run: Run::default(),
        }
    }

    /// Stores the bars, then goes through the days as the bot would have lived them.
    pub(super) async fn run(mut self, sample: &Sample) -> Outcome<Run> {
        for (symbol, bars) in &sample.symbols {
            let days = SeriesId::bars(symbol.clone(), Timeframe::DAY);
            self.book.series().upsert_bars(&days, bars).await?;
            self.run.bars += bars.len() as u64;
        }
        let mut positions: Vec<Position> =
            sample.symbols.iter().map(|_| Position::default()).collect();
        let last = sample.symbols.first().map_or(0, |(_, bars)| bars.len());
        for day in HISTORY..last {
            for ((symbol, bars), position) in sample.symbols.iter().zip(&mut positions) {
                self.open_of_day(symbol, &bars[day], position).await?;
            }
            for ((symbol, bars), position) in sample.symbols.iter().zip(&mut positions) {
                self.evening(symbol, &bars[day], position).await?;
            }
        }
        for (symbol, _) in &sample.symbols {
            for series in [
                SeriesId::bars(symbol.clone(), Timeframe::DAY),
                SeriesId::ticks(symbol.clone()),
            ] {
                self.book
                    .register_series(&Minutebook::default_name(&series)?, &series)
                    .await?;
                self.run.datasets += 1;
            }
        }
        Ok(self.run)
    }

    /// 9:30 in New York: the first price of the day comes in as a tick, and what was decided the evening before is done at it.
    async fn open_of_day(
        &mut self,
        symbol: &Symbol,
        bar: &Bar,
        position: &mut Position,
    ) -> Outcome {
        self.clock
            .set(bar.timestamp + TimeDelta::minutes(14 * 60 + 30));
        let tick = Tick {
            timestamp: self.clock.now(),
            price: bar.open,
            size: None,
            side: None,
        };
        self.book
            .ticks()
            .append_ticks(&SeriesId::ticks(symbol.clone()), &[tick])
            .await?;
        self.run.ticks += 1;
        let Some(mut decision) = position.pending.take() else {
            return Ok(());
        };
        decision.set("executed", &true)?;
        decision.set(
            "execution",
            &json!({"time": format_timestamp(tick.timestamp), "price": tick.price}),
        )?;
        self.book.decisions().update(&decision).await?;
        if decision.action() == Some(Action::Buy) {
            position.open = Some((decision.id().clone(), tick.price));
        } else if let Some((opened, entry)) = position.open.take() {
            self.outcome(&opened, entry, tick).await?;
        }
        Ok(())
    }

    /// The decision that opened a position gets its outcome: read, changed, and saved over exactly what was read.
    async fn outcome(&self, id: &DecisionId, entry: f64, exit: Tick) -> Outcome {
        let mut stored = self.book.decisions().require(id).await?;
        let outcome = json!({
            "closed_at": format_timestamp(exit.timestamp),
            "exit_price": exit.price,
            "profit_percent": rounded((exit.price / entry - 1.0) * 100.0, 2),
        });
        stored.decision.set("outcome", &outcome)?;
        self.book
            .decisions()
            .update_from(&stored.decision, &stored.revision)
            .await?;
        Ok(())
    }

    /// After the close: the bot asks the store for the bars that are known by now, which are those that have closed, and decides on them.
    async fn evening(&mut self, symbol: &Symbol, bar: &Bar, position: &mut Position) -> Outcome {
        let days = SeriesId::bars(symbol.clone(), Timeframe::DAY);
        let Some(close) = Timeframe::DAY.close_of(bar.timestamp) else {
            return Ok(());
        };
        self.clock.set(close);
        let now = self.clock.now();
        let query = ScanQuery::new()
            .range(TimeRange::before(now))
            .last(SLOW + 1);
        let seen: Vec<Bar> = self.book.series().rows(&days, &query).await?;
        // A bar is stamped with its open, so one that has begun by now need not have closed.
        let known = |bar: &Bar| {
            Timeframe::DAY
                .close_of(bar.timestamp)
                .is_some_and(|close| close <= now)
        };
        let closes: Vec<f64> = seen
            .iter()
            .filter(|bar| known(bar))
            .map(|bar| bar.close)
            .collect();
        let Some(decision) = self.decide(symbol, &closes, position.open.is_some())? else {
            return Ok(());
        };
        self.book.decisions().create(&decision).await?;
        self.run.decisions += 1;
        position.pending = Some(decision);
        Ok(())
    }

    /// Buys when the fast average crosses the slow one upwards, and sells what it has when it falls below.
    fn decide(&self, symbol: &Symbol, closes: &[f64], holds: bool) -> Outcome<Option<Decision>> {
        let Some((today, before)) = closes
            .split_last()
            .filter(|(_, before)| before.len() >= SLOW)
        else {
            return Ok(None);
        };
        let (fast, slow) = (mean(closes, FAST), mean(closes, SLOW));
        let was_above = mean(before, FAST) > mean(before, SLOW);
        let (action, reason) = match (fast > slow, was_above, holds) {
            (true, false, false) => (Action::Buy, "the fast average rose above the slow one"),
            (false, _, true) => (Action::Sell, "the fast average fell below the slow one"),
            _ => return Ok(None),
        };
        let confidence = rounded(((fast / slow - 1.0).abs() * 50.0).min(0.45) + 0.5, 2);
        let mut decision = Decision::new(self.book.new_id())
            .with_timestamp(self.clock.now())
            .with_asset_pair(symbol)
            .with_action(action)
            .with_confidence(confidence)?;
        decision.set(
            "strategy",
            &json!({"name": "two moving averages", "fast_days": FAST, "slow_days": SLOW}),
        )?;
        decision.set("reasoning", &reason)?;
        decision.set(
            "market_data",
            &json!({"close": today, "fast_average": rounded(fast, 4), "slow_average": rounded(slow, 4)}),
        )?;
        Ok(Some(decision))
    }
}

/// The mean of the last so many.
fn mean(values: &[f64], last: usize) -> f64 {
    let tail = &values[values.len().saturating_sub(last)..];
    #[allow(clippy::cast_precision_loss, reason = "a few days")]
    let days = tail.len() as f64;
    tail.iter().sum::<f64>() / days
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use minutebook::time::parse_timestamp;
    use minutebook::{DecisionQuery, TimeRange};

    use super::super::sample;
    use super::*;

    async fn record() -> (Minutebook, Run) {
        let sample = sample::read().unwrap();
        let clock = Arc::new(ManualClock::at(sample.start()));
        let book = Minutebook::in_memory_at(Arc::clone(&clock) as _);
        let run = Bot::new(&book, &clock).run(&sample).await.unwrap();
        (book, run)
    }

    #[tokio::test]
    async fn every_decision_rests_on_bars_that_had_closed() {
        let (book, run) = record().await;
        assert_eq!((run.bars, run.ticks, run.datasets), (1_004, 500, 4));
        let decisions = book
            .decisions()
            .query(&DecisionQuery::new())
            .await
            .unwrap()
            .decisions;
        assert_eq!(decisions.len() as u64, run.decisions);
        assert!(run.decisions >= 10);
        for stored in decisions {
            let decision = stored.decision;
            let made = decision.timestamp().unwrap();
            let symbol = decision.asset_pair().unwrap().parse().unwrap();
            let days = SeriesId::bars(symbol, Timeframe::DAY);
            let seen = book
                .series()
                .bars(&days, TimeRange::before(made))
                .await
                .unwrap();
            let last = seen.last().unwrap();
            assert_eq!(Timeframe::DAY.close_of(last.timestamp), Some(made));
            assert_eq!(
                decision.pointer("/market_data/close"),
                Some(last.close.into())
            );
            if let Some(time) = decision.pointer("/execution/time") {
                assert!(parse_timestamp(time.as_str().unwrap()).unwrap() > made);
            }
        }
    }

    #[tokio::test]
    async fn closed_positions_have_an_outcome() {
        let (book, _) = record().await;
        let all = book
            .decisions()
            .query(&DecisionQuery::new())
            .await
            .unwrap()
            .decisions;
        let of = |action: Action| {
            all.iter()
                .filter(move |s| s.decision.action() == Some(action.clone()))
        };
        let with_outcome = of(Action::Buy)
            .filter(|s| s.decision.raw("outcome").is_some())
            .count();
        assert!(with_outcome >= 4);
        assert_eq!(
            with_outcome,
            of(Action::Sell)
                .filter(|s| s.decision.raw("executed").is_some())
                .count()
        );
    }
}
