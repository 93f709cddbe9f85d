//! E. What this machine allows: system calls, syncs, bandwidth. Named as in the peers' script, which times them in C.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::Result;

use crate::bare;
use crate::config::{Config, wipe};
use crate::measure::{Plan, Timing, as_f64, measure, measure_with};
use crate::record::Record;

const SECTION: &str = "E.limits";
const PEER: &str = "rust";

pub(super) fn run(config: &Config) -> Result<()> {
    let directory = config.fresh("limits")?;
    calls(config, &directory)?;
    many_files(config, &directory.join("many"))?;
    syncs(config, &directory)?;
    bandwidth(config, &directory)?;
    wipe(&directory)
}

fn report(config: &Config, op: &str, n: usize, timing: &Timing) -> Result<()> {
    Record::new(SECTION, op, PEER, n)
        .timed(timing)
        .write(config)
}

fn calls(config: &Config, directory: &Path) -> Result<()> {
    const CALLS: usize = 20_000;
    let plan = Plan::of(config.runs).inner(CALLS);
    let (line, page) = ([b'x'; 97], [b'x'; 1024]);
    let app = directory.join("app");
    let timing = measure(plan, || {
        for _ in 0..CALLS {
            bare::appendable(&app)?.write_all(&line)?;
        }
        Ok(())
    })?;
    report(config, "open+append97+close", 1, &timing)?;
    let mut kept = bare::appendable(&app)?;
    let timing = measure(plan, || {
        for _ in 0..CALLS {
            kept.write_all(&line)?;
        }
        Ok(())
    })?;
    report(config, "append97 kept open", 1, &timing)?;
    let one = directory.join("one");
    bare::write_file(&one, &page, false)?;
    let mut buffer = Vec::new();
    let timing = measure(plan, || {
        for _ in 0..CALLS {
            bare::read_file(&one, &mut buffer)?;
        }
        Ok(())
    })?;
    report(config, "open+read1k+close", 1, &timing)?;
    let (file, mut page) = (File::open(&one)?, page);
    let timing = measure(plan, || {
        for _ in 0..CALLS {
            file.read_exact_at(&mut page, 0)?;
        }
        Ok(())
    })?;
    report(config, "pread1k kept open", 1, &timing)?;
    let timing = measure(plan, || {
        for _ in 0..CALLS {
            std::fs::metadata(&one)?;
        }
        Ok(())
    })?;
    report(config, "stat", 1, &timing)
}

fn many_files(config: &Config, directory: &Path) -> Result<()> {
    const FILES: usize = 10_000;
    let page = [b'x'; 1024];
    let name = |i: usize| format!("2024-01-01_{i:08}-0000-4000-8000-000000000000.json");
    let plan = Plan::of(config.runs).inner(FILES);
    let make = || -> Result<()> {
        wipe(directory)?;
        Ok(std::fs::create_dir_all(directory)?)
    };
    let timing = measure_with(plan, make, |()| {
        for i in 0..FILES {
            bare::replace_file(directory, &name(i), &page, false)?;
        }
        Ok(())
    })?;
    report(config, "create+write1k+close+rename", 1, &timing)?;
    let timing = measure(plan, || bare::list(directory))?;
    report(config, "readdir per entry (10k dir)", 1, &timing)?;
    let timing = measure(plan, || {
        for entry in std::fs::read_dir(directory)? {
            entry?.metadata()?;
        }
        Ok(())
    })?;
    report(config, "readdir+stat per entry", 1, &timing)?;
    let timing = measure(Plan::of(1).cold().inner(FILES), || {
        for i in 0..FILES {
            std::fs::remove_file(directory.join(name(i)))?;
        }
        Ok(())
    })?;
    report(config, "unlink", 1, &timing)
}

/// Each sync is a run of its own: the median of many is what one costs.
fn syncs(config: &Config, directory: &Path) -> Result<()> {
    let plan = Plan::of(config.runs * 40);
    let page = [b'x'; 1024];
    let mut app = bare::appendable(&directory.join("app"))?;
    let timing = measure(plan, || {
        app.write_all(&page)?;
        Ok(app.sync_all()?)
    })?;
    report(config, "append1k+fsync", 1, &timing)?;
    let timing = measure(plan, || {
        app.write_all(&page)?;
        Ok(app.sync_data()?)
    })?;
    report(config, "append1k+fdatasync", 1, &timing)?;
    let many = directory.join("many");
    let mut i = 0_usize;
    let timing = measure(plan, || {
        i += 1;
        bare::replace_file(&many, &format!("f{i}"), &page, true)
    })?;
    report(config, "create1k+fsync+rename+dirfsync", 1, &timing)?;
    for kib in [16, 128, 1024] {
        let block = vec![1; kib << 10];
        let timing = measure(Plan::of(config.runs * 12), || {
            app.write_all(&block)?;
            Ok(app.sync_data()?)
        })?;
        report(config, &format!("append {kib}KiB+fdatasync"), 1, &timing)?;
    }
    Ok(())
}

fn bandwidth(config: &Config, directory: &Path) -> Result<()> {
    let big = directory.join("big");
    let bytes = config.mib << 20;
    let memory = bare::fill(bytes);
    let rate = |op: &str, timing: &Timing| {
        let rate = as_f64(bytes) / timing.median() / 1e9;
        Record::new(SECTION, op, PEER, config.mib)
            .timed(timing)
            .with("GB_per_s", (rate * 100.0).round() / 100.0)
            .write(config)
    };
    let remove = || -> Result<()> {
        if big.exists() {
            std::fs::remove_file(&big)?;
        }
        Ok(())
    };
    let write = |sync: bool| -> Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&big)?;
        for block in memory.chunks(1 << 20) {
            file.write_all(block)?;
        }
        if sync {
            file.sync_all()?;
        }
        Ok(())
    };
    let plan = Plan::of(config.runs);
    let timing = measure_with(plan, remove, |()| write(false))?;
    rate("seq write to page cache (new file)", &timing)?;
    let timing = measure_with(Plan::of(config.runs.min(3)).cold(), remove, |()| {
        write(true)
    })?;
    rate("seq write + fsync", &timing)?;
    let timing = measure(plan, || bare::read_through(&big))?;
    rate("seq read hot, 256KiB buffer reused", &timing)?;
    let mut target = bare::fill(bytes);
    let timing = measure(plan, || {
        target.copy_from_slice(&memory);
        Ok(target[bytes / 2])
    })?;
    rate("memcpy, 1 thread", &timing)?;
    let timing = measure(plan, || {
        let sum = memory.chunks_exact(8).fold(0_u64, |sum, word| {
            word.try_into()
                .map_or(sum, |word| sum.wrapping_add(u64::from_le_bytes(word)))
        });
        Ok(std::hint::black_box(sum))
    })?;
    rate("memory read (sum u64), 1 thread", &timing)?;
    let timing = measure(plan, || Ok(bare::fill(bytes)))?;
    rate("fresh memory, filled", &timing)
}
