//! Bars of a coarser timeframe out of finer ones.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, TimestampNanosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::Timeframe;
use super::batch::{TIMESTAMP, arrow_mismatch, mismatch, timestamp_field, timestamps};
use crate::error::{Error, Result};

/// What a column of the coarser bar is of the finer ones. A value that is null, or NaN, counts as not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Aggregate {
    /// The first.
    First,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The last.
    Last,
    /// All together.
    Sum,
}

impl Aggregate {
    /// What a column of bars usually is, by its name: `open` the first, `high` the largest, `low` the smallest, `close` the last; volumes,
    /// amounts and counts the sum. `None` for others.
    pub fn of_column(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "open" => Self::First,
            "high" => Self::Max,
            "low" => Self::Min,
            "close" => Self::Last,
            "volume" | "quote_volume" | "turnover" | "amount" | "trades" | "trade_count"
            | "count" => Self::Sum,
            _ => return None,
        })
    }
}

/// Makes bars of a coarser timeframe. Batches come in ascending order of time and may be cut anywhere: the answer is the same.
///
/// A bar belongs to the coarser bar whose span its open lies in. Where there is no bar, none is made. The newest bar may still be
/// running: what is made of it grows with it.
///
/// ```
/// use minutebook_core::series::Resampler;
/// use minutebook_core::{Bar, Row, Timeframe, time::parse_timestamp};
///
/// let bar = |minute: u32, close: f64| -> minutebook_core::Result<Bar> {
///     let timestamp = parse_timestamp(&format!("2024-01-01T00:{minute:02}Z"))?;
///     Ok(Bar { timestamp, open: 1.0, high: close, low: 1.0, close, volume: 2.0 })
/// };
/// let mut resampler = Resampler::new("15m".parse()?, &Bar::schema())?;
/// resampler.add(&Bar::to_batch(&[bar(0, 3.0)?, bar(1, 2.0)?])?)?;
/// resampler.add(&Bar::to_batch(&[bar(2, 2.5)?])?)?;
/// let made = Bar::from_batch(&resampler.finish()?)?;
/// assert_eq!((made[0].high, made[0].close, made[0].volume), (3.0, 2.5, 6.0));
/// # Ok::<(), minutebook_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Resampler {
    timeframe: Timeframe,
    schema: SchemaRef,
    columns: Vec<Column>,
    /// The opens of the bars so far.
    opens: Vec<i64>,
}

#[derive(Debug)]
struct Column {
    name: String,
    aggregate: Aggregate,
    values: Values,
}

/// The values so far, one for each bar.
#[derive(Debug)]
enum Values {
    Float(Vec<Option<f64>>),
    Whole(Vec<Option<i64>>),
    Decimal(Vec<Option<i128>>, u8, i8),
}

