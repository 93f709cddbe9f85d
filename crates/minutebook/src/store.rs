//! The store of record: four repositories, a clock and a source of ids.

#[cfg(feature = "disk")]
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::builder::Builder;
use crate::{
    Catalog, Clock, DecisionId, DecisionRepository, DocumentRepository, IdSource, SeriesId,
    TimeSeriesRepository,
};

/// The store of record of a trading system: its decisions, ticks, bars, the catalog of them, and documents.
///
/// A clone is the same store. Every part is used through its trait, so a program does not know which backend is behind
/// it; how it was opened decides.
#[derive(Debug, Clone)]
pub struct Minutebook {
    parts: Arc<Parts>,
}

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) decisions: Arc<dyn DecisionRepository>,
    pub(crate) ticks: Arc<dyn TimeSeriesRepository>,
    pub(crate) series: Arc<dyn TimeSeriesRepository>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) documents: Arc<dyn DocumentRepository>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    #[cfg(feature = "disk")]
    pub(crate) disk: Option<crate::disk::Disk>,
}

impl Minutebook {
    pub(crate) fn from_parts(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }

    /// A store in memory, gone when its last clone is dropped: for tests and trials.
    ///
    /// ```
    /// use minutebook::{Bar, Minutebook, SeriesId, TimeSeriesRepositoryExt, Timeframe, time::parse_timestamp};
    ///
    /// # async fn example() -> minutebook::Result<()> {
    /// let book = Minutebook::in_memory();
    /// let hours = SeriesId::bars("BTCUSD".parse()?, Timeframe::HOUR);
    /// let timestamp = parse_timestamp("2024-01-01")?;
    /// let bar = Bar { timestamp, open: 1.0, high: 2.0, low: 0.5, close: 1.5, volume: 10.0 };
    /// book.series().append_bars(&hours, &[bar]).await?;
    /// assert_eq!(book.series().latest_bar(&hours).await?, Some(bar));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "memory")]
    pub fn in_memory() -> Self {
        Self::in_memory_at(Arc::new(crate::SystemClock))
    }

    /// As [`in_memory`](Self::in_memory), with a clock of the caller's: for tests and replays.
    #[cfg(feature = "memory")]
    pub fn in_memory_at(clock: Arc<dyn Clock>) -> Self {
        use crate::memory::{MemoryCatalog, MemoryDecisionRepository, MemoryTimeSeriesRepository};
        Self::from_parts(Parts {
            decisions: Arc::new(MemoryDecisionRepository::with_clock(Arc::clone(&clock))),
            ticks: Arc::new(MemoryTimeSeriesRepository::with_clock(Arc::clone(&clock))),
            series: Arc::new(MemoryTimeSeriesRepository::with_clock(Arc::clone(&clock))),
            catalog: Arc::new(MemoryCatalog::with_clock(Arc::clone(&clock))),
            documents: Arc::new(crate::memory::MemoryDocuments::with_clock(Arc::clone(
                &clock,
            ))),
            ids: Arc::new(crate::UuidV7Source::new(Arc::clone(&clock))),
            clock,
            #[cfg(feature = "disk")]
            disk: None,
        })
    }

    /// Puts a store together from any implementation of each trait.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The decisions.
    pub fn decisions(&self) -> &Arc<dyn DecisionRepository> {
        &self.parts.decisions
    }

    /// The ticks.
    pub fn ticks(&self) -> &Arc<dyn TimeSeriesRepository> {
        &self.parts.ticks
    }

    /// Bars and all other series.
    pub fn series(&self) -> &Arc<dyn TimeSeriesRepository> {
        &self.parts.series
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.parts.catalog
    }

    /// Documents: run logs, parameters, whatever else is one JSON value under a name.
    pub fn documents(&self) -> &Arc<dyn DocumentRepository> {
        &self.parts.documents
    }

    /// The repository that keeps this series: [`ticks`](Self::ticks) for ticks, [`series`](Self::series) for all others.
    pub fn repository_of(&self, series: &SeriesId) -> &Arc<dyn TimeSeriesRepository> {
        match series {
            SeriesId::Ticks { .. } => self.ticks(),
            SeriesId::Bars { .. } | SeriesId::Named { .. } => self.series(),
        }
    }

    /// Where "now" comes from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The present instant by this store's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.parts.clock.now()
    }

    /// A new decision id, different from every one given before.
    pub fn new_id(&self) -> DecisionId {
        self.parts.ids.next_id()
    }

    /// Where the store lies on disk; `None` for one that was built or is in memory.
    #[cfg(feature = "disk")]
    pub fn root(&self) -> Option<&Path> {
        self.disk().map(|disk| disk.layout.root.as_path())
    }

    #[cfg(feature = "disk")]
    pub(crate) fn disk(&self) -> Option<&crate::disk::Disk> {
        self.parts.disk.as_ref()
    }
}
