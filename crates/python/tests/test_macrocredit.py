"""Parquet and JSON files and the registry, as ``macrocredit`` has them."""

import copy
import json
import multiprocessing
import os
import pickle
import shutil
import threading
from datetime import date, datetime
from pathlib import Path

import pytest

pd = pytest.importorskip("pandas")
np = pytest.importorskip("numpy")
pytest.importorskip("pyarrow")

from minutebook.compat import aponyx, macrocredit
from minutebook.compat.macrocredit import (
    DataRegistry,
    DatasetEntry,
    EnhancedJSONEncoder,
    list_parquet_files,
    load_json,
    load_parquet,
    save_json,
    save_parquet,
)

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../tests/fixtures/original")


def frames():
    n = 50
    times = pd.date_range("2024-01-01", periods=n, freq="D", name="date")
    base = {"a": np.arange(n) * 1.5, "b": np.arange(n)}
    yield "plain", pd.DataFrame(base, index=times)
    yield "utc", pd.DataFrame(base, index=times.tz_localize("UTC"))
    yield "zone", pd.DataFrame(base, index=times.tz_localize("America/New_York"))
    yield "nameless", pd.DataFrame(base, index=times.rename(None))
    for unit in ("s", "ms", "us", "ns"):
        yield f"unit {unit}", pd.DataFrame(base, index=times.as_unit(unit))
    yield "range", pd.DataFrame(base)
    yield "range from", pd.DataFrame(base, index=pd.RangeIndex(5, 5 + 2 * n, 2, name="r"))
    yield "text", pd.DataFrame(base, index=[f"k{i}" for i in range(n)])
    yield "duplicates", pd.DataFrame(base, index=times[:1].append(times[:-1]))
    yield "multi", pd.DataFrame(base, index=pd.MultiIndex.from_arrays([times, range(n)], names=["t", "i"]))
    yield "categories", pd.DataFrame({"c": pd.Categorical(["x", "y"] * 25, categories=["y", "x", "z"], ordered=True)}, index=times)
    yield "nullable", pd.DataFrame({"i": pd.array([1, None] * 25, dtype="Int64"), "s": pd.array(["x", None] * 25, dtype="string")}, index=times)
    yield "mixed", pd.DataFrame({"t": times[::-1], "o": [date(2024, 1, 1)] * n, "l": [[1, 2]] * n, "by": [b"x"] * n}, index=times)
    yield "nothing but nulls", pd.DataFrame({"x": [None] * n, "y": [np.nan] * n}, index=times)
    attrs = pd.DataFrame(base, index=times)
    attrs.attrs = {"source": "desk", "n": 1}
    yield "attrs", attrs
    yield "one row", pd.DataFrame({"a": [1]}, index=times[:1])
    yield "column index", pd.DataFrame(base, index=times).rename_axis(columns="field")


@pytest.mark.parametrize(("name", "df"), list(frames()), ids=[name for name, _ in frames()])
def test_every_frame_comes_back_as_pandas_itself_reads_it(tmp_path, name, df):
    path = save_parquet(df, tmp_path / "new" / "x.parquet")
    assert path == (tmp_path / "new" / "x.parquet").absolute()
    df.to_parquet(tmp_path / "expected.parquet", engine="pyarrow", compression="snappy", index=True)
    expected = pd.read_parquet(tmp_path / "expected.parquet", engine="pyarrow")
    back = load_parquet(path)
    pd.testing.assert_frame_equal(back, expected, check_freq=False)
    assert back.attrs == expected.attrs
    assert type(back.index) is type(expected.index) and back.index.dtype == expected.index.dtype


