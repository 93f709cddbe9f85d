"""What programs that were written for the originals do with a store beyond calling it: copies, other directories, links, damage."""

import copy
import json
import logging
import multiprocessing
import os
import pickle
import shutil
import stat
import threading
from concurrent.futures import ProcessPoolExecutor

import pytest

import minutebook
from minutebook.compat.finance_feedback_engine import DecisionStore, TimeSeriesDataStore
from minutebook.compat.macrocredit import DataRegistry


def decision(id_, **more):
    return {"id": id_, "timestamp": "2025-01-01T00:00:00", **more}


def names(directory):
    return sorted(name for name in os.listdir(directory) if not name.startswith("."))


@pytest.fixture
def decisions(tmp_path):
    return DecisionStore({"storage_path": tmp_path / "decisions"}, raise_errors=True)


@pytest.fixture
def ticks(tmp_path):
    return TimeSeriesDataStore(tmp_path / "ticks")


@pytest.fixture
def modest():
    before = os.umask(0o027)
    yield
    os.umask(before)


# ---- copies


@pytest.mark.parametrize("again", [lambda value: pickle.loads(pickle.dumps(value)), copy.deepcopy, copy.copy], ids=["pickle", "deepcopy", "copy"])
@pytest.mark.parametrize("is_used", [False, True])
def test_a_copy_opens_the_same_directory(decisions, ticks, again, is_used):
    decisions.note = "an attribute of the program's own"
    if is_used:
        decisions.save_decision(decision("0"))
        ticks.save_data("X", {"n": 0})
    others = again(decisions), again(ticks)
    others[0].save_decision(decision("1"))
    others[1].save_data("X", {"n": 1})
    assert decisions.get_decision_by_id("1") == decision("1") and others[0].get_decision_count() == 1 + is_used
    assert [entry["n"] for entry in ticks.load_data("X")] == list(range(not is_used, 2))
    assert others[0].note == decisions.note and others[0].raise_errors is True and others[0].config == decisions.config
    assert others[1].storage_path == ticks.storage_path


def _work(decisions, ticks, who):
    decisions.save_decision(decision(str(who)))
    ticks.save_data("X", {"n": who})
    return decisions.get_decision_count() > 0


def test_stores_go_to_the_workers_of_a_pool(decisions, ticks):
    decisions.save_decision(decision("first"))
    ticks.save_data("X", {"n": -1})
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert all(pool.map(_work, [decisions] * 6, [ticks] * 6, range(6)))
    assert decisions.get_decision_count() == 7
    assert sorted(entry["n"] for entry in ticks.load_data("X")) == list(range(-1, 6))


# ---- another directory


def test_a_relative_path_is_looked_up_at_each_call(tmp_path, monkeypatch):
    for name in ("a", "b"):
        for part in ("decisions", "ticks"):
            (tmp_path / name / part).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    decisions, ticks = DecisionStore({"storage_path": "decisions"}, raise_errors=True), TimeSeriesDataStore("ticks")
    decisions.save_decision(decision("1"))
    ticks.save_data("X", {"n": 1})
    monkeypatch.chdir(tmp_path / "b")
    assert decisions.get_decision_count() == 0 and decisions.get_decisions() == [] and decisions.get_decision_by_id("1") is None
    assert ticks.load_data("X") == []
    decisions.save_decision(decision("2"))
    ticks.save_data("X", {"n": 2})
    assert decisions.get_decisions() == [decision("2")] and ticks.load_data("X") == [{"n": 2}]
    for name, n in (("a", 1), ("b", 2)):
        assert sorted(os.listdir(tmp_path / name / "decisions")) == [".decisions.lock", f"2025-01-01_{n}.json"]
        assert sorted(os.listdir(tmp_path / name / "ticks")) == [".x.lock", "x_timeseries.jsonl"]
        assert (tmp_path / name / "ticks/x_timeseries.jsonl").read_text() == f'{{"n": {n}}}\n'


def test_a_path_that_a_program_sets_counts_from_then_on(decisions, ticks, tmp_path):
    decisions.save_decision(decision("1"))
    ticks.save_data("X", {"n": 1})
    before = decisions.storage_path, ticks.storage_path
    (tmp_path / "other").mkdir()
    decisions.storage_path = ticks.storage_path = tmp_path / "other"
    assert decisions.get_decision_count() == 0 and ticks.load_data("X") == []
    decisions.save_decision(decision("2"))
    ticks.save_data("X", {"n": 2})
    assert decisions.delete_decision("1") is False
    assert ticks.load_data("X") == [{"n": 2}] and decisions.get_decisions() == [decision("2")]
    assert sorted(os.listdir(tmp_path / "other")) == [".decisions.lock", ".x.lock", "2025-01-01_2.json", "x_timeseries.jsonl"]
    decisions.storage_path, ticks.storage_path = before
    assert decisions.get_decisions() == [decision("1")] and ticks.load_data("X") == [{"n": 1}]


