//! The states in which a power cut may leave a simulated disk.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::SimFs;
use super::disk::{DataChange, Disk, Ino, State, Tree};

/// Where content that was not synced may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Torn {
    /// Between writes, and near the start, in the middle, at the sectors next to the ends, and near the end of each.
    #[default]
    Typical,
    /// At every byte.
    Bytes,
}

/// Which states to enumerate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Images {
    /// If there are no more combinations than this, all of them are enumerated; else so many, the extreme ones first.
    pub max: usize,
    /// Chooses the others.
    pub seed: u64,
    /// Where content is cut.
    pub torn: Torn,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            max: 512,
            seed: 0,
            torn: Torn::Typical,
        }
    }
}

impl Images {
    /// Sets how many states at most.
    #[must_use]
    pub fn max(mut self, images: usize) -> Self {
        self.max = images;
        self
    }

    /// Sets the seed of the choice among more combinations than that.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets where content is cut.
    #[must_use]
    pub fn torn(mut self, torn: Torn) -> Self {
        self.torn = torn;
        self
    }
}

/// One state of the disk after a power cut.
#[derive(Debug)]
pub struct Image {
    /// The disk, as the first process after the restart finds it.
    pub fs: SimFs,
    /// What became of the changes that were not durable, in words.
    pub what: String,
}

const SECTOR: usize = 512;
/// More ways than this to cut one file are thinned out.
const MAX_CUTS: usize = 64;

/// One thing that may have gone one way or another.
enum Choice {
    Name(String),
    Content {
        ino: Ino,
        cuts: Vec<(String, Arc<Vec<u8>>)>,
    },
}

impl Choice {
    fn ways(&self) -> usize {
        match self {
            Self::Name(_) => 2,
            Self::Content { cuts, .. } => cuts.len(),
        }
    }
}

pub(super) fn enumerate(disk: &Disk, options: &Images) -> Vec<Image> {
    let state = disk.state().clone();
    let mut choices: Vec<Choice> = state
        .pending
        .iter()
        .map(|change| Choice::Name(change.what.clone()))
        .collect();
    for ino in state.files_at_stake() {
        if let Some((durable, pending)) = state.stake(ino) {
            choices.push(Choice::Content {
                ino,
                cuts: cuts(durable, pending, options.torn),
            });
        }
    }
    let ways: Vec<usize> = choices.iter().map(Choice::ways).collect();
    let mut images = Builder {
        state: &state,
        choices: &choices,
        seen: HashSet::new(),
        images: Vec::new(),
    };
    let all = ways
        .iter()
        .try_fold(1_usize, |product, n| product.checked_mul(*n))
        .filter(|n| *n <= options.max);
    match all {
        Some(n) => (0..n).for_each(|number| images.add(&digits(number, &ways))),
        None => sample(&ways, options, &mut images),
    }
    images.images
}

/// The `number`th combination.
fn digits(mut number: usize, ways: &[usize]) -> Vec<usize> {
    let digit = |n: &usize| {
        let digit = number % n;
        number /= n;
        digit
    };
    ways.iter().map(digit).collect()
}

/// The extremes, each with one thing gone the other way, then random ones.
fn sample(ways: &[usize], options: &Images, images: &mut Builder<'_>) {
    let nothing = vec![0; ways.len()];
    let everything: Vec<usize> = ways.iter().map(|n| n - 1).collect();
    // The names without the content, and the other way round.
    let names = images
        .choices
        .iter()
        .filter(|choice| matches!(choice, Choice::Name(_)))
        .count();
    let split = |a: &[usize], b: &[usize]| -> Vec<usize> {
        a.iter()
            .take(names)
            .chain(b.iter().skip(names))
            .copied()
            .collect()
    };
    for base in [
        &nothing,
        &everything,
        &split(&everything, &nothing),
        &split(&nothing, &everything),
    ] {
        images.add(base);
    }
    for base in [nothing, everything] {
        for (i, n) in ways.iter().enumerate() {
            for way in 0..*n {
                if images.images.len() >= options.max.saturating_mul(3) / 4 {
                    break;
                }
                let mut one = base.clone();
                if let Some(digit) = one.get_mut(i) {
                    *digit = way;
                }
                images.add(&one);
            }
        }
    }
    let mut random = Random(options.seed);
    // Many combinations look alike, so there is a limit to trying.
    for _ in 0..options.max.saturating_mul(4) {
        if images.images.len() >= options.max {
            break;
        }
        let combination: Vec<usize> = ways.iter().map(|n| random.below(*n)).collect();
        images.add(&combination);
    }
}

