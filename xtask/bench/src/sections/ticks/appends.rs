//! Appends: one by one, by many tasks, as a batch.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail, ensure};
use minutebook_core::{TimeSeriesRepository, WriteMode, WriteReceipt};
use minutebook_fs::task::parallelism;
use minutebook_fs::{Durability, Fs as _};
use minutebook_jsonl::{AppenderOptions, JsonlTimeSeriesRepository};

use super::entries::{columns, entries};
use super::{SECTION, series};
use crate::bare;
use crate::config::{Config, disk_bytes, wipe};
use crate::inputs::lines;
use crate::measure::{Plan, Timing, as_f64, in_turns, measure_with, once};
use crate::record::{BUFFERED, OURS, Record};
use crate::store::{self, Runtime};

/// How many tasks append at the same time.
const APPENDERS: usize = 64;

pub(super) fn run(
    config: &Config,
    runtime: &Runtime,
    rows: &[String],
    peer: &str,
    durability: Durability,
) -> Result<()> {
    let bench = Appends {
        config,
        runtime,
        directory: config.fresh("ticks")?,
        peer,
        durability,
    };
    bench.one_by_one(rows)?;
    if durability == Durability::Synced {
        bench.concurrent(rows, APPENDERS)?;
    }
    bench.batch(rows)?;
    wipe(&bench.directory)
}

/// Appends alone, in both durabilities: `case ticks append_batch FOLDER`. Those by tasks are synced; of a few tasks and of many.
pub(super) fn case(op: &str, folder: &Path, config: &Config) -> Result<String> {
    let runtime = Runtime::new()?;
    let lines = lines(&config.ticks_file(), config.ticks_total())?;
    let rows = &lines[..config.ticks_append];
    for (peer, durability) in [(OURS, Durability::Synced), (BUFFERED, Durability::Buffered)] {
        let bench = Appends {
            config,
            runtime: &runtime,
            directory: folder.join("ticks"),
            peer,
            durability,
        };
        match op {
            "append_batch" => bench.batch(rows)?,
            "append_one" => bench.one_by_one(rows)?,
            "append_one_of_tasks" if bench.synced() => {
                for tasks in [1, 2, 8, 16, APPENDERS] {
                    bench.concurrent(rows, tasks)?;
                }
            }
            "append_one_of_tasks" => {}
            _ => bail!("no case {op} here"),
        }
    }
    Ok(String::new())
}

struct Appends<'a> {
    config: &'a Config,
    runtime: &'a Runtime,
    directory: PathBuf,
    peer: &'a str,
    durability: Durability,
}

