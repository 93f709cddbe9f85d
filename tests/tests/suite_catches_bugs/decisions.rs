//! Bugs in a store of decisions, and the cases that must catch them.

mod buggy;

use std::sync::Arc;

use async_trait::async_trait;
use minutebook_core::{DecisionRepository, Result};
use minutebook_testkit::{DECISION_CASES, Harness};

use self::buggy::{Bug, BuggyHarness};
use super::{failing, histories_must_catch, must_catch};

fn harness(bug: Bug) -> Arc<dyn Harness<dyn DecisionRepository>> {
    Arc::new(BuggyHarness::with(bug))
}

#[test]
fn the_sound_store_passes_every_case() {
    let failed = failing(DECISION_CASES, || harness(Bug::None));
    assert!(failed.is_empty(), "{failed:?}");
}

/// One test for each bug and the cases that must catch it.
macro_rules! caught {
    ($($name:ident: $bug:ident => [$($case:literal),+],)+) => {
        $(#[test]
        fn $name() {
            let failed = failing(DECISION_CASES, || harness(Bug::$bug));
            must_catch(&Bug::$bug, &failed, &[$($case),+]);
        })+
    };
}

caught! {
    a_reversed_order: OrderReversed => ["orders_are_kept", "ties_are_ordered_by_id"],
    unordered_ties: TiesUnordered => ["ties_are_ordered_by_id"],
    a_dropped_upsert: UpsertDropped => ["saving_again_leaves_one_decision"],
    a_closed_range_end: RangeEndClosed => ["time_ranges_are_half_open", "clean_up_goes_by_the_effective_time"],
    a_limit_off_by_one: LimitOffByOne => ["limit_cuts_after_the_order"],
    a_limit_before_the_order: LimitBeforeOrder => ["limit_cuts_after_the_order"],
    an_ignored_confidence: ConfidenceIgnored => ["each_condition_filters", "conditions_hold_together"],
    ignored_fields: FieldsIgnored => ["each_condition_filters", "null_and_missing_are_two_things"],
    a_pair_compared_exactly: PairComparedExactly => ["each_condition_filters"],
    a_prefix_that_matches_anywhere: PrefixMatchesAnywhere => ["each_condition_filters"],
    an_unchecked_revision: RevisionUnchecked => ["update_refuses_an_old_revision", "one_of_concurrent_updates_wins"],
    a_revision_that_is_a_digest: RevisionIsDigest => ["every_change_gives_a_new_revision"],
    an_id_matched_as_suffix: IdMatchedAsSuffix => ["ids_inside_each_other_do_not_mix"],
    a_case_folded_id: IdCaseFolded => ["ids_of_another_case_do_not_mix"],
    an_id_taken_for_a_pattern: IdIsPattern => ["ids_that_look_like_patterns_match_themselves"],
    a_deletion_that_takes_another: DeleteTakesAnother => ["deleting_touches_no_other_decision"],
    a_deletion_that_always_succeeds: DeleteAlwaysTrue => ["a_deleted_decision_is_gone"],
    a_deletion_of_too_much: DeleteMatchingIgnoresPair => ["delete_matching_deletes_what_the_query_gives"],
    a_renewed_recorded_at: RecordedAtRenewed => ["an_unchanged_document_keeps_its_state"],
    an_old_recorded_at: ChangeKeepsRecordedAt => ["recorded_at_is_when_the_store_took_it"],
    normalized_numbers: NumbersNormalized => ["number_text_comes_back"],
    sorted_fields: FieldsSorted => ["field_order_comes_back_and_a_new_order_is_a_change"],
    dropped_nulls: NullsDropped => ["null_and_missing_are_two_things"],
    normalized_texts: EscapesNormalized => ["strings_and_escapes_come_back"],
    rewritten_timestamps: TimestampsRewritten => ["timestamps_come_back_as_written"],
    a_count_without_filter: CountIgnoresFilter => ["count_equals_the_query"],
    an_inclusive_cursor: CursorInclusive => ["pages_visit_every_match_once"],
    a_next_page_after_the_last: NextOnTheLastPage => ["pages_visit_every_match_once"],
    a_missing_next_page: NextMissing => ["pages_visit_every_match_once"],
    a_cursor_of_any_order: CursorOrderUnchecked => ["a_cursor_of_another_order_is_refused"],
    a_create_that_overwrites: CreateOverwrites => ["create_refuses_an_id_that_is_there", "one_of_concurrent_creates_wins"],
    an_update_that_creates: UpdateCreates => ["update_refuses_an_id_that_is_not_there"],
    an_old_date_that_stays: OldDateStays => ["a_changed_date_leaves_one_decision"],
    a_claimed_capability_that_is_refused: RevisionsRefusedThoughClaimed => ["update_takes_the_stored_revision"],
    an_unclaimed_capability_that_works: RevisionsWorkThoughUnclaimed => ["update_takes_the_stored_revision"],
    a_handle_that_caches: HandleCaches => ["another_handle_sees_every_change"],
    a_reopening_that_loses_the_last: ReopeningLosesTheLast => ["saved_decisions_survive_reopening"],
    a_reopening_that_revives: ReopeningRevivesDeleted => ["deletions_survive_reopening"],
    refused_long_ids: LongIdsRefused => ["ids_of_any_kind_come_back"],
    a_wrong_outcome: OutcomeWrong => ["the_receipt_is_what_get_gives"],
    a_time_that_needs_a_timestamp: EffectiveTimeIgnoresRecordedAt => ["a_decision_without_timestamp_counts_from_when_it_was_recorded"],
    a_batch_that_stops: SaveAllStopsAtFailure => ["a_batch_is_saved_one_after_another"],
    a_batch_that_keeps_the_first_of_two: SaveAllSavesTheFirstOfTwo => ["a_batch_is_saved_one_after_another"],
    a_deletion_that_does_not_look: DeleteSeenUnchecked => ["what_was_changed_since_is_not_deleted", "a_retention_plan_spares_what_changed"],
    a_deletion_that_stops: DeleteSeenStopsAtConflict => ["what_was_changed_since_is_not_deleted", "deletions_by_revision_stand_alone"],
    groups_by_case: GroupsKeepCase => ["groups_hold_every_match_once"],
    groups_of_some: GroupsLeaveOutWhatHasNoKey => ["groups_hold_every_match_once"],
    a_history_without_deletions: HistoryWithoutDeletions => ["history_has_every_state_once", "an_earlier_state_is_what_get_gave"],
    a_history_of_the_present: HistoryOfThePresent => ["history_has_every_state_once"],
    a_history_backwards: HistoryNewestFirst => ["history_has_every_state_once"],
    a_state_of_before_the_time: GetAtBeforeTheTime => ["an_earlier_state_is_what_get_gave"],
    a_state_after_its_deletion: GetAtRevivesDeleted => ["an_earlier_state_is_what_get_gave"],
    a_feed_with_gaps: WatchMissesTheSecond => ["every_change_is_given_in_order"],
    a_feed_that_repeats: WatchRepeatsThePosition => ["a_feed_goes_on_from_a_position"],
    a_feed_from_anywhere: WatchOfUnknownPositionStartsNow => ["an_unknown_position_is_refused"],
    a_feed_that_ends: WatchEnds => ["every_change_is_given_in_order"],
}