struct Builder<'a> {
    state: &'a State,
    choices: &'a [Choice],
    seen: HashSet<Tree>,
    images: Vec<Image>,
}

impl Builder<'_> {
    fn add(&mut self, combination: &[usize]) {
        let mut survives = Vec::new();
        let mut contents = BTreeMap::new();
        let mut what = Vec::new();
        for (choice, way) in self.choices.iter().zip(combination) {
            match choice {
                Choice::Name(name) => {
                    survives.push(*way == 1);
                    what.push(format!(
                        "{name}: {}",
                        if *way == 1 { "there" } else { "lost" }
                    ));
                }
                Choice::Content { ino, cuts } => {
                    if let Some((cut, content)) = cuts.get(*way) {
                        contents.insert(*ino, Arc::clone(content));
                        what.push(format!("content of #{ino}: {cut}"));
                    }
                }
            }
        }
        let state = self.state.image(&survives, &contents);
        if self.seen.insert(state.tree()) {
            self.images.push(Image {
                fs: SimFs::on(Disk::with(state)),
                what: what.join("; "),
            });
        }
    }
}

/// The contents that a file may have: nothing of what was pending first, everything last.
fn cuts(durable: &Arc<Vec<u8>>, pending: &[DataChange], torn: Torn) -> Vec<(String, Arc<Vec<u8>>)> {
    let mut cuts = vec![("nothing new".to_owned(), Arc::clone(durable))];
    let mut content = durable.to_vec();
    for (i, change) in pending.iter().enumerate() {
        if let DataChange::Write { offset, bytes } = change {
            for len in lengths(bytes.len(), torn) {
                let part = bytes.get(..len).unwrap_or_default();
                let mut cut = content.clone();
                DataChange::Write {
                    offset: *offset,
                    bytes: part.into(),
                }
                .apply(&mut cut);
                cuts.push((format!("{i} changes and {len} bytes"), Arc::new(cut)));
            }
        }
        if let DataChange::Write { offset, bytes } = change
            && *offset + bytes.len() as u64 <= content.len() as u64
            && bytes.len() > 1
        {
            // Sectors that are written over reach the device in any order: the later ones without the earlier ones.
            let half = bytes.len() / 2;
            let mut cut = content.clone();
            DataChange::Write {
                offset: *offset + half as u64,
                bytes: bytes.get(half..).unwrap_or_default().into(),
            }
            .apply(&mut cut);
            cuts.push((
                format!("{i} changes and the second half of another"),
                Arc::new(cut),
            ));
        }
        change.apply(&mut content);
        if i + 1 < pending.len() {
            cuts.push((format!("{} changes", i + 1), Arc::new(content.clone())));
        }
    }
    if let Some(zeros) = zeroed(durable, &content) {
        for (part, from, to) in [
            ("all", 0, zeros),
            ("the first half", 0, zeros / 2),
            ("the second half", zeros / 2, zeros),
        ] {
            let mut cut = content.clone();
            let start = content.len() - zeros;
            cut.get_mut(start + from..start + to)
                .unwrap_or_default()
                .fill(0);
            cuts.push((format!("all changes, {part} as zeros"), Arc::new(cut)));
        }
    }
    if cuts.len() > MAX_CUTS && torn == Torn::Typical {
        let step = cuts.len().div_ceil(MAX_CUTS);
        let mut i = 0;
        cuts.retain(|_| {
            i += 1;
            (i - 1) % step == 0
        });
    }
    cuts.push(("everything".to_owned(), Arc::new(content)));
    cuts
}

/// How many bytes at the end are new.
fn zeroed(durable: &[u8], content: &[u8]) -> Option<usize> {
    content.len().checked_sub(durable.len()).filter(|n| *n > 1)
}

fn lengths(len: usize, torn: Torn) -> Vec<usize> {
    let mut lengths: Vec<usize> = match torn {
        Torn::Bytes => (1..len).collect(),
        Torn::Typical => vec![
            1,
            len / 2,
            len.saturating_sub(1),
            SECTOR,
            len / SECTOR * SECTOR,
        ],
    };
    lengths.sort_unstable();
    lengths.dedup();
    lengths.retain(|n| *n > 0 && *n < len);
    lengths
}

/// `SplitMix64`: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n.max(1) as u64).unwrap_or(0)
    }
}