@pytest.mark.parametrize("durability", ["buffered", "synced"])
def test_ticks_go_on_when_their_directory_is_there_again(tmp_path, durability):
    ticks = TimeSeriesDataStore(tmp_path / "ticks", durability=durability)
    for round_ in range(3):
        ticks.save_data("X", {"n": round_})
        shutil.rmtree(ticks.storage_path)
        for symbol in "XYX":
            with pytest.raises(FileNotFoundError):
                ticks.save_data(symbol, {"lost": True})
        assert ticks.load_data("X") == []
        ticks.storage_path.mkdir()
        ticks.save_data("X", {"n": round_})
        ticks.save_data("Y", {"n": round_})
        assert ticks.load_data("X") == ticks.load_data("Y") == [{"n": round_}]
        # Gone and there again between two calls.
        shutil.rmtree(ticks.storage_path)
        ticks.storage_path.mkdir()
        ticks.save_data("X", {"n": 7})
        assert ticks.load_data("X") == [{"n": 7}]
        os.unlink(ticks.storage_path / "x_timeseries.jsonl")
        ticks.save_data("X", {"n": 8})
        assert ticks.load_data("X") == [{"n": 8}]


# ---- damaged decisions


@pytest.mark.parametrize("text", [b'{"id": "a"', b"", b"\xff\xfe"])
def test_a_decision_that_cannot_be_read_is_deleted_by_its_name(decisions, text, caplog):
    for id_ in ("x_a", "a", "b"):
        decisions.save_decision(decision(id_))
    own, longer = decisions.storage_path / "2025-01-01_a.json", decisions.storage_path / "2025-01-01_x_a.json"
    own.write_bytes(text)
    longer.write_bytes(text)
    with caplog.at_level(logging.ERROR):
        assert decisions.get_decision_by_id("a") is None
        assert "2025-01-01_a.json" in caplog.text
        for id_ in ("*", "?", "[a]", "", "2025-01-01_a"):
            assert decisions.delete_decision(id_) is False
        assert decisions.delete_decision("a") is True
        assert names(decisions.storage_path) == ["2025-01-01_b.json", "2025-01-01_x_a.json"]
        assert decisions.delete_decision("a") is False
        assert decisions.delete_decision("x_a") is True
    assert decisions.get_decision_by_id("b") == decision("b")


def test_an_update_of_a_torn_decision_leaves_one_file(decisions):
    decisions.save_decision(decision("a"))
    (decisions.storage_path / "2025-01-01_a.json").write_text('{"id": "a"')
    later = {**decision("a"), "timestamp": "2026-05-05T00:00:00", "n": 1}
    decisions.update_decision(later)
    assert names(decisions.storage_path) == ["2025-01-01_a.json"]
    assert decisions.get_decision_by_id("a") == later


# ---- links


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_decision_that_is_a_link_is_replaced_as_a_rename_does(decisions, tmp_path):
    target, link = tmp_path / "target.json", decisions.storage_path / "2025-01-01_q.json"
    target.write_text(json.dumps(decision("q")))
    for change in (decisions.update_decision, decisions.save_decision):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        assert decisions.get_decision_by_id("q") == decision("q")
        change(decision("q", n=1))
        assert not link.is_symlink() and json.loads(link.read_text()) == decision("q", n=1) == decisions.get_decision_by_id("q")
        assert json.loads(target.read_text()) == decision("q")
    link.unlink()
    link.symlink_to(target)
    assert decisions.delete_decision("q") is True
    assert target.exists() and not os.path.lexists(link)
    assert [name for name in os.listdir(decisions.storage_path) if name != ".decisions.lock"] == []


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_ticks_behind_a_link_are_appended_to_where_it_leads(ticks, tmp_path):
    link = ticks.storage_path / "x_timeseries.jsonl"
    for target in (tmp_path / "one", tmp_path / "two_timeseries.jsonl"):
        target.write_text('{"n": 0}\n')
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        ticks.save_data("X", {"n": 1})
        assert link.is_symlink() and target.read_text() == '{"n": 0}\n{"n": 1}\n'
        assert ticks.load_data("X") == [{"n": 0}, {"n": 1}]
    # A file that becomes a link while it is open.
    ticks.save_data("Y", {"n": 0})
    os.rename(ticks.storage_path / "y_timeseries.jsonl", tmp_path / "y")
    (ticks.storage_path / "y_timeseries.jsonl").symlink_to(tmp_path / "y")
    ticks.save_data("Y", {"n": 1})
    assert ticks.load_data("Y") == [{"n": 0}, {"n": 1}]


