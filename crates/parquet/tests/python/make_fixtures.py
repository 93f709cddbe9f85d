"""Writes the files of tests/fixtures as pandas and pyarrow write them. Run by hand: python make_fixtures.py DIR

Needs pandas and pyarrow. Every file has the rows n = 0, 1, 2 at 2024-01-01, 2024-01-02 and 2024-01-03 00:00 UTC.
"""
import pathlib
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
index = pd.date_range("2024-01-01", periods=3, freq="D")
frame = pd.DataFrame({"n": [0, 1, 2]})


def save(name, index, unit, column=None):
    made = frame.copy()
    index = index.as_unit(unit)
    if column is None:
        made.index = index
    else:
        made[column] = index
    made.to_parquet(out / f"{name}.parquet")


save("utc_ns_named", index.tz_localize("UTC").rename("timestamp"), "ns")
save("naive_us_unnamed", index, "us")
save("zoned_ms_named", index.tz_localize("UTC").tz_convert("America/New_York").rename("Date"), "ms")
save("range_index_time_column", index.tz_localize("UTC"), "ns", "time")
save("naive_s_column", index, "s", "DateTime")
dates = pa.table({"date": pa.array([d.date() for d in index], pa.date32()), "n": [0, 1, 2]})
pq.write_table(dates, out / "pyarrow_date32.parquet")
pq.write_table(dates, out / "pyarrow_lz4_v2.parquet", compression="lz4", data_page_version="2.0", write_page_index=True,
               write_page_checksum=True)
frame.assign(date=[str(d) for d in index]).to_parquet(out / "strings.parquet")
frame.assign(date=["Monday", "Tuesday", "Wednesday"]).to_parquet(out / "words.parquet")
frame.to_parquet(out / "no_time.parquet")
