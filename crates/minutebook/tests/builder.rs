//! Stores put together from parts.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::sync::Arc;

use minutebook::{Clock, ManualClock, Minutebook, time::parse_timestamp};

#[cfg(feature = "memory")]
#[tokio::test]
async fn what_is_given_is_used_and_the_rest_is_memory() {
    use minutebook::memory::MemoryDecisionRepository;
    use minutebook::{
        Bar, Decision, DecisionRepositoryExt, SeriesId, TimeRange, TimeSeriesRepositoryExt,
        Timeframe,
    };

    let clock = Arc::new(ManualClock::at(
        parse_timestamp("2025-01-01T12:00:00Z").unwrap(),
    ));
    let decisions = Arc::new(MemoryDecisionRepository::with_clock(Arc::clone(&clock) as _));
    let book = Minutebook::builder()
        .decisions(Arc::clone(&decisions))
        .clock(Arc::clone(&clock) as _)
        .build()
        .unwrap();
    assert_eq!(book.now(), clock.now());
    book.decisions()
        .create(&Decision::new(book.new_id()))
        .await
        .unwrap();
    let found = decisions.recent(10, None).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].recorded_at, clock.now());

    let days = SeriesId::bars("A".parse().unwrap(), Timeframe::DAY);
    let bar = Bar {
        timestamp: clock.now(),
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 1.0,
    };
    book.series().append_bars(&days, &[bar]).await.unwrap();
    assert_eq!(
        book.series().bars(&days, TimeRange::all()).await.unwrap(),
        [bar]
    );
    assert!(
        book.ticks()
            .bars(&days, TimeRange::all())
            .await
            .unwrap()
            .is_empty()
    );
}

#[cfg(not(feature = "memory"))]
#[test]
fn what_is_not_given_is_an_error_without_memory() {
    let clock = Arc::new(ManualClock::at(parse_timestamp("2025-01-01").unwrap()));
    assert_eq!(clock.now(), parse_timestamp("2025-01-01").unwrap());
    let error = Minutebook::builder().clock(clock).build().unwrap_err();
    assert_eq!(error.kind(), minutebook::ErrorKind::Unsupported);
    assert!(error.to_string().contains("Builder::decisions"), "{error}");
}

/// A part whose feature is off says so, and the others work.
#[cfg(all(feature = "jsonl", not(feature = "parquet")))]
#[tokio::test]
async fn a_part_that_is_not_built_in_says_so() {
    use minutebook::{SeriesFilter, TimeSeriesRepository};

    let dir = tempfile::tempdir().unwrap();
    let book = Minutebook::open(dir.path()).unwrap();
    assert!(
        book.ticks()
            .list(&SeriesFilter::new())
            .await
            .unwrap()
            .is_empty()
    );
    let error = book.series().list(&SeriesFilter::new()).await.unwrap_err();
    assert_eq!(error.kind(), minutebook::ErrorKind::Unsupported);
    assert!(error.to_string().contains("\"parquet\""), "{error}");
}