# ---- who may read


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_files_may_be_read_by_whom_the_process_lets(tmp_path, modest):
    def mode(path):
        return oct(stat.S_IMODE(path.stat().st_mode))

    ticks, decisions = TimeSeriesDataStore(tmp_path / "ticks"), DecisionStore({"storage_path": tmp_path / "decisions"})
    ticks.save_data("X", {"n": 1})
    decisions.save_decision(decision("1"))
    DataRegistry(tmp_path / "registry.json", tmp_path / "data")
    for name in ("ticks/x_timeseries.jsonl", "ticks/.x.lock", "decisions/.decisions.lock", "registry.json", ".registry.json.lock"):
        assert mode(tmp_path / name) == "0o640", name
    # A file that is made while the store is open, and one that has its mode from elsewhere.
    os.unlink(tmp_path / "ticks/x_timeseries.jsonl")
    ticks.save_data("X", {"n": 2})
    assert mode(tmp_path / "ticks/x_timeseries.jsonl") == "0o640"
    os.chmod(tmp_path / "ticks/x_timeseries.jsonl", 0o604)
    ticks.save_data("X", {"n": 3})
    assert mode(tmp_path / "ticks/x_timeseries.jsonl") == "0o604"


# ---- series that were sealed


def test_entries_that_were_sealed_are_loaded_too(tmp_path, caplog):
    with minutebook.create(tmp_path / "store", durability="buffered") as book:
        ticks = TimeSeriesDataStore(tmp_path / "store/ticks")
        expected = []
        for n in range(30):
            entry = {"timestamp": f"2025-01-01T00:00:{59 - n:02d}", "n": n, "big": 10**30, "nan": [float("inf"), "é\ud800"]}
            ticks.save_data("BTCUSD", entry)
            expected.append(entry)
            if n in (9, 19):
                book.ticks.rotate("BTCUSD@ticks")
        assert ticks.load_data("BTCUSD") == expected
        assert (tmp_path / "store/ticks/btcusd_timeseries.jsonl").read_text().count("\n") == 10
        # All of it sealed, and nothing since.
        book.ticks.rotate("BTCUSD@ticks")
        assert not (tmp_path / "store/ticks/btcusd_timeseries.jsonl").exists()
        assert ticks.load_data("BTCUSD") == expected
        plain = tmp_path / "store/ticks/btcusd_timeseries.jsonl"
        odd = '{"timestamp": "x", "n": 30}\r\n{"torn": \n[1, NaN]\n"text"\n{"n": 31}\n'
        plain.write_text("\ufeff" + odd, encoding="utf-8", newline="")
        expected += [{"timestamp": "x", "n": 30}, [1, float("nan")], "text", {"n": 31}]
        with caplog.at_level(logging.WARNING):
            assert repr(ticks.load_data("BTCUSD")) == repr(expected)
            assert caplog.messages[-1].endswith("jsonl: 1 malformed lines skipped (lines 2)") and "moved" not in caplog.text
            # Sealed, these lines are still there.
            book.ticks.rotate("BTCUSD@ticks")
            assert repr(ticks.load_data("BTCUSD")) == repr(expected)
            assert caplog.messages[-1].endswith("segment 4: 1 malformed lines skipped (lines 2)")


def test_segments_that_were_moved_to_parquet_are_told_of(tmp_path, caplog):
    with minutebook.create(tmp_path / "store", durability="buffered"):
        pass
    (tmp_path / "store/minutebook.toml").write_text("[ticks]\ntiered = true\n")
    with minutebook.open(tmp_path / "store", durability="buffered") as book:
        ticks = TimeSeriesDataStore(tmp_path / "store/ticks")
        for n in range(3):
            ticks.save_data("BTCUSD", {"timestamp": f"2025-01-01T00:00:0{n}", "n": n})
            book.ticks.rotate("BTCUSD@ticks")
            if n == 1:
                book.ticks.compact("BTCUSD")
        with caplog.at_level(logging.WARNING):
            assert [entry["n"] for entry in ticks.load_data("BTCUSD")] == [2]
            assert caplog.messages[-1].endswith("2 earlier segments were moved to Parquet; minutebook.open reads them")
            book.ticks.compact("BTCUSD")
            assert ticks.load_data("BTCUSD") == []
            assert caplog.messages[-1].endswith("all earlier segments were moved to Parquet; minutebook.open reads them")


def test_what_is_sealed_while_it_is_loaded_comes_once(tmp_path):
    with minutebook.create(tmp_path / "store", durability="buffered") as book:
        ticks = TimeSeriesDataStore(tmp_path / "store/ticks")
        is_over, done = threading.Event(), []

        def write():
            for n in range(1_500):
                ticks.save_data("X", {"timestamp": "2025-01-01", "n": n})
                done.append(n)
                if n % 100 == 99:
                    book.ticks.rotate("X@ticks")
            is_over.set()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            loads = 0
            while not is_over.is_set() or loads < 3:
                least = len(done)
                found = [entry["n"] for entry in ticks.load_data("X")]
                assert found == list(range(len(found))) and len(found) >= least
                loads += 1
        finally:
            writer.join()
        assert len(ticks.load_data("X")) == 1_500
