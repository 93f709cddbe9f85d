"""The compat layer against the originals' algorithms, on the same inputs in one run.

    cargo xtask bench --section P
    python crates/python/benches/compat.py PEERS [--quick] [--part decisions|files|ticks|bars]

PEERS is the folder with seed_impl.py and gen.py. Each case is timed a few times in turn, and the medians are compared. Loading ticks is timed
in a process of its own each time, since a process that has loaded a million before has its memory laid out by them.
`limit` is what the interpreter alone needs for such objects, nothing read and nothing parsed: nothing that gives dicts is faster.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import logging
import operator
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def timed(call, runs):
    times = []
    for _ in range(runs):
        gc.collect()
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def row(name, original, ours, wanted):
    factor = original / ours
    print(f"{name:<42} {original * 1e3:>12.3f} {ours * 1e3:>12.3f} {factor:>9.1f}x {wanted:>8}", flush=True)


def bare(name, ours, limit):
    print(f"{name:<42} {'':>12} {ours * 1e3:>12.3f} {ours / limit:>9.1f}x {limit * 1e3:>8.0f} ms limit", flush=True)


def decisions(root, gen, seed, count, runs):
    from minutebook.compat.finance_feedback_engine import DecisionStore

    documents = gen.decisions(count)
    original = seed.DecisionStore(root / "original")
    for document in documents:
        original.save(document)
    shutil.copytree(root / "original", root / "ours")
    ours = DecisionStore({"storage_path": root / "ours"})
    ids = [document["id"] for document in documents[:: max(1, count // 20)]]
    assert original.get(ids[3]) == ours.get_decision_by_id(ids[3])

    def each(get):
        for id_ in ids:
            get(id_)

    size = f"{count:,} decisions"
    row(f"get by id, {size}", timed(lambda: each(original.get), runs) / len(ids), timed(lambda: each(ours.get_decision_by_id), runs) / len(ids), ">= 50x")
    row(f"10 recent, {size}", timed(original.latest, runs), timed(ours.get_decisions, runs), ">= 50x")
    row(f"10 recent of a pair, {size}", timed(lambda: original.latest(10, "BTCUSD"), runs), timed(lambda: ours.get_decisions("BTCUSD"), runs), "")
    row(f"count, {size}", timed(original.count, runs), timed(ours.get_decision_count, runs), "")
    more = iter(gen.decisions(200 * (runs + 1), start=count))
    row("save", timed(lambda: [original.save(next(more)) for _ in range(100)], runs) / 100, timed(lambda: [ours.save(next(more)) for _ in range(100)], runs) / 100, "")


def files(root, gen, seed, count, runs):
    """The same calls on few files and on many: they cost the same."""
    from minutebook.compat.finance_feedback_engine import DecisionStore

    documents = gen.decisions(count)
    times = []
    for number in (count // 100, count):
        store = DecisionStore({"storage_path": root / str(number)})
        for document in documents[:number]:
            store.save(document)
        ids = [document["id"] for document in documents[:number:max(1, number // 100)]]

        def get(store=store, ids=ids):
            for id_ in ids:
                store.get_decision_by_id(id_)

        get()
        times.append((timed(get, runs * 3) / len(ids), timed(store.get_decisions, runs * 3), timed(lambda store=store: store.get_decisions("BTCUSD"), runs * 3)))
    few, many = times
    print(f"{'':<42} {f'{count // 100:,} files':>12} {f'{count:,} files':>12}")
    for name, before, after in zip(("get by id", "10 recent", "10 recent of a pair"), few, many, strict=True):
        print(f"{name:<42} {before * 1e3:>12.3f} {after * 1e3:>12.3f} {after / before:>9.2f}x {'~ 1x':>8}", flush=True)


def ticks(root, gen, seed, count, runs):
    from minutebook.compat.finance_feedback_engine import TimeSeriesDataStore

    entries = gen.ticks(count)
    some = entries[: min(count, 20_000)]
    original, ours = seed.TimeSeriesDataStore(root / "o"), TimeSeriesDataStore(root / "m")

    def append(store):
        def call():
            for entry in some:
                store.save_data("APPEND", entry)

        return call

    row(f"append, {len(some):,} ticks one by one", timed(append(original), runs), timed(append(ours), runs), ">= 1x")
    for entry in entries:
        ours.save_data("BTCUSD", entry)
    shutil.copy(root / "m" / "btcusd_timeseries.jsonl", root / "o")
    assert original.load_data("BTCUSD") == ours.load_data("BTCUSD")
    del entries, some
    times = {who: ([], []) for who in LOADS}
    for _ in range(max(runs, 5)):
        for who, (calls, wholes) in times.items():
            program = [sys.executable, __file__, str(pathlib.Path(gen.__file__).parent), "--load", who, str(root / "m")]
            call, free = subprocess.run(program, check=True, capture_output=True, text=True).stdout.split()
            calls.append(float(call))
            wholes.append(float(call) + float(free))
    calls, wholes = ({who: statistics.median(both[i]) for who, both in times.items()} for i in (0, 1))
    row(f"load, {count:,} ticks", calls["original"], calls["ours"], ">= 10x")
    row("  and giving the list back", wholes["original"], wholes["ours"], "")
    bare("  against the bare objects", calls["ours"], calls["objects"])
    bare("  against dicts of values that are there", calls["ours"], calls["dicts"])


def load_original(folder, gen, seed):
    return lambda: seed.TimeSeriesDataStore(folder).load_data("BTCUSD")


def load_ours(folder, gen, seed):
    from minutebook.compat.finance_feedback_engine import TimeSeriesDataStore

    return lambda: TimeSeriesDataStore(folder).load_data("BTCUSD")


def without_collector(make):
    def call():
        gc.disable()
        try:
            return make()
        finally:
            gc.enable()

    return call


def load_dicts(folder, gen, seed):
    """As a program makes dicts of values that it has."""
    at, price, size = "2024-01-01T00:00:00.123456+00:00", 42500.1, 1.25
    count = lines(folder)
    return without_collector(lambda: [{"symbol": "BTCUSD", "timestamp": at, "price": price, "size": size} for _ in range(count)])


def load_objects(folder, gen, seed):
    """Dicts that share their keys, the smallest that there are, a new text and a new number for each, made by loops in C and not even put together."""

    class Entry:
        pass

    for _ in range(40):
        entry = Entry()
        entry.symbol, entry.timestamp, entry.price, entry.size = "BTCUSD", None, 42500.1, None
    count, template = lines(folder), vars(entry)
    more = itertools.repeat

    def make():
        dicts = list(map(dict.copy, more(template, count)))
        texts = list(map(operator.add, more("2024-01-01T00:00:", count), more("00.123456+00:00")))
        numbers = list(map(operator.add, more(1.25, count), more(0.5)))
        return dicts, texts, numbers

    return without_collector(make)


LOADS = {"original": load_original, "ours": load_ours, "objects": load_objects, "dicts": load_dicts}


def lines(folder):
    return pathlib.Path(folder, "btcusd_timeseries.jsonl").read_bytes().count(b"\n")


def load(who, folder, gen, seed):
    """Says how many seconds a load took, and how many it took to free what it gave."""
    call = LOADS[who](folder, gen, seed)
    lines(folder)
    gc.collect()
    start = time.perf_counter()
    loaded = call()
    done = time.perf_counter()
    del loaded
    print(done - start, time.perf_counter() - done)


def bars(root, gen, seed, count, runs):
    import pandas as pd

    from minutebook.compat.macrocredit import load_parquet, save_parquet

    frame = gen.bars(count)
    start = frame.index[int(count * 0.55)]
    end = start + pd.Timedelta(days=30) - pd.Timedelta(minutes=1)
    theirs = root / "original.parquet"
    row(f"save, {count:,} bars", timed(lambda: seed.save_parquet(frame, theirs), 1), timed(lambda: save_parquet(frame, root / "ours.parquet"), 1), "")
    for name, path in (("as we write it", root / "ours.parquet"), ("as the original writes it", theirs)):
        expected = seed.load_parquet(path, start_date=start, end_date=end)
        pd.testing.assert_frame_equal(load_parquet(path, start_date=start, end_date=end), expected, check_freq=False)
        row(
            f"a month of {count:,} bars, {name}",
            timed(lambda p=path: seed.load_parquet(p, start_date=start, end_date=end), runs),
            timed(lambda p=path: load_parquet(p, start_date=start, end_date=end), runs),
            ">= 20x",
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("peers", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--part", choices=["decisions", "files", "ticks", "bars"], action="append")
    parser.add_argument("--load", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    sys.path.insert(0, str(args.peers))
    import gen
    import seed_impl

    logging.disable(logging.CRITICAL)
    if args.load:
        return load(*args.load, gen, seed_impl)
    few, many = (2_000, 10_000), (50_000, 1_000_000)
    sizes = {"decisions": few, "files": (2_000, 20_000), "ticks": many, "bars": (500_000, 5_000_000)}
    parts = {"decisions": decisions, "files": files, "ticks": ticks, "bars": bars}
    print(f"{'':<42} {'original ms':>12} {'ours ms':>12} {'':>10} {'wanted':>8}")
    for name, part in parts.items():
        if args.part and name not in args.part:
            continue
        root = pathlib.Path(tempfile.mkdtemp(prefix="minutebook-bench-"))
        try:
            part(root, gen, seed_impl, sizes[name][0 if args.quick else 1], args.runs)
        finally:
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
