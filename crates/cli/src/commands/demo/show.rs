//! The end of the demo: what was recorded, how it lies on disk, and what to try next.

use std::path::{Path, PathBuf};

use minutebook::{
    Action, DatasetFilter, DecisionFilter, DecisionQuery, Minutebook, Order, StoredDecision,
};

use super::bot::Run;
use super::tree;
use crate::app::Context;
use crate::failure::{Failure, Outcome};
use crate::output::format;
use crate::output::table::{Align, Table};

/// Shows it all.
pub(super) async fn show(
    context: &mut Context<'_>,
    book: &Minutebook,
    path: &Path,
    run: &Run,
) -> Outcome {
    context.output.line(
        "Minutebook keeps what a trading system saw and what it decided, in open files that every tool reads.\n\
         A small bot has just followed two moving averages through the year 2012, on real prices and on paper.\n\
         Each evening it saw the bars that had closed by then, and no other. This is its record.",
    )?;
    heading(context, "What it decided, and what came of it")?;
    let query = DecisionQuery::new().order(Order::Oldest);
    let decisions = book.decisions().query(&query).await?.decisions;
    decided(context, &decisions)?;

    heading(context, &format!("What is on disk, in {}", path.display()))?;
    on_disk(context, path)?;

    let buys = DecisionQuery::new().filter(DecisionFilter::new().action(Action::Buy));
    let bought = book.decisions().query(&buys).await?.decisions;
    let closed = bought
        .iter()
        .find(|stored| stored.decision.raw("outcome").is_some());
    if let Some(stored) = closed {
        one_decision(context, path, stored)?;
    }
    one_tick(context, path)?;

    heading(
        context,
        "The catalog: what data there is, from when to when",
    )?;
    catalog(context, book).await?;
    next(context, path, run, closed)
}

fn heading(context: &mut Context<'_>, text: &str) -> Outcome {
    context.output.line(format!("\n{text}\n"))
}

fn decided(context: &mut Context<'_>, decisions: &[StoredDecision]) -> Outcome {
    let mut table = Table::new(&[
        ("decided", Align::Left),
        ("pair", Align::Left),
        ("action", Align::Left),
        ("confidence", Align::Right),
        ("done at", Align::Right),
        ("outcome", Align::Right),
    ]);
    for stored in decisions {
        let decision = &stored.decision;
        let number = |pointer: &str| decision.pointer(pointer).and_then(|value| value.as_f64());
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            format::time(stored.time()),
            or_dash(decision.asset_pair()),
            or_dash(decision.action().map(|action| action.to_string())),
            or_dash(decision.confidence().map(|value| format!("{value:.2}"))),
            or_dash(number("/execution/price").map(|value| format!("{value:.2}"))),
            or_dash(number("/outcome/profit_percent").map(|value| format!("{value:+.2} %"))),
        ]);
    }
    table.print(&mut context.output)
}

fn on_disk(context: &mut Context<'_>, path: &Path) -> Outcome {
    let cannot = |error: std::io::Error| Failure::file("list", &path.display().to_string(), &error);
    let lines = tree::list(path).map_err(cannot)?;
    let width = lines
        .iter()
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or(0);
    for line in lines {
        let text = format!("  {:<width$}  {}", line.name, line.size);
        context.output.line(text.trim_end())?;
    }
    Ok(())
}

/// The document's file as it is, so that it can be seen that it is nothing but JSON.
fn one_decision(context: &mut Context<'_>, path: &Path, stored: &StoredDecision) -> Outcome {
    let id = stored.decision.id();
    let name = format!("decisions/{}_{id}.json", stored.time().format("%Y-%m-%d"));
    heading(context, &format!("One decision, with its outcome: {name}"))?;
    let text = read(&path.join(&name))?;
    context.output.line(text.trim_end())
}

fn one_tick(context: &mut Context<'_>, path: &Path) -> Outcome {
    const NAME: &str = "ticks/aapl_timeseries.jsonl";
    heading(context, &format!("One tick, a line of {NAME}"))?;
    let text = read(&path.join(NAME))?;
    context.output.line(text.lines().next().unwrap_or(""))
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::file("read", &path.display().to_string(), &error))
}

async fn catalog(context: &mut Context<'_>, book: &Minutebook) -> Outcome {
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("rows", Align::Right),
        ("first", Align::Left),
        ("last", Align::Left),
        ("data", Align::Left),
    ]);
    for stored in book.catalog().list(&DatasetFilter::new()).await? {
        let entry = stored.entry;
        let time = |written: Option<&minutebook::time::WrittenTime>| {
            format::time_or_dash(written.and_then(minutebook::time::WrittenTime::instant))
        };
        table.row([
            entry.name.to_string(),
            entry
                .row_count
                .map_or_else(|| "-".to_owned(), format::count),
            time(entry.start_date.as_ref()),
            time(entry.end_date.as_ref()),
            entry.file_path.clone(),
        ]);
    }
    table.print(&mut context.output)
}

fn next(
    context: &mut Context<'_>,
    path: &Path,
    run: &Run,
    closed: Option<&StoredDecision>,
) -> Outcome {
    heading(context, "Try next")?;
    context
        .output
        .line(format!("  export MINUTEBOOK_STORE={}", quoted(path)))?;
    context
        .output
        .line("  minutebook decision list --action BUY --since 2012-06-01")?;
    if let Some(stored) = closed {
        context.output.line(format!(
            "  minutebook decision get {}",
            stored.decision.id()
        ))?;
    }
    context
        .output
        .line("  minutebook bars read AAPL 1d --last 5")?;
    context
        .output
        .line("  minutebook ticks read MSFT --last 3 --json")?;
    if let Some(file) = any_parquet(path) {
        context.output.line(format!(
            "  python3 -c \"import pandas; print(pandas.read_parquet('{}'))\"",
            file.display()
        ))?;
    }
    context.output.line(format!(
        "\n{}, {} and {} in open files; delete the directory when you have seen enough.",
        format::plural(run.decisions, "decision"),
        format::plural(run.bars, "bar"),
        format::plural(run.ticks, "tick"),
    ))
}

/// The largest Parquet file, which is the newest state of a series.
fn any_parquet(path: &Path) -> Option<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut directories = vec![path.join("series")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "parquet")
            {
                found.push((entry.metadata().ok()?.len(), path));
            }
        }
    }
    found.into_iter().max().map(|(_, path)| path)
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if plain {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
