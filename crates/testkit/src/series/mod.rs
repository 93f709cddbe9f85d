//! The cases of [`TimeSeriesRepository`].

#![allow(
    clippy::wildcard_imports,
    reason = "the cases are named once, in the list"
)]

mod append;
mod as_of;
mod durable;
mod key;
mod manage;
mod model;
mod replace;
mod scan;
mod schema;
mod support;
mod upsert;
mod values;

use minutebook_core::TimeSeriesRepository;

use crate::case::Case;
use crate::macros::case_list;

pub use model::{random_histories, random_histories_with_faults};

use append::*;
use as_of::*;
use durable::*;
use key::*;
use manage::*;
use replace::*;
use scan::*;
use schema::*;
use upsert::*;
use values::*;

/// A case of [`TimeSeriesRepository`].
pub type SeriesCase = Case<dyn TimeSeriesRepository>;

/// The sentences of the trait and, under each, the cases that prove it.
#[doc(hidden)]
#[macro_export]
macro_rules! __series_cases {
    ([$($then:tt)*] $args:tt) => { $($then)* ! { $args
        write {
            "The first write makes the series." => [
                the_first_write_makes_the_series,
            ],
            "`Append` adds every row, equal timestamps and equal rows too, in any order of time." => [
                append_adds_equal_rows_too,
                append_takes_rows_in_any_order_of_time,
                many_small_appends_are_all_there,
            ],
            "`Upsert` with `Replace` leaves the new row alone at its timestamp; with `Keep` the old ones; with `Fail` it is `AlreadyExists` and nothing changes." => [
                upsert_replaces_every_row_at_the_timestamp,
                upsert_keeps_what_is_there,
                upsert_fails_whole_on_a_conflict,
                upsert_makes_a_series,
            ],
            "`Upsert` of a batch that has a timestamp twice is `InvalidInput` and nothing changes." => [
                upsert_refuses_a_timestamp_twice,
            ],
            "`ReplaceRange` drops the stored rows in `[start, end)`, no other, and puts the batch in their place; an empty batch clears the range." => [
                replace_range_replaces_exactly_its_rows,
                replace_range_with_an_empty_batch_clears,
                replace_range_takes_open_ranges,
            ],
            "`ReplaceRange` with a row outside the range is `InvalidInput` and nothing changes." => [
                replace_range_refuses_rows_outside,
            ],
            "The receipt counts rows inserted, replaced and skipped; the version grows if and only if something changed." => [
                receipts_of_appends_count,
                receipts_of_upserts_count,
                receipts_of_replaced_ranges_count,
                deleting_a_range_grows_the_version,
            ],
            "A batch without a `timestamp` column of the right type, or with a null in it, is `SchemaMismatch` and nothing changes." => [
                a_wrong_timestamp_column_is_refused,
            ],
            "A column with another type than the series has is `SchemaMismatch`, names the column, and nothing changes." => [
                another_type_is_refused_and_the_column_named,
            ],
            "With `ExactTypes`, a column whose type and the series' have one that holds every value of both exactly (`batch::common_type`) gets that type, and rows from before read as it." => [
                types_widen_without_loss,
            ],
            "A new column is accepted; rows from before read as null. A column that a batch leaves out is null in its rows." => [
                a_new_column_is_null_in_rows_from_before,
                a_column_left_out_is_null,
            ],
            "Of concurrent writers none loses a row." => [
                concurrent_appends_lose_no_row,
                concurrent_upserts_lose_no_row,
            ],
            "A mode that the backend cannot do is `Unsupported` and nothing changes." => [
                modes_not_claimed_are_unsupported,
            ],
        }
        scan {
            "A series that is not there is an error of kind `NotFound`." => [
                scanning_a_missing_series_is_not_found,
            ],
            "Rows come in ascending time, equal timestamps in the order written; without the capability `TimeOrdered`, all in the order written." => [
                rows_come_in_order,
                times_at_the_edges_come_in_order,
            ],
            "Values come back exactly, nanoseconds and nulls included." => [
                numbers_come_back_exactly,
                texts_come_back_exactly,
                nulls_and_booleans_come_back_exactly,
                numbers_that_are_not_finite_come_back_or_are_refused,
                bars_and_ticks_come_back_exactly,
                thousands_of_rows_come_back_exactly,
            ],
            "The range is half-open: its start belongs to it, its end does not." => [
                ranges_are_half_open,
            ],
            "`columns` gives `timestamp` and then these, in the order asked for; an unknown one is `InvalidInput`." => [
                columns_come_in_the_order_asked_for,
                unknown_columns_are_refused,
            ],
            "`First(n)` and `Last(n)` cut after range and order; the rows of `Last` still ascend." => [
                first_and_last_cut_after_range_and_order,
            ],
            "`NewestFirst` turns the order of the answer and nothing else; a backend that cannot do it answers `Unsupported`." => [
                newest_first_is_the_reverse,
            ],
            "No batch is empty or longer than `batch_size`; a scan without rows gives no batch and still has a schema." => [
                batches_keep_to_their_size,
                a_scan_without_rows_has_a_schema,
            ],
            "A running scan keeps to the state it began with, whatever is written meanwhile." => [
                a_running_scan_keeps_its_state,
                a_scan_of_a_series_deleted_meanwhile_is_whole_or_fails,
            ],
            "`as_of` an earlier version or time reads the series as it was then; a version that is not kept is `NotFound`." => [
                as_of_a_version_reads_it_as_it_was,
                as_of_a_time_reads_it_as_it_was,
                as_of_a_version_that_is_not_kept_is_not_found,
            ],
        }
        summary {
            "A series that is not there is `Ok(None)`." => [
                the_summary_of_a_missing_series_is_none,
            ],
            "Rows, first and last timestamp agree with a full scan." => [
                the_summary_agrees_with_a_scan,
            ],
        }
        list {
            "Every condition of the filter is applied." => [
                series_are_listed_in_order_and_filtered,
            ],
            "Ids that differ in more than ASCII case are different series and never share data." => [
                series_of_any_name_never_share_data,
                series_ids_differ_by_kind_and_timeframe,
            ],
        }
        delete {
            "Without a range the series is gone: not listed, no summary; deleting again gives 0." => [
                a_deleted_series_is_gone,
                deleting_a_series_leaves_the_others,
            ],
            "With a range exactly the rows in `[start, end)` are gone, and the series stays." => [
                deleting_a_range_deletes_exactly_its_rows,
                a_series_without_rows_stays,
            ],
            "A range that the backend cannot delete is `Unsupported` and nothing changes." => [
                deleting_a_range_not_claimed_is_unsupported,
            ],
        }
        declare_key {
            "An upsert goes by the declared key: rows that differ in a column of it are different rows, those that agree in all are the same." => [
                an_upsert_goes_by_the_declared_key,
            ],
            "On a series with a key no write makes a key twice: `Append` of one that is there is `AlreadyExists`, a batch with one twice is `InvalidInput`, and nothing changes." => [
                a_keyed_series_takes_no_key_twice,
            ],
            "A row with a null in a column of the key, or a batch without the column, is `InvalidInput`, names the column, and nothing changes." => [
                null_keys_are_refused_and_named,
            ],
            "A column that cannot be part of a key (floating point, nested) is `SchemaMismatch` and nothing changes." => [
                floating_point_is_no_key,
            ],
            "Rows that have a key twice already, or a null in it, refuse the declaration (`AlreadyExists`, `InvalidInput`), and nothing changes." => [
                rows_that_break_a_key_refuse_it,
            ],
            "A declaration makes the series if there is none, is in the summary, stays until it is replaced or the series deleted, and changes the version if and only if it says something new." => [
                a_declared_key_is_in_the_summary_and_stays,
            ],
            "Without the capability `Key` it is `Unsupported` and nothing changes." => [
                keys_not_claimed_are_unsupported,
            ],
        }
        capability {
            "What was acknowledged is there after the repository is dropped and opened again." => [
                written_rows_survive_reopening,
                deleted_rows_stay_deleted_after_reopening,
            ],
            "What one handle writes, every other handle on the same store sees with its next call." => [
                another_handle_sees_every_write,
            ],
            "Series: every Arrow type comes back exactly. Without it, types come back as JSON can hold them" => [
                every_arrow_type_comes_back_or_is_refused,
            ],
            "What this store can do." => [
                series_capabilities_do_not_change,
            ],
        }
        contract {
            "The store puts `timestamp` first." => [
                timestamp_is_put_first,
            ],
        }
    } };
}

