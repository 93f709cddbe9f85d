//! The least that the machine needs for what is measured: bare system calls.

use anyhow::Result;
use minutebook_core::Decision;
use minutebook_fs::Durability;

use super::{Bench, SAVERS};
use crate::bare;
use crate::measure::{Plan, Timing, measure, measure_with};

impl Bench<'_> {
    pub(super) fn bare_save_n(&self, durability: Durability) -> Result<Timing> {
        let texts: Vec<_> = self
            .documents
            .iter()
            .map(Decision::to_json_pretty)
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        measure_with(
            Plan::of(self.runs().min(3)).cold(),
            || self.folders.fresh(),
            |scratch| {
                if durability == Durability::Synced {
                    bare::write_file(&scratch.join("journal"), texts.concat().as_bytes(), true)?;
                }
                bare::create_files(&scratch, 0, &texts)
            },
        )
    }

    /// The least that a save needs: one synced line if it is durable, and the file that people read.
    pub(super) fn bare_save(&self, durability: Durability) -> Result<Timing> {
        let scratch = self.folders.fresh()?;
        let text = self.documents[0].to_json_pretty();
        let mut journal = bare::Room::new(&scratch.join("journal"))?;
        let mut i = 0_usize;
        measure(Plan::of(self.config.runs).inner(100), || {
            for _ in 0..100 {
                i += 1;
                if durability == Durability::Synced {
                    journal.write(text.as_bytes())?;
                }
                bare::create_file(&scratch, &format!("{i}.json"), text.as_bytes())?;
            }
            Ok(())
        })
    }

    /// The least that saves at the same time need: one synced write for all that wait, and a file for each, by a thread for each
    /// processor.
    pub(super) fn bare_concurrent(&self, each: usize) -> Result<Timing> {
        let scratch = self.folders.fresh()?;
        let text = self.documents[0].to_json_pretty();
        let mut journal = bare::Room::new(&scratch.join("journal"))?;
        let texts = vec![text.as_str(); SAVERS];
        let lines = text.repeat(SAVERS);
        let mut first = 0;
        measure(Plan::of(self.config.runs).inner(SAVERS * each), || {
            for _ in 0..each {
                journal.write(lines.as_bytes())?;
                bare::create_files(&scratch, first, &texts)?;
                first += SAVERS;
            }
            Ok(())
        })
    }
}
