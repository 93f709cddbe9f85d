//! Reads lines by the shape of the lines before them.
//!
//! The lines of a feed have the same keys in the same order with the same blanks. Once a line was read field by field, what stands before each
//! of its values is remembered; a line with the same text there needs no look at its keys, and was taken apart when its values
//! were measured. A line of any other shape, or with a value that is not measured here (see [`token`](super::token)), is left to
//! [`Fields`](super::fields::Fields).

use super::token::{Token, token};

/// Takes the values of a line in order, each with what stands at its place.
pub(crate) trait Sink<'a, P> {
    /// What was taken so far was of a line that has another shape after all.
    fn clear(&mut self);
    /// The next value.
    fn take(&mut self, place: &P, token: Token<'a>);
}

impl<'a, P: Copy> Sink<'a, P> for Vec<(P, Token<'a>)> {
    #[inline]
    fn clear(&mut self) {
        Self::clear(self);
    }

    #[inline]
    fn take(&mut self, place: &P, token: Token<'a>) {
        self.push((*place, token));
    }
}

/// The shapes of the lines so far, and what stands at each place of them.
#[derive(Debug)]
pub(crate) struct Templates<P> {
    known: Vec<Template<P>>,
    /// The one that fitted last.
    current: usize,
    /// Lines since one fitted.
    misses: u32,
}

#[derive(Debug)]
struct Template<P> {
    /// What stands before each value, from the end of the value before it, and what the value belongs to.
    values: Vec<(Lead, P)>,
    /// What follows the last value.
    tail: Lead,
    /// Which one fitted the line after the last that this one fitted.
    next: usize,
}

/// A text that must stand at a place. Its first 16 bytes are compared as one number: most texts between values are no longer than that.
#[derive(Debug)]
struct Lead {
    text: Box<[u8]>,
    head: u128,
    /// The bytes of `head` that count.
    mask: u128,
}

impl Lead {
    const HEAD: usize = 16;

    fn new(text: &[u8]) -> Self {
        let (mut head, mut mask) = ([0; Self::HEAD], [0; Self::HEAD]);
        for ((byte, head), mask) in text.iter().zip(&mut head).zip(&mut mask) {
            *head = *byte;
            *mask = u8::MAX;
        }
        Self {
            text: text.into(),
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
        }
    }

    /// The offset after the text, if it stands at `at`.
    #[inline]
    fn after(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let rest = bytes.get(at..)?;
        let len = self.text.len();
        if let Some(chunk) = rest.first_chunk::<{ Self::HEAD }>() {
            if (u128::from_le_bytes(*chunk) ^ self.head) & self.mask != 0 {
                return None;
            }
            if len <= Self::HEAD {
                return Some(at + len);
            }
        }
        rest.starts_with(&self.text).then_some(at + len)
    }
}

impl<P> Default for Templates<P> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            current: 0,
            misses: 0,
        }
    }
}

impl<P> Templates<P> {
    /// Reads the line that begins at `at` and ends with a newline or the text: gives its values to `sink`, and the offset after it.
    ///
    /// `None` if it has none of the shapes; then nothing is said about it.
    #[inline]
    pub(crate) fn line<'a>(
        &mut self,
        text: &'a str,
        at: usize,
        sink: &mut impl Sink<'a, P>,
    ) -> Option<usize> {
        // Shapes mostly follow each other in the same order as before.
        let first = self.known.get(self.current).map_or(0, |last| last.next);
        for turn in 0..self.known.len() {
            let which = match first + turn {
                over if over >= self.known.len() => over - self.known.len(),
                which => which,
            };
            if let Some(end) = self.known.get(which)?.line(text, at, sink) {
                self.misses = 0;
                self.goes_on_with(which);
                return Some(end);
            }
        }
        self.misses = self.misses.saturating_add(1);
        None
    }

    #[inline]
    fn goes_on_with(&mut self, which: usize) {
        if let Some(last) = self.known.get_mut(self.current) {
            last.next = which;
        }
        self.current = which;
    }

    /// Whether the line at hand, which had none of the shapes, is worth remembering: of lines that are all different only ever fewer are.
    pub(crate) fn wants_more(&self) -> bool {
        self.misses.is_power_of_two()
    }

    /// Remembers the shape of a line that was read field by field. `values` has where each value begins and ends, and what it belongs to.
    pub(crate) fn learn(&mut self, line: &str, values: Vec<(usize, usize, P)>) {
        /// A feed alternates between few shapes.
        const MOST: usize = 8;
        let bytes = line.as_bytes();
        let mut template = Template {
            values: Vec::with_capacity(values.len()),
            tail: Lead::new(b""),
            next: 0,
        };
        let mut end = 0;
        for (from, to, place) in values {
            let Some(lead) = bytes.get(end..from) else {
                return;
            };
            template.values.push((Lead::new(lead), place));
            end = to;
        }
        template.tail = Lead::new(bytes.get(end..).unwrap_or_default());
        if template.values.is_empty() {
            return;
        }
        // The one after the one that fitted last: not that one, and each in its turn.
        let which = match self.known.len() {
            few if few < MOST => few,
            _ => (self.current + 1) % MOST,
        };
        template.next = which;
        match self.known.get_mut(which) {
            Some(old) => *old = template,
            None => self.known.push(template),
        }
        self.goes_on_with(which);
    }
}

