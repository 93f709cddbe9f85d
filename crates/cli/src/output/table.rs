//! Tables: aligned columns, numbers to the right, no frame.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table as Inner, presets};

use super::Output;
use crate::failure::Outcome;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table with a heading.
pub(crate) struct Table {
    inner: Inner,
    aligns: Vec<Align>,
}

impl Table {
    /// A table of these columns.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let mut inner = Inner::new();
        inner.load_preset(presets::NOTHING);
        let aligns: Vec<_> = columns.iter().map(|(_, align)| *align).collect();
        inner.set_header(
            columns
                .iter()
                .map(|(name, align)| cell(&name.to_uppercase(), *align)),
        );
        for (i, _) in aligns.iter().enumerate() {
            if let Some(column) = inner.column_mut(i) {
                column.set_padding((0, 2));
            }
        }
        Self { inner, aligns }
    }

    /// Adds a row.
    pub(crate) fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells
            .into_iter()
            .zip(&self.aligns)
            .map(|(text, align)| cell(&text.to_string(), *align));
        self.inner.add_row(cells);
    }

    /// Writes it as results.
    pub(crate) fn print(mut self, output: &mut Output<'_>) -> Outcome {
        match output.width {
            Some(width) => {
                self.inner.set_width(width);
                self.inner
                    .set_content_arrangement(ContentArrangement::Dynamic);
            }
            None => {
                self.inner
                    .set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        for line in self.inner.lines() {
            output.line(line.trim_end())?;
        }
        Ok(())
    }
}

fn cell(text: &str, align: Align) -> Cell {
    // Text from files may hold control characters, which would reach the terminal.
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    Cell::new(clean).set_alignment(match align {
        Align::Left => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    })
}
