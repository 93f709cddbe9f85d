//! Frames: what stands in the ring of each sync.

const MAGIC: &[u8; 8] = b"MBRING1\n";
/// So long is what stands before a frame's bytes.
pub(super) const HEAD: usize = 64;
const SUMMED: usize = 48;

/// What stands before a frame's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) epoch: [u8; 8],
    pub(super) run: [u8; 8],
    pub(super) log: u64,
    pub(super) offset: u64,
    pub(super) number: u32,
}

impl Frame {
    pub(super) fn encode(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + bytes.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.epoch);
        out.extend_from_slice(&self.run);
        out.extend_from_slice(&self.log.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        // Never longer than MAX_FRAME.
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        let sum = sum(&out, bytes);
        out.extend_from_slice(&sum);
        out.extend_from_slice(bytes);
        out
    }

    /// The frame at the start of `bytes`, with its content; `None` if there is none that is whole.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let (summed, claimed) = head.split_at_checked(SUMMED)?;
        let eight = |at: usize| summed.get(at..at + 8)?.try_into().ok();
        let four = |at: usize| summed.get(at..at + 4)?.try_into().ok();
        if summed.get(..8)? != MAGIC {
            return None;
        }
        let len = u32::from_le_bytes(four(40)?) as usize;
        let content = rest.get(..len)?;
        (sum(summed, content) == *claimed).then_some(())?;
        let frame = Self {
            epoch: eight(8)?,
            run: eight(16)?,
            log: u64::from_le_bytes(eight(24)?),
            offset: u64::from_le_bytes(eight(32)?),
            number: u32::from_le_bytes(four(44)?),
        };
        Some((frame, content))
    }
}

fn sum(head: &[u8], bytes: &[u8]) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    hash.update(head);
    hash.update(bytes);
    let hash = hash.finalize();
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}
