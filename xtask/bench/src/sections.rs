//! The sections, named as the peers' scripts name them.

mod bars;
mod catalog;
mod decisions;
mod limits;
mod segments;
mod symbols;
mod ticks;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::config::Config;

/// A group of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Decision documents.
    #[value(name = "A")]
    Decisions,
    /// Ticks as JSON Lines.
    #[value(name = "B")]
    Ticks,
    /// One long series of minute bars.
    #[value(name = "C1")]
    Bars,
    /// Many short series.
    #[value(name = "C2")]
    Symbols,
    /// The catalog of datasets.
    #[value(name = "D")]
    Catalog,
    /// What the machine allows.
    #[value(name = "E")]
    Limits,
}

impl Section {
    pub(crate) fn run(self, config: &Config) -> Result<()> {
        match self {
            Self::Decisions => decisions::run(config),
            Self::Ticks => ticks::run(config),
            Self::Bars => bars::run(config),
            Self::Symbols => symbols::run(config),
            Self::Catalog => catalog::run(config),
            Self::Limits => limits::run(config),
        }
    }

    /// Times one workload in this process and gives back what its caller wants to read.
    pub(crate) fn case(self, op: &str, args: &[String], config: &Config) -> Result<String> {
        match self {
            Self::Decisions => decisions::case(op, args),
            Self::Ticks => ticks::case(op, args, config),
            Self::Bars => bars::case(op, args, config),
            Self::Symbols | Self::Catalog | Self::Limits => bail!("no case {op} here"),
        }
    }
}
