"""The tour in the documentation does what it says."""

import pathlib
import re

import pytest

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

TOUR = pathlib.Path(__file__).parents[3] / "docs/python/tour.md"
# What draws or reads may be missing here; the blocks that want it are left out then, and no others.
OPTIONAL = {"matplotlib", "duckdb", "polars"}


def test_the_tour_can_be_pasted_cell_by_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = re.findall(r"^```python\n(.*?)^```", TOUR.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    space = {}
    ran = 0
    for number, cell in enumerate(cells):
        try:
            exec(compile(cell, f"tour.md, cell {number}", "exec"), space)
            ran += 1
        except ModuleNotFoundError as missing:
            if missing.name not in OPTIONAL:
                raise
    assert ran >= len(cells) - 2 and ran > 8
    assert len(space["then"]) == len(space["now"]) == 2160
    assert space["report"].is_clean
    assert space["book"].decisions.count(fields={"/executed": True}) == 1
