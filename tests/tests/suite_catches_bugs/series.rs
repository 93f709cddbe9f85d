//! Bugs in a store of series, and the cases that must catch them.

mod buggy;

use std::sync::Arc;

use minutebook_core::TimeSeriesRepository;
use minutebook_testkit::{Harness, SERIES_CASES};

use self::buggy::{Bug, BuggyHarness};
use super::{failing, histories_must_catch, must_catch};

fn harness(bug: Bug) -> Arc<dyn Harness<dyn TimeSeriesRepository>> {
    Arc::new(BuggyHarness::with(bug))
}

#[test]
fn the_sound_store_passes_every_case() {
    let failed = failing(SERIES_CASES, || harness(Bug::None));
    assert!(failed.is_empty(), "{failed:?}");
}

/// One test for each bug and the cases that must catch it.
macro_rules! caught {
    ($($name:ident: $bug:ident => [$($case:literal),+],)+) => {
        $(#[test]
        fn $name() {
            let failed = failing(SERIES_CASES, || harness(Bug::$bug));
            must_catch(&Bug::$bug, &failed, &[$($case),+]);
        })+
    };
}

caught! {
    a_key_of_the_time_alone: KeyForgetsColumns => ["an_upsert_goes_by_the_declared_key", "a_declared_key_is_in_the_summary_and_stays"],
    a_reversed_order: OrderReversed => ["rows_come_in_order", "append_takes_rows_in_any_order_of_time"],
    an_order_of_writing: OrderOfWriting => ["append_takes_rows_in_any_order_of_time"],
    a_lost_last_row: LastRowLost => ["append_adds_equal_rows_too", "numbers_come_back_exactly", "concurrent_appends_lose_no_row"],
    a_closed_range_end: RangeEndClosed => ["ranges_are_half_open", "first_and_last_cut_after_range_and_order"],
    an_open_range_start: RangeStartOpen => ["ranges_are_half_open"],
    a_first_off_by_one: FirstOffByOne => ["first_and_last_cut_after_range_and_order"],
    a_last_that_is_first: LastIsFirst => ["first_and_last_cut_after_range_and_order"],
    a_cut_before_the_range: TakeBeforeRange => ["first_and_last_cut_after_range_and_order"],
    merged_equal_rows: EqualRowsMerged => ["append_adds_equal_rows_too"],
    reversed_ties: TiesReversed => ["rows_come_in_order"],
    a_dropped_upsert: UpsertKeepsOld => ["upsert_replaces_every_row_at_the_timestamp"],
    an_upsert_that_appends: UpsertAppends => ["upsert_replaces_every_row_at_the_timestamp", "upsert_refuses_a_timestamp_twice"],
    a_conflict_that_writes_the_rest: FailWritesTheRest => ["upsert_fails_whole_on_a_conflict"],
    duplicates_in_a_batch: DuplicatesInBatchTaken => ["upsert_refuses_a_timestamp_twice"],
    a_replaced_range_closed_at_its_end: ReplaceRangeClosed => ["replace_range_replaces_exactly_its_rows", "replace_range_refuses_rows_outside"],
    rows_outside_a_replaced_range: ReplaceRangeUnchecked => ["replace_range_refuses_rows_outside"],
    a_range_that_is_not_cleared: EmptyReplaceIgnored => ["replace_range_with_an_empty_batch_clears"],
    a_receipt_without_replaced: ReceiptWithoutReplaced => ["receipts_of_upserts_count", "receipts_of_replaced_ranges_count"],
    a_version_that_stands: VersionStands => ["receipts_of_appends_count", "deleting_a_range_grows_the_version"],
    a_version_that_always_grows: VersionAlwaysGrows => ["the_first_write_makes_the_series"],
    lost_nanoseconds: Microseconds => ["numbers_come_back_exactly"],
    nan_that_becomes_null: NanBecomesNull => ["numbers_that_are_not_finite_come_back_or_are_refused"],
    rounded_floats: FloatsRounded => ["numbers_come_back_exactly"],
    integers_through_floats: LargeIntegersThroughFloats => ["numbers_come_back_exactly"],
    empty_texts_that_become_null: EmptyTextBecomesNull => ["texts_come_back_exactly", "nulls_and_booleans_come_back_exactly"],
    a_wrong_time_column: WrongTimeAccepted => ["a_wrong_timestamp_column_is_refused"],
    a_column_that_is_not_named: ColumnNotNamed => ["another_type_is_refused_and_the_column_named"],
    a_write_applied_in_part: MismatchAppliesFirst => ["another_type_is_refused_and_the_column_named"],
    a_dropped_new_column: NewColumnDropped => ["a_new_column_is_null_in_rows_from_before"],
    an_ignored_batch_size: BatchSizeIgnored => ["batches_keep_to_their_size"],
    a_scan_that_looks_again: ScanLooksAgain => ["a_running_scan_keeps_its_state", "a_scan_of_a_series_deleted_meanwhile_is_whole_or_fails"],
    a_stale_summary: SummaryStale => ["the_summary_agrees_with_a_scan"],
    a_wrong_summary: SummaryOfWritingOrder => ["the_summary_agrees_with_a_scan"],
    a_deleted_range_closed_at_its_end: DeleteRangeClosed => ["deleting_a_range_deletes_exactly_its_rows"],
    a_deleted_range_that_takes_all: DeleteRangeWipesSeries => ["deleting_a_range_deletes_exactly_its_rows", "a_series_without_rows_stays"],
    a_deletion_that_takes_another: DeleteTakesNeighbour => ["deleting_a_series_leaves_the_others"],
    a_ghost_in_the_list: DeletedStaysListed => ["a_deleted_series_is_gone"],
    an_ignored_as_of: AsOfIgnored => ["as_of_a_version_reads_it_as_it_was", "as_of_a_time_reads_it_as_it_was"],
    an_unknown_version_that_is_the_latest: AsOfUnknownIsLatest => ["as_of_a_version_that_is_not_kept_is_not_found"],
    an_unclaimed_as_of_that_works: AsOfWorksThoughUnclaimed => ["as_of_a_version_reads_it_as_it_was"],
    a_claimed_upsert_that_is_refused: UpsertRefusedThoughClaimed => ["modes_not_claimed_are_unsupported", "upsert_makes_a_series"],
    an_unclaimed_deletion_that_works: DeleteRangeWorksThoughUnclaimed => ["deleting_a_range_not_claimed_is_unsupported"],
    an_ignored_timeframe: TimeframeFilterIgnored => ["series_are_listed_in_order_and_filtered"],
    an_unordered_list: ListUnordered => ["series_are_listed_in_order_and_filtered"],
    names_that_collide: SlashBecomesDash => ["series_of_any_name_never_share_data"],
    timeframes_that_collide: TimeframeForgotten => ["series_ids_differ_by_kind_and_timeframe"],
    columns_in_stored_order: ColumnsInStoredOrder => ["columns_come_in_the_order_asked_for"],
    an_ignored_unknown_column: UnknownColumnIgnored => ["unknown_columns_are_refused"],
    a_missing_series_that_is_empty: MissingIsEmpty => ["scanning_a_missing_series_is_not_found"],
    a_handle_that_caches: HandleCachesSummary => ["another_handle_sees_every_write"],
    a_reopening_that_loses_the_last: ReopeningLosesTheLast => ["written_rows_survive_reopening"],
    narrowed_types: TypesNarrowed => ["every_arrow_type_comes_back_or_is_refused"],
}

#[test]
fn lost_concurrent_appends() {
    // A race shows when the scheduler lets it, so it is tried until it does.
    let case = SERIES_CASES
        .iter()
        .find(|case| case.name == "concurrent_appends_lose_no_row")
        .unwrap();
    assert!(
        (0..200).any(|_| case.check(harness(Bug::AppendRaces)).is_err()),
        "the race was never caught"
    );
}

#[test]
fn random_histories_find_bugs_too() {
    let bugs = [
        Bug::OrderReversed,
        Bug::LastRowLost,
        Bug::UpsertKeepsOld,
        Bug::RangeEndClosed,
        Bug::ReplaceRangeClosed,
        Bug::SummaryStale,
        Bug::AsOfIgnored,
        Bug::DeleteRangeClosed,
        Bug::FloatsRounded,
    ];
    for bug in bugs {
        histories_must_catch(&bug, || {
            minutebook_testkit::series::random_histories(&|| harness(bug))
        });
    }
    minutebook_testkit::series::random_histories_with_faults(&|| harness(Bug::None)).unwrap();
}
