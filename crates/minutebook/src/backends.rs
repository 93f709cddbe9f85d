//! Which backend keeps which part of a store on disk, with the settings that it gets.

use std::sync::Arc;

use minutebook_fs::Fs;

use crate::Clock;
use crate::config::Config;
use crate::layout::Layout;

/// What the backends are opened with.
#[cfg_attr(
    not(any(feature = "json", feature = "jsonl", feature = "parquet")),
    allow(dead_code, reason = "without a backend there is nothing to open")
)]
pub(crate) struct Backends<'a> {
    pub(crate) config: &'a Config,
    pub(crate) layout: &'a Layout,
    pub(crate) fs: &'a Arc<dyn Fs>,
    pub(crate) clock: &'a Arc<dyn Clock>,
}

#[cfg(any(feature = "json", feature = "jsonl", feature = "parquet"))]
impl Backends<'_> {
    fn durability(&self) -> minutebook_fs::Durability {
        self.config.durability.unwrap_or_default().into()
    }
}

#[cfg(feature = "json")]
mod json {
    use std::sync::Arc;

    use minutebook_json::{
        JsonCatalog, JsonCatalogConfig, JsonDecisionConfig, JsonDecisionRepository, JsonDocuments,
        JsonDocumentsConfig,
    };

    use super::Backends;
    use crate::lazy::Lazy;
    use crate::{Capabilities, Capability, Catalog, DocumentRepository};

    /// What the backend says of itself once it is open; a test holds the two together.
    const CAPABILITIES: Capabilities = Capabilities::of(&[
        Capability::Persistent,
        Capability::Shared,
        Capability::Revisions,
        Capability::History,
        Capability::Watch,
    ]);
    /// The same without a journal.
    const PLAIN: Capabilities = Capabilities::of(&[
        Capability::Persistent,
        Capability::Shared,
        Capability::Revisions,
    ]);

    impl Backends<'_> {
        pub(crate) fn decisions_config(&self) -> JsonDecisionConfig {
            let said = &self.config.decisions;
            let mut config = JsonDecisionConfig::default()
                .fs(Arc::clone(self.fs))
                .clock(Arc::clone(self.clock))
                .durability(self.durability());
            if let Some(decisions) = said.max_decisions {
                config = config.max_decisions(decisions);
            }
            if let Some(journal) = said.journal {
                config = config.journal(journal);
            }
            if let Some(bytes) = said.max_document_bytes {
                config = config.max_document_bytes(bytes);
            }
            config
        }

        pub(crate) fn decisions(&self) -> Arc<Lazy<JsonDecisionRepository>> {
            let config = self.decisions_config();
            let capabilities = if config.journal { CAPABILITIES } else { PLAIN };
            Arc::new(Lazy::new(
                self.fs,
                &self.layout.decisions,
                capabilities,
                move |dir| JsonDecisionRepository::open(dir, config.clone()),
            ))
        }

        pub(crate) fn documents_config(&self) -> JsonDocumentsConfig {
            JsonDocumentsConfig::default()
                .fs(Arc::clone(self.fs))
                .durability(self.durability())
        }

        pub(crate) fn documents(&self) -> Arc<dyn DocumentRepository> {
            let config = self.documents_config();
            Arc::new(Lazy::new(
                self.fs,
                &self.layout.documents,
                Capabilities::of(&[Capability::Persistent, Capability::Shared]),
                move |dir| JsonDocuments::open(dir, config.clone()),
            ))
        }

        pub(crate) fn catalog_config(&self) -> JsonCatalogConfig {
            JsonCatalogConfig::default()
                .fs(Arc::clone(self.fs))
                .clock(Arc::clone(self.clock))
                .durability(self.durability())
        }

        pub(crate) fn catalog(&self) -> Arc<dyn Catalog> {
            let config = self.catalog_config();
            Arc::new(Lazy::new(
                self.fs,
                &self.layout.registry,
                Capabilities::of(&[
                    Capability::Persistent,
                    Capability::Shared,
                    Capability::Revisions,
                ]),
                move |file| JsonCatalog::open(file, config.clone()),
            ))
        }
    }
}

#[cfg(feature = "jsonl")]
mod jsonl {
    use std::sync::Arc;

    use minutebook_jsonl::{JsonlConfig, JsonlTimeSeriesRepository, Rotation, TimeField};

    use super::Backends;
    use crate::config::DeclaredColumns;
    use crate::lazy::Lazy;
    use crate::{Capabilities, Capability};

