//! Short texts and numbers that came before: they are found again in their places, and made once.

/// A text that is kept has fewer bytes than this.
pub(super) const TEXT: usize = 16;
/// A number that is kept has no more characters than this.
const NUMBER: usize = 8;
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Where something is kept, and whether it was there already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) at: u32,
    pub(super) is_known: bool,
}

/// What is in each place. A new one takes the place of another, so there are never more than there are places.
pub(super) struct Seen {
    /// The characters, filled up with zeros.
    numbers: Vec<[u8; NUMBER]>,
    /// The bytes, filled up with zeros; the last byte is the length and one more.
    texts: Vec<[u8; TEXT]>,
}

impl Seen {
    /// With `places` for numbers and for texts, powers of two.
    pub(super) fn new(places: Places) -> Self {
        Self {
            numbers: vec![[0; NUMBER]; places.numbers],
            texts: vec![[0; TEXT]; places.texts],
        }
    }

    /// The place of a number; none if it is too long to be kept.
    pub(super) fn number(&mut self, text: &[u8]) -> Option<Place> {
        let mut known = [0; NUMBER];
        known.get_mut(..text.len())?.copy_from_slice(text);
        let hash = u64::from_le_bytes(known).wrapping_mul(SPREAD);
        put(&mut self.numbers, hash, known)
    }

    /// The place of a text; none if it is too long to be kept.
    pub(super) fn text(&mut self, text: &[u8]) -> Option<Place> {
        let mut known = [0; TEXT];
        known
            .get_mut(..TEXT - 1)?
            .get_mut(..text.len())?
            .copy_from_slice(text);
        known[TEXT - 1] = u8::try_from(text.len() + 1).ok()?;
        let word = |at: usize| {
            let bytes = known
                .get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        let (low, high) = (word(0), word(8));
        let hash = (low.wrapping_mul(SPREAD) ^ high.rotate_left(29)).wrapping_mul(SPREAD);
        put(&mut self.texts, hash, known)
    }

    /// As if the number in this place had not been seen.
    pub(super) fn forget_number(&mut self, at: u32) {
        if let Some(known) = self.numbers.get_mut(at as usize) {
            *known = [0; NUMBER];
        }
    }

    /// As if the text in this place had not been seen.
    pub(super) fn forget_text(&mut self, at: u32) {
        if let Some(known) = self.texts.get_mut(at as usize) {
            *known = [0; TEXT];
        }
    }
}

/// How many places there are. Few enough for a processor's own cache: a look that misses it takes longer than making the number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) numbers: usize,
    pub(super) texts: usize,
}

impl Places {
    /// For a file of so many bytes.
    pub(super) fn for_file(len: u64) -> Self {
        let lines = usize::try_from(len / 64).unwrap_or(usize::MAX);
        let numbers = lines.clamp(1 << 6, 1 << 12).next_power_of_two();
        Self {
            numbers,
            texts: numbers.min(1 << 10),
        }
    }
}

fn put<const N: usize>(places: &mut [[u8; N]], hash: u64, value: [u8; N]) -> Option<Place> {
    let bits = places.len().trailing_zeros();
    let at = u32::try_from(hash >> (u64::BITS - bits)).ok()?;
    let there = places.get_mut(at as usize)?;
    let is_known = *there == value;
    *there = value;
    Some(Place { at, is_known })
}
