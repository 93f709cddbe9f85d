"""The compat layer against the originals' algorithms, on the same inputs in one run.

    cargo xtask bench --section P
    python crates/python/benches/compat.py PEERS [--quick]

PEERS is the folder with seed_impl.py and gen.py. Each case is timed a few times in turn, and the medians are compared.
"""

from __future__ import annotations

import argparse
import gc
import logging
import pathlib
import shutil
import statistics
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
    row(f"load, {count:,} ticks", timed(lambda: original.load_data("BTCUSD"), runs), timed(lambda: ours.load_data("BTCUSD"), runs), ">= 10x")


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
    args = parser.parse_args()
    sys.path.insert(0, str(args.peers))
    import gen
    import seed_impl

    logging.disable(logging.CRITICAL)
    sizes = (2_000, 50_000, 500_000) if args.quick else (10_000, 1_000_000, 5_000_000)
    print(f"{'':<42} {'original ms':>12} {'ours ms':>12} {'':>10} {'wanted':>8}")
    for part, size in zip((decisions, ticks, bars), sizes, strict=True):
        root = pathlib.Path(tempfile.mkdtemp(prefix="minutebook-bench-"))
        try:
            part(root, gen, seed_impl, size, args.runs)
        finally:
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