/// A race shows when the scheduler lets it, so these are tried until it does.
macro_rules! caught_in_time {
    ($($name:ident: $bug:ident => $case:literal,)+) => {
        $(#[test]
        fn $name() {
            let case = DECISION_CASES.iter().find(|case| case.name == $case).unwrap();
            assert!((0..200).any(|_| case.check(harness(Bug::$bug)).is_err()), "{} never caught {:?}", $case, Bug::$bug);
        })+
    };
}

caught_in_time! {
    a_race_between_creates: CreateRaces => "one_of_concurrent_creates_wins",
    a_race_between_updates: UpdateRaces => "one_of_concurrent_updates_wins",
}

#[test]
fn random_histories_find_bugs_too() {
    for bug in [
        Bug::OrderReversed,
        Bug::UpsertDropped,
        Bug::RevisionUnchecked,
        Bug::CreateOverwrites,
        Bug::RecordedAtRenewed,
        Bug::LimitOffByOne,
        Bug::DeleteTakesAnother,
    ] {
        histories_must_catch(&bug, || {
            minutebook_testkit::decision::random_histories(&|| harness(bug))
        });
    }
    let failed = minutebook_testkit::decision::random_histories_with_faults(&|| harness(Bug::None));
    failed.unwrap();
}

#[test]
fn a_failure_names_the_case_and_its_promise() {
    let case = DECISION_CASES
        .iter()
        .find(|case| case.name == "limit_cuts_after_the_order")
        .unwrap();
    let failure = case.check(harness(Bug::LimitOffByOne)).unwrap_err();
    for part in [
        "limit_cuts_after_the_order",
        "query: `limit` cuts after the order is applied",
        "expected",
        "found",
    ] {
        assert!(
            failure.message().contains(part),
            "{failure} does not say {part}"
        );
    }
}

#[test]
fn a_store_that_panics_fails_and_does_not_stop_the_suite() {
    #[derive(Debug)]
    struct Panics;

    #[async_trait]
    impl Harness<dyn DecisionRepository> for Panics {
        fn new() -> Self {
            Self
        }

        async fn open(&self) -> Result<Arc<dyn DecisionRepository>> {
            panic!("no store today")
        }
    }

    let failure = DECISION_CASES[0].check(Arc::new(Panics)).unwrap_err();
    assert!(
        failure.message().contains("panicked: no store today"),
        "{failure}"
    );
}
