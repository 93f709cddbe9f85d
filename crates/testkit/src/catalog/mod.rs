//! The cases of [`Catalog`].

#![allow(
    clippy::wildcard_imports,
    reason = "the cases are named once, in the list"
)]

mod change;
mod concurrent;
mod durable;
mod list;
mod model;
mod register;
mod remove;
mod rename;
mod support;

use minutebook_core::Catalog;

use crate::case::Case;
use crate::macros::case_list;

pub use model::{random_histories, random_histories_with_faults};

use change::*;
use concurrent::*;
use durable::*;
use list::*;
use register::*;
use remove::*;
use rename::*;

/// A case of [`Catalog`].
pub type CatalogCase = Case<dyn Catalog>;

/// The sentences of the trait and, under each, the cases that prove it.
#[doc(hidden)]
#[macro_export]
macro_rules! __catalog_cases {
    ([$($then:tt)*] $args:tt) => { $($then)* ! { $args
        register {
            "After `Ok`, `get` and `list` see it, every field as it was, unknown ones included." => [
                a_registered_dataset_is_seen_by_get_and_list,
                entries_come_back_as_they_were,
                registering_again_replaces_the_entry,
            ],
            "`registered_at` is set where it is missing (to the stored entry's, where there is one) and kept where it is there." => [
                registered_at_is_set_where_it_is_missing,
            ],
            "`Create` on a name that is there fails with `AlreadyExists` and changes nothing." => [
                create_refuses_a_name_that_is_there,
            ],
            "`Update` of a name that is not there fails with `NotFound`; with a revision that is no longer the stored one, with `Conflict`; both change nothing." => [
                update_refuses_a_name_that_is_not_there,
                registering_over_an_old_revision_is_refused,
            ],
            "Every change gives a new revision; an unchanged entry keeps its revision." => [
                every_change_of_an_entry_gives_a_new_revision,
                an_unchanged_entry_keeps_its_revision,
            ],
            "Of concurrent registrations of different names none is lost." => [
                concurrent_registrations_lose_none,
                one_of_concurrent_creates_of_a_name_wins,
            ],
            "Metadata under the key `minutebook`, which is kept for the catalog, is refused with `InvalidInput`." => [
                metadata_under_the_reserved_key_is_refused,
            ],
        }
        get {
            "A name that is not there is `Ok(None)`; names are compared exactly." => [
                a_missing_dataset_is_none,
                names_of_any_kind_do_not_mix,
            ],
        }
        list {
            "Every condition of the filter is applied; all must hold." => [
                each_condition_on_datasets_filters,
                conditions_on_datasets_hold_together,
                datasets_are_listed_in_ascending_order,
            ],
        }
        update {
            "What the change does not name stays." => [
                a_change_touches_only_what_it_names,
                an_empty_change_changes_nothing,
            ],
            "A name that is not there is an error of kind `NotFound`; a revision that is no longer the stored one is `Conflict` and changes nothing." => [
                changing_a_missing_dataset_is_not_found,
                changing_an_old_revision_is_a_conflict,
            ],
            "Setting statistics stamps `last_updated`." => [
                setting_statistics_stamps_last_updated,
            ],
            "Concurrent changes to one entry are all applied." => [
                concurrent_changes_to_one_entry_are_all_applied,
                one_of_concurrent_changes_of_a_revision_wins,
            ],
            "A change of the metadata key `minutebook` is refused with `InvalidInput`." => [
                a_change_of_the_reserved_key_is_refused,
            ],
        }
        rename {
            "Afterwards it stands under the new name with every field as it was, and no more under the old one; other entries stay." => [
                a_renamed_dataset_keeps_everything,
            ],
            "What was made from it (`derived_from`) names the new one." => [
                what_was_made_from_a_renamed_dataset_follows,
            ],
            "A name that is not there is an error of kind `NotFound`, a new name that is taken one of kind `AlreadyExists`; both change nothing." => [
                renaming_refuses_what_is_missing_or_taken,
            ],
            "Giving an entry the name that it has changes nothing and keeps its revision." => [
                renaming_to_the_same_name_changes_nothing,
            ],
            "Of concurrent renames to one name one succeeds." => [
                one_of_concurrent_renames_to_a_name_wins,
            ],
        }
        remove {
            "Afterwards `get` is `Ok(None)`; removing again is `Ok(false)`; other entries stay." => [
                a_removed_dataset_is_gone,
                removing_touches_no_other_entry,
            ],
        }
        remove_seen {
            "What has another revision by now fails with `Conflict` and stays; what is not there is `Ok(false)`." => [
                what_was_changed_since_is_not_removed,
            ],
            "Of a removal and a change of the same state at once exactly one succeeds." => [
                one_of_concurrent_removals_and_changes_wins,
            ],
        }
        capability {
            "What was acknowledged is there after the repository is dropped and opened again." => [
                entries_survive_reopening,
            ],
            "What one handle writes, every other handle on the same store sees with its next call." => [
                another_handle_sees_every_entry,
            ],
            "What this catalog can do." => [
                catalog_capabilities_do_not_change,
            ],
        }
    } };
}

/// Every case of [`Catalog`], in the order of its documentation.
pub static CATALOG_CASES: &[CatalogCase] = __catalog_cases!([case_list][dyn Catalog]);

/// Makes one `#[test]` of each case of [`Catalog`], in a module `catalog_suite`.
///
/// The argument is a type that implements [`Harness`](crate::Harness)`<dyn Catalog>`. For several harnesses in one file, put each call into
/// a module of its own.
#[macro_export]
macro_rules! catalog_tests {
    ($harness:ty) => {
        mod catalog_suite {
            #[allow(unused_imports, reason = "the harness may be named by a full path")]
            use super::*;

            $crate::__catalog_cases!([$crate::__case_tests]
                [$crate::CATALOG_CASES, dyn ::minutebook_core::Catalog, $harness]);

            $crate::__model_tests!([$crate::catalog::random_histories, $crate::catalog::random_histories_with_faults], dyn ::minutebook_core::Catalog, $harness);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macros::case_names;

    #[test]
    fn the_macro_and_the_list_name_the_same_cases() {
        let listed: Vec<_> = CATALOG_CASES.iter().map(|case| case.name).collect();
        let tested = __catalog_cases!([case_names] []);
        assert_eq!(listed, tested);
    }
}
