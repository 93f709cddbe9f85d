//! Catalogs with a bug.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use minutebook::memory::MemoryCatalog;
use minutebook_core::{
    Capabilities, Capability, Catalog, Clock, DatasetChange, DatasetEntry, DatasetFilter,
    DatasetName, Error, ManualClock, Result, Revision, SaveMode, StoredEntry,
};
use minutebook_testkit::{CATALOG_CASES, Harness, test_clock};

use super::{failing, histories_must_catch, must_catch};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    RegistrationsRace,
    ChangesRace,
    RevisionUnchecked,
    ChangeRevisionUnchecked,
    UnknownFieldsDropped,
    RegisteredAtAlwaysNow,
    RegisteredAtForgotten,
    NamesFolded,
    MetadataFilterIgnored,
    TenorFilterIgnored,
    RemoveTakesAnother,
    AlwaysStamped,
    NeverStamped,
    CreateOverwrites,
    UpdateCreates,
    UnchangedIsNew,
    ListReversed,
    TenorStays,
    MetadataReplaced,
    RemoveAlwaysTrue,
    RevisionsRefusedThoughClaimed,
    RevisionsWorkThoughUnclaimed,
    ReopeningLosesTheLast,
    ChangeOfMissingIgnored,
    ReservedKeyTaken,
    PatternIgnored,
    CoverageIsOverlap,
    ParentFilterIgnored,
    RenameCopies,
    RenameOverwrites,
    RenameForgetsChildren,
    RenameLosesFields,
    RenameInSteps,
    SeenUnchecked,
    SeenLookedAtBefore,
}

#[derive(Debug)]
struct Buggy {
    bug: Bug,
    clock: Arc<ManualClock>,
    inner: MemoryCatalog,
    busy: Arc<AtomicUsize>,
}

struct BuggyHarness {
    bug: Bug,
    clock: Arc<ManualClock>,
    inner: MemoryCatalog,
    busy: Arc<AtomicUsize>,
    opened: Mutex<bool>,
}

impl BuggyHarness {
    fn with(bug: Bug) -> Self {
        let clock = test_clock();
        Self {
            bug,
            inner: MemoryCatalog::with_clock(clock.clone()),
            clock,
            busy: Arc::default(),
            opened: Mutex::default(),
        }
    }
}

#[async_trait]
impl Harness<dyn Catalog> for BuggyHarness {
    fn new() -> Self {
        Self::with(Bug::None)
    }

    async fn open(&self) -> Result<Arc<dyn Catalog>> {
        let again = std::mem::replace(&mut *self.opened.lock().unwrap(), true);
        if again
            && self.bug == Bug::ReopeningLosesTheLast
            && let Some(last) = self.inner.list(&DatasetFilter::new()).await?.last()
        {
            self.inner.remove(&last.entry.name).await?;
        }
        Ok(Arc::new(Buggy {
            bug: self.bug,
            clock: self.clock.clone(),
            inner: self.inner.clone(),
            busy: self.busy.clone(),
        }))
    }

    fn clock(&self) -> Option<Arc<ManualClock>> {
        Some(self.clock.clone())
    }
}

impl Buggy {
    fn name(&self, name: &DatasetName) -> DatasetName {
        match self.bug {
            Bug::NamesFolded => DatasetName::new(name.as_str().to_lowercase()).unwrap(),
            _ => name.clone(),
        }
    }
}

#[async_trait]
impl Catalog for Buggy {
    fn capabilities(&self) -> Capabilities {
        match self.bug {
            Bug::RevisionsWorkThoughUnclaimed => Capabilities::of(&[Capability::Shared]),
            Bug::ReopeningLosesTheLast => {
                Capabilities::of(&[Capability::Persistent, Capability::Revisions])
            }
            _ => self.inner.capabilities(),
        }
    }