impl<P> Template<P> {
    #[inline]
    fn line<'a>(&self, text: &'a str, from: usize, sink: &mut impl Sink<'a, P>) -> Option<usize> {
        let bytes = text.as_bytes();
        sink.clear();
        let mut at = from;
        for (lead, place) in &self.values {
            let start = lead.after(bytes, at)?;
            let (token, end) = token(text, start)?;
            sink.take(place, token);
            at = end;
        }
        at = self.tail.after(bytes, at)?;
        match bytes.get(at..)? {
            [b'\n', ..] => Some(at + 1),
            [b'\r', b'\n', ..] => Some(at + 2),
            [] => Some(at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::fields::{Fields, Shape};

    /// The values of a line as they are read field by field, and its shape learnt.
    fn learn(templates: &mut Templates<usize>, line: &str) -> Option<Vec<(String, Shape)>> {
        let mut fields = Fields::new(line);
        let (mut values, mut found) = (Vec::new(), Vec::new());
        while let Some(field) = fields.next().ok()? {
            let end = fields.position();
            values.push((end - field.value.text.len(), end, values.len()));
            let token = Token::of(field.value);
            found.push((token.text.to_owned(), token.shape));
        }
        templates.learn(line, values);
        Some(found)
    }

    #[test]
    fn a_line_of_the_same_shape_needs_no_look_at_its_keys() {
        let mut templates = Templates::default();
        learn(
            &mut templates,
            r#"{"t": "a", "p": 1.5, "n":null ,"b":true}"#,
        )
        .unwrap();
        let mut tokens = Vec::new();
        let text = "{\"t\": \"é\", \"p\": -20, \"n\":\"12345678\\x\" ,\"b\":false}\n{\"t\": \"é\", \"p\": -20, \"n\":\"1234567\" ,\"b\":false}\r\n";
        assert!(templates.line(text, 0, &mut tokens).is_none(), "an escape");
        let at = text.find('\n').unwrap() + 1;
        assert_eq!(templates.line(text, at, &mut tokens), Some(text.len()));
        let texts: Vec<_> = tokens
            .iter()
            .map(|(place, token)| (*place, token.text))
            .collect();
        assert_eq!(texts, [(0, "é"), (1, "-20"), (2, "1234567"), (3, "false")]);
        assert_eq!(tokens[1].1.int(), Some(-20));
    }

    #[test]
    fn several_shapes_are_known_at_once() {
        let mut templates = Templates::default();
        for n in 0..8 {
            learn(&mut templates, &format!("{{\"k{n}\":1}}")).unwrap();
        }
        let mut fits = |line: &str| templates.line(line, 0, &mut Vec::new()).is_some();
        for n in [0, 3, 1, 2, 2] {
            assert!(fits(&format!("{{\"k{n}\":7}}\n")), "{n}");
        }
        assert!(!fits("{\"k9\":7}\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// A line that has a known shape is read as field by field; a broken one never has a known shape.
        #[test]
        fn lines_are_read_as_field_by_field(
            base in prop::sample::select(vec![
                r#"{"timestamp": "2024-01-01T00:00:00.014825", "price": 42496.1, "size": -1.5, "n": 0}"#,
                r#"{"s":"some words é☃ here","b":true,"f":false,"x":null,"i":123}"#,
                r#"{"n":{"a":[1, {"b":null} ,[]],"é":{}},"s":"a \"q\" \\ \u00e9\n☃","e":[-0.5,"\/",true]}"#,
            ]),
            edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
                b"{}[]\",:\\0123456789.-+eEtrufalsn \t\r\x00x".to_vec()), any::<u8>()), 0..3),
        ) {
            let mut templates = Templates::default();
            learn(&mut templates, base).unwrap();
            let mut bytes = base.as_bytes().to_vec();
            for (index, byte, action) in edits {
                let at = index.index(bytes.len().max(1));
                match action % 3 {
                    0 if at < bytes.len() => bytes[at] = byte,
                    1 if at < bytes.len() => { bytes.remove(at); }
                    _ => bytes.insert(at.min(bytes.len()), byte),
                }
            }
            if let Ok(text) = String::from_utf8(bytes) {
                let line = format!("{text}\n");
                let mut tokens = Vec::new();
                if templates.line(&line, 0, &mut tokens).is_some() {
                    let quick: Vec<_> = tokens.iter().map(|(_, t)| (t.text.to_owned(), t.shape)).collect();
                    let line = text.strip_suffix('\r').unwrap_or(&text);
                    prop_assert_eq!(Some(quick), learn(&mut Templates::default(), line), "{}", text);
                }
            }
        }
    }
}
