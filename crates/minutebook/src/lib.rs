//! Minutebook is the store of record for a trading system: what it saw (ticks, bars, any time series) and what it decided,
//! in open files that every tool can read, with the guarantees people expect of a database.
//!
//! | part | on disk | trait |
//! | --- | --- | --- |
//! | decisions | `decisions/{date}_{id}.json` | [`DecisionRepository`] |
//! | ticks | `ticks/{symbol}_timeseries.jsonl` | [`TimeSeriesRepository`] |
//! | bars and other series | `series/`, Parquet | [`TimeSeriesRepository`] |
//! | catalog | `registry.json` | [`Catalog`] |
//! | documents | `documents/{name}.json` | [`DocumentRepository`] |
//!
//! ```
//! use minutebook::{
//!     Action, Bar, Decision, DecisionRepositoryExt, Minutebook, SeriesId, TimeRange,
//!     TimeSeriesRepositoryExt, Timeframe, time::parse_timestamp,
//! };
//!
//! # #[cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let dir = tempfile::tempdir()?;
//! let book = Minutebook::create(dir.path())?;
//!
//! // What was seen: an hourly bar, stamped with its open.
//! let hours = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
//! let open = parse_timestamp("2025-01-01T00:00:00Z")?;
//! let bar = Bar { timestamp: open, open: 93_500.0, high: 94_100.0, low: 93_400.0, close: 94_000.0, volume: 12.5 };
//! book.series().append_bars(&hours, &[bar]).await?;
//! book.register_series(&Minutebook::default_name(&hours)?, &hours).await?;
//!
//! // What was decided, once the bar had closed.
//! let now = Timeframe::HOUR.close_of(open).ok_or("the end of time")?;
//! let mut decision = Decision::new(book.new_id())
//!     .with_timestamp(now)
//!     .with_asset_pair("BTCUSD")
//!     .with_action(Action::Buy)
//!     .with_confidence(0.8)?;
//! decision.set("reason", &"the hour closed above its open")?;
//! book.decisions().create(&decision).await?;
//!
//! // And what became of it, found again by another handle, today or next year.
//! let again = Minutebook::open(dir.path())?;
//! let mut found = again.decisions().require(decision.id()).await?;
//! found.decision.set("outcome", &serde_json::json!({"pnl": 120.5}))?;
//! again.decisions().update_from(&found.decision, &found.revision).await?;
//! assert_eq!(again.series().bars(&hours, TimeRange::before(now)).await?, [bar]);
//! # Ok(()) }) }
//! # #[cfg(not(all(feature = "json", feature = "jsonl", feature = "parquet")))]
//! # fn main() {}
//! ```
//!
//! An application that takes `Arc<dyn DecisionRepository>` and its siblings depends on `minutebook-core` alone; this crate is for the place
//! where a program decides what stands behind them: a directory ([`Minutebook::open`]), memory ([`Minutebook::in_memory`]) or backends of its
//! own ([`Minutebook::builder`]).
//!
//! # Features
//!
//! | feature | what it brings | on by default |
//! | --- | --- | --- |
//! | `memory` | the fakes in [`memory`], with the same semantics as on disk | yes |
//! | `json` | decisions and catalog as JSON files | yes |
//! | `jsonl` | ticks as JSON Lines | yes |
//! | `parquet` | bars and other series as Parquet | yes |
//! | `s3`, `gcs`, `azure` | Parquet series in a bucket: `parquet::ParquetTimeSeriesRepository::open_url`, for the builder | no |
//!
//! `disk` (opening directories, settings) comes with each of the last three. A part whose feature is off answers
//! [`ErrorKind::Unsupported`] in a store on disk.

/// The example in the project's README is held to what it says.
#[cfg(all(
    doctest,
    feature = "memory",
    feature = "json",
    feature = "jsonl",
    feature = "parquet"
))]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

#[cfg(all(
    feature = "disk",
    not(all(feature = "json", feature = "jsonl", feature = "parquet"))
))]
mod absent;
#[cfg(feature = "disk")]
mod backends;
#[cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
pub mod backup;
mod builder;
#[cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
pub mod check;
#[cfg(feature = "disk")]
pub mod config;
mod datasets;
#[cfg(feature = "disk")]
mod disk;
mod error;
#[cfg(feature = "disk")]
mod layout;
#[cfg(any(feature = "json", feature = "jsonl", feature = "parquet"))]
mod lazy;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(all(feature = "json", feature = "jsonl", feature = "parquet"))]
pub mod repair;
mod store;
mod tiered;

pub use builder::Builder;
#[cfg(feature = "disk")]
pub use config::{Config, Durability, Environment};
pub use datasets::{DataPath, Discovered, Inspection, Place, Refreshed, Removed, Stale};
#[cfg(feature = "disk")]
pub use disk::OpenOptions;
#[cfg(feature = "disk")]
pub use layout::{
    DECISIONS_DIR, DOCUMENTS_DIR, DirectoryKind, Layout, REGISTRY_FILE, SERIES_DIR, TICKS_DIR,
};
pub use minutebook_core::{
    Action, At, Bar, BatchStream, Calendar, Capabilities, Capability, Catalog, CatalogExt,
    ChangeStream, Clock, Cursor, DatasetChange, DatasetEntry, DatasetFilter, DatasetName, Decision,
    DecisionChange, DecisionFilter, DecisionId, DecisionPage, DecisionQuery, DecisionRepository,
    DecisionRepositoryExt, DecisionState, Direction, Error, ErrorKind, Expired, ExpiryReason,
    FieldMatch, GroupBy, GroupCount, Groups, IdSource, Location, ManualClock, OnConflict, Order,
    Position, Problem, ProblemKind, ReadReport, Result, RetentionOutcome, RetentionPlan,
    RetentionPolicy, Revision, Row, SaveMode, SaveOutcome, SaveReceipt, ScanQuery, SeriesFilter,
    SeriesId, SeriesKey, SeriesName, SeriesSummary, Side, Snapshot, StateContent, Statistics,
    StoredDecision, StoredEntry, Symbol, SystemClock, Take, Tick, TimeRange, TimeSeriesRepository,
    TimeSeriesRepositoryExt, Timeframe, UuidV7Source, Version, WatchFrom, WriteMode, WriteReceipt,
};
pub use minutebook_core::{Column, Contents, Lineage, StaleReason};
pub use minutebook_core::{
    DocumentFilter, DocumentInfo, DocumentName, DocumentRepository, DocumentRepositoryExt,
    StoredDocument, document,
};
pub use minutebook_core::{Finding, FindingKind, Severity};
pub use minutebook_core::{
    capability, catalog, decision, id, json as json_text, report, series, time,
};
#[cfg(feature = "json")]
pub use minutebook_json as json;
#[cfg(feature = "jsonl")]
pub use minutebook_jsonl as jsonl;
#[cfg(feature = "parquet")]
pub use minutebook_parquet as parquet;
pub use store::Minutebook;
pub use tiered::Tiered;
#[cfg(all(feature = "jsonl", feature = "parquet"))]
pub use tiered::{CompactedSeries, RefusedSegment};
