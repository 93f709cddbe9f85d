//! `minutebook decision add`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use minutebook::json_text::push_string;
use minutebook::time::format_timestamp;
use minutebook::{Decision, DecisionId, ErrorKind, Minutebook, SaveMode, SaveOutcome};
use serde_json::json;

use crate::app::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::input::documents::{self, Document};
use crate::input::source::Source;
use crate::output::format::plural;

/// Record decisions: one JSON object, an array of objects, or JSON Lines.
#[derive(Debug, Args)]
#[command(after_help = "\
Every document is checked before the first is saved: an error names its line and changes nothing. \
Only \"id\" is required; every other field is kept as it is. Known fields: timestamp, asset_pair, action, confidence.

Examples:
  minutebook decision add decision.json
  echo '{\"id\": \"d-1\", \"asset_pair\": \"BTCUSD\", \"action\": \"BUY\", \"confidence\": 0.8}' | minutebook decision add
  minutebook decision add --generate-id signals.jsonl
  minutebook decision add --upsert export.json.gz
  minutebook decision add --raw written-by-python.json

With --raw the file is one document whose text is kept letter for letter, also where it is wider than JSON: Python's NaN and Infinity, \
integers of any length, lone surrogates, any depth. What cannot be read as a decision is told by `decision list` and shown by \
`decision get --raw`.")]
pub(crate) struct Add {
    /// The file; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Give a new id (UUIDv7) to documents that have none
    #[arg(long)]
    generate_id: bool,
    /// Replace decisions that are there already, instead of refusing
    #[arg(long)]
    upsert: bool,
    /// Keep the text of the one document letter for letter
    #[arg(long, conflicts_with = "generate_id")]
    raw: bool,
}

impl Add {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let mut source = Source::open(&self.file, context.stdin)?;
        if self.raw {
            return self.run_raw(&book, &mut source, context).await;
        }
        let documents = documents::read(&mut source)?;
        let decisions = self.check(&book, &source.name, documents)?;
        if !self.upsert {
            refuse_existing(&book, &source.name, &decisions).await?;
        }
        let mode = if self.upsert {
            SaveMode::Upsert
        } else {
            SaveMode::Create
        };
        let mut counts = [0_u64; 3];
        let all = decisions.iter().map(|(_, decision)| decision.clone());
        let results = book.decisions().save_all(all.collect(), mode).await;
        let mut failed = None;
        for ((line, decision), result) in decisions.iter().zip(results) {
            let receipt = match result {
                Ok(receipt) => receipt,
                Err(error) => {
                    failed.get_or_insert((*line, error.with_resource(decision.id())));
                    continue;
                }
            };
            counts[match receipt.outcome {
                SaveOutcome::Created => 0,
                SaveOutcome::Updated => 1,
                SaveOutcome::Unchanged => 2,
            }] += 1;
            if context.output.json {
                context.output.json_line(&json!({
                    "id": decision.id().as_str(),
                    "revision": receipt.revision.as_str(),
                    "recorded_at": format_timestamp(receipt.recorded_at),
                    "outcome": outcome(receipt.outcome),
                }))?;
            }
        }
        if let Some((line, error)) = failed {
            let saved: u64 = counts.iter().sum();
            let failure = Failure::from(error);
            return Err(match saved {
                0 => failure,
                _ => failure.with_note(&format!(
                    "{} saved, not line {line}; run again with --upsert",
                    plural(saved, "decision")
                )),
            });
        }
        if context.output.json {
            return Ok(());
        }
        let [created, updated, unchanged] = counts;
        if let ([(_, decision)], 1) = (decisions.as_slice(), created) {
            return context.output.line(format!("recorded {}", decision.id()));
        }
        let mut sentence = format!("recorded {}", plural(created, "decision"));
        if updated > 0 {
            let _ = write!(sentence, ", replaced {updated}");
        }
        if unchanged > 0 {
            let _ = write!(sentence, ", {unchanged} unchanged");
        }
        context.output.line(sentence)
    }

    async fn run_raw(
        self,
        book: &Minutebook,
        source: &mut Source,
        context: &mut Context<'_>,
    ) -> Outcome {
        let text = source.text()?;
        let known = minutebook::json::raw_fields(&text)
            .map_err(|error| Failure::data(format!("{}: {}", source.name, error.message())))?;
        let files = book.make_decision_files()?.ok_or_else(|| {
            Failure::new(
                Exit::Unsupported,
                "this store keeps its decisions in no files",
            )
        })?;
        let mode = if self.upsert {
            SaveMode::Upsert
        } else {
            SaveMode::Create
        };
        let receipt = files.save_raw(&known, text, mode).await?;
        let done = outcome(receipt.outcome);
        context.output.result(
            &json!({
                "id": known.id().as_str(),
                "revision": receipt.revision.as_str(),
                "recorded_at": format_timestamp(receipt.recorded_at),
                "outcome": done,
            }),
            format!("{done} {} as raw text", known.id()),
        )
    }

    /// Every document as a decision, or the first that is none with its line.
    fn check(
        &self,
        book: &Minutebook,
        name: &str,
        documents: Vec<Document>,
    ) -> Outcome<Vec<(u64, Decision)>> {
        let mut decisions = Vec::with_capacity(documents.len());
        let mut lines: HashMap<DecisionId, u64> = HashMap::with_capacity(documents.len());
        for Document { line, mut fields } in documents {
            let bad = |what: &str| Failure::data(format!("{name}, line {line}: {what}"));
            if fields.get("id").is_none_or(|id| id == "null") {
                if !self.generate_id {
                    return Err(bad(
                        "the document has no \"id\"; give it one, or use --generate-id",
                    ));
                }
                let mut id = String::new();
                push_string(&mut id, book.new_id().as_str());
                fields
                    .set("id", &id)
                    .map_err(|error| bad(&error.to_string()))?;
            }
            let decision =
                Decision::from_fields(fields).map_err(|error| match error.resource() {
                    Some(resource) => bad(&format!("{resource}: {}", error.message())),
                    None => bad(error.message()),
                })?;
            if let Some(before) = lines.insert(decision.id().clone(), line) {
                return Err(bad(&format!(
                    "the id {} is on line {before} already; ids must differ",
                    decision.id()
                )));
            }
            decisions.push((line, decision));
        }
        Ok(decisions)
    }
}

async fn refuse_existing(book: &Minutebook, name: &str, decisions: &[(u64, Decision)]) -> Outcome {
    for (line, decision) in decisions {
        match book.decisions().get(decision.id()).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                return Err(Failure::new(
                    Exit::Conflict,
                    format!(
                        "{name}, line {line}: there is a decision {} already; use --upsert to replace it or `decision update` to change fields",
                        decision.id()
                    ),
                ));
            }
            // What is there and cannot be read will be found out by the save, which says more.
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) fn outcome(outcome: SaveOutcome) -> &'static str {
    match outcome {
        SaveOutcome::Created => "created",
        SaveOutcome::Updated => "updated",
        SaveOutcome::Unchanged => "unchanged",
    }
}
