//! D. The catalog of datasets: register, get, list, statistics, remove. Statistics come from the files' footers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use minutebook_core::{
    Catalog, DatasetChange, DatasetEntry, DatasetFilter, DatasetName, SaveMode, Statistics,
};
use minutebook_fs::Durability;
use minutebook_parquet::parquet_statistics;

use crate::bare;
use crate::config::{Config, wipe};
use crate::measure::{Plan, Timing, as_f64, measure, measure_with};
use crate::record::{BUFFERED, OURS, Record};
use crate::store::{self, Runtime};

const SECTION: &str = "D.catalog";

struct Bench<'a> {
    config: &'a Config,
    runtime: Runtime,
    /// How many datasets there are.
    n: usize,
    files: PathBuf,
    registry: PathBuf,
    peer: &'a str,
    durability: Durability,
}

pub(super) fn run(config: &Config) -> Result<()> {
    let root = config.fresh("catalog")?;
    let files = root.join("files");
    std::fs::create_dir_all(&files)?;
    for i in 0..config.datasets + 100 {
        std::fs::copy(config.daily_file(), files.join(format!("d{i}.parquet")))?;
    }
    for (peer, durability) in [(OURS, Durability::Synced), (BUFFERED, Durability::Buffered)] {
        for n in [config.datasets, config.datasets * 10] {
            let bench = Bench {
                config,
                runtime: Runtime::new()?,
                n,
                files: files.clone(),
                registry: root.join(peer).join(n.to_string()).join("registry.json"),
                peer,
                durability,
            };
            bench.run()?;
        }
    }
    wipe(&root)
}

