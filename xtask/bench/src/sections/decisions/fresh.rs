//! What a new process needs for its first answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use minutebook_core::{
    Decision, DecisionId, DecisionRepository, DecisionRepositoryExt as _, SaveMode,
};
use minutebook_fs::Durability;
use minutebook_json::JsonDecisionRepository;

use super::Bench;
use crate::bare;
use crate::measure::{Plan, Timing, measure};
use crate::record::{OURS, Record};
use crate::sections::Section;
use crate::store::{self, Runtime};

impl Bench<'_> {
    /// A new process opens the store and gets one document, or asks for the latest.
    pub(super) fn fresh_process(&mut self, repo: &Arc<JsonDecisionRepository>) -> Result<()> {
        let timed = self.with_time_in_their_ids(10)?;
        self.runtime.block_on(async {
            for saved in repo.save_all(timed.clone(), SaveMode::Create).await {
                saved?;
            }
            anyhow::Ok(())
        })?;
        let files = self.files()?;
        let mut buffer = Vec::new();
        let mut bare = |list: bool, stat: bool, read: usize| {
            measure(Plan::of(self.config.runs), || {
                if list {
                    bare::list(&self.directory)?;
                }
                if stat {
                    for file in &files {
                        std::fs::symlink_metadata(file)?;
                    }
                }
                for file in files.iter().take(read) {
                    bare::read_file(file, &mut buffer)?;
                }
                Ok(())
            })
        };
        let listed = bare(true, false, 1)?;
        let one = bare(false, false, 1)?;
        let looked_at = bare(true, true, 10)?;
        let (documents, mut random) = (self.documents, self.random.clone());
        let any = move |from: &[Decision]| random.pick(from).id().to_string();
        let (mut some, mut of_timed) = (any.clone(), any);
        self.in_fresh_process("open+get", || some(documents))?
            .limit(
                &listed,
                "one bare listing and one file: these ids carry no time",
            )
            .write(self.config)?;
        self.in_fresh_process("open+get_uuid7", || of_timed(&timed))?
            .limit(&one, "one file: these ids carry their time")
            .write(self.config)?;
        self.in_fresh_process("open+latest10", String::new)?
            .limit(
                &looked_at,
                "one bare listing, a stat of each file, ten files",
            )
            .write(self.config)?;
        self.runtime.block_on(async {
            for document in &timed {
                ensure!(repo.delete(document.id()).await?);
            }
            Ok(())
        })
    }

    /// One case, each time in another process.
    fn in_fresh_process(&self, op: &str, mut argument: impl FnMut() -> String) -> Result<Record> {
        let directory = self.directory.display().to_string();
        let mut timing = Timing::default();
        let mut peak = 0_u64;
        for i in 0..=self.config.runs {
            let printed = self
                .config
                .child(Section::Decisions, op, &[&directory, &argument()])?;
            let (seconds, kib) = printed.trim().split_once(' ').context("two numbers")?;
            if i > 0 {
                timing.seconds.push(seconds.parse()?);
                peak = peak.max(kib.parse()?);
            }
        }
        let record = self.record(&format!("{op}_fresh_process"), OURS, Durability::Synced);
        Ok(record.timed(&timing).with("peak_kib", peak))
    }

    /// Documents like the others whose ids are UUIDs of version 7.
    fn with_time_in_their_ids(&mut self, count: usize) -> Result<Vec<Decision>> {
        let mut documents = Vec::with_capacity(count);
        for _ in 0..count {
            let document = self.random.pick(self.documents).clone();
            let time = document.timestamp().context("a document has a time")?;
            let millis = format!("{:012x}", time.timestamp_millis());
            let rest = format!("{:016x}", self.random.next());
            let id = format!(
                "{}-{}-7{}-8{}-{}",
                &millis[..8],
                &millis[8..],
                &rest[..3],
                &rest[3..6],
                &format!("{:012x}", self.random.next())[..12],
            );
            let mut fields: serde_json::Value = serde_json::from_str(&document.to_json())?;
            fields["id"] = id.into();
            documents.push(Decision::from_value(&fields)?);
        }
        Ok(documents)
    }
}

/// In a process of its own: opens the store at `args[0]`, gets the id `args[1]` or the latest ten, gives back the seconds and the most
/// memory that the process had, in KiB.
pub(in crate::sections) fn case(op: &str, args: &[String]) -> Result<String> {
    let [directory, id] = args else {
        anyhow::bail!("a directory and an id are needed");
    };
    let runtime = Runtime::new()?;
    let start = Instant::now();
    let repo = store::decisions(Path::new(directory), Durability::Synced)?;
    match op {
        "open+get" | "open+get_uuid7" => {
            let id: DecisionId = id.parse()?;
            let found = runtime.block_on(repo.get(&id))?;
            ensure!(found.is_some_and(|found| *found.decision.id() == id));
        }
        "open+latest10" => ensure!(runtime.block_on(repo.recent(10, None))?.len() == 10),
        _ => anyhow::bail!("no case {op} here"),
    }
    let time = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| {
        let text = line.strip_prefix("VmHWM:")?.trim_end_matches("kB");
        text.trim().parse::<u64>().ok()
    });
    Ok(format!("{time} {}", peak.unwrap_or(0)))
}
