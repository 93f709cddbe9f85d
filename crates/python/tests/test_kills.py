"""Writers that are killed at any moment, while others read: a reader sees a file whole or not at all, and nothing that was there is lost."""

import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

import minutebook
from minutebook.compat.finance_feedback_engine import TimeSeriesDataStore
from minutebook.compat.macrocredit import load_json, load_parquet

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

ROOT = pathlib.Path(__file__).parents[3]
WHEN = "datetime(2025, 1, 1), datetime(2025, 1, 2), '1h'"
BEGINNING = f"""
import signal, sys, time
from datetime import datetime
import numpy as np
import pandas as pd
from minutebook.compat.finance_feedback_engine import TimeSeriesDataStore
from minutebook.compat.macrocredit import save_json, save_parquet
signal.alarm(100)  # nobody may be left to end it
directory, n = sys.argv[1], int(sys.argv[2])
store = TimeSeriesDataStore(directory)
# Large enough that a write takes a while.
times = pd.date_range("2025-01-01", periods=60_000, freq="min", tz="UTC", name="timestamp")
def frame(n):
    return pd.DataFrame({{"n": np.full(60_000, n), "x": np.random.default_rng(n).random(60_000)}}, index=times)
def document(n):
    return {{"n": n, "all": [n] * 100_000}}
def entry(n):
    return {{"timestamp": "2025-01-01T00:00:00Z", "n": n, "text": str(n) * 500}}
"""


def _of_frame(df):
    assert len(df) == 60_000 and df["n"].nunique() == 1 and df["x"].notna().all()
    return int(df["n"].iloc[0])


def _of_document(value):
    assert value["all"] == [value["n"]] * 100_000
    return value["n"]


def _of_query(directory):
    from datetime import datetime

    found = TimeSeriesDataStore(directory).load_dataframe("A", datetime(2025, 1, 1), datetime(2025, 1, 2), "1h")
    # None is what an unreadable file gives.
    return _of_frame(found)


SAVERS = {
    "save_parquet": ("save_parquet(frame(n), directory + '/a.parquet')", lambda directory: _of_frame(load_parquet(directory / "a.parquet"))),
    "save_json": ("save_json(document(n), directory + '/a.json')", lambda directory: _of_document(load_json(directory / "a.json"))),
    "save_dataframe": (f"store.save_dataframe('A', frame(n), {WHEN})", _of_query),
}


def _begun(program, *arguments):
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("what", SAVERS)
def test_who_reads_meanwhile_or_after_a_kill_gets_a_whole_file(tmp_path, what):
    save, read = SAVERS[what]
    program = BEGINNING + f"""
{save}
print("ready", flush=True)
while True:
    n += 1
    {save}
    print(n, flush=True)
"""
    rng, n, reads = random.Random(what), 1, 0
    for _ in range(6):
        process = _begun(program, tmp_path, n)
        try:
            # Let it write, read while it does, and end it at no moment in particular.
            until = time.monotonic() + rng.uniform(0, 0.4)
            while time.monotonic() < until or reads < 3:
                seen = read(tmp_path)
                assert seen >= n
                n, reads = seen, reads + 1
        finally:
            process.kill()
        said = process.communicate()[0].split()
        last = int(said[-1]) if said and said[-1].isdigit() else n
        after = read(tmp_path)
        assert max(n, last) <= after <= max(n, last) + 1
        n = after
    left = [name for name in os.listdir(tmp_path) if not name.startswith(".")]
    assert len(left) == 1


TICKS = BEGINNING + """
print("ready", flush=True)
while True:
    store.save_data("X", entry(n))
    print(n, flush=True)
    n += 1
    time.sleep(0.000_5)
"""


def killed_while_it_appends(directory, rounds=6):
    """How many entries were acknowledged."""
    rng, store, n = random.Random(7), TimeSeriesDataStore(directory), 0
    for _ in range(rounds):
        process = _begun(TICKS, directory, n)
        try:
            until = time.monotonic() + rng.uniform(0, 0.3)
            before = n
            while time.monotonic() < until or before == n:
                found = store.load_data("X")
                assert [entry["n"] for entry in found] == list(range(len(found))) and len(found) >= before
                assert all(entry["text"] == str(entry["n"]) * 500 for entry in found)
                before = len(found)
        finally:
            process.kill()
        said = [int(line) for line in process.communicate()[0].split() if line.isdigit()]
        found = store.load_data("X")
        assert len(found) >= (said[-1] + 1 if said else n)
        n = len(found)
    return n


def test_ticks_of_a_killed_writer_are_whole_and_none_that_was_acknowledged_is_lost(tmp_path):
    assert killed_while_it_appends(tmp_path) > 0


# ---- what we write, read by the code of the original


def _as_the_original_does(directory, symbol):
    """As the original is described: the file as text, line by line; what is no JSON is left out."""
    path, data = os.path.join(directory, f"{symbol.lower()}_timeseries.jsonl"), []
    if not os.path.exists(path):
        return data
    with open(path, "r", encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if line:
                try:
                    data.append(json.loads(line))
                except json.JSONDecodeError:
                    pass
    return data


def _as_the_benchmarks_do(directory, symbol):
    shared = pathlib.Path(os.environ.get("MINUTEBOOK_SHARED_DATA") or ROOT.parent / "shared/data")
    path = shared.parent / "peers/seed_impl.py"
    if not path.exists():
        pytest.skip(f"the algorithms of the originals are not at {path}")
    spec = importlib.util.spec_from_file_location("seed_impl", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TimeSeriesDataStore(directory).load_data(symbol)


@pytest.mark.parametrize("read", [_as_the_original_does, pytest.param(_as_the_benchmarks_do, marks=pytest.mark.shared_data)])
def test_the_code_of_the_original_reads_what_we_wrote(tmp_path, read):
    """Our lines among CRLF, a byte order mark, malformed lines and a torn tail; and after kills."""
    store = TimeSeriesDataStore(tmp_path)
    path = tmp_path / "x_timeseries.jsonl"
    path.write_bytes("\ufeff".encode() + b'{"n": -3}\r\n{"torn": \n\n{"n": -2}\r\nnot json\n{"n": -1}')
    acknowledged = killed_while_it_appends(tmp_path / "killed", rounds=3)
    for entry in ({"n": 0, "s": "é\ud800", "f": float("inf")}, {"n": 1, "nested": {"a": [10**30]}}):
        store.save_data("X", entry)
    with open(path, "ab") as file:
        file.write(b'{"n": 2, "torn": "')
    with minutebook.create(tmp_path / "store", durability="buffered") as book:
        with book.ticks.appender() as appender:
            for n in range(100):
                appender.push("BTCUSD@ticks", {"timestamp": "2025-01-01T00:00:00Z", "n": n})
    # The original keeps the mark in the first line, which is none then; what we say is what it says, but for that line.
    theirs = read(tmp_path, "X")
    ours = store.load_data("X")
    assert [entry["n"] for entry in ours] == [-3, -2, -1, 0, 1] and theirs == ours[1:]
    assert len(read(tmp_path / "killed", "X")) == acknowledged
    assert [entry["n"] for entry in read(tmp_path / "store/ticks", "BTCUSD")] == list(range(100))
    # And it goes on in our file, and we in its.
    with open(path, "a") as file:
        file.write('"}\n{"n": 3}\n')
    store.save_data("X", {"n": 4})
    assert [entry["n"] for entry in read(tmp_path, "X")] == [-2, -1, 0, 1, 2, 3, 4]
    assert [entry["n"] for entry in store.load_data("X")] == [-3, -2, -1, 0, 1, 2, 3, 4]
