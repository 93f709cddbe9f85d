"""Opens decimals, lists, structures and dictionaries that minutebook-parquet wrote, with pandas, pyarrow, polars and DuckDB, and compares every value.
Run by tests/python.rs.

python check_types.py DIR ROWS
"""
import pathlib
import sys
from decimal import Decimal, localcontext

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq


def expected(i):
    """The values of row i, as tests/python.rs makes them."""
    scaled = lambda digits, scale: Decimal(digits).scaleb(-scale)
    return {
        "price": None if i % 11 == 0 else scaled(100_000 + 3 * i - 7 * (i % 5), 2),
        "wide": scaled(i * 10**20 + 1, 10),
        "levels": None if i % 13 == 0 else [i + k / 2 for k in range(i % 4)],
        "quote": {"bid": scaled(i * 10_001, 4), "venue": None if i % 3 == 0 else f"v{i % 3}"},
        "side": None if i % 7 == 0 else ("buy", "sell")[i % 2],
    }


def plain(value):
    """Arrays as lists, and what pandas says for nothing as None."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist") and not isinstance(value, (str, Decimal)):
        return value.tolist()
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return value


folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
files = sorted(folder.rglob("*.parquet"))
assert files, folder
with localcontext() as context:
    context.prec = 60
    wanted = [expected(i) for i in range(count)]
columns = list(wanted[0])
found = {"pandas": [], "pyarrow": [], "polars": [], "duckdb": []}
for file in files:
    schema = pq.read_schema(file)
    assert schema.field("price").type == pa.decimal128(18, 2), schema
    assert schema.field("wide").type == pa.decimal128(38, 10), schema
    assert schema.field("quote").type.field("bid").type == pa.decimal128(18, 4), schema
    assert pa.types.is_dictionary(schema.field("side").type), schema
    # Eighteen digits fit an integer.
    assert pq.ParquetFile(file).schema.column(1).physical_type == "INT64", pq.ParquetFile(file).schema
    table = pq.ParquetFile(file, page_checksum_verification=True).read()
    found["pyarrow"] += table.select(columns).to_pylist()
    frame = pd.read_parquet(file)
    assert frame.index.name == "timestamp", frame.index
    found["pandas"] += [{c: plain(row[c]) for c in columns} for row in frame[columns].to_dict("records")]
    polars = pl.read_parquet(file)
    assert polars.schema["price"] == pl.Decimal(18, 2), polars.schema
    found["polars"] += polars.select(columns).to_dicts()
    rows = duckdb.sql(f"select {', '.join(columns)} from read_parquet('{file}')").fetchall()
    found["duckdb"] += [dict(zip(columns, row)) for row in rows]
for reader, rows in found.items():
    assert len(rows) == count, (reader, len(rows))
    for i, (row, want) in enumerate(zip(rows, wanted)):
        assert row == want, (reader, i, row, want)
# The decimals are numbers to the engines, not texts.
total = duckdb.sql(f"select sum(price) from read_parquet({[str(file) for file in files]})").fetchall()[0][0]
assert total == sum(row["price"] for row in wanted if row["price"] is not None), total
print(len(files), "files,", count, "rows")
