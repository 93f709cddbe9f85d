//! Random histories of several processes with crashes, against a plain model.

use minutebook_fs::{AppendLog, Durability, Fault, Images, OpKind, SimFs};

use proptest::prelude::*;

use super::{line, lines, log, setup};

#[derive(Debug, Clone)]
enum Step {
    Append {
        writer: usize,
        lines: usize,
        synced: bool,
    },
    Sync {
        writer: usize,
    },
    Reopen {
        writer: usize,
    },
    Short {
        writer: usize,
        bytes: usize,
    },
    Kill {
        after: u64,
        bytes: usize,
    },
    PowerCut {
        choice: usize,
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_usize, 1..4_usize, any::<bool>()).prop_map(|(writer, lines, synced)| Step::Append { writer, lines, synced }),
        1 => (0..3_usize).prop_map(|writer| Step::Sync { writer }),
        1 => (0..3_usize).prop_map(|writer| Step::Reopen { writer }),
        1 => (0..3_usize, 0..20_usize).prop_map(|(writer, bytes)| Step::Short { writer, bytes }),
        1 => (0..4_u64, 0..20_usize).prop_map(|(after, bytes)| Step::Kill { after, bytes }),
        2 => (any::<usize>(), any::<u64>()).prop_map(|(choice, seed)| Step::PowerCut { choice, seed }),
    ]
}

/// Three processes on a disk.
struct World {
    disk: SimFs,
    writers: Vec<(SimFs, AppendLog)>,
    next: usize,
    /// Lines that must be there after the death of every process.
    visible: Vec<usize>,
    /// Lines that must be there after a power cut.
    durable: Vec<usize>,
    /// Lines that were asked for, with an outcome that is not known.
    unknown: Vec<usize>,
    /// Acknowledged by each writer, not yet synced by it.
    buffered: Vec<Vec<usize>>,
}

impl World {
    fn new(disk: SimFs) -> Self {
        let writers = (0..3).map(|_| Self::writer(&disk)).collect();
        Self {
            disk,
            writers,
            next: 0,
            visible: Vec::new(),
            durable: Vec::new(),
            unknown: Vec::new(),
            buffered: vec![Vec::new(); 3],
        }
    }

    fn writer(disk: &SimFs) -> (SimFs, AppendLog) {
        let process = disk.new_process();
        let log = log(&process);
        (process, log)
    }

    fn append(&mut self, writer: usize, count: usize, synced: bool) {
        let numbers: Vec<usize> = (self.next..self.next + count).collect();
        self.next += count;
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| line(*n)).collect();
        let durability = if synced {
            Durability::Synced
        } else {
            Durability::Buffered
        };
        match self.writers[writer].1.append(&bytes, durability) {
            Ok(_) => {
                self.visible.extend(&numbers);
                self.buffered[writer].extend(&numbers);
                if synced {
                    self.flushed(writer);
                }
            }
            Err(e) if e.nothing_applied() => {}
            Err(_) => self.unknown.extend(numbers),
        }
    }

    fn flushed(&mut self, writer: usize) {
        self.durable.append(&mut self.buffered[writer]);
    }

    fn restart(&mut self, disk: SimFs) {
        self.disk = disk;
        self.writers = (0..3).map(|_| Self::writer(&self.disk)).collect();
        for buffered in &mut self.buffered {
            self.unknown.append(buffered);
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Append {
                writer,
                lines,
                synced,
            } => self.append(*writer, *lines, *synced),
            Step::Sync { writer } => {
                if self.writers[*writer].1.sync().is_ok() {
                    self.flushed(*writer);
                }
            }
            Step::Reopen { writer } => {
                if self.writers[*writer].1.release().is_ok() {
                    self.flushed(*writer);
                }
            }
            Step::Short { writer, bytes } => {
                self.writers[*writer]
                    .0
                    .inject(Fault::on(OpKind::Append).short(*bytes));
                self.append(*writer, 2, true);
                self.writers[*writer].0.clear_faults();
            }
            Step::Kill { after, bytes } => {
                self.writers[0].0.crash_within(*after, *bytes);
                self.append(0, 2, true);
                self.append(0, 1, false);
                self.writers[0] = Self::writer(&self.disk);
                // Its lines are in the page cache, but nobody will sync them on purpose.
                self.unknown.append(&mut self.buffered[0]);
            }
            Step::PowerCut { choice, seed } => {
                let mut images = self
                    .disk
                    .images_after_crash(&Images::default().max(24).seed(*seed));
                let image = images.swap_remove(choice % images.len());
                // What survived by chance is as good as durable now: the image is what the disk holds.
                self.restart(image.fs);
                let (found, _) = lines(&self.disk).unwrap();
                self.visible = found.clone();
                assert!(
                    self.durable.iter().all(|n| found.contains(n)),
                    "{:?} not all in {found:?}; {}",
                    self.durable,
                    image.what
                );
                self.durable = found;
            }
        }
        self.check();
    }

    fn check(&self) {
        let (found, _) = lines(&self.disk).unwrap();
        assert!(
            found.windows(2).all(|pair| pair[0] < pair[1]),
            "{found:?} is not in order"
        );
        for n in &self.visible {
            assert!(found.contains(n), "line {n} is not in {found:?}");
        }
        for n in &found {
            assert!(
                self.visible.contains(n) || self.unknown.contains(n),
                "line {n} in {found:?} was not asked for"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]
    #[test]
    fn random_histories_keep_every_promise(steps in prop::collection::vec(step(), 1..25)) {
        let disk = SimFs::new();
        setup(&disk).unwrap();
        let mut world = World::new(disk);
        for step in &steps {
            world.run(step);
        }
        world.append(1, 1, true);
        world.check();
    }
}