    /// As for the decisions.
    const CAPABILITIES: Capabilities =
        Capabilities::of(&[Capability::Persistent, Capability::Shared]);

    impl Backends<'_> {
        pub(crate) fn ticks_config(&self) -> JsonlConfig {
            let mut config = JsonlConfig::default()
                .fs(Arc::clone(self.fs))
                .clock(Arc::clone(self.clock))
                .durability(self.durability());
            if let Some(bytes) = self.config.ticks.max_line_bytes {
                config = config.max_line_bytes(bytes);
            }
            let unit = self.config.ticks.epoch_unit.unwrap_or_default();
            if let Some(unit) = unit.of_numbers() {
                config = config.time(TimeField::timestamp().epoch(unit));
            }
            let columns = self.config.ticks.columns.as_ref();
            if let Some(schema) = columns.and_then(DeclaredColumns::schema) {
                config = config.declared(schema);
            }
            let mut rotation = Rotation::default();
            rotation.bytes = self.config.ticks.rotate_bytes.filter(|bytes| *bytes > 0);
            rotation.daily = self.config.ticks.rotate_daily == Some(true);
            config = config.rotation(rotation);
            config
        }

        pub(crate) fn ticks(&self) -> Arc<Lazy<JsonlTimeSeriesRepository>> {
            let config = self.ticks_config();
            Arc::new(Lazy::new(
                self.fs,
                &self.layout.ticks,
                CAPABILITIES,
                move |dir| JsonlTimeSeriesRepository::open(dir, config.clone()),
            ))
        }
    }
}

#[cfg(feature = "parquet")]
mod parquet {
    use std::sync::Arc;

    use minutebook_parquet::{ParquetConfig, ParquetTimeSeriesRepository};

    use super::Backends;
    use crate::lazy::Lazy;
    use crate::{Capabilities, Capability};

    /// As for the decisions.
    const CAPABILITIES: Capabilities = Capabilities::of(&[
        Capability::Persistent,
        Capability::Shared,
        Capability::Upsert,
        Capability::ReplaceRange,
        Capability::DeleteRange,
        Capability::TimeOrdered,
        Capability::AsOf,
        Capability::ExactTypes,
        Capability::NewestFirst,
        Capability::Key,
    ]);

    impl Backends<'_> {
        pub(crate) fn series_config(&self) -> ParquetConfig {
            ParquetConfig::default()
                .fs(Arc::clone(self.fs))
                .clock(Arc::clone(self.clock))
                .durability(self.durability())
        }

        pub(crate) fn series(&self) -> Arc<Lazy<ParquetTimeSeriesRepository>> {
            let config = self.series_config();
            Arc::new(Lazy::new(
                self.fs,
                &self.layout.series,
                CAPABILITIES,
                move |dir| ParquetTimeSeriesRepository::open(dir, config.clone()),
            ))
        }
    }
}

#[cfg(not(all(feature = "json", feature = "jsonl", feature = "parquet")))]
mod without {
    use std::sync::Arc;

    use super::Backends;
    use crate::absent::Absent;

    #[allow(clippy::unused_self, reason = "as with the feature")]
    impl Backends<'_> {
        #[cfg(not(feature = "json"))]
        pub(crate) fn decisions(&self) -> Arc<dyn crate::DecisionRepository> {
            Arc::new(Absent {
                what: "decisions",
                feature: "json",
            })
        }

        #[cfg(not(feature = "json"))]
        pub(crate) fn documents(&self) -> Arc<dyn crate::DocumentRepository> {
            Arc::new(Absent {
                what: "documents",
                feature: "json",
            })
        }

        #[cfg(not(feature = "json"))]
        pub(crate) fn catalog(&self) -> Arc<dyn crate::Catalog> {
            Arc::new(Absent {
                what: "the catalog",
                feature: "json",
            })
        }

        #[cfg(not(feature = "jsonl"))]
        pub(crate) fn ticks(&self) -> Arc<dyn crate::TimeSeriesRepository> {
            Arc::new(Absent {
                what: "ticks",
                feature: "jsonl",
            })
        }

        #[cfg(not(feature = "parquet"))]
        pub(crate) fn series(&self) -> Arc<dyn crate::TimeSeriesRepository> {
            Arc::new(Absent {
                what: "bars and other series",
                feature: "parquet",
            })
        }
    }
}
