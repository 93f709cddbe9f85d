//! What the calls of the decision repository cost: `cargo run --release -p minutebook-json --example measure [DOCUMENTS] [DIRECTORY]`.
#![allow(
    clippy::print_stdout,
    reason = "a program that reports what it measured"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use minutebook_core::{
    Clock, Decision, DecisionFilter, DecisionRepository, DecisionRepositoryExt, SaveMode, Symbol,
    SystemClock,
};
use minutebook_fs::Durability;
use minutebook_json::{JsonDecisionConfig, JsonDecisionRepository};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// About a kilobyte, of one of 20 pairs, a minute after the one before.
fn document(n: usize) -> Outcome<Decision> {
    let start = minutebook_core::time::parse_timestamp("2025-01-01")?;
    let time = start + chrono::TimeDelta::minutes(i64::try_from(n)?);
    let text = format!(
        r#"{{"id":"d-{n:07}","timestamp":"{}","asset_pair":"PAIR{}","action":"BUY","confidence":{},"reasoning":"{}","market_data":{{"close":{}.25,"volume":1e5}}}}"#,
        time.to_rfc3339(),
        n % 20,
        n % 100,
        "because ".repeat(100),
        n
    );
    Ok(Decision::from_json(&text)?)
}

fn report(what: &str, time: Duration) {
    println!("{what:<40} {:>12.1} µs", time.as_secs_f64() * 1e6);
}

/// The median time of so many runs.
async fn median<T>(what: &str, runs: usize, run: impl AsyncFn(usize) -> Outcome<T>) -> Outcome {
    let mut times = Vec::with_capacity(runs);
    for i in 0..runs {
        let start = Instant::now();
        run(i).await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    report(what, times.get(runs / 2).copied().unwrap_or_default());
    Ok(())
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let dir = arguments
        .next()
        .map_or(temporary.path().join("decisions"), PathBuf::from);
    println!("{count} documents, started {}", SystemClock.now());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let documents: Vec<_> = (0..count).map(document).collect::<Outcome<_>>()?;
        let store = JsonDecisionRepository::open(&dir, JsonDecisionConfig::default())?;
        batch(&store, &documents).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        reads(&store, &documents).await?;
        writes(&store, &documents).await
    })
}

async fn batch(store: &JsonDecisionRepository, documents: &[Decision]) -> Outcome {
    let start = Instant::now();
    for saved in store.save_all(documents.to_vec(), SaveMode::Create).await {
        saved?;
    }
    report(
        "save_all, each",
        start.elapsed() / u32::try_from(documents.len())?,
    );
    let start = Instant::now();
    store.checkpoint().await?;
    report("checkpoint", start.elapsed());
    Ok(())
}

async fn reads(store: &JsonDecisionRepository, documents: &[Decision]) -> Outcome {
    let dir = store.directory();
    let one = |i: usize| &documents[i * 7919 % documents.len()];
    median("limit: read and parse of the file", 2_000, async |i| {
        let date = one(i).timestamp().unwrap_or_default().format("%Y-%m-%d");
        let text = std::fs::read_to_string(dir.join(format!("{date}_{}.json", one(i).id())))?;
        Ok(Decision::from_json(&text)?)
    })
    .await?;
    median("get, warm", 2_000, async |i| {
        Ok(store.require(one(i).id()).await?)
    })
    .await?;
    median("get, warm, one of 100", 2_000, async |i| {
        Ok(store.require(one(i % 100).id()).await?)
    })
    .await?;
    let (pair, absent): (Symbol, Symbol) = ("PAIR7".parse()?, "NOPAIR".parse()?);
    median("recent(10)", 200, async |_| {
        Ok(store.recent(10, None).await?)
    })
    .await?;
    median("recent(10, pair)", 200, async |_| {
        Ok(store.recent(10, Some(&pair)).await?)
    })
    .await?;
    median("recent(10, absent pair)", 10, async |_| {
        Ok(store.recent(10, Some(&absent)).await?)
    })
    .await?;
    median("count", 10, async |_| {
        Ok(store.count(&DecisionFilter::new()).await?)
    })
    .await?;
    median("open", 5, async |_| {
        Ok(JsonDecisionRepository::open(
            dir,
            JsonDecisionConfig::default(),
        )?)
    })
    .await
}

async fn writes(store: &JsonDecisionRepository, documents: &[Decision]) -> Outcome {
    let count = documents.len();
    median("save, synced, new", 300, async |i| {
        Ok(store.create(&document(count + i)?).await?)
    })
    .await?;
    median("save, synced, update", 300, async |i| {
        let mut changed = documents[i % count].clone();
        changed.set("note", &i)?;
        Ok(store.update(&changed).await?)
    })
    .await?;
    let start = Instant::now();
    let savers = (0..64).map(|saver| {
        let store = store.clone();
        tokio::spawn(async move {
            for i in 0..20 {
                let decision =
                    document(count + 1_000 + saver * 20 + i).map_err(|error| error.to_string())?;
                store
                    .create(&decision)
                    .await
                    .map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        })
    });
    for saver in savers.collect::<Vec<_>>() {
        saver.await??;
    }
    report("save, synced, 64 savers, each", start.elapsed() / (64 * 20));
    let config = JsonDecisionConfig::default().durability(Durability::Buffered);
    let buffered = JsonDecisionRepository::open(store.directory(), config)?;
    median("save, buffered, new", 500, async |i| {
        Ok(buffered.create(&document(count + 10_000 + i)?).await?)
    })
    .await?;
    median("save, buffered, then get", 200, async |i| {
        let decision = document(count + 20_000 + i)?;
        buffered.create(&decision).await?;
        Ok(buffered.require(decision.id()).await?)
    })
    .await?;
    median("save, buffered, then recent(10)", 100, async |i| {
        buffered.create(&document(count + 30_000 + i)?).await?;
        Ok(buffered.recent(10, None).await?)
    })
    .await
}
