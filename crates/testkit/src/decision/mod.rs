//! The cases of [`DecisionRepository`].

#![allow(
    clippy::wildcard_imports,
    reason = "the cases are named once, in the list"
)]

mod batch;
mod concurrent;
mod delete;
mod document;
mod durable;
mod get;
mod group;
mod history;
mod model;
mod query;
mod save;
mod support;
mod watch;

use minutebook_core::DecisionRepository;

use crate::case::Case;
use crate::macros::case_list;

pub use model::{random_histories, random_histories_with_faults};

use batch::*;
use concurrent::*;
use delete::*;
use document::*;
use durable::*;
use get::*;
use group::*;
use history::*;
use query::*;
use save::*;
use watch::*;

/// A case of [`DecisionRepository`].
pub type DecisionCase = Case<dyn DecisionRepository>;

/// The sentences of the trait and, under each, the cases that prove it.
#[doc(hidden)]
#[macro_export]
macro_rules! __decision_cases {
    ([$($then:tt)*] $args:tt) => { $($then)* ! { $args
        save {
            "After `Ok`, `get` and queries see it." => [
                a_saved_decision_is_seen_by_every_reading_call,
                a_decision_without_timestamp_counts_from_when_it_was_recorded,
                the_receipt_is_what_get_gives,
                many_decisions_saved_at_once_are_all_there,
            ],
            "The document comes back as it was: unknown fields, their order and number text included." => [
                number_text_comes_back,
                field_order_comes_back_and_a_new_order_is_a_change,
                strings_and_escapes_come_back,
                nested_and_empty_values_come_back,
                field_names_of_any_kind_come_back,
                null_and_missing_are_two_things,
                timestamps_come_back_as_written,
                large_documents_come_back,
            ],
            "Saving an id again leaves one decision, also when its date has changed." => [
                saving_again_leaves_one_decision,
                a_changed_date_leaves_one_decision,
            ],
            "`Create` on an id that is there fails with `AlreadyExists` and changes nothing." => [
                create_refuses_an_id_that_is_there,
            ],
            "`Update` of an id that is not there fails with `NotFound` and changes nothing." => [
                update_refuses_an_id_that_is_not_there,
            ],
            "`Update` with a revision that is no longer the stored one fails with `Conflict` and changes nothing." => [
                update_refuses_an_old_revision,
                update_takes_the_stored_revision,
                a_revision_from_before_a_deletion_is_old,
            ],
            "Every change gives a new revision; an unchanged document keeps revision and `recorded_at`, whatever the mode that allows the save." => [
                every_change_gives_a_new_revision,
                an_unchanged_document_keeps_its_state,
                recorded_at_is_when_the_store_took_it,
            ],
            "Of concurrent `Create`s of one id exactly one succeeds; of concurrent `Update`s with the same revision exactly one succeeds." => [
                one_of_concurrent_creates_wins,
                one_of_concurrent_updates_wins,
            ],
        }
        get {
            "An id that is not there is `Ok(None)`." => [
                a_missing_decision_is_none,
            ],
            "An id matches itself only: no part of another id, no other case, no pattern." => [
                ids_inside_each_other_do_not_mix,
                ids_of_another_case_do_not_mix,
                ids_that_look_like_patterns_match_themselves,
                ids_of_any_kind_come_back,
            ],
        }
        query {
            "Every condition of the filter is applied; all must hold." => [
                each_condition_filters,
                time_ranges_are_half_open,
                conditions_hold_together,
            ],
            "Orders as [`Order`](super::Order) says, ties by id." => [
                orders_are_kept,
                ties_are_ordered_by_id,
                recently_written_goes_by_the_last_write,
            ],
            "`limit` cuts after the order is applied; 0 gives an empty page." => [
                limit_cuts_after_the_order,
            ],
            "Following `next` visits every match exactly once, and ends." => [
                pages_visit_every_match_once,
                a_cursor_survives_changes,
            ],
            "A cursor of another order is `InvalidInput`." => [
                a_cursor_of_another_order_is_refused,
            ],
        }
        count {
            "Equals the length of the same filter's query without limit." => [
                count_equals_the_query,
            ],
        }
        delete {
            "Afterwards `get` is `Ok(None)`; deleting again is `Ok(false)`." => [
                a_deleted_decision_is_gone,
            ],
            "No other decision is touched, whatever characters the id has." => [
                deleting_touches_no_other_decision,
            ],
            "A deleted id can be created again." => [
                a_deleted_id_can_be_created_again,
            ],
        }
        delete_matching {
            "Exactly the decisions that the same filter's query gives are gone; all others stay." => [
                delete_matching_deletes_what_the_query_gives,
                clean_up_goes_by_the_effective_time,
                an_empty_filter_deletes_everything,
            ],
        }
        save_all {
            "Each decision is saved as `save` would, one after another; one that fails does not keep the others from being saved." => [
                a_batch_is_saved_one_after_another,
            ],
            "Repeating the call changes nothing that was saved already: under `Upsert` it is `Unchanged`, under `Create` `AlreadyExists`." => [
                a_batch_can_be_repeated,
            ],
        }
        delete_seen {
            "What has another revision by now fails with `Conflict` and stays; what is not there is `Ok(false)`." => [
                what_was_changed_since_is_not_deleted,
                a_retention_plan_spares_what_changed,
            ],
            "Each is deleted by itself; one that fails does not keep the others from being deleted." => [
                deletions_by_revision_stand_alone,
            ],
        }
        count_by {
            "Each match is in exactly one group, and no group is empty." => [
                groups_hold_every_match_once,
            ],
            "A field that is named by no JSON pointer is `InvalidInput`." => [
                a_field_without_pointer_is_refused,
            ],
        }
        history {
            "Each state that a save or a deletion brought is there once, with the revision and `recorded_at` of its receipt; the last is the present one." => [
                history_has_every_state_once,
            ],
            "An id that was never there has no history." => [
                what_never_was_has_no_history,
            ],
        }
        get_at {
            "It is the state as `get` gave it then; `Ok(None)` before the first save, while it was deleted, and for a revision that it never had." => [
                an_earlier_state_is_what_get_gave,
            ],
        }
        watch {
            "Each save that changed something and each deletion after the starting place is given once, in the order in which the store took them." => [
                every_change_is_given_in_order,
            ],
            "It waits for changes to come, those of other handles too, and misses none however quickly they follow each other." => [
                changes_of_every_handle_come,
            ],
            "A stream that starts after a change's position goes on with the change that follows it." => [
                a_feed_goes_on_from_a_position,
            ],
            "A position that the feed does not have, or no longer has, is `NotFound`." => [
                an_unknown_position_is_refused,
            ],
        }
        capability {
            "What was acknowledged is there after the repository is dropped and opened again." => [
                saved_decisions_survive_reopening,
                deletions_survive_reopening,
            ],
            "What one handle writes, every other handle on the same store sees with its next call." => [
                another_handle_sees_every_change,
                revisions_hold_across_handles,
            ],
            "What this store can do." => [
                decision_capabilities_do_not_change,
            ],
        }
    } };
}

