//! What a process writes, a handle in another sees with its next call, and the other way round.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod common;

use common::World;
use minutebook::config::Environment;
use minutebook::{
    Bar, Decision, DecisionRepositoryExt, Minutebook, SeriesId, Tick, TimeRange,
    TimeSeriesRepositoryExt, Timeframe, time::parse_timestamp,
};

#[tokio::test]
async fn a_handle_and_other_processes_see_each_other() {
    let world = World::new();
    let book = Minutebook::options()
        .environment(Environment::empty())
        .open(world.store())
        .unwrap();
    let days = SeriesId::bars("X".parse().unwrap(), Timeframe::DAY);
    let ticks = SeriesId::ticks("X".parse().unwrap());
    // The handle has looked before the others write.
    assert!(book.decisions().recent(10, None).await.unwrap().is_empty());
    assert!(
        book.series()
            .bars(&days, TimeRange::all())
            .await
            .unwrap()
            .is_empty()
    );

    world.ok_with(&["decision", "add"], "{\"id\": \"theirs\", \"n\": 1}");
    let file = world.file(
        "b.csv",
        "date,open,high,low,close,volume\n2024-01-01,1,1,1,1,1\n",
    );
    world.ok(&["bars", "import", "X", "1d", &file]);
    world.ok_with(
        &["ticks", "append", "X", "-"],
        "{\"timestamp\": \"2024-01-01\", \"price\": 1.5}\n",
    );
    assert_eq!(book.decisions().recent(10, None).await.unwrap().len(), 1);
    assert_eq!(
        book.series()
            .bars(&days, TimeRange::all())
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        book.ticks()
            .ticks(&ticks, TimeRange::all())
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        book.catalog()
            .get(&"x_1d".parse().unwrap())
            .await
            .unwrap()
            .is_some()
    );

    let timestamp = parse_timestamp("2024-01-02").unwrap();
    book.decisions()
        .create(&Decision::new("ours".parse().unwrap()))
        .await
        .unwrap();
    let bar = Bar {
        timestamp,
        open: 2.0,
        high: 2.0,
        low: 2.0,
        close: 2.0,
        volume: 2.0,
    };
    book.series().append_bars(&days, &[bar]).await.unwrap();
    let tick = Tick {
        timestamp,
        price: 2.0,
        size: None,
        side: None,
    };
    book.ticks().append_ticks(&ticks, &[tick]).await.unwrap();
    assert_eq!(world.ok(&["decision", "count"]), "2\n");
    assert_eq!(world.json(&["bars", "read", "X", "1d"]).len(), 2);
    assert_eq!(world.json(&["ticks", "read", "X"]).len(), 2);

    // A change by another process is a change of the revision.
    let id = "theirs".parse().unwrap();
    let mut seen = book.decisions().require(&id).await.unwrap();
    world.ok(&["decision", "update", "theirs", "--set", "n=2"]);
    seen.decision.set("n", &3).unwrap();
    let error = book
        .decisions()
        .update_from(&seen.decision, &seen.revision)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), minutebook::ErrorKind::Conflict);
    assert_eq!(
        world.json(&["decision", "get", "theirs"])[0]["decision"]["n"],
        2
    );
}

#[test]
fn processes_at_the_same_time_lose_nothing() {
    let world = World::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for n in 0..5 {
                    world.ok_with(
                        &["decision", "add"],
                        format!("{{\"id\": \"{writer}-{n}\"}}"),
                    );
                    let tick =
                        format!("{{\"timestamp\": \"2024-01-01\", \"w\": {writer}, \"n\": {n}}}\n");
                    world.ok_with(&["ticks", "append", "X", "-"], tick);
                    let day = 1 + writer * 5 + n;
                    let file = world.file(
                        &format!("{writer}.csv"),
                        format!("date,open,high,low,close,volume\n2024-01-{day:02},1,1,1,1,1\n"),
                    );
                    world.ok(&["bars", "import", "X", "1d", &file]);
                    let name = format!("set-{writer}-{n}");
                    world.ok(&[
                        "catalog",
                        "register",
                        &name,
                        "later.parquet",
                        "--instrument",
                        "X",
                        "--quiet",
                    ]);
                }
            });
        }
    });
    assert_eq!(world.ok(&["decision", "count"]), "20\n");
    assert_eq!(world.json(&["ticks", "read", "X"]).len(), 20);
    assert_eq!(world.json(&["bars", "read", "X", "1d"]).len(), 20);
    // Twenty of the test's own, and two that imports and appends have registered.
    assert_eq!(world.json(&["catalog", "list"]).len(), 22);
}
