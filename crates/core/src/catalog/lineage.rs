//! Which datasets were made from which.

use std::collections::{BTreeMap, BTreeSet};

use super::{DatasetEntry, DatasetName};

type Graph = BTreeMap<DatasetName, BTreeSet<DatasetName>>;

/// Which datasets were made from which, as a set of entries says. Cycles are no trouble.
///
/// ```
/// use minutebook_core::{DatasetEntry, Lineage};
///
/// let raw = DatasetEntry::new("raw".parse()?, "VIX", "raw.parquet");
/// let daily = DatasetEntry::new("daily".parse()?, "VIX", "daily.parquet").with_derived_from([raw.name.clone()]);
/// let signal = DatasetEntry::new("signal".parse()?, "VIX", "signal.parquet").with_derived_from([daily.name.clone()]);
/// let lineage = Lineage::of([&raw, &daily, &signal]);
/// assert_eq!(lineage.parents(&signal.name), [daily.name.clone()]);
/// assert_eq!(lineage.descendants(&raw.name), [daily.name, signal.name]);
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    parents: Graph,
    children: Graph,
}

impl Lineage {
    /// What these entries say. A parent need not be among them.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a DatasetEntry>) -> Self {
        let mut lineage = Self::default();
        for entry in entries {
            for parent in &entry.derived_from {
                let (parent, child) = (parent.clone(), entry.name.clone());
                lineage
                    .parents
                    .entry(child.clone())
                    .or_default()
                    .insert(parent.clone());
                lineage.children.entry(parent).or_default().insert(child);
            }
        }
        lineage
    }

    /// What a dataset was made from, in ascending order.
    pub fn parents(&self, name: &DatasetName) -> Vec<DatasetName> {
        next(&self.parents, name).cloned().collect()
    }

    /// What was made from a dataset, in ascending order.
    pub fn children(&self, name: &DatasetName) -> Vec<DatasetName> {
        next(&self.children, name).cloned().collect()
    }

    /// What a dataset was made from, directly or not, without itself, in ascending order.
    pub fn ancestors(&self, name: &DatasetName) -> Vec<DatasetName> {
        reach(&self.parents, name)
    }

    /// What was made from a dataset, directly or not, without itself, in ascending order.
    pub fn descendants(&self, name: &DatasetName) -> Vec<DatasetName> {
        reach(&self.children, name)
    }
}

fn next<'a>(graph: &'a Graph, name: &DatasetName) -> impl Iterator<Item = &'a DatasetName> {
    graph.get(name).into_iter().flatten()
}

fn reach(graph: &Graph, start: &DatasetName) -> Vec<DatasetName> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        for other in next(graph, name) {
            if other != start && found.insert(other) {
                open.push(other);
            }
        }
    }
    found.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_ends() {
        let name = |text: &str| text.parse::<DatasetName>().unwrap();
        let entry = |text: &str, from: &[&str]| {
            DatasetEntry::new(name(text), "X", "x").with_derived_from(from.iter().map(|n| name(n)))
        };
        let entries = [
            entry("a", &["c", "a"]),
            entry("b", &["a"]),
            entry("c", &["b", "outside"]),
        ];
        let lineage = Lineage::of(&entries);
        assert_eq!(lineage.parents(&name("a")), [name("a"), name("c")]);
        assert_eq!(
            lineage.ancestors(&name("a")),
            [name("b"), name("c"), name("outside")]
        );
        assert_eq!(lineage.descendants(&name("outside")).len(), 3);
        assert!(lineage.children(&name("nope")).is_empty());
    }
}
