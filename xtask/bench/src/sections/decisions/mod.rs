//! A. Decision documents of about 1 KB: save, get, the latest, count, delete; one by one and from many tasks.

mod fresh;
mod limits;

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use minutebook_core::{
    Decision, DecisionFilter, DecisionRepository, DecisionRepositoryExt as _, GroupBy, SaveMode,
    Symbol,
};
use minutebook_fs::Durability;
use minutebook_json::JsonDecisionRepository;

use crate::bare;
use crate::config::{Config, disk_bytes, wipe};
use crate::inputs::generate::{ASSETS, Random};
use crate::inputs::lines;
use crate::measure::{Plan, Timing, as_f64, measure, measure_with};
use crate::record::{BUFFERED, OURS, Record};
use crate::store::{self, Runtime};

pub(super) use fresh::case;

const SECTION: &str = "A.decisions";
/// How many tasks save at the same time.
const SAVERS: usize = 64;
/// So many documents at most are given to one call.
const AT_ONCE: usize = 100_000;
/// A store of so many is filled once, synced: it takes minutes, and gigabytes of the disk.
const LARGE: usize = 1_000_000;

/// A store of one size and what is asked of it.
struct Bench<'a> {
    config: &'a Config,
    runtime: Runtime,
    /// The store that is asked.
    directory: PathBuf,
    /// Folders that were made so far. Nothing is removed before the last case: for minutes after many files were removed ext4 is slow
    /// to make others, since it passes over what was used a moment ago.
    folders: &'a Folders,
    n: usize,
    /// What is in the store.
    documents: &'a [Decision],
    /// Documents that are not.
    fresh: std::slice::Iter<'a, Decision>,
    random: Random,
}

/// Fresh folders, until the section is over.
struct Folders {
    config: Config,
    made: Cell<usize>,
}

impl Folders {
    fn fresh(&self) -> Result<PathBuf> {
        let number = self.made.replace(self.made.get() + 1);
        self.config.fresh(&format!("decisions/{number}"))
    }
}

pub(super) fn run(config: &Config) -> Result<()> {
    let all = lines(&config.decisions_file(), config.decisions_total())?
        .iter()
        .map(|line| Decision::from_json(line))
        .collect::<Result<Vec<_>, _>>()?;
    let largest = config.decisions.iter().max().copied().unwrap_or(0);
    let whole = config.fresh("decisions")?;
    let folders = Folders {
        config: config.clone(),
        made: Cell::new(0),
    };
    for n in &config.decisions {
        let mut bench = Bench {
            config,
            runtime: Runtime::new()?,
            directory: folders.fresh()?,
            folders: &folders,
            n: *n,
            documents: &all[..*n],
            fresh: all[largest..].iter(),
            random: Random::new(5),
        };
        bench.run()?;
    }
    wipe(&whole)
}

