//! Timing: repeated runs, what other processes did meanwhile, memory.

use std::time::Instant;

use anyhow::Result;

/// Seconds per operation of each run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timing {
    pub(crate) seconds: Vec<f64>,
    /// The share of the machine that other processes used meanwhile.
    pub(crate) other_cpu: Option<f64>,
}

impl Timing {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            len if len % 2 == 1 => sorted[len / 2],
            len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
        }
    }

    pub(crate) fn min(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.seconds.iter().copied().fold(0.0, f64::max)
    }
}

/// How a case is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Timed runs.
    pub(crate) runs: usize,
    /// Runs before them that do not count.
    pub(crate) warm: usize,
    /// Operations in a run; times are given for one.
    pub(crate) inner: usize,
}

impl Plan {
    pub(crate) fn of(runs: usize) -> Self {
        Self {
            runs: runs.max(1),
            warm: 1,
            inner: 1,
        }
    }

    pub(crate) fn cold(mut self) -> Self {
        self.warm = 0;
        self
    }

    pub(crate) fn inner(mut self, inner: usize) -> Self {
        self.inner = inner.max(1);
        self
    }
}

/// Times `run`. What it gives back is dropped after the clock has stopped; `setup` is not timed.
pub(crate) fn measure_with<S, R>(
    plan: Plan,
    mut setup: impl FnMut() -> Result<S>,
    mut run: impl FnMut(S) -> Result<R>,
) -> Result<Timing> {
    let [timing] = in_turns(plan, [&mut || once(&mut setup, &mut run)])?;
    Ok(timing)
}

/// The seconds of one run, as [`measure_with`].
pub(crate) fn once<S, R>(
    setup: impl FnOnce() -> Result<S>,
    run: impl FnOnce(S) -> Result<R>,
) -> Result<f64> {
    let state = setup()?;
    let start = Instant::now();
    let result = run(state)?;
    let time = start.elapsed().as_secs_f64();
    drop(result);
    Ok(time)
}

/// Times several cases in turns: the disk of this minute is another one than that of the next, and a ratio is to have the same for both.
pub(crate) fn in_turns<const N: usize>(
    plan: Plan,
    mut cases: [&mut dyn FnMut() -> Result<f64>; N],
) -> Result<[Timing; N]> {
    let before = Cpu::now();
    let mut seconds = [const { Vec::new() }; N];
    for i in 0..plan.warm + plan.runs {
        for (case, seconds) in cases.iter_mut().zip(&mut seconds) {
            let time = case()?;
            if i >= plan.warm {
                seconds.push(time / as_f64(plan.inner));
            }
        }
    }
    let other_cpu = before.zip(Cpu::now()).map(|(a, b)| a.others(&b));
    Ok(seconds.map(|seconds| Timing { seconds, other_cpu }))
}

/// Times `run` without a setup.
pub(crate) fn measure<R>(plan: Plan, mut run: impl FnMut() -> Result<R>) -> Result<Timing> {
    measure_with(plan, || Ok(()), |()| run())
}

/// A count as a number to divide by.
#[allow(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}

/// Processor time of the machine and of this process with its ended children, in ticks.
struct Cpu {
    busy: u64,
    total: u64,
    ours: u64,
}

impl Cpu {
    fn now() -> Option<Self> {
        let machine = std::fs::read_to_string("/proc/stat").ok()?;
        let times: Vec<u64> = machine
            .lines()
            .next()?
            .split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|text| text.parse().ok())
            .collect();
        let total: u64 = times.iter().sum();
        let idle = times.get(3)? + times.get(4)?;
        let own = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the process may have blanks; the numbers begin after its bracket. utime is the 14th field.
        let numbers = own.rsplit_once(')')?.1;
        let ours = numbers
            .split_whitespace()
            .skip(11)
            .take(4)
            .filter_map(|text| text.parse::<u64>().ok())
            .sum();
        Some(Self {
            busy: total - idle,
            total,
            ours,
        })
    }

    fn others(&self, later: &Self) -> f64 {
        let span = |get: fn(&Self) -> u64| {
            as_f64(usize::try_from(get(later).saturating_sub(get(self))).unwrap_or(usize::MAX))
        };
        let others = span(|c| c.busy) - span(|c| c.ours);
        let share = (others / span(|c| c.total).max(1.0)).max(0.0);
        (share * 100.0).round() / 100.0
    }
}

/// The growth of resident memory, in bytes, from its making on.
pub(crate) struct Memory {
    before: u64,
}

impl Memory {
    /// Sets the peak back to what is resident now.
    pub(crate) fn start() -> Self {
        // Where the kernel does not allow it, the peak includes what was there before; the growth is then too small, never too large.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self {
            before: resident("VmRSS:"),
        }
    }

    /// The growth of the peak and the peak, in bytes.
    pub(crate) fn peak(&self) -> (u64, u64) {
        let peak = resident("VmHWM:");
        (peak.saturating_sub(self.before), peak)
    }
}

fn resident(key: &str) -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .unwrap_or(0)
        * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let timing = |seconds: &[f64]| Timing {
            seconds: seconds.to_vec(),
            other_cpu: None,
        };
        assert!((timing(&[3.0, 1.0, 2.0]).median() - 2.0).abs() < 1e-12);
        assert!((timing(&[4.0, 1.0, 2.0, 3.0]).median() - 2.5).abs() < 1e-12);
    }

    #[test]
    fn warm_runs_do_not_count_and_setups_run_each_time() {
        let mut setups = 0;
        let timing = measure_with(
            Plan::of(3),
            || {
                setups += 1;
                Ok(())
            },
            |()| Ok(()),
        )
        .unwrap();
        assert_eq!((timing.seconds.len(), setups), (3, 4));
    }

    #[test]
    fn cases_take_turns() {
        let order = std::cell::RefCell::new(Vec::new());
        let case = |name| {
            order.borrow_mut().push(name);
            Ok(f64::from(name))
        };
        let [one, two] = in_turns(Plan::of(2), [&mut || case(1), &mut || case(2)]).unwrap();
        assert_eq!(order.into_inner(), [1, 2, 1, 2, 1, 2]);
        assert_eq!((one.seconds, two.seconds), (vec![1.0, 1.0], vec![2.0, 2.0]));
    }

    #[test]
    fn memory_that_is_touched_shows() {
        let memory = Memory::start();
        let block = vec![1_u8; 64 << 20];
        let (grown, peak) = memory.peak();
        assert!(grown > 32 << 20, "{grown} bytes seen of {}", block.len());
        assert!(peak >= grown);
    }
}
