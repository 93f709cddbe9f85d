//! The vocabulary of Minutebook: what a trading system decides and sees, the traits of the stores
//! that keep it, and the errors they answer with.
//!
//! An application depends on this crate alone and takes its stores as
//! `Arc<dyn DecisionRepository>`, `Arc<dyn TimeSeriesRepository>` and `Arc<dyn Catalog>`; which
//! backend stands behind them is decided once, where the program starts. The crate does no I/O and
//! knows no async runtime.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`decision`] | [`Decision`], its queries and [`DecisionRepository`] |
//! | [`series`] | [`SeriesId`], [`Bar`], [`Tick`], scans over Arrow batches and [`TimeSeriesRepository`] |
//! | [`catalog`] | [`DatasetEntry`] and [`Catalog`] |
//! | [`document`] | any JSON value under a name and [`DocumentRepository`] |
//! | [`check`] | what a check over stored data finds |
//! | [`time`] | UTC instants, half-open [`TimeRange`]s, clocks |
//! | [`error`] | the one [`Error`] type and its kinds |
//!
//! ```
//! use minutebook_core::{Action, Decision};
//!
//! let decision = Decision::from_json(
//!     r#"{"id": "d-1", "timestamp": "2025-12-02T15:51:23.549058", "action": "BUY", "confidence": 80}"#,
//! )?;
//! assert_eq!(decision.id().as_str(), "d-1");
//! assert_eq!(decision.action(), Some(Action::Buy));
//! // What was written is what comes back, number text included.
//! assert_eq!(decision.raw("confidence"), Some("80"));
//! # Ok::<(), minutebook_core::Error>(())
//! ```

pub mod capability;
pub mod catalog;
pub mod check;
pub mod decision;
pub mod document;
pub mod error;
pub mod id;
pub mod json;
pub mod report;
pub mod series;
pub mod time;

pub use capability::{Capabilities, Capability};
pub use catalog::{
    Catalog, CatalogExt, Column, Contents, DatasetChange, DatasetEntry, DatasetFilter, DatasetName,
    Lineage, StaleReason, Statistics, StoredEntry,
};
pub use check::{Finding, FindingKind, Severity};
pub use decision::{
    Action, At, ChangeStream, Cursor, Decision, DecisionChange, DecisionFilter, DecisionId,
    DecisionPage, DecisionQuery, DecisionRepository, DecisionRepositoryExt, DecisionState, Expired,
    ExpiryReason, FieldMatch, GroupBy, GroupCount, Groups, Order, Position, RetentionOutcome,
    RetentionPlan, RetentionPolicy, SaveMode, SaveOutcome, SaveReceipt, StateContent,
    StoredDecision, WatchFrom, count_by_pages,
};
pub use document::{
    DocumentFilter, DocumentInfo, DocumentName, DocumentRepository, DocumentRepositoryExt,
    StoredDocument,
};
pub use error::{Error, ErrorKind, Result};
pub use id::{IdSource, Revision, UuidV7Source, Version};
pub use report::{Location, Problem, ProblemKind, ReadReport};
pub use series::{
    Bar, BatchStream, Calendar, Direction, OnConflict, Row, ScanQuery, SeriesFilter, SeriesId,
    SeriesKey, SeriesName, SeriesSummary, Side, Snapshot, Symbol, Take, Tick, TimeSeriesRepository,
    TimeSeriesRepositoryExt, Timeframe, WriteMode, WriteReceipt,
};
pub use time::{Clock, ManualClock, SystemClock, TimeRange};
