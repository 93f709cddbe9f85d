//! The `pandas` entry of the file's metadata, which tells pandas what to make the index of.

use arrow_schema::{DataType, Schema, TimeUnit};
use serde_json::{Value, json};

/// The key of the entry.
pub(crate) const KEY: &str = "pandas";

/// The entry for a table of this schema with `index` as its index.
pub(super) fn metadata(schema: &Schema, index: Option<&str>) -> String {
    let is_index = |name: &str| Some(name) == index;
    let mut columns: Vec<Value> = Vec::new();
    let fields = schema.fields();
    // pandas itself puts index columns last here.
    let plain = fields.iter().filter(|f| !is_index(f.name()));
    for field in plain.chain(fields.iter().filter(|f| is_index(f.name()))) {
        let (pandas_type, numpy_type) = types(field.data_type());
        columns.push(json!({
            "name": field.name(),
            "field_name": field.name(),
            "pandas_type": pandas_type,
            "numpy_type": numpy_type,
            "metadata": extra(field.data_type()),
        }));
    }
    json!({
        "index_columns": index.into_iter().collect::<Vec<_>>(),
        "column_indexes": [{
            "name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object",
            "metadata": {"encoding": "UTF-8"},
        }],
        "columns": columns,
        "creator": {"library": "minutebook", "version": env!("CARGO_PKG_VERSION")},
        "pandas_version": "2.2.0",
    })
    .to_string()
}

fn types(data_type: &DataType) -> (String, String) {
    let both = |text: &str| (text.to_owned(), text.to_owned());
    let object = |text: &str| (text.to_owned(), "object".to_owned());
    match data_type {
        DataType::Boolean => both("bool"),
        DataType::Int8 => both("int8"),
        DataType::Int16 => both("int16"),
        DataType::Int32 => both("int32"),
        DataType::Int64 => both("int64"),
        DataType::UInt8 => both("uint8"),
        DataType::UInt16 => both("uint16"),
        DataType::UInt32 => both("uint32"),
        DataType::UInt64 => both("uint64"),
        DataType::Float16 => both("float16"),
        DataType::Float32 => both("float32"),
        DataType::Float64 => both("float64"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => object("unicode"),
        DataType::Date32 | DataType::Date64 => object("date"),
        DataType::Time32(_) | DataType::Time64(_) => object("time"),
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => object("decimal"),
        DataType::Timestamp(unit, zone) => {
            let pandas = if zone.is_some() {
                "datetimetz"
            } else {
                "datetime"
            };
            (pandas.to_owned(), format!("datetime64[{}]", text(*unit)))
        }
        DataType::Duration(unit) => (
            "timedelta".to_owned(),
            format!("timedelta64[{}]", text(*unit)),
        ),
        DataType::Dictionary(..) => ("categorical".to_owned(), "object".to_owned()),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            object("list[object]")
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => object("bytes"),
        _ => object("object"),
    }
}

fn extra(data_type: &DataType) -> Value {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => json!({"timezone": zone.as_ref()}),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => json!({"precision": precision, "scale": scale}),
        _ => Value::Null,
    }
}

fn text(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

/// The name of the column that pandas would make its time index of, from the entry of a file.
pub(crate) fn index_column(entry: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(entry).ok()?;
    let index = entry.get("index_columns")?.as_array()?.first()?;
    // A RangeIndex is an object that describes itself; it has no column.
    index.as_str().map(str::to_owned)
}
