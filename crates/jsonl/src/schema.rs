//! The columns of a series: what its lines show, what was declared, and what became of values that do not agree.

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use minutebook_core::series::batch::timestamp_field;
use minutebook_core::{Problem, ProblemKind};

use crate::codec::kind::{ColumnType, Seen};
use crate::index::Columns;
use crate::types_file::Types;

/// The columns of a series, apart from the time, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesSchema {
    columns: Vec<SeriesColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesColumn {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
    /// What became of values of several types.
    change: Option<String>,
}

impl SeriesSchema {
    /// The columns that the lines show and those that were declared.
    pub(crate) fn new(shown: &Columns, types: &Types, declared: &[(String, ColumnType)]) -> Self {
        let mut columns: Vec<SeriesColumn> = shown
            .iter()
            .map(|(name, mut seen)| {
                if let Some(written) = types.get(name) {
                    seen.add(written.seen());
                }
                column(name, seen)
            })
            .collect();
        for (name, written) in types.columns() {
            if shown.get(name).is_none() {
                columns.push(column(name, written.seen()));
            }
        }
        for (name, column_type) in declared {
            let declared = SeriesColumn {
                name: name.clone(),
                column_type: *column_type,
                change: None,
            };
            match columns.iter_mut().find(|column| column.name == *name) {
                Some(column) => *column = declared,
                None => columns.push(declared),
            }
        }
        Self { columns }
    }

    /// The Arrow schema: the time, then the columns.
    pub(crate) fn arrow(&self) -> SchemaRef {
        let mut fields = vec![timestamp_field()];
        for column in &self.columns {
            fields.push(Field::new(
                &column.name,
                column.column_type.data_type(),
                true,
            ));
        }
        Arc::new(Schema::new(fields))
    }

    /// A column.
    pub(crate) fn get(&self, name: &str) -> Option<&SeriesColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl SeriesColumn {
    /// That values of several types were bent, if they were.
    pub(crate) fn problem(&self, resource: &str) -> Option<Problem> {
        let change = self.change.as_ref()?;
        let message = format!("the column \"{}\" {change}", self.name);
        Some(Problem::new(ProblemKind::TypeChanged, resource, message))
    }
}

fn column(name: &str, seen: Seen) -> SeriesColumn {
    SeriesColumn {
        name: name.to_owned(),
        column_type: seen.column_type(),
        change: seen.change(),
    }
}

/// The type that a column has so far; `None` if nothing says.
pub(crate) fn known_type(
    name: &str,
    shown: &Columns,
    types: &Types,
    declared: &[(String, ColumnType)],
) -> Option<ColumnType> {
    if let Some((_, column_type)) = declared.iter().find(|(known, _)| known == name) {
        return Some(*column_type);
    }
    let mut seen = shown.get(name).unwrap_or_default();
    if let Some(written) = types.get(name) {
        seen.add(written.seen());
    }
    (seen != Seen::NONE).then(|| seen.column_type())
}
