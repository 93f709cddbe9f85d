//! Thrift in compact form, as far as it takes to see that what is claimed is there.
//!
//! The decoder of footers makes room for as many elements as a list claims to have, and a few bytes can claim thousands of millions; a process
//! that cannot get the memory is aborted. So what comes from elsewhere is walked through first: every element has a byte at least.

/// How deep it may nest.
const MAX_DEPTH: usize = 16;

/// Whether the bytes begin with a whole struct.
pub(super) fn whole(bytes: &[u8]) -> bool {
    Thrift::new(bytes).skip(12, false, 0).is_some()
}

/// Thrift in compact form.
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn advance(&mut self, bytes: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(bytes).ok()?)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    /// Visits the fields of a struct, by number and type.
    pub(super) fn fields(
        &mut self,
        mut visit: impl FnMut(&mut Self, i64, u8) -> Option<()>,
    ) -> Option<()> {
        let mut id = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => self.zigzag()?,
                delta => id + i64::from(delta),
            };
            // The format counts in 16 bits; what does not fit would be another field to another reader.
            i16::try_from(id).ok()?;
            visit(self, id, head & 0x0f)?;
        }
    }

    /// Passes over a value; a flag that is a field is in its type, one in a list is a byte.
    pub(super) fn skip(&mut self, kind: u8, element: bool, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            // Of a field the type is the value.
            1 | 2 if !element => Some(()),
            1..=3 => self.advance(1),
            4..=6 => self.varint().map(drop),
            7 => self.advance(8),
            8 => {
                let len = self.varint()?;
                self.advance(len)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                (0..count).try_for_each(|_| self.skip(head & 0x0f, true, depth + 1))
            }
            11 => {
                let count = self.varint()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                (0..count).try_for_each(|_| {
                    self.skip(kinds >> 4, true, depth + 1)?;
                    self.skip(kinds & 0x0f, true, depth + 1)
                })
            }
            12 => self.fields(|thrift, _, kind| thrift.skip(kind, false, depth + 1)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_texts_have_what_they_claim() {
        // Field 2, a list of three 32-bit numbers; field 4, a text of two bytes.
        let sound = [0x29, 0x35, 2, 4, 6, 0x28, 2, b'a', b'b', 0];
        assert!(whole(&sound));
        for len in 0..sound.len() {
            assert!(!whole(&sound[..len]), "{len}");
        }
        assert!(!whole(&[
            0x29, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x07, 2, 4, 6, 0
        ]));
        assert!(!whole(&[0x28, 0xff, 0xff, 0xff, 0x07, b'a', 0]));
        // Structs in structs without end.
        assert!(!whole(&[0x1c; 1_000]));
    }
}
