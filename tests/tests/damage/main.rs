//! A store damaged in many ways, one at a time: each is found and called by its name, mended with nothing else changed, and not found again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is not as it should be"
)]

mod crash;
mod limits;
mod mends;
mod removal;
mod sample;
mod stale;
mod table;
mod way_back;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use minutebook::check::VerifyOptions;
use minutebook::{FindingKind, Severity};
use minutebook_tests::{contents, copy_of};
use table::{Damage, damages};
use tempfile::TempDir;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The sample and its answers, made once.
fn whole() -> &'static (TempDir, BTreeMap<String, String>) {
    static WHOLE: OnceLock<(TempDir, BTreeMap<String, String>)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let answers = runtime().block_on(async {
            sample::make(dir.path()).await;
            sample::answers(dir.path()).await
        });
        (dir, answers)
    })
}

fn costs(damage: &Damage, about: &str) -> bool {
    damage.costs.iter().any(|start| about.starts_with(start))
}

/// Inflicts a damage, repairs it, and says everything that was not as it should be.
async fn trial(damage: &Damage) -> Vec<String> {
    let (dir, answers) = whole();
    let copy = copy_of(dir.path());
    let root = copy.path();
    (damage.inflict)(root);
    let mut wrong = Vec::new();

    let before = contents(root);
    let options = VerifyOptions::new();
    let report = sample::open(root).verify(&options).await.unwrap();
    if contents(root) != before {
        wrong.push("the check changed a file".to_owned());
    }
    if !report
        .findings
        .iter()
        .any(|found| found.kind == damage.kind)
    {
        wrong.push(format!("not found; found {:?}", report.findings));
    }
    if damage.kind.severity() == Severity::Damage && report.damage == 0 {
        wrong.push("not counted as damage".to_owned());
    }

    let repaired = sample::open(root).repair(&options).await.unwrap();
    for (finding, error) in &repaired.failed {
        wrong.push(format!("not mended: {finding}: {error:?}"));
    }
    let renamed = [FindingKind::DecisionMisnamed, FindingKind::TickFileMisnamed];
    let kept = renamed.contains(&damage.kind)
        || [
            FindingKind::DecisionMissing,
            FindingKind::SegmentMissing,
            FindingKind::EntryDrifted,
            FindingKind::SealedSegmentMissing,
            FindingKind::SealingUnfinished,
        ]
        .contains(&damage.kind)
        || damage.name == "ticks without the last newline"
        || damage.name == "manifest of segments lost";
    if !kept
        && !repaired
            .quarantine
            .as_ref()
            .is_some_and(|folder| folder.join("manifest.jsonl").is_file())
    {
        wrong.push("nothing is in quarantine".to_owned());
    }
    let again = sample::open(root).verify(&options).await.unwrap();
    if !again.is_clean() {
        wrong.push(format!("not clean after the repair: {:?}", again.findings));
    }
    let before = contents(root);
    let second = sample::open(root).repair(&options).await.unwrap();
    if !second.mended.is_empty() || !second.failed.is_empty() || contents(root) != before {
        wrong.push(format!(
            "a second repair has something to do: {:?} {:?}",
            second.mended, second.failed
        ));
    }

    let now = sample::answers(root).await;
    let about: BTreeSet<_> = answers.keys().chain(now.keys()).collect();
    for about in about {
        if answers.get(about) != now.get(about) && !costs(damage, about) {
            wrong.push(format!(
                "{about} answers otherwise: {:?} instead of {:?}",
                now.get(about),
                answers.get(about)
            ));
        }
    }
    wrong
}

#[test]
fn every_damage_is_found_named_and_mended() {
    assert!(damages().count() >= 60);
    let names: BTreeSet<_> = damages().map(|damage| damage.name).collect();
    assert_eq!(names.len(), damages().count(), "two damages of one name");
    let only = std::env::var("DAMAGE").ok();
    // Made before this test's own runtime runs, whichever test comes first.
    let _sample = whole();
    let runtime = runtime();
    let mut failures = Vec::new();
    for damage in damages() {
        if only
            .as_ref()
            .is_some_and(|only| !damage.name.contains(only.as_str()))
        {
            continue;
        }
        let wrong = runtime.block_on(trial(damage));
        if !wrong.is_empty() {
            failures.push(format!("== {}\n{}", damage.name, wrong.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_whole_store_is_clean_and_gives_its_head() {
    let (dir, answers) = whole();
    let report = runtime()
        .block_on(sample::open(dir.path()).verify(&VerifyOptions::new()))
        .unwrap();
    assert_eq!(report.total(), 0, "{:#?}", report.findings);
    assert_eq!((report.decisions, report.datasets), (7, 6));
    assert_eq!(
        (report.tick_series, report.tick_entries, report.series),
        (3, 27_080, 2)
    );
    assert!(report.journal_head.is_some() && report.bytes > 40_000);
    assert_eq!(report.documents, 2);
    assert_eq!(answers.len(), 7 + 5 + 6 + 2);
}

/// The end of a journal can be cut so that it fits in itself; only a hash that was kept elsewhere shows it.
#[test]
fn a_journal_whose_end_was_cut_is_shown_by_its_head() {
    let (dir, _) = whole();
    let copy = copy_of(dir.path());
    let verify = |head: Option<&str>| {
        let options = VerifyOptions::new();
        let options = match head {
            Some(head) => options.head(head),
            None => options,
        };
        runtime()
            .block_on(sample::open(copy.path()).verify(&options))
            .unwrap()
    };
    let head = verify(None).journal_head.unwrap();
    assert!(verify(Some(&head)).is_clean());
    let journal = copy.path().join("decisions/decisions.journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let cut = text.rfind("{\"prev\"").unwrap();
    std::fs::write(&journal, &text[..cut]).unwrap();
    let report = verify(Some(&head));
    let found = |kind| report.findings.iter().any(|finding| finding.kind == kind);
    assert!(
        found(FindingKind::JournalHeadMissing),
        "{:#?}",
        report.findings
    );
}

/// What the table does not inflict is tested beside the code that makes it.
#[test]
fn the_page_of_findings_lists_every_kind() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify.md");
    let page = std::fs::read_to_string(path).unwrap();
    for kind in FindingKind::ALL {
        let row = format!(
            "| `{kind}` | {} | {} | {} | {} |",
            kind.part(),
            kind.severity(),
            kind.about(),
            kind.remedy()
        );
        assert!(page.contains(&row), "docs/verify.md lacks the row\n{row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, FindingKind::ALL.len(), "rows of no kind");
}