impl Bench<'_> {
    fn run(&mut self) -> Result<()> {
        if self.n < LARGE {
            self.save_n(BUFFERED, Durability::Buffered)?;
        }
        self.save_n(OURS, Durability::Synced)?;
        // Else what comes next would wait for the system while it writes all that out.
        bare::settle(&self.directory)?;
        let repo = store::decisions(&self.directory, Durability::Synced)?;
        self.check(&repo)?;
        self.reads(&repo)?;
        self.fresh_process(&repo)?;
        self.save_one(&repo, OURS, Durability::Synced)?;
        self.save_concurrent(&repo)?;
        self.delete_one(&repo, OURS, Durability::Synced)?;
        drop(repo);
        let repo = store::decisions(&self.directory, Durability::Buffered)?;
        self.save_one(&repo, BUFFERED, Durability::Buffered)?;
        self.delete_one(&repo, BUFFERED, Durability::Buffered)
    }

    fn record(&self, op: &str, peer: &str, durability: Durability) -> Record {
        Record::new(SECTION, op, peer, self.n).with("durable", durability == Durability::Synced)
    }

    fn runs(&self) -> usize {
        match self.n {
            ..10_000 => self.config.runs,
            10_000..100_000 => self.config.runs.min(3),
            _ => 1,
        }
    }

    fn save_n(&mut self, peer: &str, durability: Durability) -> Result<()> {
        let folders = self.folders;
        let mut directory = PathBuf::new();
        let timing = measure_with(
            Plan::of(self.runs()).cold(),
            || {
                directory = folders.fresh()?;
                store::decisions(&directory, durability)
            },
            |repo| {
                for part in self.documents.chunks(AT_ONCE) {
                    // A copy shares the texts.
                    let saved = repo.save_all(part.to_vec(), SaveMode::Upsert);
                    for receipt in self.runtime.block_on(saved) {
                        receipt?;
                    }
                }
                Ok(repo)
            },
        )?;
        let (apparent, allocated) = disk_bytes(&directory)?;
        self.directory = directory;
        let limit = self.bare_save_n(durability)?;
        self.record("save_n", peer, durability)
            .timed(&timing)
            .limit(&limit, "bare files made by a thread for each processor, their text once more in one synced file if durable")
            .with("per_doc_us", timing.min() / as_f64(self.n) * 1e6)
            .with("bytes_apparent", apparent)
            .with("bytes_alloc", allocated)
            .write(self.config)
    }

    /// A fast wrong answer is worth nothing.
    fn check(&self, repo: &Arc<JsonDecisionRepository>) -> Result<()> {
        let mut wanted: Vec<&Decision> = self.documents.iter().collect();
        wanted.sort_by_key(|document| std::cmp::Reverse(document.timestamp()));
        let pair: Symbol = "ETHUSD".parse()?;
        let of_pair = |document: &&&Decision| document.asset_pair().as_deref() == Some("ETHUSD");
        self.runtime.block_on(async {
            for (limit, found) in [
                (
                    wanted.iter().take(10).collect::<Vec<_>>(),
                    repo.recent(10, None).await?,
                ),
                (
                    wanted.iter().filter(of_pair).take(10).collect(),
                    repo.recent(10, Some(&pair)).await?,
                ),
            ] {
                ensure!(
                    limit.iter().zip(&found).all(|(a, b)| ***a == b.decision)
                        && limit.len() == found.len()
                );
            }
            let middle = &self.documents[self.n / 2];
            let found = repo
                .get(middle.id())
                .await?
                .context("a document is not there")?;
            ensure!(found.decision == *middle);
            ensure!(repo.count(&DecisionFilter::new()).await? == self.n as u64);
            Ok(())
        })
    }

    /// The files that hold the documents.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                files.push(path);
            }
        }
        ensure!(
            !files.is_empty(),
            "no document in {}",
            self.directory.display()
        );
        Ok(files)
    }

    fn reads(&mut self, repo: &Arc<JsonDecisionRepository>) -> Result<()> {
        let files = self.files()?;
        let runs = self.config.runs;
        let mut buffer = Vec::new();
        let mut random = self.random.clone();
        let mut bare_get = |count: usize| {
            measure(Plan::of(runs).inner(300 / count), || {
                for _ in 0..300 / count {
                    for _ in 0..count {
                        bare::read_file(random.pick::<PathBuf>(&files), &mut buffer)?;
                        serde_json::from_slice::<serde_json::Value>(&buffer)?;
                    }
                }
                Ok(())
            })
        };
        let (one, ten) = (bare_get(1)?, bare_get(10)?);
        let listing = measure(Plan::of(runs), || bare::list(&self.directory))?;
        let record = |op: &str, timing: &Timing, limit: &Timing, what: &str| {
            Record::new(SECTION, op, OURS, self.n)
                .with("durable", true)
                .timed(timing)
                .limit(limit, what)
                .write(self.config)
        };

        let get = |repo: &Arc<JsonDecisionRepository>, random: &mut Random| {
            measure(Plan::of(runs).inner(300), || {
                self.runtime.block_on(async {
                    for _ in 0..300 {
                        let found = repo.get(random.pick(self.documents).id()).await?;
                        ensure!(found.is_some());
                    }
                    Ok(())
                })
            })
        };
        let timing = get(repo, &mut self.random)?;
        record("get_by_id", &timing, &one, "open, read, parse of one file")?;

        let latest = |pair: &mut dyn FnMut() -> Result<Option<Symbol>>,
                      wanted: RangeInclusive<usize>| {
            measure(Plan::of(runs).inner(50), || {
                self.runtime.block_on(async {
                    for _ in 0..50 {
                        let found = repo.recent(10, pair()?.as_ref()).await?;
                        ensure!(wanted.contains(&found.len()));
                    }
                    Ok(())
                })
            })
        };
        let what = "open, read, parse of ten files";
        let timing = latest(&mut || Ok(None), 10..=10)?;
        record("latest10", &timing, &ten, what)?;
        let random = &mut self.random;
        let timing = latest(&mut || Ok(Some(random.pick(&ASSETS).parse()?)), 1..=10)?;
        record("latest10_asset", &timing, &ten, what)?;
        let timing = latest(
            &mut || Ok(Some(format!("NO{}", random.next()).parse()?)),
            0..=0,
        )?;
        record(
            "latest10_absent_asset",
            &timing,
            &listing,
            "one bare listing of the directory",
        )?;
        let all = DecisionFilter::new();
        let timing = measure(Plan::of(runs).inner(20), || {
            self.runtime.block_on(async {
                for _ in 0..20 {
                    ensure!(repo.count(&all).await? > 0);
                }
                Ok(())
            })
        })?;
        record(
            "count",
            &timing,
            &listing,
            "one bare listing of the directory",
        )?;
        let timing = measure(Plan::of(runs), || {
            let groups = self.runtime.block_on(repo.count_by(&all, &GroupBy::Pair))?;
            ensure!(groups.iter().map(|group| group.count).sum::<u64>() >= self.n as u64);
            Ok(())
        })?;
        record(
            "count_by_pair",
            &timing,
            &listing,
            "one bare listing of the directory",
        )
    }

    fn save_one(
        &mut self,
        repo: &Arc<JsonDecisionRepository>,
        peer: &str,
        durability: Durability,
    ) -> Result<()> {
        let timing = measure(Plan::of(self.config.runs).inner(100), || {
            self.runtime.block_on(async {
                for document in self.fresh.by_ref().take(100) {
                    repo.upsert(document).await?;
                }
                Ok(())
            })
        })?;
        let what = match durability {
            Durability::Synced => "one line written over another and fdatasync; one file made",
            Durability::Buffered => "one file made",
        };
        let mut record = self
            .record("save_one", peer, durability)
            .timed(&timing)
            .limit(&self.bare_save(durability)?, what);
        if durability == Durability::Synced {
            let handed_over = self.bare_save_handed_over()?;
            record = record.with("limit_handed_over_s", handed_over.median());
        }
        record.write(self.config)
    }

    /// Many tasks at once, each with its own documents: what waits together may share a sync.
    fn save_concurrent(&mut self, repo: &Arc<JsonDecisionRepository>) -> Result<()> {
        const EACH: usize = 8;
        let timing = measure(
            Plan::of(self.config.runs.min(5)).inner(SAVERS * EACH),
            || {
                let tasks: Vec<_> = (0..SAVERS)
                    .map(|_| {
                        let documents: Vec<_> = self.fresh.by_ref().take(EACH).cloned().collect();
                        let repo = Arc::clone(repo);
                        self.runtime.spawn(async move {
                            for document in &documents {
                                repo.upsert(document).await?;
                            }
                            anyhow::Ok(())
                        })
                    })
                    .collect();
                self.runtime.block_on(async {
                    for task in tasks {
                        task.await??;
                    }
                    Ok(())
                })
            },
        )?;
        self.record("save_one_of_64_tasks", OURS, Durability::Synced)
            .timed(&timing)
            .limit(
                &self.bare_concurrent(EACH)?,
                "64 lines written over others and one fdatasync; 64 files made by a thread for each processor",
            )
            .write(self.config)
    }

    fn delete_one(
        &mut self,
        repo: &Arc<JsonDecisionRepository>,
        peer: &str,
        durability: Durability,
    ) -> Result<()> {
        // The first half goes synced, the second buffered, so that each id is there.
        let half = self.n / 2;
        let from = if durability == Durability::Synced {
            0
        } else {
            half
        };
        let inner = (half / (self.config.runs + 1)).clamp(1, 50);
        let mut victims = self.documents[from..from + half].iter();
        let timing = measure(Plan::of(self.config.runs).inner(inner), || {
            self.runtime.block_on(async {
                for victim in victims.by_ref().take(inner) {
                    ensure!(repo.delete(victim.id()).await?);
                }
                Ok(())
            })
        })?;
        let scratch = self.folders.fresh()?;
        let mut journal = bare::Room::new(&scratch.join("journal"))?;
        let limit = measure_with(
            Plan::of(self.config.runs).inner(inner),
            || {
                for i in 0..inner {
                    bare::write_file(&scratch.join(i.to_string()), &[b'x'; 1024], false)?;
                }
                bare::sync_dir(&scratch)
            },
            |()| {
                for i in 0..inner {
                    if durability == Durability::Synced {
                        journal.write(&[b'x'; 256])?;
                    }
                    std::fs::remove_file(scratch.join(i.to_string()))?;
                }
                Ok(())
            },
        )?;
        self.record("delete_one", peer, durability)
            .timed(&timing)
            .limit(
                &limit,
                "one line written over another and fdatasync if durable; unlink",
            )
            .write(self.config)
    }
}
