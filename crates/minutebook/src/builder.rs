//! Building a store of record from any implementation of each trait.

use std::sync::Arc;

use crate::store::Parts;
use crate::{
    Catalog, Clock, DecisionRepository, DocumentRepository, IdSource, Minutebook, Result,
    SystemClock, TimeSeriesRepository, UuidV7Source,
};

/// Takes repositories of any kind and makes one [`Minutebook`] of them.
///
/// What is not given is kept in memory (feature `memory`).
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use minutebook::{Capability, Minutebook, memory::MemoryDecisionRepository};
///
/// let book = Minutebook::builder()
///     .decisions(MemoryDecisionRepository::new())
///     .build()?;
/// assert!(!book.decisions().capabilities().has(Capability::Persistent));
/// # }
/// # Ok::<(), minutebook::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    decisions: Option<Arc<dyn DecisionRepository>>,
    ticks: Option<Arc<dyn TimeSeriesRepository>>,
    series: Option<Arc<dyn TimeSeriesRepository>>,
    catalog: Option<Arc<dyn Catalog>>,
    documents: Option<Arc<dyn DocumentRepository>>,
    clock: Option<Arc<dyn Clock>>,
    ids: Option<Arc<dyn IdSource>>,
}

impl Builder {
    /// Keeps decisions here. An `Arc<dyn DecisionRepository>` is one too.
    pub fn decisions(mut self, repository: impl DecisionRepository) -> Self {
        self.decisions = Some(Arc::new(repository));
        self
    }

    /// Keeps ticks here.
    pub fn ticks(mut self, repository: impl TimeSeriesRepository) -> Self {
        self.ticks = Some(Arc::new(repository));
        self
    }

    /// Keeps bars and all other series here.
    pub fn series(mut self, repository: impl TimeSeriesRepository) -> Self {
        self.series = Some(Arc::new(repository));
        self
    }

    /// Keeps the catalog here.
    pub fn catalog(mut self, catalog: impl Catalog) -> Self {
        self.catalog = Some(Arc::new(catalog));
        self
    }

    /// Keeps documents here.
    pub fn documents(mut self, repository: impl DocumentRepository) -> Self {
        self.documents = Some(Arc::new(repository));
        self
    }

    /// Takes "now" from here; the system's clock unless given. Repositories that were given keep their own clocks.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Takes new ids from here; `UUIDv7` after the clock unless given.
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Puts the parts together.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if a repository was not given and the feature `memory`, which would stand in, is off.
    pub fn build(self) -> Result<Minutebook> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let ids = self
            .ids
            .unwrap_or_else(|| Arc::new(UuidV7Source::new(Arc::clone(&clock))));
        Ok(Minutebook::from_parts(Parts {
            decisions: or_memory(self.decisions, "decisions", || memory::decisions(&clock))?,
            ticks: or_memory(self.ticks, "ticks", || memory::series(&clock))?,
            series: or_memory(self.series, "series", || memory::series(&clock))?,
            catalog: or_memory(self.catalog, "catalog", || memory::catalog(&clock))?,
            documents: or_memory(self.documents, "documents", || memory::documents(&clock))?,
            clock,
            ids,
            #[cfg(feature = "disk")]
            disk: None,
        }))
    }
}

fn or_memory<T: ?Sized>(
    given: Option<Arc<T>>,
    what: &str,
    stand_in: impl FnOnce() -> Option<Arc<T>>,
) -> Result<Arc<T>> {
    given.or_else(stand_in).ok_or_else(|| {
        crate::Error::unsupported(format!(
            "no repository was given for the {what}, and the feature \"memory\" of the crate minutebook is off; call Builder::{what}"
        ))
    })
}

#[cfg(feature = "memory")]
mod memory {
    use std::sync::Arc;

    use crate::memory::{
        MemoryCatalog, MemoryDecisionRepository, MemoryDocuments, MemoryTimeSeriesRepository,
    };
    use crate::{Catalog, Clock, DecisionRepository, DocumentRepository, TimeSeriesRepository};

    #[allow(clippy::unnecessary_wraps, reason = "None without the feature")]
    pub(super) fn decisions(clock: &Arc<dyn Clock>) -> Option<Arc<dyn DecisionRepository>> {
        Some(Arc::new(MemoryDecisionRepository::with_clock(Arc::clone(
            clock,
        ))))
    }

    #[allow(clippy::unnecessary_wraps, reason = "None without the feature")]
    pub(super) fn series(clock: &Arc<dyn Clock>) -> Option<Arc<dyn TimeSeriesRepository>> {
        Some(Arc::new(MemoryTimeSeriesRepository::with_clock(
            Arc::clone(clock),
        )))
    }

    #[allow(clippy::unnecessary_wraps, reason = "None without the feature")]
    pub(super) fn documents(clock: &Arc<dyn Clock>) -> Option<Arc<dyn DocumentRepository>> {
        Some(Arc::new(MemoryDocuments::with_clock(Arc::clone(clock))))
    }

    #[allow(clippy::unnecessary_wraps, reason = "None without the feature")]
    pub(super) fn catalog(clock: &Arc<dyn Clock>) -> Option<Arc<dyn Catalog>> {
        Some(Arc::new(MemoryCatalog::with_clock(Arc::clone(clock))))
    }
}

#[cfg(not(feature = "memory"))]
mod memory {
    use std::sync::Arc;

    use crate::{Catalog, Clock, DecisionRepository, DocumentRepository, TimeSeriesRepository};

    pub(super) fn documents(_: &Arc<dyn Clock>) -> Option<Arc<dyn DocumentRepository>> {
        None
    }

    pub(super) fn decisions(_: &Arc<dyn Clock>) -> Option<Arc<dyn DecisionRepository>> {
        None
    }

    pub(super) fn series(_: &Arc<dyn Clock>) -> Option<Arc<dyn TimeSeriesRepository>> {
        None
    }

    pub(super) fn catalog(_: &Arc<dyn Clock>) -> Option<Arc<dyn Catalog>> {
        None
    }
}
