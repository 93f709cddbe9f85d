"""Writes inputs that the peers' scripts make in memory, with their generator, for a program that is no Python.

inputs.py FOLDER SYMBOLS
"""
import pathlib
import sys

import gen
import pandas as pd

folder, symbols = pathlib.Path(sys.argv[1]), int(sys.argv[2])
gen.bars(365, "D").to_parquet(folder / "bars_1d_365.parquet")
frames = []
for i in range(symbols):
    for tf, freq, rows in (("1h", "h", 8760), ("1d", "D", 365)):
        bars = gen.bars(rows, freq, "2023-01-01", 1000 + 2 * i + (tf == "1d"))
        frames.append(bars.reset_index().assign(symbol=f"SYM{i:03}", tf=tf))
pd.concat(frames).to_parquet(folder / f"symbols_{symbols}.parquet", index=False)
