//! `minutebook decision update`.

use std::path::PathBuf;

use clap::Args;
use minutebook::time::format_timestamp;
use minutebook::{
    Decision, DecisionId, ErrorKind, Minutebook, Revision, SaveMode, SaveReceipt, StoredDecision,
};
use serde_json::json;

use super::add::outcome;
use crate::app::Context;
use crate::args::parsed;
use crate::failure::{Exit, Failure, Outcome};
use crate::input::documents;
use crate::input::source::Source;

/// Change fields of a decision; the others stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "\
Fields come from --set, from a JSON object in FILE (- is standard input), or from both, --set last. A VALUE is JSON; what \
is no JSON is text, so --set action=BUY works. An unknown id becomes a new decision unless --must-exist is given. \
With --expect the change is made only while the decision still has that revision (exit code 4 if not).

Examples:
  minutebook decision update d-1 --set executed=true --set 'outcome={\"pnl\": 12.5}'
  echo '{\"executed\": true}' | minutebook decision update d-1 -
  minutebook decision update d-1 --set note=checked --expect \"$(minutebook decision get d-1 --json | jq -r .revision)\"")]
pub(crate) struct Update {
    /// The id, exactly
    #[arg(value_parser = parsed::<DecisionId>)]
    id: DecisionId,
    /// A JSON object of fields to set; - is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set a top-level field; may be given several times
    #[arg(long, value_name = "FIELD=VALUE", value_parser = field)]
    set: Vec<(String, String)>,
    /// Take a top-level field away; may be given several times
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    /// Only while the decision has this revision
    #[arg(long, value_name = "REVISION", value_parser = parsed::<Revision>)]
    expect: Option<Revision>,
    /// Refuse an unknown id instead of recording it as new
    #[arg(long)]
    must_exist: bool,
}

/// `field=value`, the value as JSON text so that its digits stay.
fn field(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            let mut json = value.to_owned();
            if serde_json::from_str::<serde::de::IgnoredAny>(value).is_err() {
                json.clear();
                minutebook::json_text::push_string(&mut json, value);
            }
            Ok((key.to_owned(), json))
        }
        _ => Err("write it as field=value".to_owned()),
    }
}

impl Update {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Outcome {
        let book = context.open()?;
        let fields = self.fields(context)?;
        let receipt = self.save(&book, &fields).await?;
        let done = outcome(receipt.outcome);
        context.output.result(
            &json!({
                "id": self.id.as_str(),
                "revision": receipt.revision.as_str(),
                "recorded_at": format_timestamp(receipt.recorded_at),
                "outcome": done,
            }),
            format!("{done} {}, now at revision {}", self.id, receipt.revision),
        )
    }

    /// The fields to set, as JSON text, those of `--set` last.
    fn fields(&self, context: &mut Context<'_>) -> Outcome<Vec<(String, String)>> {
        let mut fields = Vec::new();
        if let Some(file) = &self.file {
            let mut source = Source::open(file, context.stdin)?;
            let documents = documents::read(&mut source)?;
            let [document] = documents.as_slice() else {
                return Err(Failure::data(format!(
                    "{}: {} documents; an update takes one object of fields",
                    source.name,
                    documents.len()
                )));
            };
            fields.extend(
                document
                    .fields
                    .iter()
                    .map(|(k, v)| (k.to_owned(), v.to_owned())),
            );
        }
        fields.extend(self.set.iter().cloned());
        if fields.is_empty() && self.unset.is_empty() {
            return Err(Failure::usage(
                "nothing to change; name fields with --set or --unset, or give a FILE",
            ));
        }
        Ok(fields)
    }

    async fn save(&self, book: &Minutebook, fields: &[(String, String)]) -> Outcome<SaveReceipt> {
        // Without --expect another writer between our read and our save is no reason to fail: the fields are set on what is there then.
        for _ in 0..100 {
            let found = book.decisions().get(&self.id).await?;
            let mode = self.mode(found.as_ref())?;
            let decision = self.merge(found, fields)?;
            match book.decisions().save(&decision, mode).await {
                Ok(receipt) => return Ok(receipt),
                Err(error)
                    if self.expect.is_none()
                        && matches!(
                            error.kind(),
                            ErrorKind::Conflict | ErrorKind::AlreadyExists | ErrorKind::NotFound
                        ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(
            Exit::Conflict,
            format!(
                "{}: other writers were first 100 times; run it again",
                self.id
            ),
        ))
    }

    fn mode(&self, found: Option<&StoredDecision>) -> Outcome<SaveMode> {
        match (found, &self.expect) {
            (None, None) if !self.must_exist => Ok(SaveMode::Create),
            (None, _) => Err(Failure::not_found(format!(
                "{}: there is no such decision",
                self.id
            ))),
            (Some(stored), Some(expected)) if stored.revision != *expected => Err(Failure::new(
                Exit::Conflict,
                format!(
                    "{}: it is at revision {}, not at {expected}; read it again, then update it",
                    self.id, stored.revision
                ),
            )),
            (Some(stored), _) => Ok(SaveMode::Update {
                expected: Some(stored.revision.clone()),
            }),
        }
    }

    fn merge(
        &self,
        found: Option<StoredDecision>,
        fields: &[(String, String)],
    ) -> Outcome<Decision> {
        let base = found.map_or_else(|| Decision::new(self.id.clone()), |stored| stored.decision);
        let mut merged = base.fields().clone();
        for (key, value) in fields {
            merged.set(key.as_str(), value).map_err(|error| {
                Failure::data(format!("{}: the field \"{key}\": {error}", self.id))
            })?;
        }
        for key in self.unset.iter().filter(|key| *key != "id") {
            merged.remove(key);
        }
        let decision = Decision::from_fields(merged)?;
        if decision.id() != &self.id {
            return Err(Failure::data(format!(
                "{}: the fields have the id {}, and an id cannot be changed; leave it out",
                self.id,
                decision.id()
            )));
        }
        Ok(decision)
    }
}
