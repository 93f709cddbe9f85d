//! `cargo xtask ci`: everything that a change must pass after `cargo test`, as timed steps.

mod package;
mod steps;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{run, shown};

/// Run every check that a change must pass after `cargo test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Ci {
    /// Leave out the tests on the sample data, which is not part of the repository.
    #[arg(long)]
    without_shared_data: bool,
    /// Run only the steps whose name contains this.
    #[arg(long, value_name = "PART")]
    only: Option<String>,
}

/// What became of a step that did not fail.
enum Done {
    Passed,
    /// Passed, and with what.
    With(String),
    /// Left out, and why. This is listed and never counted as passed.
    LeftOut(String),
}

struct Step {
    name: &'static str,
    /// What to type to run this step alone.
    rerun: String,
    action: Box<dyn Fn() -> Result<Done>>,
}

impl Step {
    fn cargo(name: &'static str, make: impl Fn() -> Command + 'static) -> Self {
        let rerun = shown(&make());
        let action = Box::new(move || run(&mut make()).map(|()| Done::Passed));
        Self {
            name,
            rerun,
            action,
        }
    }

    fn own(name: &'static str, rerun: &str, action: impl Fn() -> Result<Done> + 'static) -> Self {
        Self {
            name,
            rerun: rerun.to_owned(),
            action: Box::new(action),
        }
    }
}

impl Ci {
    pub(crate) fn run(&self) -> Result<()> {
        let mut steps = steps::all(self.without_shared_data);
        if let Some(part) = &self.only {
            steps.retain(|step| step.name.contains(part.as_str()));
            if steps.is_empty() {
                bail!("no step has \"{part}\" in its name");
            }
        }
        let mut times: Vec<(&str, Duration, String)> = Vec::new();
        let (mut passed, mut left_out) = (0_usize, 0_usize);
        let mut failure = None;
        for step in &steps {
            println!("\n== {}: {}", step.name, step.rerun);
            let start = Instant::now();
            let done = (step.action)();
            let time = start.elapsed();
            let said = match done {
                Ok(Done::Passed) => {
                    passed += 1;
                    "passed".to_owned()
                }
                Ok(Done::With(what)) => {
                    passed += 1;
                    format!("passed with {what}")
                }
                Ok(Done::LeftOut(why)) => {
                    left_out += 1;
                    format!("LEFT OUT: {why}")
                }
                Err(error) => {
                    failure = Some((step, error));
                    "FAILED".to_owned()
                }
            };
            times.push((step.name, time, said));
            if failure.is_some() {
                break;
            }
        }
        println!("\nsteps of ci:");
        for (name, time, said) in &times {
            println!("{:>7.1} s  {name:<14} {said}", time.as_secs_f64());
        }
        let failed = usize::from(failure.is_some());
        if let Some((step, error)) = &failure {
            println!("{} failed: {error:#}", step.name);
            println!("run it again with: {}", step.rerun);
        }
        let not_run = steps.len() - times.len();
        if left_out + not_run > 0 {
            println!("{left_out} left out, {not_run} not reached");
        }
        println!("{passed} passed, {failed} failed");
        match failure {
            // What went wrong is told above; the last line stays the count.
            Some(_) => std::process::exit(1),
            None => Ok(()),
        }
    }
}