@pytest.mark.parametrize("compression", ["snappy", "gzip", "brotli", "zstd", None])
def test_compressions_and_no_index(tmp_path, compression):
    df = pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 6], name="k"))
    path = save_parquet(df, str(tmp_path / "x.parquet"), compression=compression, index=False)
    assert load_parquet(path).columns.tolist() == ["a"]
    assert load_parquet(path).index.equals(pd.RangeIndex(2))


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(ValueError, match="Cannot save empty DataFrame"):
        save_parquet(pd.DataFrame(), tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()
    with pytest.raises(FileNotFoundError):
        load_parquet(tmp_path / "x.parquet")
    save_parquet(pd.DataFrame({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="Date filtering requires DatetimeIndex"):
        load_parquet(tmp_path / "x.parquet", start_date=pd.Timestamp("2024-01-01"))


@pytest.fixture(scope="module")
def minutes(tmp_path_factory):
    """A frame with more than one group of rows, and its file as ours and as pandas itself writes it."""
    directory = tmp_path_factory.mktemp("minutes")
    files = []
    for tz in (None, "UTC", "Europe/Berlin"):
        n = 100_000
        index = pd.date_range("2024-01-01", periods=n, freq="min", tz=tz, name="timestamp")
        df = pd.DataFrame({"a": np.arange(n, dtype=float), "b": np.arange(n)}, index=index)
        for ours in (True, False):
            path = directory / f"{str(tz).replace('/', '_')}_{ours}.parquet"
            save_parquet(df, path) if ours else df.to_parquet(path)
            files.append((path, df))
    return files


def same(a, b):
    # In one piece: the comparison for tests goes through an index item by item.
    return a.equals(b) and a.index.dtype == b.index.dtype and a.index.name == b.index.name


@pytest.mark.parametrize("bounds", [
    ("2024-02-01", "2024-02-10"), ("2024-02-01 00:30", None), (None, "2024-01-01 00:01:30"), ("2030-01-01", None), (None, "2000-01-01"),
    ("2024-03-01", "2024-02-01"), ("2024-01-20", "2024-01-20"), ("2023-12-31", "2025-12-31"),
])
def test_ranges_are_inclusive_and_the_same_as_reading_all(minutes, bounds):
    for path, df in minutes:
        start, end = (None if text is None else pd.Timestamp(text, tz=df.index.tz) for text in bounds)
        expected = pd.read_parquet(path)
        if start is not None:
            expected = expected[expected.index >= start]
        if end is not None:
            expected = expected[expected.index <= end]
        assert same(load_parquet(path, start_date=start, end_date=end), expected)
        part = load_parquet(path, columns=["b"], start_date=start, end_date=end)
        assert same(part, expected[["b"]])
        if start is not None:
            text = load_parquet(path, start_date=bounds[0], end_date=end)
            assert same(text, expected)


def _written(index, **columns):
    n = len(index)
    more = {"price": np.arange(n) / 4, "n": np.arange(n, dtype="int32"), "side": ["buy" if i % 3 else "sell" for i in range(n)], "flag": np.arange(n) % 2 == 0}
    return pd.DataFrame(more | columns, index=index)


@pytest.mark.parametrize(("writer", "unit", "tz"), [
    ("ours", "s", "America/New_York"), ("ours", "ms", "UTC"), ("ours", "us", None), ("ours", "ns", "UTC"), ("ours", "ns", "America/New_York"),
    ("pandas", "s", None), ("pandas", "ms", "America/New_York"), ("pandas", "ns", "UTC"),
    ("small pages", "s", "UTC"), ("small pages", "us", "America/New_York"), ("small pages", "ns", "UTC"), ("small pages", "ns", None),
])
def test_a_range_of_every_unit_and_zone_is_what_a_whole_read_gives(tmp_path, writer, unit, tz):
    index = pd.date_range("2024-01-01", periods=3_000, freq="21min", tz=tz, name="when").as_unit(unit)
    frames = {
        "ascending": _written(index),
        "in no order": _written(index).sample(frac=1, random_state=3),
        "categories": _written(index, kind=pd.Categorical(["a", "b", "c"] * 1_000)),
        "missing": _written(index).assign(price=lambda df: df["price"].where(df["n"] % 5 > 0)),
    }
    for name, df in frames.items():
        path = tmp_path / f"{name}.parquet"
        df.attrs = {"source": name}
        if writer == "ours":
            save_parquet(df, path)
        elif writer == "pandas":
            df.to_parquet(path)
        else:
            df.to_parquet(path, data_page_size=1_024, write_batch_size=64, row_group_size=1_300)
        whole = pd.read_parquet(path)
        for start, end in [("2024-01-20", "2024-01-21"), ("2024-01-20", None), (None, "2024-01-02 03:00"), ("2024-02-13 17:40", "2025-01-01"), ("2030-01-01", None)]:
            start, end = (None if date is None else pd.Timestamp(date, tz=tz) for date in (start, end))
            expected = whole
            if start is not None:
                expected = expected[expected.index >= start]
            if end is not None:
                expected = expected[expected.index <= end]
            found = load_parquet(path, start_date=start, end_date=end)
            pd.testing.assert_frame_equal(found, expected, check_freq=False)
            assert found.index.dtype == expected.index.dtype and found.attrs == expected.attrs
            part = load_parquet(path, columns=["side", "n"], start_date=start, end_date=end)
            pd.testing.assert_frame_equal(part, expected[["side", "n"]], check_freq=False)


def test_a_range_of_a_file_of_pandas_gives_its_rows_alone(tmp_path):
    from minutebook import _native

    path = tmp_path / "x.parquet"
    index = pd.date_range("2024-01-01", periods=50_000, freq="min", tz="UTC", name="when")
    # A single group of rows and no index of pages, as pandas leaves files; only the pages are smaller.
    _written(index).to_parquet(path, data_page_size=4_096, write_batch_size=128)
    bounds = (pd.Timestamp(date, tz="UTC").value for date in ("2024-01-20", "2024-01-21"))
    assert len(_native.load_range(path, None, *bounds)) == 1_441


def test_a_naive_date_is_refused_where_pandas_refuses_it(minutes):
    path = next(path for path, df in minutes if df.index.tz is not None)
    with pytest.raises(TypeError):
        load_parquet(path, start_date=pd.Timestamp("2024-02-01"))


def test_lists_of_files_are_sorted(tmp_path):
    assert list_parquet_files(tmp_path / "none") == []
    for name in ("b", "a"):
        save_parquet(pd.DataFrame({"a": [1]}), tmp_path / f"{name}.parquet")
    assert [path.name for path in list_parquet_files(tmp_path)] == ["a.parquet", "b.parquet"]
    assert list_parquet_files(str(tmp_path), "b*") == [tmp_path / "b.parquet"]


def test_json(tmp_path):
    value = {
        "z": datetime(2025, 1, 1, 12), "day": date(2025, 1, 2), "path": Path("a/b"), "int": np.int64(5), "float": np.float32(0.5),
        "flag": np.bool_(True), "array": np.array([[1, 2], [3, 4]]), "é": "ü",
    }
    path = save_json(value, tmp_path / "x" / "y.json")
    assert path == (tmp_path / "x" / "y.json").absolute()
    back = load_json(path)
    assert back == {
        "z": "2025-01-01T12:00:00", "day": "2025-01-02", "path": "a/b", "int": 5, "float": 0.5, "flag": True, "array": [[1, 2], [3, 4]], "é": "ü",
    }
    assert list(back) == sorted(back)
    assert path.read_text(encoding="utf-8") == json.dumps(value, cls=EnhancedJSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
    with pytest.raises(TypeError):
        save_json({"x": object()}, path)
    assert load_json(path) == back
    with pytest.raises(FileNotFoundError):
        load_json(tmp_path / "none.json")
    path.write_text("{")
    with pytest.raises(json.JSONDecodeError):
        load_json(path)


def test_a_link_is_followed_and_permissions_are_kept(tmp_path):
    target = tmp_path / "target.json"
    save_json({"a": 1}, target)
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask
    target.chmod(0o640)
    (tmp_path / "link.json").symlink_to(target)
    save_json({"a": 2}, tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink() and load_json(target) == {"a": 2}
    assert target.stat().st_mode & 0o777 == 0o640


# ---- the registry


@pytest.fixture
def registry(tmp_path):
    return DataRegistry(tmp_path / "r" / "registry.json", tmp_path / "data")


def test_a_registry_lists_and_keeps(registry, tmp_path):
    assert registry.registry_path.read_text() == "{}" and registry.data_directory.is_dir()
    times = pd.date_range("2024-01-01", periods=3, name="date")
    path = save_parquet(pd.DataFrame({"a": [1, 2, 3]}, index=times), tmp_path / "data" / "x.parquet")
    registry.register_dataset("x", path, "CDX.NA.IG", tenor="5Y", metadata={"source": "desk"})
    registry.register_dataset("a", "nowhere.parquet", "VIX")
    assert registry.list_datasets() == ["a", "x"]
    assert registry.list_datasets(instrument="CDX.NA.IG") == registry.list_datasets(tenor="5Y") == ["x"]
    assert registry.list_datasets("VIX", "5Y") == []
    info = registry.get_dataset_info("x")
    assert (info["start_date"], info["end_date"], info["row_count"]) == ("2024-01-01T00:00:00", "2024-01-03T00:00:00", 3)
    info["tenor"] = "changed"
    entry = registry.get_dataset_entry("x")
    assert isinstance(entry, DatasetEntry) and entry.tenor == "5Y" and entry.metadata == {"source": "desk"}
    assert DatasetEntry.from_dict(entry.to_dict()) == entry
    assert registry.get_dataset_entry("a").row_count is None
    assert "datasets=2" in repr(registry)
    text = registry.registry_path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False)
    again = DataRegistry(registry.registry_path, tmp_path / "data")
    assert again.get_dataset_info("x") == registry.get_dataset_info("x")


def test_statistics_follow_the_file(registry, tmp_path):
    path = tmp_path / "data" / "x.parquet"
    registry.register_dataset("x", path, "I")
    with pytest.raises(FileNotFoundError):
        registry.update_dataset_stats("x")
    save_parquet(pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024-01-01", periods=2, tz="UTC")), path)
    registry.update_dataset_stats("x")
    info = registry.get_dataset_info("x")
    assert (info["start_date"], info["row_count"]) == ("2024-01-01T00:00:00+00:00", 2) and info["last_updated"]
    save_parquet(pd.DataFrame({"a": range(5)}), path)
    registry.update_dataset_stats("x")
    assert registry.get_dataset_info("x")["row_count"] == 5
    path.write_bytes(b"damaged")
    registry.register_dataset("y", path, "I")
    assert registry.get_dataset_entry("y").row_count is None


def test_datasets_are_removed_with_their_file_if_asked(registry, tmp_path):
    path = save_parquet(pd.DataFrame({"a": [1]}), tmp_path / "x.parquet")
    registry.register_dataset("x", path, "I")
    registry.remove_dataset("x")
    assert path.exists() and registry.list_datasets() == []
    registry.register_dataset("x", path, "I")
    registry.remove_dataset("x", delete_file=True)
    assert not path.exists()
    for call in (registry.get_dataset_info, registry.get_dataset_entry, registry.update_dataset_stats, registry.remove_dataset):
        with pytest.raises(KeyError, match="Dataset 'x' not found in registry"):
            call("x")


def test_the_catalog_may_be_changed_and_saved(registry):
    registry.register_dataset("x", "x.parquet", "I")
    entry = registry._catalog["x"]
    entry["custom"] = {"a": datetime(2025, 1, 1)}
    registry._catalog["y"] = {"instrument": "J", "file_path": "y", "registered_at": "now"}
    registry._save()
    again = DataRegistry(registry.registry_path, registry.data_directory)
    assert again.get_dataset_info("x")["custom"] == {"a": "2025-01-01T00:00:00"}
    assert again.list_datasets("J") == ["y"]
    del registry._catalog["x"]
    registry._save()
    assert again.list_datasets() == ["y"]


def test_two_registries_lose_nothing(registry, tmp_path):
    other = DataRegistry(registry.registry_path, tmp_path / "data")
    registry.register_dataset("a", "a", "I")
    other.register_dataset("b", "b", "I")
    registry.register_dataset("c", "c", "I")
    assert registry.list_datasets() == other.list_datasets() == ["a", "b", "c"]
    mine, theirs = registry._catalog["a"], other._catalog["a"]
    mine["tenor"] = "5Y"
    theirs["metadata"]["k"] = 1
    registry._save()
    other._save()
    assert registry.get_dataset_info("a")["tenor"] == "5Y"
    assert other.get_dataset_info("a")["metadata"] == {"k": 1} == registry.get_dataset_info("a")["metadata"]
    assert registry._catalog["a"] is mine
    other.remove_dataset("b")
    registry.register_dataset("d", "d", "I")
    assert registry.list_datasets() == ["a", "c", "d"]


def _register(path, who):
    registry = DataRegistry(path, path.parent)
    for i in range(25):
        registry.register_dataset(f"{who}-{i}", f"{who}-{i}", who)


def test_processes_lose_nothing(registry):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_register, args=(registry.registry_path, who)) for who in "abc"]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        json.loads(registry.registry_path.read_text())
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(registry.list_datasets()) == 75


def test_a_damaged_registry_is_an_error_and_stays(tmp_path):
    path = tmp_path / "registry.json"
    path.write_text('{"x": ')
    with pytest.raises(json.JSONDecodeError):
        DataRegistry(path, tmp_path)
    assert path.read_text() == '{"x": '


def test_a_registry_whose_file_is_gone_is_written_again(registry):
    registry.register_dataset("x", "x", "I")
    registry.registry_path.unlink()
    registry._save()
    assert list(load_json(registry.registry_path)) == ["x"]


def test_what_the_original_wrote_is_read(tmp_path):
    path = tmp_path / "registry.json"
    shutil.copy(os.path.join(FIXTURES, "registry.json"), path)
    before = path.read_bytes()
    registry = DataRegistry(path, tmp_path)
    assert registry.list_datasets() == sorted(json.loads(before))
    for name in registry.list_datasets():
        assert registry.get_dataset_info(name)["instrument"]
    assert path.read_bytes() == before


def test_both_names_are_one_module():
    assert set(aponyx.__all__) == set(macrocredit.__all__)
    assert all(getattr(aponyx, name) is getattr(macrocredit, name) for name in aponyx.__all__)


def test_threads_that_look_take_nothing_out_that_others_registered(tmp_path):
    """Two registries of one file, as two processes have; one of them is looked at by threads while it registers."""
    path = tmp_path / "registry.json"
    mine, other = DataRegistry(path, tmp_path / "data"), DataRegistry(path, tmp_path / "data")
    done = threading.Event()

    def look():
        while not done.is_set():
            mine.list_datasets()

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for thread in lookers:
        thread.start()
    try:
        for i in range(60):
            other.register_dataset(f"other_{i}", tmp_path / "x.parquet", "A")
            mine.register_dataset(f"mine_{i}", tmp_path / "x.parquet", "A")
    finally:
        done.set()
        for thread in lookers:
            thread.join()
    expected = sorted(f"{who}_{i}" for who in ("mine", "other") for i in range(60))
    assert DataRegistry(path, tmp_path / "data").list_datasets() == mine.list_datasets() == other.list_datasets() == expected


def test_a_misspelt_durability_is_refused(tmp_path):
    for call in (
        lambda: save_json({}, tmp_path / "a.json", durability="sync"),
        lambda: DataRegistry(tmp_path / "r.json", tmp_path, durability="Synced"),
    ):
        with pytest.raises(ValueError, match="durability"):
            call()


def test_a_registry_can_be_copied(tmp_path):
    registry = DataRegistry(tmp_path / "r.json", tmp_path)
    registry.register_dataset("a", tmp_path / "x.parquet", "A")
    assert copy.deepcopy(registry).list_datasets() == pickle.loads(pickle.dumps(registry)).list_datasets() == ["a"]


def test_what_json_cannot_hold_is_refused_and_stays_nowhere(registry):
    registry.register_dataset("a", "a", "I")
    before = registry.registry_path.read_bytes()
    for metadata in ({"x": object()}, {"x": {1: "a", "b": 2}}, {"x": {1, 2}}):
        with pytest.raises(TypeError):
            registry.register_dataset("b", "b", "I", metadata=metadata)
        with pytest.raises(TypeError):
            registry.register_dataset("a", "a", "I", metadata=metadata)
    assert list(registry._catalog) == registry.list_datasets() == ["a"] and registry.registry_path.read_bytes() == before
    registry.register_dataset("c", "c", "I")
    assert registry.list_datasets() == ["a", "c"]