impl Resampler {
    /// Makes bars of this timeframe out of rows of this schema: of `timestamp` and the columns that bars usually have
    /// ([`Aggregate::of_column`]). Other columns are left out; [`with`](Self::with) says of them.
    ///
    /// # Errors
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) if there is no such column, or one that is neither `Float64`, `Int64` nor `Decimal128`.
    pub fn new(timeframe: Timeframe, schema: &Schema) -> Result<Self> {
        let named = schema
            .fields()
            .iter()
            .filter_map(|field| Some((field.name().as_str(), Aggregate::of_column(field.name())?)));
        let columns: Vec<_> = named.collect();
        Self::with(timeframe, schema, &columns)
    }

    /// Makes bars of exactly these columns.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(
        timeframe: Timeframe,
        schema: &Schema,
        columns: &[(&str, Aggregate)],
    ) -> Result<Self> {
        if columns.is_empty() {
            return Err(mismatch(
                "there is no column to resample: none is called open, high, low, close or volume",
            ));
        }
        let mut fields = vec![timestamp_field()];
        let mut made = Vec::with_capacity(columns.len());
        for (name, aggregate) in columns {
            let field = schema
                .field_with_name(name)
                .map_err(|_| mismatch(format!("there is no column \"{name}\"")))?;
            let values = match field.data_type() {
                DataType::Float64 => Values::Float(Vec::new()),
                DataType::Int64 => Values::Whole(Vec::new()),
                DataType::Decimal128(precision, scale) => {
                    // A sum may have more digits than any of its parts.
                    let precision = if *aggregate == Aggregate::Sum {
                        38
                    } else {
                        *precision
                    };
                    Values::Decimal(Vec::new(), precision, *scale)
                }
                other => {
                    return Err(mismatch(format!(
                        "the column \"{name}\" has the type {other}; Float64, Int64 or Decimal128 can be resampled"
                    )));
                }
            };
            let data_type = match &values {
                Values::Decimal(_, precision, scale) => DataType::Decimal128(*precision, *scale),
                _ => field.data_type().clone(),
            };
            fields.push(Field::new(*name, data_type, field.is_nullable()));
            made.push(Column {
                name: (*name).to_owned(),
                aggregate: *aggregate,
                values,
            });
        }
        Ok(Self {
            timeframe,
            schema: Arc::new(Schema::new(fields)),
            columns: made,
            opens: Vec::new(),
        })
    }

    /// The columns that a scan has to give.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Adds bars.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if a bar is before the one before it, or a sum of whole numbers gets too large;
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) if the batch has other columns.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = timestamps(batch)?.values();
        // For each row the bar that it goes to.
        let mut places = Vec::with_capacity(times.len());
        for time in times {
            let open = self.timeframe.floor(*time).unwrap_or(*time);
            match self.opens.last() {
                Some(last) if *last == open => {}
                Some(last) if *last > open => {
                    return Err(Error::invalid(
                        "the bars are not in ascending order of time",
                    ));
                }
                _ => self.opens.push(open),
            }
            places.push(self.opens.len() - 1);
        }
        let bars = self.opens.len();
        for column in &mut self.columns {
            let array = batch
                .column_by_name(&column.name)
                .ok_or_else(|| mismatch(format!("there is no column \"{}\"", column.name)))?;
            column.add(array, &places, bars)?;
        }
        Ok(())
    }

    /// The bars made so far but for the last, which may get more rows: for answers in bounded memory.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn drain(&mut self) -> Result<RecordBatch> {
        let count = self.opens.len().saturating_sub(1);
        self.take(count)
    }

    /// The bars that are left.
    ///
    /// # Errors
    /// [`SchemaMismatch`](crate::ErrorKind::SchemaMismatch) if a column that may not be null has a bar without a value.
    pub fn finish(mut self) -> Result<RecordBatch> {
        let count = self.opens.len();
        self.take(count)
    }

    fn take(&mut self, count: usize) -> Result<RecordBatch> {
        let opens: Vec<i64> = self.opens.drain(..count).collect();
        let times = TimestampNanosecondArray::from(opens).with_timezone("UTC");
        let mut columns: Vec<ArrayRef> = vec![Arc::new(times)];
        for column in &mut self.columns {
            columns.push(column.values.take(count)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(arrow_mismatch)
    }
}

impl Values {
    fn take(&mut self, count: usize) -> Result<ArrayRef> {
        Ok(match self {
            Self::Float(values) => Arc::new(
                values
                    .drain(..count)
                    .collect::<PrimitiveArray<Float64Type>>(),
            ),
            Self::Whole(values) => {
                Arc::new(values.drain(..count).collect::<PrimitiveArray<Int64Type>>())
            }
            Self::Decimal(values, precision, scale) => {
                let array: PrimitiveArray<Decimal128Type> = values.drain(..count).collect();
                Arc::new(
                    array
                        .with_precision_and_scale(*precision, *scale)
                        .map_err(arrow_mismatch)?,
                )
            }
        })
    }
}

impl Column {
    fn add(&mut self, array: &ArrayRef, places: &[usize], bars: usize) -> Result<()> {
        let (name, aggregate) = (&self.name, self.aggregate);
        let wrong = || {
            mismatch(format!(
                "the column \"{name}\" has the type {}",
                array.data_type()
            ))
        };
        let large = |_: TooLarge| Error::invalid(format!("the sum of \"{name}\" is too large"));
        match &mut self.values {
            Values::Float(values) => {
                let array = array.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
                fold(values, array, places, bars, |sum, value: f64| {
                    let so_far = sum.unwrap_or(value);
                    Ok(match aggregate {
                        _ if value.is_nan() => sum,
                        Aggregate::First => Some(so_far),
                        Aggregate::Last => Some(value),
                        Aggregate::Max => Some(so_far.max(value)),
                        Aggregate::Min => Some(so_far.min(value)),
                        Aggregate::Sum => Some(sum.map_or(value, |sum| sum + value)),
                    })
                })
                .map_err(large)
            }
            Values::Whole(values) => {
                let array = array.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
                fold(values, array, places, bars, |sum, value| {
                    whole(aggregate, sum, value, i64::checked_add)
                })
                .map_err(large)
            }
            Values::Decimal(values, _, scale) => {
                let matches = matches!(array.data_type(), DataType::Decimal128(_, s) if s == scale);
                let array = array.as_primitive_opt::<Decimal128Type>();
                let array = array.filter(|_| matches).ok_or_else(wrong)?;
                fold(values, array, places, bars, |sum, value| {
                    whole(aggregate, sum, value, i128::checked_add)
                })
                .map_err(large)
            }
        }
    }
}

fn whole<T: Ord + Copy>(
    aggregate: Aggregate,
    sum: Option<T>,
    value: T,
    add: impl Fn(T, T) -> Option<T>,
) -> Result<Option<T>, TooLarge> {
    Ok(Some(match (aggregate, sum) {
        (_, None) | (Aggregate::Last, _) => value,
        (Aggregate::First, Some(sum)) => sum,
        (Aggregate::Max, Some(sum)) => sum.max(value),
        (Aggregate::Min, Some(sum)) => sum.min(value),
        (Aggregate::Sum, Some(sum)) => add(sum, value).ok_or(TooLarge)?,
    }))
}

/// A sum that its type cannot hold.
struct TooLarge;

/// Adds each row to its bar.
fn fold<T: ArrowPrimitiveType>(
    values: &mut Vec<Option<T::Native>>,
    array: &PrimitiveArray<T>,
    places: &[usize],
    bars: usize,
    add: impl Fn(Option<T::Native>, T::Native) -> Result<Option<T::Native>, TooLarge>,
) -> Result<(), TooLarge> {
    values.resize(bars, None);
    for (value, place) in array.iter().zip(places) {
        if let (Some(value), Some(sum)) = (value, values.get_mut(*place)) {
            *sum = add(*sum, value)?;
        }
    }
    Ok(())
}

/// The columns of a batch that a resampler was made for, `timestamp` among them.
pub(super) fn wanted(resampler: &Resampler) -> Vec<String> {
    let columns = resampler.columns().filter(|name| *name != TIMESTAMP);
    columns.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use arrow_array::{Decimal128Array, Float64Array, Int64Array};

    use super::*;

    fn batch() -> RecordBatch {
        let minute = 60_000_000_000_i64;
        let times = TimestampNanosecondArray::from((0..10).map(|i| i * minute).collect::<Vec<_>>());
        let price = |values: [Option<f64>; 10]| -> ArrayRef {
            Arc::new(Float64Array::from(values.to_vec()))
        };
        let decimal = Decimal128Array::from((0..10).map(|i| i128::from(i) * 5).collect::<Vec<_>>());
        RecordBatch::try_from_iter_with_nullable([
            (
                TIMESTAMP,
                Arc::new(times.with_timezone("UTC")) as ArrayRef,
                false,
            ),
            (
                "open",
                price([
                    None,
                    Some(2.0),
                    Some(3.0),
                    Some(4.0),
                    Some(5.0),
                    Some(6.0),
                    None,
                    None,
                    None,
                    None,
                ]),
                true,
            ),
            (
                "high",
                price([
                    Some(f64::NAN),
                    Some(7.0),
                    Some(3.0),
                    Some(4.0),
                    Some(5.0),
                    Some(6.0),
                    None,
                    None,
                    Some(1.0),
                    None,
                ]),
                true,
            ),
            (
                "volume",
                Arc::new(decimal.with_precision_and_scale(9, 2).unwrap()),
                false,
            ),
            (
                "trades",
                Arc::new(Int64Array::from_iter_values(0..10)),
                false,
            ),
            (
                "venue",
                Arc::new(arrow_array::StringArray::from(vec!["x"; 10])),
                false,
            ),
        ])
        .unwrap()
    }

    #[test]
    fn however_the_rows_are_cut_the_bars_are_the_same() {
        let batch = batch();
        let whole = {
            let mut resampler = Resampler::new("3m".parse().unwrap(), &batch.schema()).unwrap();
            resampler.add(&batch).unwrap();
            resampler.finish().unwrap()
        };
        assert_eq!(whole.num_rows(), 4);
        let names: Vec<_> = whole
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["timestamp", "open", "high", "volume", "trades"]);
        let open = whole.column(1).as_primitive::<Float64Type>();
        assert_eq!(
            open.iter().collect::<Vec<_>>(),
            [Some(2.0), Some(4.0), None, None]
        );
        let high = whole.column(2).as_primitive::<Float64Type>();
        assert_eq!(
            high.iter().collect::<Vec<_>>(),
            [Some(7.0), Some(6.0), Some(1.0), None]
        );
        assert_eq!(
            whole.column(3).as_primitive::<Decimal128Type>().value(1),
            60
        );
        assert_eq!(whole.column(3).data_type(), &DataType::Decimal128(38, 2));
        for size in 1..10 {
            let mut resampler = Resampler::new("3m".parse().unwrap(), &batch.schema()).unwrap();
            let mut parts = Vec::new();
            for start in (0..10).step_by(size) {
                resampler
                    .add(&batch.slice(start, size.min(10 - start)))
                    .unwrap();
                parts.push(resampler.drain().unwrap());
            }
            let schema = Arc::clone(&resampler.schema);
            parts.push(resampler.finish().unwrap());
            let joined = arrow_select::concat::concat_batches(&schema, &parts).unwrap();
            assert_eq!(joined, whole, "{size}");
        }
    }

    #[test]
    fn what_cannot_be_resampled_is_named() {
        let batch = batch();
        let venue = Resampler::with(
            Timeframe::HOUR,
            &batch.schema(),
            &[("venue", Aggregate::Last)],
        );
        assert!(venue.unwrap_err().message().contains("venue"));
        assert!(Resampler::new(Timeframe::HOUR, &Schema::empty()).is_err());
        let mut resampler = Resampler::new(Timeframe::MINUTE, &batch.schema()).unwrap();
        resampler.add(&batch).unwrap();
        assert!(resampler.add(&batch.slice(0, 1)).is_err());
        let whole = Int64Array::from(vec![i64::MAX, 1]);
        let times = TimestampNanosecondArray::from(vec![0, 1]).with_timezone("UTC");
        let large = RecordBatch::try_from_iter([
            (TIMESTAMP, Arc::new(times) as ArrayRef),
            ("volume", Arc::new(whole)),
        ]);
        let large = large.unwrap();
        let mut resampler = Resampler::new(Timeframe::MINUTE, &large.schema()).unwrap();
        assert!(resampler.add(&large).is_err());
    }
}
