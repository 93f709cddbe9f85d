//! JSON text laid out as Python's `json.dump(..., indent=n, sort_keys=True, ensure_ascii=False)` does, number text kept.

use minutebook_core::json::pretty;
pub(crate) use minutebook_core::json::sorted;

/// What JSON text is indented with inside: [`pretty`] lays out two blanks a level.
const BLANKS: usize = 2;

/// The text over several lines, so many blanks a level.
pub(crate) fn indented(text: &str, indent: usize) -> String {
    let laid_out = pretty(text);
    if indent == BLANKS {
        return laid_out;
    }
    // No string holds a line break as it is, so blanks at the start of a line are always the layout's.
    let mut out = String::with_capacity(laid_out.len());
    for (i, line) in laid_out.lines().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let content = line.trim_start_matches(' ');
        let depth = (line.len() - content.len()) / BLANKS;
        out.extend(std::iter::repeat_n(' ', depth * indent));
        out.push_str(content);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indents_as_asked() {
        let text = r#"{"a":["  x",{"b":1}]}"#;
        assert_eq!(
            indented(text, 4),
            "{\n    \"a\": [\n        \"  x\",\n        {\n            \"b\": 1\n        }\n    ]\n}"
        );
        assert_eq!(indented(text, 0).lines().count(), 8);
    }
}