/// Every case of [`DecisionRepository`], in the order of its documentation.
pub static DECISION_CASES: &[DecisionCase] = __decision_cases!([case_list][dyn DecisionRepository]);

/// Makes one `#[test]` of each case of [`DecisionRepository`], in a module `decision_repository_suite`.
///
/// The argument is a type that implements [`Harness`](crate::Harness)`<dyn DecisionRepository>`. For several harnesses in one file, put
/// each call into a module of its own.
#[macro_export]
macro_rules! decision_repository_tests {
    ($harness:ty) => {
        mod decision_repository_suite {
            #[allow(unused_imports, reason = "the harness may be named by a full path")]
            use super::*;

            $crate::__decision_cases!([$crate::__case_tests]
                [$crate::DECISION_CASES, dyn ::minutebook_core::DecisionRepository, $harness]);

            $crate::__model_tests!([$crate::decision::random_histories, $crate::decision::random_histories_with_faults], dyn ::minutebook_core::DecisionRepository, $harness);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macros::case_names;

    #[test]
    fn the_macro_and_the_list_name_the_same_cases() {
        let listed: Vec<_> = DECISION_CASES.iter().map(|case| case.name).collect();
        let tested = __decision_cases!([case_names] []);
        assert_eq!(listed, tested);
    }
}
