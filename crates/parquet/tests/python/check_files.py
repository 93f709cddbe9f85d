"""Opens what the tests of minutebook-parquet wrote, with pandas, pyarrow, polars and DuckDB. Run by tests/python.rs.

python check_files.py DIR ROWS

DIR has Parquet files, all with the columns timestamp, n, price and ROWS rows in total, in order of time within each file.
"""
import pathlib
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

folder, expected = pathlib.Path(sys.argv[1]), int(sys.argv[2])
files = sorted(folder.rglob("*.parquet"))
assert files, folder
total = 0
for file in files:
    frame = pd.read_parquet(file)
    index = frame.index
    assert isinstance(index, pd.DatetimeIndex), type(index)
    assert index.name == "timestamp" and str(index.tz) == "UTC" and index.unit == "ns", (index.name, index.tz, index.unit)
    assert index.is_monotonic_increasing
    assert list(frame.columns) == ["n", "price"], frame.columns
    assert (frame["price"] == frame["n"] / 100).all()
    total += len(frame)
    table = pq.ParquetFile(file, page_checksum_verification=True).read()
    assert table.num_rows == len(frame) and table["n"].to_pylist() == frame["n"].tolist()
    metadata = pq.read_metadata(file)
    assert metadata.created_by.startswith("minutebook"), metadata.created_by
    assert metadata.row_group(0).column(0).has_column_index
    polars = pl.read_parquet(file)
    assert polars.schema["timestamp"] == pl.Datetime("ns", "UTC"), polars.schema
    assert polars["n"].to_list() == frame["n"].tolist()
    assert polars["timestamp"].to_physical().to_list() == index.asi8.tolist()
    rows = duckdb.sql(f"select epoch_ns(timestamp), n, price from read_parquet('{file}')").fetchall()
    assert [row[1] for row in rows] == frame["n"].tolist()
    # DuckDB keeps times with a zone in microseconds.
    assert [row[0] // 1000 for row in rows] == [time // 1000 for time in index.asi8.tolist()]
assert total == expected, (total, expected)
print(len(files), "files,", total, "rows")
