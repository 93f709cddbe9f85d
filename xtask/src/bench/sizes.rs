//! How large the workloads are, for us and for the peers' scripts.

use crate::python::package;

/// The sizes of one run.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub(super) decisions: Vec<usize>,
    pub(super) ticks_append: usize,
    pub(super) ticks_load: usize,
    pub(super) years: usize,
    pub(super) symbols: usize,
    pub(super) datasets: usize,
    pub(super) mib: usize,
    quick: bool,
}

impl Sizes {
    /// What the speed sections ask for.
    pub(super) fn full() -> Self {
        Self {
            decisions: vec![1_000, 10_000, 100_000],
            ticks_append: 100_000,
            ticks_load: 1_000_000,
            years: 10,
            symbols: 100,
            datasets: 1_000,
            mib: 512,
            quick: false,
        }
    }

    /// What fits into a minute.
    pub(super) fn quick() -> Self {
        Self {
            decisions: vec![1_000],
            ticks_append: 10_000,
            ticks_load: 100_000,
            years: 1,
            symbols: 10,
            datasets: 100,
            mib: 64,
            quick: true,
        }
    }

    /// The most decisions that any workload reads: the largest store and the documents that are new to it.
    pub(super) fn decisions_total(&self) -> usize {
        self.decisions.iter().max().copied().unwrap_or(0) + 20_000
    }

    pub(super) fn ticks_total(&self) -> usize {
        self.ticks_append.max(self.ticks_load)
    }

    fn decisions_text(&self) -> Vec<String> {
        self.decisions.iter().map(ToString::to_string).collect()
    }

    /// The arguments of our program.
    pub(super) fn ours(&self) -> Vec<String> {
        let mut arguments = vec!["--decisions".to_owned(), self.decisions_text().join(",")];
        for (flag, value) in [
            ("--ticks-append", self.ticks_append),
            ("--ticks-load", self.ticks_load),
            ("--years", self.years),
            ("--symbols", self.symbols),
            ("--datasets", self.datasets),
            ("--mib", self.mib),
        ] {
            arguments.extend([flag.to_owned(), value.to_string()]);
        }
        arguments
    }

    /// The peers' script of a section and its arguments.
    pub(super) fn script(&self, section: &str) -> (&'static str, Vec<String>) {
        let flags = |pairs: &[(&str, usize)]| {
            pairs
                .iter()
                .flat_map(|(flag, value)| [(*flag).to_owned(), value.to_string()])
                .collect()
        };
        match section {
            "A" => ("bench_decisions.py", self.decisions_text()),
            "B" => (
                "bench_ticks.py",
                flags(&[("--load", self.ticks_load), ("--append", self.ticks_append)]),
            ),
            "C1" => ("bench_bars.py", flags(&[("--years", self.years)])),
            "C2" => ("bench_symbols.py", flags(&[("--symbols", self.symbols)])),
            "D" => (
                "bench_catalog.py",
                flags(&[("--n", self.datasets), ("--big-years", self.years)]),
            ),
            _ => (
                "bench_limits.py",
                flags(&[("--mib", self.mib), ("--years", self.years)]),
            ),
        }
    }

    /// Parts of the names of the peers that are timed; empty for all.
    pub(super) fn only(&self, section: &str) -> &'static str {
        match section {
            _ if !self.quick => "",
            "A" => "seed,sqlite-wal-full,sqlite-wal-normal",
            "B" => "seed,orjson,sqlite-wal,sqlite (indexed),polars scan_ndjson,duckdb,pyarrow.json",
            "C1" => "seed,pyarrow-file,polars-file,duckdb-native",
            "C2" => "seed,pyarrow,polars,duckdb",
            _ => "",
        }
    }

    /// Whether a requirement of the peers is worth installing for this run.
    pub(super) fn needs(&self, requirement: &str) -> bool {
        const SMALL: [&str; 9] = [
            "pandas", "numpy", "pyarrow", "tinydb", "lmdb", "duckdb", "orjson", "msgspec", "polars",
        ];
        !self.quick || SMALL.contains(&package(requirement))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_installs_little() {
        let (quick, full) = (Sizes::quick(), Sizes::full());
        assert!(quick.needs("pandas==2.3.3") && !quick.needs("arcticdb==6.28.2"));
        assert!(full.needs("arcticdb==6.28.2"));
    }

    #[test]
    fn scripts_get_our_sizes() {
        assert_eq!(
            Sizes::quick().script("D"),
            (
                "bench_catalog.py",
                ["--n", "100", "--big-years", "1"]
                    .map(str::to_owned)
                    .to_vec()
            )
        );
        assert_eq!(Sizes::full().script("A").1, ["1000", "10000", "100000"]);
    }
}
