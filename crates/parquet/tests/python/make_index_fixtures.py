"""Writes a file for every form of index that pandas and pyarrow write. Run by hand, and by tests/python.rs with the Python of CI:

python make_index_fixtures.py DIR

Every file of DIR/read has the rows n = 0, 1, 2 at 2024-01-01, 2024-01-02 and 2024-01-03 00:00 UTC; those of DIR/refused have no time that
can be an index. tests/fixtures/indexes has what pandas 2 and pandas 3 wrote.
"""
import datetime
import pathlib
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

out = pathlib.Path(sys.argv[1])
(out / "read").mkdir(parents=True, exist_ok=True)
(out / "refused").mkdir(parents=True, exist_ok=True)
naive = pd.date_range("2024-01-01", periods=3, freq="D")
utc = naive.tz_localize("UTC")
frame = pd.DataFrame({"n": [0, 1, 2]})


def save(name, made, where="read", **options):
    made.to_parquet(out / where / f"{name}.parquet", engine="pyarrow", **options)


def indexed(index, name=None):
    made = frame.copy()
    made.index = index
    if name is not None:
        made.index.name = name
    return made


for unit in ["ns", "us", "ms"]:
    save(f"naive_{unit}", indexed(naive.as_unit(unit)))
    save(f"utc_{unit}_named", indexed(utc.as_unit(unit), "timestamp"))
save("naive_s_named", indexed(naive.as_unit("s"), "Date"))
save("new_york_ns", indexed(utc.tz_convert("America/New_York"), "Datetime"))
save("kolkata_us", indexed(utc.as_unit("us").tz_convert("Asia/Kolkata")))
save("range_naive_column", frame.assign(timestamp=naive))
save("range_utc_column", frame.assign(time=utc))
save("index_and_time_column", indexed(naive, "when").assign(time=["a", "b", "c"]))
save("text_column", frame.assign(date=[str(day.date()) for day in naive]))
save("text_index", indexed([str(time) for time in naive]))
save("text_index_utc_named", indexed([str(time) for time in utc], "timestamp"))
save("text_iso_column", frame.assign(timestamp=[time.isoformat() for time in utc]))
save("text_categories", frame.assign(date=pd.Categorical([str(day.date()) for day in naive])))
save("date_column", frame.assign(date=[day.date() for day in naive]))
save("int96_index", indexed(naive), use_deprecated_int96_timestamps=True)
save("coerced_ms_index", indexed(naive), version="1.0", coerce_timestamps="ms")
save("two_row_groups", indexed(utc), row_group_size=2)
save("dictionary_off", indexed(utc), use_dictionary=False, compression="gzip")

zoned = pa.array(utc.as_unit("us"), pa.timestamp("us", "UTC"))
table = pa.table({"n": [0, 1, 2], "time": zoned})
pq.write_table(table, out / "read" / "pyarrow_plain.parquet")
pq.write_table(table, out / "read" / "pyarrow_page_v2.parquet", data_page_version="2.0", compression="zstd", write_page_index=True)
pq.write_table(table, out / "read" / "pyarrow_no_statistics.parquet", write_statistics=False)
with pq.ParquetWriter(out / "read" / "pyarrow_no_arrow_schema.parquet", table.schema, store_schema=False) as writer:
    writer.write_table(table)

save("range_without_time", frame, "refused")
save("numbers_as_index", indexed([10, 20, 30], "id"), "refused")
save("words_as_index", indexed(["Monday", "Tuesday", "Wednesday"], "date"), "refused")
save("missing_time", indexed(pd.DatetimeIndex([naive[0], pd.NaT, naive[2]]), "timestamp"), "refused")
save("descending", indexed(naive[::-1], "timestamp"), "refused")
save("time_of_day", frame.assign(time=[datetime.time(1), datetime.time(2), datetime.time(3)]), "refused")
pairs = pd.MultiIndex.from_arrays([["a", "a", "b"], [1, 2, 3]], names=["symbol", "id"])
save("multi_index_without_time", indexed(pairs), "refused")
