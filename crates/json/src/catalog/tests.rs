//! The places of entries, after changes in place and after changes by others.

use std::path::Path;

use minutebook_core::json::pretty;
use minutebook_core::{DatasetEntry, DatasetFilter, DatasetName};

use super::registry::Registry;
use crate::text;

fn name(text: &str) -> DatasetName {
    DatasetName::new(text).unwrap()
}

fn parse(text: &str) -> Registry {
    Registry::parse(Path::new("r.json"), Some(text.as_bytes().to_vec())).unwrap()
}

/// A sequence of numbers that looks random and is the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }
}

const NAMES: [&str; 9] = [
    "a",
    "b\"q\"",
    "é",
    "a/b",
    "zz",
    "b",
    "\\",
    "1",
    "derived_from",
];

fn change(registry: &mut Registry, numbers: &mut Numbers, longest: u64) {
    let wanted = name(NAMES[usize::try_from(numbers.below(9)).unwrap()]);
    if numbers.below(3) == 0 {
        registry.remove(&wanted).unwrap();
    } else {
        let long = "x".repeat(usize::try_from(numbers.below(longest)).unwrap());
        let entry = DatasetEntry::new(wanted.clone(), long, "x.parquet")
            .with_metadata("n", numbers.below(4));
        registry
            .put(&entry, numbers.below(1 << 40), &wanted)
            .unwrap();
    }
}

fn state(registry: &Registry) -> Vec<(String, String)> {
    let entries = registry.list(&DatasetFilter::new()).unwrap();
    entries
        .into_iter()
        .map(|stored| (stored.entry.name.to_string(), stored.revision.to_string()))
        .collect()
}

#[test]
fn a_registry_changed_in_place_is_the_one_that_its_text_says() {
    let mut numbers = Numbers(7);
    let mut registry = Registry::parse(Path::new("r.json"), None).unwrap();
    let mut before = parse("{}");
    for step in 0..200 {
        change(&mut registry, &mut numbers, 5_000);
        let text = registry.text();
        if text.is_empty() {
            continue;
        }
        assert_eq!(state(&registry), state(&parse(text)), "step {step}");
        let keys = text::sorted(text).unwrap();
        let again = pretty(&keys);
        // Names are sorted; the keys of the entries are too, but ours inside the metadata need not be.
        assert_eq!(again.len(), text.len(), "step {step}");
        let followed = before.follow(text.as_bytes().to_vec()).unwrap();
        assert_eq!(state(&followed), state(&registry), "step {step}");
        assert!(followed.is_from(Some(text.as_bytes())));
        if numbers.below(4) == 0 {
            before = followed;
        }
    }
}

#[test]
fn what_another_broke_is_seen_wherever_it_is() {
    let mut numbers = Numbers(11);
    let mut registry = Registry::parse(Path::new("r.json"), None).unwrap();
    for _ in 0..40 {
        change(&mut registry, &mut numbers, 9);
    }
    let mut entry = DatasetEntry::new(name("short"), "S", "s");
    entry.tenor = Some("5Y".into());
    registry.put(&entry, 1, &name("short")).unwrap();
    let text = registry.text().as_bytes().to_vec();
    let (mut refused, mut read) = (0, 0);
    for at in (0..text.len()).rev().step_by(5).chain(0..40) {
        for byte in [b'"', b'}', b',', b' ', b'x', b'\n'] {
            let mut broken = text.clone();
            broken[at] = byte;
            for broken in [broken.clone(), [&broken[..at], &broken[at + 1..]].concat()] {
                let fresh = Registry::parse(Path::new("r.json"), Some(broken.clone()));
                match (fresh, registry.follow(broken)) {
                    (Ok(fresh), Ok(followed)) => {
                        read += 1;
                        let list = |registry: &Registry| {
                            registry
                                .list(&DatasetFilter::new())
                                .map_err(|error| error.to_string())
                        };
                        assert_eq!(list(&followed), list(&fresh), "byte {at}");
                    }
                    (Err(fresh), Err(followed)) => {
                        refused += 1;
                        assert_eq!(fresh.to_string(), followed.to_string());
                    }
                    (fresh, followed) => {
                        panic!("byte {at}: {:?} and {:?}", fresh.err(), followed.err())
                    }
                }
            }
        }
    }
    assert!(refused > 100 && read > 100, "{refused} {read}");
}

#[test]
fn another_layout_becomes_ours_with_the_first_change_and_keeps_its_values() {
    let given = "{\"b\":{\"instrument\":\"B\",\"file_path\":\"x\",\"metadata\":{\"big\":12345678901234567890123,\"f\":1.10}, \"z\": 1e5},\n\n\t\"a\" : {\"file_path\":\"y\",\"instrument\":\"A\"} }\n";
    let mut registry = parse(given);
    assert_eq!(registry.text(), given);
    let entry = DatasetEntry::new(name("c"), "C", "c");
    registry.put(&entry, 3, &name("c")).unwrap();
    let text = registry.text();
    assert!(text.starts_with("{\n  \"a\": {\n    \"file_path\": \"y\",\n    \"instrument\": \"A\"\n  },\n  \"b\": {\n    \"instrument\": \"B\","), "{text}");
    let mut b = registry.entry(&name("b")).unwrap().unwrap().entry.clone();
    b.instrument = "BB".into();
    registry.put(&b, 4, &name("b")).unwrap();
    let text = registry.text();
    for kept in [
        "\"big\": 12345678901234567890123",
        "\"f\": 1.10",
        "\"z\": 1e5",
    ] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
}