impl Bench<'_> {
    fn report(
        &self,
        op: &str,
        n: usize,
        timing: &Timing,
        limit: Option<(&Timing, &str)>,
    ) -> Record {
        let record = Record::new(SECTION, op, self.peer, n)
            .with("durable", self.durability == Durability::Synced)
            .timed(timing);
        match limit {
            Some((limit, what)) => record.limit(limit, what),
            None => record,
        }
    }

    fn run(&self) -> Result<()> {
        let catalog = if self.is_first() {
            self.register_n()?
        } else {
            self.filled()?
        };
        self.one_by_one(&catalog)?;
        if self.durability == Durability::Synced {
            self.reads(&catalog)?;
        }
        Ok(())
    }

    /// Registers a file, as an application does: its footer first.
    async fn register(
        &self,
        catalog: &Arc<dyn Catalog>,
        name: &str,
        file: &Path,
        instrument: &str,
        tenor: &str,
    ) -> Result<()> {
        let entry = DatasetEntry::new(
            DatasetName::new(name)?,
            instrument,
            file.display().to_string(),
        )
        .with_tenor(tenor)
        .with_metadata("source", "x")
        .with_metadata("frequency", "d")
        .with_statistics(footer(file)?);
        catalog.register(&entry, SaveMode::Upsert).await?;
        Ok(())
    }

    fn file(&self, i: usize) -> PathBuf {
        // The large catalog names the files of the small one several times.
        let i = i % (self.config.datasets + 100);
        self.files.join(format!("d{i}.parquet"))
    }

    /// A registry with so many entries, as registering one after the other leaves it, but written at once.
    fn filled(&self) -> Result<Arc<dyn Catalog>> {
        let directory = self.registry.parent().context("a registry has a folder")?;
        std::fs::create_dir_all(directory)?;
        let statistics = footer(&self.file(0))?;
        let mut entries = serde_json::Map::new();
        for i in 0..self.n {
            let path = self.file(i).display().to_string();
            let mut entry =
                DatasetEntry::new(DatasetName::new(name(i))?, format!("INST{}", i % 50), path)
                    .with_tenor(format!("{}Y", i % 7))
                    .with_metadata("source", "x")
                    .with_metadata("frequency", "d")
                    .with_statistics(statistics);
            entry.registered_at = Some("2025-01-01T00:00:00".to_owned().into());
            entries.insert(name(i), serde_json::to_value(&entry)?);
        }
        std::fs::write(&self.registry, serde_json::to_string_pretty(&entries)?)?;
        store::catalog(&self.registry, self.durability)
    }

    fn register_n(&self) -> Result<Arc<dyn Catalog>> {
        let n = self.n;
        let directory = self.registry.parent().context("a registry has a folder")?;
        let mut last = None;
        let timing = measure_with(
            Plan::of(3.min(self.config.runs)).cold(),
            || {
                wipe(directory)?;
                std::fs::create_dir_all(directory)?;
                store::catalog(&self.registry, self.durability)
            },
            |catalog| {
                self.runtime.block_on(async {
                    for i in 0..n {
                        let (instrument, tenor) =
                            (format!("INST{}", i % 50), format!("{}Y", i % 7));
                        self.register(&catalog, &name(i), &self.file(i), &instrument, &tenor)
                            .await?;
                    }
                    anyhow::Ok(())
                })?;
                last = Some(catalog);
                Ok(())
            },
        )?;
        let bytes = std::fs::metadata(&self.registry)?.len();
        let mut limit = self.bare_replace(usize::try_from(bytes)? / 2)?;
        for seconds in &mut limit.seconds {
            *seconds *= as_f64(n);
        }
        self.report(
            "register_n",
            n,
            &timing,
            Some((
                &limit,
                "as many bare replacements of a file of half the size",
            )),
        )
        .with("per_dataset_ms", timing.min() / as_f64(n) * 1e3)
        .with("catalog_bytes", bytes)
        .write(self.config)?;
        last.context("nothing was timed")
    }

    /// One bare replacement of the whole file, which a registry in one file needs at least.
    fn bare_replace(&self, bytes: usize) -> Result<Timing> {
        let scratch = self.config.fresh("catalog-bare")?;
        let text = bare::fill(bytes);
        let timing = measure(Plan::of(self.config.runs).inner(10), || {
            for _ in 0..10 {
                let sync = self.durability == Durability::Synced;
                bare::replace_file(&scratch, "registry.json", &text, sync)?;
            }
            Ok(())
        })?;
        wipe(&scratch)?;
        Ok(timing)
    }

    fn one_by_one(&self, catalog: &Arc<dyn Catalog>) -> Result<()> {
        let n = self.n;
        let bytes = usize::try_from(std::fs::metadata(&self.registry)?.len())?;
        let replace = self.bare_replace(bytes)?;
        let limit = Some((&replace, "one bare replacement of the file"));
        let plan = Plan::of(self.config.runs);
        let mut next = n;
        let timing = measure(plan, || {
            let i = next;
            next += 1;
            self.runtime
                .block_on(self.register(catalog, &name(i), &self.file(i), "INST1", "5Y"))
        })?;
        self.report("register_one_at_n", n, &timing, limit)
            .write(self.config)?;

        let (stale, file) = (DatasetName::new(name(5))?, self.file(5));
        let timing = measure(plan, || {
            let change = DatasetChange::new().statistics(footer(&file)?);
            Ok(self.runtime.block_on(catalog.update(&stale, &change))?)
        })?;
        self.report("refresh_stats_small", n, &timing, limit)
            .write(self.config)?;
        if self.is_first() {
            self.refresh_big(catalog, limit)?;
        }

        let mut next = 10;
        let timing = measure(plan, || {
            let name = DatasetName::new(name(next))?;
            next += 1;
            ensure!(self.runtime.block_on(catalog.remove(&name))?);
            Ok(())
        })?;
        self.report("remove_one", n, &timing, limit)
            .write(self.config)
    }

    fn reads(&self, catalog: &Arc<dyn Catalog>) -> Result<()> {
        let n = self.n;
        let plan = Plan::of(self.config.runs);
        // Names beyond those that were removed.
        let names = (20..n)
            .map(|i| DatasetName::new(name(i)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut buffer = Vec::new();
        let parse = measure(plan, || {
            bare::read_file(&self.registry, &mut buffer)?;
            Ok(serde_json::from_slice::<serde_json::Value>(&buffer)?)
        })?;
        let timing = measure(plan.inner(names.len()), || {
            self.runtime.block_on(async {
                for name in &names {
                    ensure!(catalog.get(name).await?.is_some());
                }
                Ok(())
            })
        })?;
        let stat = measure(plan.inner(1_000), || {
            for _ in 0..1_000 {
                std::fs::metadata(&self.registry)?;
            }
            Ok(())
        })?;
        self.report(
            "get",
            n,
            &timing,
            Some((&stat, "one stat of the file, to see what others changed")),
        )
        .write(self.config)?;
        let filter = DatasetFilter::new().instrument("INST3");
        let timing = measure(plan.inner(100), || {
            self.runtime.block_on(async {
                for _ in 0..100 {
                    ensure!(!catalog.list(&filter).await?.is_empty());
                }
                Ok(())
            })
        })?;
        self.report(
            "list_instrument",
            n,
            &timing,
            Some((&stat, "one stat of the file, to see what others changed")),
        )
        .write(self.config)?;
        let timing = measure(plan, || {
            let catalog = store::catalog(&self.registry, self.durability)?;
            ensure!(!self.runtime.block_on(catalog.list(&filter))?.is_empty());
            Ok(catalog)
        })?;
        self.report(
            "list_instrument_cold",
            n,
            &timing,
            Some((&parse, "one read and parse of the file")),
        )
        .write(self.config)?;
        let timing = measure(plan, || {
            let catalog = store::catalog(&self.registry, self.durability)?;
            // Opening may put the reading off; the first answer shows its cost.
            ensure!(self.runtime.block_on(catalog.get(&names[0]))?.is_some());
            Ok(catalog)
        })?;
        self.report(
            "open",
            n,
            &timing,
            Some((&parse, "one read and parse of the file")),
        )
        .write(self.config)?;
        if self.is_first() {
            self.footer_alone(plan)?;
        }
        Ok(())
    }

    /// The small catalog, with which what does not depend on the number of datasets is measured, once.
    fn is_first(&self) -> bool {
        self.n == self.config.datasets
    }

    fn refresh_big(
        &self,
        catalog: &Arc<dyn Catalog>,
        limit: Option<(&Timing, &str)>,
    ) -> Result<()> {
        let big = self.config.bars_file();
        self.runtime
            .block_on(self.register(catalog, "big", &big, "BIG", ""))?;
        let name = DatasetName::new("big")?;
        let timing = measure(Plan::of(self.config.runs), || {
            let change = DatasetChange::new().statistics(footer(&big)?);
            Ok(self.runtime.block_on(catalog.update(&name, &change))?)
        })?;
        let rows = 525_600 * self.config.years;
        self.report("refresh_stats_big", rows, &timing, limit)
            .write(self.config)
    }

    fn footer_alone(&self, plan: Plan) -> Result<()> {
        let big = self.config.bars_file();
        let rows = 525_600 * self.config.years;
        let found = footer(&big)?;
        ensure!(found.rows == rows as u64 && found.last.is_some());
        let timing = measure(plan, || footer(&big))?;
        self.report("stats_footer_only", rows, &timing, None)
            .write(self.config)
    }
}

fn name(i: usize) -> String {
    format!("ds{i:05}")
}

/// Rows, first and last timestamp of a Parquet file.
fn footer(file: &Path) -> Result<Statistics> {
    let found = parquet_statistics(file)?;
    Ok(Statistics {
        rows: found.rows,
        first: found.first,
        last: found.last,
    })
}
