//! Which decisions: the conditions that several commands take.

use clap::Args;
use minutebook::{Action, DecisionFilter, FieldMatch, Symbol};
use serde_json::Value;

use crate::args::{Range, parsed};
use crate::failure::Outcome;

/// Conditions, all of which must hold.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// About this pair or instrument, in any case
    #[arg(long, value_name = "SYMBOL", value_parser = parsed::<Symbol>)]
    pair: Option<Symbol>,
    /// With this action: BUY, SELL, HOLD or any other text
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    #[command(flatten)]
    range: Range,
    /// At least this sure, on the author's own scale
    #[arg(long, value_name = "NUMBER")]
    min_confidence: Option<f64>,
    /// With this value at a JSON pointer: /executed=true, /market_data/type=crypto; may be given several times
    #[arg(long, visible_alias = "where", value_name = "/POINTER=VALUE", value_parser = field)]
    field: Vec<(String, Value)>,
    /// Whose id begins so
    #[arg(long, value_name = "PREFIX")]
    id_prefix: Option<String>,
}

impl Filter {
    pub(crate) fn get(&self) -> Outcome<DecisionFilter> {
        let mut filter = DecisionFilter::new().time(self.range.get()?);
        filter.asset_pair.clone_from(&self.pair);
        filter.action = self.action.as_deref().map(Action::from);
        filter.min_confidence = self.min_confidence;
        filter.id_prefix.clone_from(&self.id_prefix);
        for (pointer, value) in &self.field {
            filter = filter.field(FieldMatch::new(pointer, value.clone()));
        }
        Ok(filter)
    }
}

fn field(text: &str) -> Result<(String, Value), String> {
    match crate::args::key_value(text) {
        Ok((pointer, value)) if pointer.starts_with('/') => Ok((pointer, value)),
        _ => Err(
            "write it as /pointer=value, for example /market_data/close=50500 or /executed=true"
                .to_owned(),
        ),
    }
}