/// Every case of [`TimeSeriesRepository`], in the order of its documentation.
pub static SERIES_CASES: &[SeriesCase] = __series_cases!([case_list][dyn TimeSeriesRepository]);

/// Makes one `#[test]` of each case of [`TimeSeriesRepository`], in a module `time_series_repository_suite`.
///
/// The argument is a type that implements [`Harness`](crate::Harness)`<dyn TimeSeriesRepository>`. For several harnesses in one file, put
/// each call into a module of its own.
#[macro_export]
macro_rules! time_series_repository_tests {
    ($harness:ty) => {
        mod time_series_repository_suite {
            #[allow(unused_imports, reason = "the harness may be named by a full path")]
            use super::*;

            $crate::__series_cases!([$crate::__case_tests]
                [$crate::SERIES_CASES, dyn ::minutebook_core::TimeSeriesRepository, $harness]);

            $crate::__model_tests!([$crate::series::random_histories, $crate::series::random_histories_with_faults], dyn ::minutebook_core::TimeSeriesRepository, $harness);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macros::case_names;

    #[test]
    fn the_macro_and_the_list_name_the_same_cases() {
        let listed: Vec<_> = SERIES_CASES.iter().map(|case| case.name).collect();
        let tested = __series_cases!([case_names] []);
        assert_eq!(listed, tested);
    }
}
