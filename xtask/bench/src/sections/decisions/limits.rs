//! The least that the machine needs for what is measured: bare system calls.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use minutebook_core::Decision;
use minutebook_fs::Durability;
use minutebook_fs::task::blocking;

use super::{AT_ONCE, Bench, SAVERS};
use crate::bare;
use crate::measure::{Plan, Timing, measure};

impl Bench<'_> {
    pub(super) fn bare_save_n(&self, durability: Durability) -> Result<Timing> {
        let mut timing = Timing::default();
        for _ in 0..self.runs().min(3) {
            let scratch = self.folders.fresh()?;
            let mut journal = bare::appendable(&scratch.join("journal"))?;
            let mut time = Duration::ZERO;
            for (i, part) in self.documents.chunks(AT_ONCE).enumerate() {
                let texts: Vec<_> = part.iter().map(Decision::to_json_pretty).collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let start = Instant::now();
                if durability == Durability::Synced {
                    journal.write_all(texts.concat().as_bytes())?;
                    journal.sync_all()?;
                }
                bare::create_files(&scratch, i * AT_ONCE, &texts)?;
                time += start.elapsed();
            }
            timing.seconds.push(time.as_secs_f64());
        }
        Ok(timing)
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

    /// The same, each handed to another thread and waited for, as an asynchronous program has to that may not wait for the disk itself.
    pub(super) fn bare_save_handed_over(&self) -> Result<Timing> {
        let scratch = self.folders.fresh()?;
        let text: Arc<str> = self.documents[0].to_json_pretty().into();
        let journal = Arc::new(Mutex::new(bare::Room::new(&scratch.join("journal"))?));
        let mut i = 0_usize;
        measure(Plan::of(self.config.runs).inner(100), || {
            self.runtime.block_on(async {
                for _ in 0..100 {
                    i += 1;
                    let (name, scratch) = (format!("{i}.json"), scratch.clone());
                    let (text, journal) = (Arc::clone(&text), Arc::clone(&journal));
                    let saved = blocking(move || {
                        let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                        journal.write(text.as_bytes())?;
                        bare::create_file(&scratch, &name, text.as_bytes())
                    });
                    saved.await??;
                }
                Ok(())
            })
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
