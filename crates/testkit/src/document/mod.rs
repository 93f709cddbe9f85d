//! The cases of [`DocumentRepository`].

#![allow(
    clippy::wildcard_imports,
    reason = "the cases are named once, in the list"
)]

mod cases;

use minutebook_core::DocumentRepository;

use crate::case::Case;
use crate::macros::case_list;

use cases::*;

/// A case of [`DocumentRepository`].
pub type DocumentCase = Case<dyn DocumentRepository>;

/// The sentences of the trait and, under each, the cases that prove it.
#[doc(hidden)]
#[macro_export]
macro_rules! __document_cases {
    ([$($then:tt)*] $args:tt) => { $($then)* ! { $args
        save {
            "After `Ok`, `get` gives the text letter for letter, and `list` names it." => [
                a_saved_document_is_seen,
                documents_of_any_name_do_not_mix,
            ],
            "The document of that name before is gone; every other stays, also one whose name begins with this one." => [
                saving_again_replaces_the_document_alone,
            ],
            "Text that is not one JSON value is `InvalidInput` and changes nothing." => [
                what_is_no_json_is_refused,
            ],
            "A concurrent reader gets one of the texts whole." => [
                concurrent_readers_get_whole_documents,
            ],
        }
        get {
            "A name that is not there is `Ok(None)`; names are compared exactly." => [
                a_missing_document_is_none,
            ],
        }
        list {
            "Every condition of the filter is applied; all must hold." => [
                each_condition_on_documents_filters,
                documents_are_listed_by_time_and_name,
            ],
        }
        delete {
            "Afterwards `get` is `Ok(None)`; deleting again is `Ok(false)`; other documents stay." => [
                a_deleted_document_is_gone,
            ],
        }
        capability {
            "What was acknowledged is there after the repository is dropped and opened again." => [
                documents_survive_reopening,
            ],
            "What one handle writes, every other handle on the same store sees with its next call." => [
                another_handle_sees_every_document,
            ],
        }
    } };
}

/// Every case of [`DocumentRepository`], in the order of its documentation.
pub static DOCUMENT_CASES: &[DocumentCase] = __document_cases!([case_list][dyn DocumentRepository]);

/// Makes one `#[test]` of each case of [`DocumentRepository`], in a module `document_suite`.
///
/// The argument is a type that implements [`Harness`](crate::Harness)`<dyn DocumentRepository>`. For several harnesses in one file, put each call
/// into a module of its own.
#[macro_export]
macro_rules! document_repository_tests {
    ($harness:ty) => {
        mod document_suite {
            #[allow(unused_imports, reason = "the harness may be named by a full path")]
            use super::*;

            $crate::__document_cases!([$crate::__case_tests]
                [$crate::DOCUMENT_CASES, dyn ::minutebook_core::DocumentRepository, $harness]);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macros::case_names;

    #[test]
    fn the_macro_and_the_list_name_the_same_cases() {
        let listed: Vec<_> = DOCUMENT_CASES.iter().map(|case| case.name).collect();
        let tested = __document_cases!([case_names] []);
        assert_eq!(listed, tested);
    }
}
