//! Where the text of one line is put together: in a place of fixed size, since most lines are short, and an append to memory that may have to grow costs more than the few
//! bytes that are appended.

/// What text is appended to.
pub(crate) trait Out {
    /// Appends the first `len` of so many bytes; what is behind them may be written as well, and counts for nothing.
    fn put<const N: usize>(&mut self, bytes: &[u8; N], len: usize);

    /// Appends bytes.
    fn put_all(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    #[inline]
    fn put<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        let end = self.len() + len;
        self.extend_from_slice(bytes);
        self.truncate(end);
    }

    #[inline]
    fn put_all(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A line that is being put together.
#[derive(Debug)]
pub(crate) struct Line {
    /// What stands before the rest, once it is long.
    long: Vec<u8>,
    /// The rest, and how many bytes it has.
    rest: [u8; Self::ROOM],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            long: Vec::new(),
            rest: [0; Self::ROOM],
            len: 0,
        }
    }
}

impl Line {
    const ROOM: usize = 512;

    /// How many bytes it has.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.long.len() + self.len
    }

    /// Takes the bytes from there on away.
    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        if let Some(rest) = len.checked_sub(self.long.len()) {
            self.len = self.len.min(rest);
        } else {
            self.long.truncate(len);
            self.len = 0;
        }
    }

    /// Its bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        if self.long.is_empty() {
            return self.rest.get_mut(..self.len).unwrap_or_default();
        }
        self.spill();
        &mut self.long
    }

    /// Appends a byte.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.put(&[byte], 1);
    }

    /// Moves everything to where it may be long.
    #[cold]
    fn spill(&mut self) {
        let rest = self.rest.get(..self.len).unwrap_or_default();
        self.long.extend_from_slice(rest);
        self.len = 0;
    }

    #[cold]
    fn put_long(&mut self, bytes: &[u8]) {
        self.spill();
        self.long.extend_from_slice(bytes);
    }
}

impl Out for Line {
    #[inline]
    fn put<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        let behind = self.rest.get_mut(self.len..);
        match behind.and_then(|behind| behind.first_chunk_mut::<N>()) {
            Some(room) => {
                *room = *bytes;
                self.len += len;
            }
            None => self.put_long(bytes.get(..len).unwrap_or_default()),
        }
    }

    #[inline]
    fn put_all(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.rest.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.put_long(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a vector, whatever is done one after another.
        #[test]
        fn a_line_holds_what_was_appended(
            steps in prop::collection::vec((0..4_usize, prop::collection::vec(any::<u8>(), 0..200)), 0..40),
        ) {
            let (mut line, mut plain) = (Line::default(), Vec::new());
            for (what, bytes) in steps {
                match (what, bytes.first_chunk::<32>()) {
                    (0, Some(chunk)) => {
                        let len = bytes.len() % 33;
                        line.put(chunk, len);
                        plain.extend_from_slice(&chunk[..len]);
                    }
                    (1, _) => {
                        let len = plain.len().saturating_sub(bytes.len());
                        line.truncate(len);
                        plain.truncate(len);
                    }
                    (2, _) => prop_assert_eq!(line.bytes(), &plain[..]),
                    _ => {
                        line.put_all(&bytes);
                        plain.extend_from_slice(&bytes);
                    }
                }
                prop_assert_eq!(line.len(), plain.len());
            }
            prop_assert_eq!(line.bytes(), &plain[..]);
        }
    }
}