    async fn register(&self, entry: &DatasetEntry, mode: SaveMode) -> Result<Revision> {
        let mut entry = entry.clone();
        entry.name = self.name(&entry.name);
        let mode = match (self.bug, mode) {
            (Bug::RevisionUnchecked, SaveMode::Update { .. }) => {
                SaveMode::Update { expected: None }
            }
            (Bug::CreateOverwrites, SaveMode::Create)
            | (Bug::UpdateCreates, SaveMode::Update { expected: None }) => SaveMode::Upsert,
            (Bug::RevisionsRefusedThoughClaimed, SaveMode::Update { expected: Some(_) }) => {
                return Err(Error::unsupported("no revisions here"));
            }
            (_, mode) => mode,
        };
        match self.bug {
            Bug::UnknownFieldsDropped => entry.extra.clear(),
            Bug::ReservedKeyTaken => {
                entry.metadata.shift_remove(DatasetEntry::OURS);
            }
            Bug::RegisteredAtAlwaysNow => entry.registered_at = Some(self.clock.now().into()),
            Bug::UnchangedIsNew => {
                self.inner
                    .update(&entry.name, &DatasetChange::new().file_path("elsewhere"))
                    .await
                    .ok();
            }
            Bug::RegistrationsRace => {
                // As when a whole file is read, changed and written back: who reads while another writes undoes it.
                let alone = self.busy.fetch_add(1, Ordering::SeqCst) == 0;
                tokio::task::yield_now().await;
                let registered = self.inner.register(&entry, mode).await;
                self.busy.fetch_sub(1, Ordering::SeqCst);
                if !alone {
                    self.inner.remove(&entry.name).await?;
                }
                return registered;
            }
            _ => {}
        }
        let registered = self.inner.register(&entry, mode).await?;
        if self.bug == Bug::RegisteredAtForgotten {
            entry.registered_at = Some(minutebook_core::time::WrittenTime::new(""));
            return self.inner.register(&entry, SaveMode::Upsert).await;
        }
        Ok(registered)
    }

    async fn get(&self, name: &DatasetName) -> Result<Option<StoredEntry>> {
        self.inner.get(&self.name(name)).await
    }

    async fn list(&self, filter: &DatasetFilter) -> Result<Vec<StoredEntry>> {
        let mut filter = filter.clone();
        match self.bug {
            Bug::MetadataFilterIgnored => filter.metadata.clear(),
            Bug::TenorFilterIgnored => filter.tenor = None,
            Bug::PatternIgnored => filter.name_pattern = None,
            Bug::ParentFilterIgnored => filter.derived_from = None,
            Bug::CoverageIsOverlap if filter.covers.is_some() => {
                filter.overlaps = filter.covers.take();
            }
            _ => {}
        }
        let mut listed = self.inner.list(&filter).await?;
        if self.bug == Bug::ListReversed {
            listed.reverse();
        }
        Ok(listed)
    }

    async fn update(&self, name: &DatasetName, change: &DatasetChange) -> Result<Revision> {
        let mut change = change.clone();
        let stored = self.inner.get(name).await?;
        match (self.bug, &stored) {
            (Bug::ChangeRevisionUnchecked, _) => change.expected = None,
            (Bug::TenorStays, _) if change.tenor == Some(None) => change.tenor = None,
            (Bug::RevisionsRefusedThoughClaimed, _) if change.expected.is_some() => {
                return Err(Error::unsupported("no revisions here"));
            }
            (Bug::ChangeOfMissingIgnored, None) => return Ok(Revision::new("none").unwrap()),
            (Bug::ChangesRace, Some(stored)) if change.expected.is_none() => {
                let mut entry = stored.entry.clone();
                change.apply(&mut entry, self.clock.now());
                tokio::task::yield_now().await;
                return self.inner.register(&entry, SaveMode::Upsert).await;
            }
            (Bug::MetadataReplaced, Some(stored)) if !change.metadata.is_empty() => {
                let mut entry = stored.entry.clone();
                entry.metadata.clear();
                change.apply(&mut entry, self.clock.now());
                return self.inner.register(&entry, SaveMode::Upsert).await;
            }
            (Bug::AlwaysStamped | Bug::NeverStamped, Some(stored)) => {
                let mut entry = stored.entry.clone();
                change.apply(&mut entry, self.clock.now());
                entry.last_updated =
                    (self.bug == Bug::AlwaysStamped).then(|| self.clock.now().into());
                return self.inner.register(&entry, SaveMode::Upsert).await;
            }
            _ => {}
        }
        self.inner.update(&self.name(name), &change).await
    }

