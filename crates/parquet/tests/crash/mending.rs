//! A repair that is stopped anywhere.

use std::path::Path;

use minutebook_core::{TimeSeriesRepository, WriteMode, time::from_nanos};
use minutebook_fs::crash::{Options, enumerate};
use minutebook_fs::{Durability, Fs, Images, SimFs};

use crate::common::{Row, all, batch, inline, series};
use crate::open;

const DATA: &str = "/store/series/btcusd/1m/data";

/// A first segment of ticks, rows in a file of their own (unless `first`), and all times known; the newest file is gone.
fn damaged(disk: &SimFs, first: bool, durability: Durability) -> Result<(), String> {
    let repo = open(disk, durability);
    let many: Vec<Row> = (1_000..1_200).map(|n| (n, n)).collect();
    let made = inline(async {
        let batches = futures_util::stream::iter([Ok(batch(&many))]);
        repo.absorb(&series(), &segment(), batches).await?;
        if !first {
            let few = batch(&[(10, 1), (20, 2)]);
            repo.write(&series(), few, WriteMode::Append).await?;
        }
        let all_times = minutebook_core::TimeRange::all();
        repo.mark_complete(&series(), all_times, true).await
    });
    made.map_err(|error| format!("{error:?}"))?;
    let mut names = names_in(disk, DATA);
    names.sort();
    let lost = names.pop().ok_or("no file")?;
    let gone = disk.remove_file(&Path::new(DATA).join(lost));
    gone.and_then(|()| disk.sync_dir(Path::new(DATA)))
        .map_err(|error| error.to_string())
}

fn names_in(disk: &SimFs, dir: &str) -> Vec<String> {
    let entries = disk.read_dir(Path::new(dir)).unwrap_or_default();
    let names = entries.into_iter().map(|entry| entry.name);
    names.filter_map(|name| name.into_string().ok()).collect()
}

/// The files that versions name and that are not there.
fn missing(disk: &SimFs) -> Vec<String> {
    let log = "/store/series/btcusd/1m/log";
    let there = names_in(disk, DATA);
    let mut found = Vec::new();
    for entry in names_in(disk, log) {
        let bytes = minutebook_fs::read(disk, &Path::new(log).join(entry), 1 << 20);
        let text = String::from_utf8(bytes.unwrap().unwrap()).unwrap();
        let named = text.split("\"file\":\"").skip(1);
        let named = named.filter_map(|rest| rest.split('"').next());
        found.extend(named.map(str::to_owned));
    }
    found.retain(|file| !there.contains(file));
    found
}

fn segment() -> minutebook_parquet::AbsorbedSegment {
    minutebook_parquet::AbsorbedSegment::new("log", 1, "digest")
}

/// Stopped anywhere, a repair has said nothing of the series or all of it: no rows are gone while their times are known, or their segment is.
#[test]
fn leaving_out_what_is_lost() {
    for first in [true, false] {
        stopped_anywhere(first, Durability::Synced);
    }
}

/// Files are taken away after a repair returns, so what it made is durable then, whatever the settings say of other writes.
#[test]
fn a_repair_of_a_buffered_store_is_durable_when_it_returns() {
    for first in [true, false] {
        stopped_anywhere(first, Durability::Buffered);
    }
}

fn stopped_anywhere(first: bool, durability: Durability) {
    let repair = |disk: &SimFs| -> Result<(), String> {
        let repo = open(disk, durability);
        let done = inline(repo.leave_out_beside(&series(), &missing(disk), &[segment()]));
        done.map(drop).map_err(|error| format!("{error:?}"))
    };
    let state = |disk: &SimFs| -> Result<_, String> {
        let repo = open(disk, Durability::Synced);
        let told = |error: minutebook_core::Error| format!("{error:?}");
        let absorbed = inline(repo.absorbed(&series())).map_err(told)?;
        let absorbed = absorbed.is_some_and(|it| it.absorbed.has("log", 1));
        let known = inline(repo.complete_ranges(&series())).map_err(told)?;
        let known = |time| known.iter().any(|range| range.contains(from_nanos(time)));
        let rows = inline(all(&repo)).ok().flatten().map(|rows| rows.len());
        Ok((rows, absorbed, known(15), known(1_100)))
    };
    let before = (None, true, true, true);
    // Rows of the first segment are read where they were.
    let after = if first {
        (Some(0), false, true, true)
    } else {
        (Some(200), true, false, true)
    };
    let report = enumerate(
        &Options::default().images(Images::default().max(64)),
        |disk| damaged(disk, first, Durability::Synced),
        |disk| repair(disk),
        |crashed| {
            let found = state(&crashed.disk)?;
            if found != after && (crashed.out.is_ok() || found != before) {
                return Err(format!("{:?}, found {found:?}", crashed.out));
            }
            repair(&crashed.disk)?;
            match state(&crashed.disk)? {
                found if found == after => Ok(()),
                found => Err(format!("mended once more: {found:?}")),
            }
        },
    );
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.steps >= 3, "{report:?}");
}
