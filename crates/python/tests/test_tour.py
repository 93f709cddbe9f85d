"""The tour in the documentation does what it says."""

import os
import pathlib
import re

import pytest

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

TOUR = pathlib.Path(__file__).parents[3] / "docs/python/tour.md"
# What draws or reads may be missing; the cells that want it are left out then, and no others. Not where everything was installed for the tests.
OPTIONAL = set() if os.environ.get("MINUTEBOOK_TESTS_HAVE_ALL") else {"matplotlib", "duckdb", "polars"}


def test_the_tour_can_be_pasted_cell_by_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    cells = re.findall(r"^```python\n(.*?)^```", TOUR.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    space = {}
    ran, missing = 0, []
    for number, cell in enumerate(cells):
        try:
            exec(compile(cell, f"tour.md, cell {number}", "exec"), space)
            ran += 1
        except ModuleNotFoundError as error:
            if error.name not in OPTIONAL:
                raise
            missing.append(error.name)
    assert ran > 8 and len(missing) == len(set(missing)), missing
    if OPTIONAL == set():
        assert ran == len(cells)
    assert len(space["then"]) == len(space["now"]) == 2160
    assert space["report"].is_clean
    assert space["book"].decisions.count(fields={"/executed": True}) == 1
