//! `minutebook catalog update`.

use clap::Args;
use minutebook::{CatalogExt, DatasetChange, DatasetFilter, DatasetName, Minutebook, Revision};
use serde_json::{Value, json};

use super::path::{catalog_path, foreign_is_nothing, without_statistics};
use super::provenance::Provenance;
use crate::app::Context;
use crate::args::{key_value, parsed};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::format;

/// Change a dataset's entry, or bring its statistics up to date.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
#[derive(Debug, Args)]
#[command(after_help = "\
Without options, or with a new --path, the statistics are taken anew from the Parquet footer or the series' summary. What \
no option names stays as it is. A metadata value of null takes the field away.

Examples:
  minutebook catalog update btcusd_1h
  minutebook catalog update --stale
  minutebook catalog update vix --retrieved-at now --ttl 1d
  minutebook catalog update cdx_5y --path data/moved.parquet
  minutebook catalog update cdx_5y --metadata source=markit --metadata note=null")]
pub(crate) struct Update {
    /// The dataset's name, exactly
    #[arg(value_parser = parsed::<DatasetName>, required_unless_present_any = ["all", "stale"])]
    name: Option<DatasetName>,
    /// Take the statistics of every dataset anew
    #[arg(long, conflicts_with_all = ["name", "stale"])]
    all: bool,
    /// Take the statistics of those datasets anew whose data has changed
    #[arg(long, conflicts_with = "name")]
    stale: bool,
    /// A new place
    #[arg(long)]
    path: Option<String>,
    /// A new instrument
    #[arg(long)]
    instrument: Option<String>,
    /// A new tenor
    #[arg(long)]
    tenor: Option<String>,
    /// Take the tenor away
    #[arg(long, conflicts_with = "tenor")]
    no_tenor: bool,
    /// A field of metadata to set; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, Value)>,
    #[command(flatten)]
    provenance: Provenance,
    /// Take the time to live away
    #[arg(long, conflicts_with = "ttl")]
    no_ttl: bool,
    /// Take a digest of all bytes of the file, now and from now on
    #[arg(long)]
    digest: bool,
    /// Take the statistics anew, beside other changes
    #[arg(long)]
    refresh: bool,
    /// Only while the entry has this revision
    #[arg(long, value_name = "REVISION", value_parser = parsed::<Revision>)]
    expect: Option<Revision>,
}

impl Update {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let named = self.instrument.is_some()
            || self.tenor.is_some()
            || self.no_tenor
            || self.no_ttl
            || self.provenance.is_some()
            || !self.metadata.is_empty();
        let Some(name) = self.name else {
            if named || self.path.is_some() || self.expect.is_some() || self.digest {
                return Err(Failure::usage(
                    "--all and --stale take statistics anew; name one dataset to change it",
                ));
            }
            return many(&book, self.stale, context).await;
        };
        let stored = book.catalog().require(&name).await?;
        let fresh = self.refresh || self.digest || self.path.is_some() || !named;

        let mut change = DatasetChange::new();
        change.instrument = self.instrument;
        change.tenor = match (self.tenor, self.no_tenor) {
            (Some(tenor), _) => Some(Some(tenor)),
            (None, true) => Some(None),
            (None, false) => None,
        };
        change.metadata.extend(self.metadata);
        change = self.provenance.change(&book, change);
        if self.no_ttl {
            change = change.ttl_seconds(None);
        }
        change.expected = self.expect;
        if let Some(path) = &self.path {
            change.file_path = Some(catalog_path(&book, path)?);
        }
        if fresh {
            let mut entry = stored.entry;
            if let Some(path) = &change.file_path {
                entry.file_path.clone_from(path);
            }
            let path = &entry.file_path;
            let looked = if self.digest {
                book.inspect_fully(path).await
            } else {
                book.inspect_again(&entry).await
            };
            let found = foreign_is_nothing(looked)?;
            without_statistics(context, path, found.as_ref());
            if let Some(found) = found {
                change.statistics = found.statistics;
                change.contents = Some(found.contents);
            }
        }
        let revision = book.catalog().update(&name, &change).await?;
        let rows = change.statistics.map(|statistics| statistics.rows);
        let sentence = match rows {
            Some(rows) => format!("updated {name}: {}", format::plural(rows, "row")),
            None => format!("updated {name}"),
        };
        context.output.result(
            &json!({"name": name.as_str(), "revision": revision.as_str(), "row_count": rows}),
            sentence,
        )
    }
}

/// Brings many datasets up to date, each for itself.
async fn many(book: &Minutebook, stale: bool, context: &mut Context<'_>) -> Outcome {
    let filter = DatasetFilter::new();
    let done = if stale {
        book.refresh_stale(&filter).await?
    } else {
        book.refresh_all(&filter).await?
    };
    let (mut updated, mut failed) = (0_u64, 0_u64);
    for one in done {
        let error = one.result.as_ref().err().map(ToString::to_string);
        match &error {
            None => updated += 1,
            Some(error) => {
                failed += 1;
                context.output.warn(format!("{}: {error}", one.name));
            }
        }
        if context.output.json {
            let revision = one.result.as_ref().ok().map(Revision::as_str);
            context.output.json_line(
                &json!({"name": one.name.as_str(), "revision": revision, "error": error}),
            )?;
        }
    }
    if !context.output.json {
        let updated = format::plural(updated, "dataset");
        context.output.line(format!("updated {updated}"))?;
    }
    if failed > 0 {
        return Err(Failure::new(
            Exit::Failure,
            format!(
                "{} could not be brought up to date",
                format::plural(failed, "dataset")
            ),
        ));
    }
    Ok(())
}
