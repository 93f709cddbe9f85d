//! Every crash point of what is written without a journal.

use super::*;

/// Each of these steps leads from one state to the next; what a step that was acknowledged led to is there after any crash.
fn survives(states: &[(&str, u32)], setup: impl Fn(&SimFs) -> Result<(), String>) {
    let report = enumerate(
        &Options::default().images(Images::default().max(120)),
        setup,
        |disk| {
            let Ok(store) = open(disk, false) else {
                return 0;
            };
            let step = |(date, n): &(&str, u32)| {
                if *n == 0 {
                    run(store.delete(&id("a"))).is_ok()
                } else {
                    run(store.upsert(&decision("a", date, *n))).is_ok()
                }
            };
            states
                .iter()
                .skip(1)
                .take_while(|state| step(state))
                .count()
        },
        |crashed: &Crashed<'_, usize>| {
            let may: Vec<u32> = states
                .iter()
                .skip(*crashed.out)
                .take(2)
                .map(|state| state.1)
                .collect();
            intact(&crashed.disk, "a", &may)
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 15, "{report:?}");
}

#[test]
fn what_was_acknowledged_survives_every_crash_of_saves() {
    survives(&[("", 0), ("2025-01-05", 1), ("2025-01-05", 2)], |_| Ok(()));
    survives(&[("", 1), ("2025-01-05", 2), ("2025-01-05", 3)], with_first);
}

#[test]
fn what_was_acknowledged_survives_every_crash_of_saves_under_other_dates() {
    survives(&[("", 1), ("2025-01-06", 2), ("2025-01-07", 3)], with_first);
    survives(&[("", 1), ("2025-01-04", 2), ("2025-01-03", 3)], with_first);
    survives(&[("", 1), ("2025-01-04", 2), ("2025-01-05", 3)], with_first);
}

#[test]
fn what_was_acknowledged_survives_every_crash_of_deletions() {
    survives(&[("", 1), ("", 0), ("2025-01-04", 2)], with_first);
    // Files that an earlier crash has left are not what a deletion or a save brings back.
    let left_over = |disk: &SimFs| -> Result<(), String> {
        with_first(disk)?;
        for (date, n) in [("2025-01-03", 7), ("2025-01-04", 8)] {
            let text = decision("a", date, n).to_json_pretty();
            let path = format!("/d/{date}_a.json");
            disk.put(path, text.as_bytes())
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    survives(&[("", 1), ("", 0)], left_over);
    survives(&[("", 1), ("2025-01-02", 2)], left_over);
    survives(&[("", 1), ("2025-01-04", 2)], left_over);
    survives(&[("", 1), ("2025-01-06", 2)], left_over);
}

#[test]
fn a_batch_that_was_acknowledged_survives_every_crash_and_is_whole_or_not_by_document() {
    let report = enumerate(
        &Options::default().images(Images::default().max(120)),
        with_first,
        |disk| {
            let Ok(store) = open(disk, false) else {
                return false;
            };
            let batch = vec![
                decision("a", "2025-01-04", 2),
                decision("b", "2025-01-04", 1),
                decision("c", "2025-01-04", 1),
            ];
            let results = run(store.save_all(batch, SaveMode::Upsert));
            results.iter().all(Result::is_ok)
        },
        |crashed: &Crashed<'_, bool>| {
            let may = |before: u32, after: u32| {
                if *crashed.out {
                    vec![after]
                } else {
                    vec![before, after]
                }
            };
            intact(&crashed.disk, "a", &may(1, 2))?;
            intact(&crashed.disk, "b", &may(0, 1))?;
            intact(&crashed.disk, "c", &may(0, 1))
        },
    )
    .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.states > 15, "{report:?}");
}

#[test]
fn what_is_acknowledged_as_unchanged_or_gone_survives_too() {
    // A process that died before it had synced leaves what the next one finds, and has to make durable before it says so.
    for deletes in [false, true] {
        for step in 0..6 {
            let disk = SimFs::new();
            with_first(&disk).unwrap();
            disk.settle();
            let change = |store: &JsonDecisionRepository| {
                if deletes {
                    run(store.delete(&id("a"))).is_ok()
                } else {
                    run(store.upsert(&decision("a", "2025-01-05", 2))).is_ok()
                }
            };
            let other = disk.new_process();
            let store = open(&other, false).unwrap();
            other.crash_after(step);
            change(&store);
            let disk = other.process_crash();
            assert!(change(&open(&disk, false).unwrap()));
            for image in disk.images_after_crash(&Images::default().max(60)) {
                intact(&image.fs, "a", if deletes { &[0] } else { &[2] }).unwrap();
            }
        }
    }
}