    async fn rename(&self, name: &DatasetName, to: &DatasetName) -> Result<Revision> {
        let Some(stored) = self.inner.get(name).await? else {
            return self.inner.rename(name, to).await;
        };
        let mut moved = stored.entry.clone();
        moved.name = to.clone();
        match self.bug {
            Bug::RenameCopies if name != to => self.inner.register(&moved, SaveMode::Create).await,
            Bug::RenameOverwrites if name != to => {
                self.inner.remove(to).await?;
                self.inner.rename(name, to).await
            }
            Bug::RenameForgetsChildren if name != to => {
                let registered = self.inner.register(&moved, SaveMode::Create).await?;
                self.inner.remove(name).await?;
                Ok(registered)
            }
            Bug::RenameLosesFields if name != to => {
                self.inner.rename(name, to).await?;
                moved.extra.clear();
                self.inner.register(&moved, SaveMode::Upsert).await
            }
            Bug::RenameInSteps if name != to => {
                if self.inner.get(to).await?.is_some() {
                    return self.inner.rename(name, to).await;
                }
                // Who looks first and moves then takes the place of another who did the same.
                tokio::task::yield_now().await;
                self.inner.remove(to).await?;
                self.inner.rename(name, to).await
            }
            _ => self.inner.rename(&self.name(name), &self.name(to)).await,
        }
    }

    async fn remove(&self, name: &DatasetName) -> Result<bool> {
        if self.bug == Bug::RemoveTakesAnother {
            for stored in self.inner.list(&DatasetFilter::new()).await? {
                if stored
                    .entry
                    .name
                    .as_str()
                    .eq_ignore_ascii_case(name.as_str())
                    && stored.entry.name != *name
                {
                    self.inner.remove(&stored.entry.name).await?;
                }
            }
        }
        Ok(self.inner.remove(&self.name(name)).await? || self.bug == Bug::RemoveAlwaysTrue)
    }

    async fn remove_seen(&self, name: &DatasetName, seen: &Revision) -> Result<bool> {
        match self.bug {
            Bug::SeenUnchecked => self.inner.remove(name).await,
            Bug::SeenLookedAtBefore => {
                let stored = self.inner.get(name).await?;
                if stored.is_some_and(|stored| stored.revision != *seen) {
                    return self.inner.remove_seen(name, seen).await;
                }
                tokio::task::yield_now().await;
                self.inner.remove(name).await
            }
            Bug::RevisionsRefusedThoughClaimed => Err(Error::unsupported("no revisions here")),
            _ => self.inner.remove_seen(&self.name(name), seen).await,
        }
    }
}

fn harness(bug: Bug) -> Arc<dyn Harness<dyn Catalog>> {
    Arc::new(BuggyHarness::with(bug))
}

#[test]
fn the_sound_catalog_passes_every_case() {
    let failed = failing(CATALOG_CASES, || harness(Bug::None));
    assert!(failed.is_empty(), "{failed:?}");
}

/// One test for each bug and the cases that must catch it.
macro_rules! caught {
    ($($name:ident: $bug:ident => [$($case:literal),+],)+) => {
        $(#[test]
        fn $name() {
            let failed = failing(CATALOG_CASES, || harness(Bug::$bug));
            must_catch(&Bug::$bug, &failed, &[$($case),+]);
        })+
    };
}