impl Appends<'_> {
    fn synced(&self) -> bool {
        self.durability == Durability::Synced
    }

    fn open(&self) -> Result<Arc<JsonlTimeSeriesRepository>> {
        wipe(&self.directory)?;
        std::fs::create_dir_all(&self.directory)?;
        store::ticks(&self.directory, self.durability)
    }

    fn report(&self, op: &str, n: usize, timing: &Timing, limit: &Timing, what: &str) -> Record {
        Record::new(SECTION, op, self.peer, n)
            .with("durable", self.synced())
            .timed(timing)
            .limit(limit, what)
    }

    /// One entry a call.
    fn one_by_one(&self, lines: &[String]) -> Result<()> {
        // As many as the peers: with a sync each, a fiftieth says the same.
        let count = if self.synced() {
            (lines.len() / 50).max(1)
        } else {
            lines.len()
        };
        let all = entries(&lines[..count])?;
        let id = series()?;
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(count),
            || self.open(),
            |repo| {
                self.runtime.block_on(async {
                    for tick in &all {
                        repo.append_values(&id, std::slice::from_ref(tick)).await?;
                    }
                    anyhow::Ok(repo)
                })
            },
        )?;
        let what = if self.synced() {
            "one write to an open file and fdatasync"
        } else {
            "one write to an open file"
        };
        let limit = self.bare_one(&lines[..count], false)?;
        let mut record = self.report("append_one", count, &timing, &limit, what);
        if !self.synced() {
            // Without these no line of another process is safe: the lock, whether the name still has this file and of which length, the lock again.
            let calls = self.bare_one(&lines[..count], true)?;
            record = record.with("with_lock_and_look_s", calls.median());
        }
        record.write(self.config)?;
        if self.synced() {
            return Ok(());
        }
        // As a live feed does: the call is a push, and what was pushed is in the file at the end.
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(count),
            || self.open(),
            |repo| {
                let feed = repo.appender(AppenderOptions::new())?;
                for tick in &all {
                    feed.push_value_blocking(&id, tick)?;
                }
                feed.flush_blocking()?;
                anyhow::Ok((repo, feed))
            },
        )?;
        self.report("append_one_appender", count, &timing, &limit, what)
            .write(self.config)
    }

    /// One write an entry; with `locks` between a lock and a look at the name.
    fn bare_one(&self, lines: &[String], locks: bool) -> Result<Timing> {
        let scratch = self.config.fresh("ticks-bare")?;
        let path = scratch.join("t.jsonl");
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(lines.len()),
            || {
                bare::write_file(&path, b"", false)?;
                Ok((
                    bare::appendable(&path)?,
                    bare::appendable(&scratch.join("lock"))?,
                ))
            },
            |(mut file, lock)| {
                for line in lines {
                    if locks {
                        lock.lock()?;
                        std::hint::black_box(minutebook_fs::OsFs.identify(&path)?);
                    }
                    file.write_all(line.as_bytes())?;
                    if locks {
                        lock.unlock()?;
                    }
                    if self.synced() {
                        file.sync_data()?;
                    }
                }
                Ok(())
            },
        )?;
        wipe(&scratch)?;
        Ok(timing)
    }

    fn concurrent(&self, lines: &[String], tasks: usize) -> Result<()> {
        // A task waits for a sync each time, so few of them need fewer entries for the same time.
        let count = (lines.len() / APPENDERS / 10).max(4) * APPENDERS.div_ceil(tasks).min(8);
        let all = Arc::new(entries(&lines[..(count * tasks).min(lines.len())])?);
        let count = all.len() / tasks;
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(count * tasks),
            || self.open(),
            |repo| {
                let running: Vec<_> = (0..tasks)
                    .map(|task| {
                        let (repo, all) = (Arc::clone(&repo), Arc::clone(&all));
                        self.runtime.spawn(async move {
                            let id = series()?;
                            for tick in &all[task * count..(task + 1) * count] {
                                repo.append_values(&id, std::slice::from_ref(tick)).await?;
                            }
                            anyhow::Ok(())
                        })
                    })
                    .collect();
                self.runtime.block_on(async {
                    for task in running {
                        task.await??;
                    }
                    Ok(())
                })
            },
        )?;
        let limit = self.bare_one(&lines[..lines.len().min(2_000)], false)?;
        let what = "one write to an open file and fdatasync";
        let n = count * tasks;
        self.report(
            &format!("append_one_of_{tasks}_tasks"),
            n,
            &timing,
            &limit,
            what,
        )
        .write(self.config)?;
        // Each waits until its own entry is on the device, as above.
        let timing = measure_with(
            Plan::of(self.config.runs).cold().inner(n),
            || {
                let repo = self.open()?;
                Ok(Arc::new(repo.appender(AppenderOptions::new())?))
            },
            |feed| {
                let running: Vec<_> = (0..tasks)
                    .map(|task| {
                        let (feed, all) = (Arc::clone(&feed), Arc::clone(&all));
                        self.runtime.spawn(async move {
                            let id = series()?;
                            for tick in &all[task * count..(task + 1) * count] {
                                let entry = serde_json::to_string(tick)?;
                                feed.append(&id, &entry, Durability::Synced).await?;
                            }
                            anyhow::Ok(())
                        })
                    })
                    .collect();
                self.runtime.block_on(async {
                    for task in running {
                        task.await??;
                    }
                    anyhow::Ok(())
                })?;
                Ok(feed)
            },
        )?;
        self.report(
            &format!("append_one_of_{tasks}_tasks_appender"),
            n,
            &timing,
            &limit,
            what,
        )
        .write(self.config)
    }

    /// All rows in one call, encoding included: as entries, and as an Arrow batch.
    fn batch(&self, lines: &[String]) -> Result<()> {
        let ticks = entries(lines)?;
        let columns = columns(&ticks)?;
        let id = series()?;
        // What of each takes no file: by every processor, into memory that is used again.
        let values = self.alone(&ticks, |tick, out| Ok(serde_json::to_writer(out, tick)?))?;
        self.whole("append_batch", lines, &values, |repo| {
            Ok(self.runtime.block_on(repo.append_values(&id, &ticks))?)
        })?;
        let text = self.alone(lines, |line, out| {
            serde_json::from_str::<serde::de::IgnoredAny>(line)?;
            out.extend_from_slice(line.as_bytes());
            Ok(())
        })?;
        self.whole("append_batch_text", lines, &text, |repo| {
            Ok(self.runtime.block_on(repo.append_entries(&id, lines))?)
        })?;
        let numbers = self.alone(&ticks, |tick, out| {
            serde_json::to_writer(&mut *out, &tick.price)?;
            Ok(serde_json::to_writer(out, &tick.size)?)
        })?;
        self.whole("append_batch_arrow", lines, &numbers, |repo| {
            let write = repo.write(&id, columns.clone(), WriteMode::Append);
            Ok(self.runtime.block_on(write)?)
        })
    }

    /// The library's part of the encoding, without a file.
    fn alone<T: Sync>(
        &self,
        items: &[T],
        encode: impl Fn(&T, &mut Vec<u8>) -> Result<()> + Sync,
    ) -> Result<Timing> {
        let share = items.len().div_ceil(parallelism()).max(1);
        measure_with(
            Plan::of(self.config.runs),
            || Ok(()),
            |()| {
                std::thread::scope(|scope| {
                    let encode = &encode;
                    let work = move |items: &[T]| {
                        let mut out = Vec::with_capacity(1 << 18);
                        for item in items {
                            if out.len() > 1 << 17 {
                                std::hint::black_box(&out);
                                out.clear();
                            }
                            encode(item, &mut out)?;
                        }
                        anyhow::Ok(())
                    };
                    let threads: Vec<_> = items
                        .chunks(share)
                        .map(|items| scope.spawn(move || work(items)))
                        .collect();
                    for thread in threads {
                        thread.join().map_err(|_| anyhow!("a thread panicked"))??;
                    }
                    Ok(())
                })
            },
        )
    }

    fn whole(
        &self,
        op: &str,
        lines: &[String],
        alone: &Timing,
        append: impl Fn(&JsonlTimeSeriesRepository) -> Result<WriteReceipt>,
    ) -> Result<()> {
        let n = lines.len();
        let scratch = self.config.fresh("ticks-bare")?;
        let path = scratch.join("t.jsonl");
        // What the case before has left to the disk is not waited for by this one.
        let afresh = || {
            wipe(&scratch)?;
            std::fs::create_dir_all(&scratch)?;
            bare::settle(&scratch)
        };
        append(&*self.open()?)?;
        let (bytes, _) = disk_bytes(&self.directory)?;
        let block = bare::fill(usize::try_from(bytes)?);
        let text = lines.join("\n");
        let [timing, limit, scan] = in_turns(
            Plan::of(self.config.runs),
            [
                &mut || {
                    once(
                        || {
                            let repo = self.open()?;
                            bare::settle(&self.directory)?;
                            Ok(repo)
                        },
                        |repo| {
                            let receipt = append(&repo)?;
                            ensure!(receipt.inserted == n as u64);
                            Ok(repo)
                        },
                    )
                },
                &mut || once(afresh, |()| bare::write_file(&path, &block, self.synced())),
                // The same with a look at each byte of a text of that length: where its strings and its lines end.
                &mut || {
                    once(afresh, |()| {
                        let ends = text.bytes().filter(|byte| matches!(byte, b'"' | b'\n'));
                        std::hint::black_box(ends.count());
                        bare::write_file(&path, &bare::fill(text.len()), self.synced())
                    })
                },
            ],
        )?;
        wipe(&scratch)?;
        self.report(
            op,
            n,
            &timing,
            &limit,
            "one bare write of as many bytes, synced if durable",
        )
        .with("bytes", bytes)
        .with("with_ends_of_strings_s", scan.median())
        .with("encoded_alone_s", alone.median())
        .with(
            "mb_per_s",
            as_f64(usize::try_from(bytes)?) / timing.median() / 1e6,
        )
        .write(self.config)
    }
}
