//! Faults by script do what they say.

use std::time::Duration;

use minutebook::memory::{MemoryCatalog, MemoryDecisionRepository, MemoryTimeSeriesRepository};
use minutebook_core::{
    Bar, Catalog, CatalogExt, DatasetEntry, Decision, DecisionId, DecisionRepository,
    DecisionRepositoryExt, ErrorKind, Result, SeriesId, TimeSeriesRepository,
    TimeSeriesRepositoryExt, time::from_nanos,
};
use minutebook_testkit::faults::{Fault, Faulty, Script, is_injected};

#[tokio::test]
async fn a_fault_before_the_call_changes_nothing_and_one_after_it_does() -> Result<()> {
    let store = MemoryDecisionRepository::new();
    let script = Script::new([Fault::Before, Fault::After, Fault::None, Fault::After]);
    let flaky = Faulty::new(store.clone(), script.clone());
    let id = DecisionId::new("d-1")?;
    let decision = Decision::new(id.clone());

    let error = flaky.create(&decision).await.unwrap_err();
    assert!(is_injected(&error) && error.kind() == ErrorKind::Unavailable);
    assert_eq!(store.get(&id).await?, None);

    let error = flaky.create(&decision).await.unwrap_err();
    assert!(is_injected(&error), "{error}");
    assert!(store.contains(&id).await?);

    // Gone through: the store's own answer, which a fault after the call does not hide either.
    for _ in 0..2 {
        let error = flaky.create(&decision).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
    assert_eq!(script.remaining(), 0);
    assert!(
        flaky.delete(&id).await?,
        "a script that is used up does nothing"
    );
    Ok(())
}

#[tokio::test]
async fn every_trait_can_be_made_to_fail() -> Result<()> {
    let script = Script::new([Fault::Delay(Duration::from_micros(1)), Fault::After]);
    let series: SeriesId = "BTCUSD@1m".parse()?;
    let store = MemoryTimeSeriesRepository::new();
    let flaky = Faulty::new(store.clone(), script);
    let bar = Bar {
        timestamp: from_nanos(0),
        open: 1.0,
        high: 1.0,
        low: 1.0,
        close: 1.0,
        volume: 0.0,
    };
    flaky.append_bars(&series, &[bar]).await?;
    assert!(is_injected(
        &flaky.append_bars(&series, &[bar]).await.unwrap_err()
    ));
    assert_eq!(store.summary(&series).await?.map(|s| s.rows), Some(2));

    let store = MemoryCatalog::new();
    let script = Script::default();
    script.push(Fault::Before);
    let flaky = Faulty::new(store.clone(), script);
    let entry = DatasetEntry::new("vix".parse()?, "VIX", "vix.parquet");
    assert!(is_injected(&flaky.upsert(&entry).await.unwrap_err()));
    assert_eq!(store.get(&entry.name).await?, None);
    flaky.upsert(&entry).await?;
    assert!(store.get(&entry.name).await?.is_some());
    Ok(())
}