caught! {
    an_unchecked_revision: RevisionUnchecked => ["registering_over_an_old_revision_is_refused"],
    an_unchecked_revision_of_a_change: ChangeRevisionUnchecked => ["changing_an_old_revision_is_a_conflict", "one_of_concurrent_changes_of_a_revision_wins"],
    dropped_unknown_fields: UnknownFieldsDropped => ["entries_come_back_as_they_were", "a_change_touches_only_what_it_names"],
    a_renewed_registered_at: RegisteredAtAlwaysNow => ["registered_at_is_set_where_it_is_missing"],
    a_missing_registered_at: RegisteredAtForgotten => ["registered_at_is_set_where_it_is_missing"],
    folded_names: NamesFolded => ["a_missing_dataset_is_none", "names_of_any_kind_do_not_mix"],
    an_ignored_metadata_filter: MetadataFilterIgnored => ["each_condition_on_datasets_filters", "conditions_on_datasets_hold_together"],
    an_ignored_tenor_filter: TenorFilterIgnored => ["each_condition_on_datasets_filters"],
    a_removal_that_takes_another: RemoveTakesAnother => ["removing_touches_no_other_entry"],
    an_unchecked_revision_of_a_removal: SeenUnchecked => ["what_was_changed_since_is_not_removed"],
    a_stamp_on_every_change: AlwaysStamped => ["setting_statistics_stamps_last_updated"],
    a_missing_stamp: NeverStamped => ["setting_statistics_stamps_last_updated"],
    a_create_that_overwrites: CreateOverwrites => ["create_refuses_a_name_that_is_there", "one_of_concurrent_creates_of_a_name_wins"],
    an_update_that_creates: UpdateCreates => ["update_refuses_a_name_that_is_not_there"],
    a_new_revision_of_an_unchanged_entry: UnchangedIsNew => ["an_unchanged_entry_keeps_its_revision"],
    a_reversed_list: ListReversed => ["datasets_are_listed_in_ascending_order"],
    a_tenor_that_stays: TenorStays => ["a_change_touches_only_what_it_names"],
    replaced_metadata: MetadataReplaced => ["a_change_touches_only_what_it_names"],
    a_removal_that_always_succeeds: RemoveAlwaysTrue => ["a_removed_dataset_is_gone"],
    a_claimed_capability_that_is_refused: RevisionsRefusedThoughClaimed => ["registering_over_an_old_revision_is_refused", "what_was_changed_since_is_not_removed"],
    an_unclaimed_capability_that_works: RevisionsWorkThoughUnclaimed => ["registering_over_an_old_revision_is_refused", "what_was_changed_since_is_not_removed"],
    a_reopening_that_loses_the_last: ReopeningLosesTheLast => ["entries_survive_reopening"],
    a_reserved_key_that_is_taken: ReservedKeyTaken => ["metadata_under_the_reserved_key_is_refused"],
    an_ignored_pattern: PatternIgnored => ["each_condition_on_datasets_filters"],
    an_ignored_parent: ParentFilterIgnored => ["each_condition_on_datasets_filters"],
    a_coverage_that_is_an_overlap: CoverageIsOverlap => ["each_condition_on_datasets_filters"],
    a_rename_that_copies: RenameCopies => ["a_renamed_dataset_keeps_everything"],
    a_rename_that_overwrites: RenameOverwrites => ["renaming_refuses_what_is_missing_or_taken"],
    a_rename_that_forgets_children: RenameForgetsChildren => ["what_was_made_from_a_renamed_dataset_follows"],
    a_rename_that_loses_fields: RenameLosesFields => ["a_renamed_dataset_keeps_everything"],
    an_ignored_change_of_a_missing_entry: ChangeOfMissingIgnored => ["changing_a_missing_dataset_is_not_found"],
}

/// A race shows when the scheduler lets it, so these are tried until it does.
macro_rules! caught_in_time {
    ($($name:ident: $bug:ident => $case:literal,)+) => {
        $(#[test]
        fn $name() {
            let case = CATALOG_CASES.iter().find(|case| case.name == $case).unwrap();
            assert!((0..200).any(|_| case.check(harness(Bug::$bug)).is_err()), "{} never caught {:?}", $case, Bug::$bug);
        })+
    };
}

caught_in_time! {
    lost_concurrent_registrations: RegistrationsRace => "concurrent_registrations_lose_none",
    a_rename_in_steps: RenameInSteps => "one_of_concurrent_renames_to_a_name_wins",
    lost_concurrent_changes: ChangesRace => "concurrent_changes_to_one_entry_are_all_applied",
    a_removal_that_looks_and_then_removes: SeenLookedAtBefore => "one_of_concurrent_removals_and_changes_wins",
}

#[test]
fn random_histories_find_bugs_too() {
    for bug in [
        Bug::RevisionUnchecked,
        Bug::ListReversed,
        Bug::CreateOverwrites,
        Bug::NamesFolded,
        Bug::TenorStays,
        Bug::NeverStamped,
        Bug::SeenUnchecked,
    ] {
        histories_must_catch(&bug, || {
            minutebook_testkit::catalog::random_histories(&|| harness(bug))
        });
    }
    minutebook_testkit::catalog::random_histories_with_faults(&|| harness(Bug::None)).unwrap();
}
