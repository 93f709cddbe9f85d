//! The harness itself: it looks at what it says, and fails where it should.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::fs::{Fs, OpenMode};

fn two_files(disk: &SimFs) -> u32 {
    let mut done = 0;
    for path in ["/a", "/b"] {
        let Ok(file) = disk.open(Path::new(path), OpenMode::CreateNew) else {
            break;
        };
        if file.append(b"0123456789").is_err()
            || file.sync_all().is_err()
            || disk.sync_dir(Path::new("/")).is_err()
        {
            break;
        }
        done += 1;
    }
    done
}

#[test]
fn every_step_is_stopped_at_and_every_part_is_left() {
    let seen = RefCell::new(BTreeSet::new());
    let parts = RefCell::new(BTreeSet::new());
    let report = enumerate(
        &Options::default(),
        |_| Ok(()),
        two_files,
        |crashed| {
            seen.borrow_mut()
                .insert((crashed.step, crashed.kind == Kind::Power));
            assert_eq!(crashed.completed, crashed.step == 8);
            assert_eq!(
                *crashed.out,
                if crashed.step == 8 {
                    2
                } else {
                    u32::from(crashed.step >= 4)
                }
            );
            if crashed.kind == Kind::Process && crashed.step == 1 {
                parts
                    .borrow_mut()
                    .insert(crashed.disk.get("/a").unwrap().len());
            }
            Ok(())
        },
    )
    .unwrap();
    assert_eq!((report.steps, report.runs), (8, 9 + 6));
    assert_eq!(seen.into_inner().len(), 18);
    assert_eq!(parts.into_inner(), [0, 1, 5, 9].into());
}

#[test]
fn a_failure_says_where_and_why() {
    let failure = enumerate(
        &Options::default(),
        |_| Ok(()),
        two_files,
        |crashed| {
            if crashed.disk.get("/b").is_some_and(|b| b.is_empty()) {
                Err("b is empty".to_owned())
            } else {
                Ok(())
            }
        },
    )
    .unwrap_err();
    assert_eq!(failure.trace.len(), 6);
    let text = failure.to_string();
    assert!(
        text.starts_with("b is empty\n  process killed before step 5: Append /b (10 bytes)\n"),
        "{text}"
    );
}

#[test]
fn a_panic_in_the_check_is_a_failure() {
    let failure = enumerate(
        &Options::default(),
        |_| Ok(()),
        two_files,
        |crashed| {
            assert!(crashed.step < 3, "assertions work");
            Ok(())
        },
    )
    .unwrap_err();
    assert!(failure.message.contains("assertions work"), "{failure}");
}

#[test]
fn a_setup_that_fails_is_a_failure() {
    let failure = enumerate(
        &Options::default(),
        |_| Err("no".to_owned()),
        two_files,
        |_| Ok(()),
    )
    .unwrap_err();
    assert_eq!(
        (failure.message.as_str(), failure.place.as_str()),
        ("no", "in the setup")
    );
}
