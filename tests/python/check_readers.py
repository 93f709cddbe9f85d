"""Other programs read what Minutebook wrote: python check_readers.py STORE

Needs pandas, pyarrow, polars and duckdb (requirements.txt). Exits non-zero at the first thing that cannot be read.
"""
import glob
import json
import pathlib
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq


def decisions(folder):
    """The way of the original store: glob by id, json.load, newest files first."""
    files = sorted(folder.glob("*.json"))
    assert files, f"no decision in {folder}"
    for path in files:
        with open(path, encoding="utf-8") as f:
            document = json.load(f)
        assert path.name.startswith(document["timestamp"].split("T")[0] + "_"), path
        found = list(folder.glob(f"*_{glob.escape(document['id'])}.json"))
        assert found == [path], (document["id"], found)
        assert json.dumps(document, indent=2, ensure_ascii=False) == path.read_text("utf-8").rstrip("\n"), path
    journal = folder / "decisions.journal.jsonl"
    with open(journal, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    assert len(lines) >= len(files), journal
    return len(files)


def ticks(folder):
    """The way of the original store: one json.loads a line."""
    total = 0
    for path in sorted(folder.glob("*_timeseries.jsonl")):
        with open(path, encoding="utf-8") as f:
            entries = [json.loads(line) for line in f]
        assert entries and all("timestamp" in entry for entry in entries), path
        total += len(entries)
    assert total, f"no tick in {folder}"
    return total


def series(folder):
    """Each segment is an ordinary Parquet file; pandas gets `timestamp` as a UTC index."""
    paths = sorted(folder.rglob("*.parquet"))
    assert paths, f"no segment in {folder}"
    for path in paths:
        frame = pd.read_parquet(path)
        assert isinstance(frame.index, pd.DatetimeIndex), (path, type(frame.index))
        assert frame.index.name == "timestamp" and str(frame.index.tz) == "UTC", (path, frame.index)
        assert frame.index.is_monotonic_increasing, path
        table = pq.read_table(path)
        assert str(table.schema.field("timestamp").type) == "timestamp[ns, tz=UTC]", table.schema
        rows = {
            "pandas": len(frame),
            "pyarrow": table.num_rows,
            "polars": pl.read_parquet(path).height,
            "duckdb": duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}')").fetchall()[0][0],
        }
        assert len(set(rows.values())) == 1, (path, rows)
        close = {
            "pandas": float(frame["close"].sum()),
            "polars": float(pl.read_parquet(path)["close"].sum()),
        }
        assert abs(close["pandas"] - close["polars"]) < 1e-6, (path, close)
    return len(paths)


def registry(path):
    """The structure of the original: an object by name, with exactly its keys."""
    keys = {"instrument", "file_path", "registered_at", "tenor", "start_date", "end_date", "row_count",
            "last_updated", "metadata"}
    with open(path, encoding="utf-8") as f:
        catalog = json.load(f)
    assert catalog, path
    for name, entry in catalog.items():
        assert set(entry) <= keys and {"instrument", "file_path", "registered_at"} <= set(entry), (name, entry)
    return len(catalog)


if __name__ == "__main__":
    store = pathlib.Path(sys.argv[1])
    print(f"{decisions(store / 'decisions')} decisions, {ticks(store / 'ticks')} ticks, "
          f"{series(store / 'series')} segments, {registry(store / 'registry.json')} datasets: all read")
