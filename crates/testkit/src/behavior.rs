//! Ties the cases to the documentation: every sentence of a "# Behavior" list is proved by a case, and every case quotes the
//! documentation as it is.

use std::collections::BTreeSet;

use crate::case::Case;

const DECISIONS: &str = include_str!("../../core/src/decision/repository.rs");
const SERIES: &str = include_str!("../../core/src/series/repository.rs");
const CATALOG: &str = include_str!("../../core/src/catalog/repository.rs");
const DOCUMENTS: &str = include_str!("../../core/src/document/repository.rs");
const CAPABILITIES: &str = include_str!("../../core/src/capability.rs");

/// The items of the "# Behavior" lists, each with the method that it belongs to.
fn promises(source: &str) -> BTreeSet<(String, String)> {
    let mut promises = BTreeSet::new();
    let mut sentences: Vec<String> = Vec::new();
    let mut in_list = false;
    // What follows the trait forwards it and repeats its methods.
    let end = source.find("macro_rules! forward").unwrap_or(source.len());
    for line in source[..end].lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///").map(str::trim) {
            if doc == "# Behavior" {
                in_list = true;
            } else if let (true, Some(item)) = (in_list, doc.strip_prefix("- ")) {
                sentences.push(item.to_owned());
            } else if let (true, Some(last)) = (in_list && !doc.is_empty(), sentences.last_mut()) {
                last.push(' ');
                last.push_str(doc);
            }
        } else {
            let method = line.trim_start_matches("async ").strip_prefix("fn ");
            let method = method.map(|rest| rest.split('(').next().unwrap_or_default());
            for sentence in sentences.drain(..) {
                promises.insert((method.unwrap_or_default().to_owned(), sentence));
            }
            in_list = false;
        }
    }
    promises
}

/// The documentation as running text, without the marks of its lines.
fn prose(source: &str) -> String {
    let lines = source
        .lines()
        .map(|line| line.trim().trim_start_matches("///").trim());
    lines.collect::<Vec<_>>().join(" ")
}

fn check<R: ?Sized + Send + Sync + 'static>(cases: &[Case<R>], source: &str) {
    let promised = promises(source);
    assert!(promised.len() > 6, "the lists were not found: {promised:?}");
    let documents = prose(source) + &prose(CAPABILITIES);
    let mut proved = BTreeSet::new();
    let mut names = BTreeSet::new();
    for case in cases {
        assert!(
            names.insert(case.name),
            "two cases are called {}",
            case.name
        );
        if ["capability", "contract"].contains(&case.method) {
            assert!(
                documents.contains(case.behavior),
                "{} quotes what is not documented: {}",
                case.name,
                case.behavior
            );
        } else {
            proved.insert((case.method.to_owned(), case.behavior.to_owned()));
        }
    }
    let unproved: Vec<_> = promised.difference(&proved).collect();
    assert!(unproved.is_empty(), "no case proves {unproved:#?}");
    let invented: Vec<_> = proved.difference(&promised).collect();
    assert!(
        invented.is_empty(),
        "cases quote what is not promised: {invented:#?}"
    );
}

#[test]
fn every_promise_of_the_decision_repository_has_a_case() {
    check(crate::DECISION_CASES, DECISIONS);
}

#[test]
fn every_promise_of_the_time_series_repository_has_a_case() {
    check(crate::SERIES_CASES, SERIES);
}

#[test]
fn every_promise_of_the_catalog_has_a_case() {
    check(crate::CATALOG_CASES, CATALOG);
}

#[test]
fn every_promise_of_the_documents_has_a_case() {
    check(crate::DOCUMENT_CASES, DOCUMENTS);
}

#[test]
fn the_lists_are_read_as_they_are_meant() {
    let source = "trait X {\n/// Says.\n///\n/// # Behavior\n/// - One,\n///   still one.\n/// - Two.\nasync fn say(&self);\n/// # Behavior\n/// - Three.\nfn hear(&self);\n}";
    let expected = [
        ("hear", "Three."),
        ("say", "One, still one."),
        ("say", "Two."),
    ];
    let expected: BTreeSet<_> = expected
        .map(|(method, text)| (method.to_owned(), text.to_owned()))
        .into();
    assert_eq!(promises(source), expected);
}
