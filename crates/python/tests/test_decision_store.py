"""``DecisionStore``: what the original promises, and what it loses."""

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from minutebook.compat.finance_feedback_engine import DecisionStore

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../tests/fixtures/original")


def decision(i, **more):
    return {"id": f"d-{i}", "timestamp": f"2025-03-{i % 28 + 1:02d}T10:00:00", "asset_pair": "BTCUSD", **more}


@pytest.fixture
def store(tmp_path):
    return DecisionStore({"storage_path": str(tmp_path / "a" / "b")}, raise_errors=True)


def test_a_store_makes_its_directory_with_parents(store, tmp_path):
    assert store.storage_path == tmp_path / "a" / "b"
    assert store.storage_path.is_dir()
    assert store.max_decisions == 1000
    assert store.get_decision_count() == 0
    assert store.get_decisions() == []
    assert "decisions=0" in repr(store)


def test_the_file_is_what_json_dump_writes(store):
    value = {
        "id": "x1",
        "timestamp": "2025-12-02T23:30:00-05:00",
        "text": "é \ud800 \n \u2028",
        "numbers": [1, -0.0, 1e400, float("-inf"), 10**60, 1.10, 0.1 + 0.2],
        "nested": {"a": [{"b": [None, True, False, {}]}]},
        "empty": [],
    }
    store.save_decision(value)
    path = store.storage_path / "2025-12-02_x1.json"
    with open(store.storage_path / "expected.txt", "w") as file:
        json.dump(value, file, indent=2)
    assert path.read_bytes() == (store.storage_path / "expected.txt").read_bytes()
    assert store.get_decision_by_id("x1") == value


def test_nan_and_900_levels_come_back(store):
    deep = value = []
    for _ in range(450):
        value.append({"x": []})
        value = value[0]["x"]
    store.save({"id": "deep", "timestamp": "2025-01-01T00:00:00", "deep": deep, "nan": float("nan")})
    back = store.get_decision_by_id("deep")
    assert back["deep"] == deep
    assert back["nan"] != back["nan"]


def test_without_an_id_nothing_is_written_and_an_error_logged(tmp_path, caplog):
    store = DecisionStore({"storage_path": tmp_path / "d"})
    with caplog.at_level(logging.ERROR):
        assert store.save_decision({"timestamp": "2025-01-01T00:00:00"}) is None
        assert store.update_decision({"id": ""}) is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert store.get_decision_count() == 0


def test_a_write_error_is_logged_or_raised(tmp_path, caplog):
    directory = tmp_path / "d"
    store = DecisionStore({"storage_path": directory})
    directory.rmdir()
    with caplog.at_level(logging.ERROR):
        store.save_decision(decision(1))
        store.save_decision(decision(2, value=object()))
    assert len(caplog.records) == 2
    strict = DecisionStore({"storage_path": directory}, raise_errors=True)
    directory.rmdir()
    with pytest.raises(OSError):
        strict.save_decision(decision(1))
    with pytest.raises(TypeError):
        strict.save_decision(decision(2, value=object()))


def test_ids_match_themselves_alone(store):
    ids = ["1", "x_1", "*", "a*b", "[ab]", "a", "?", "../up", "a/b", "a%2Fb", "é", "\ud83d", "x" * 300, "x" * 299, ".", "RECOVERED_A_1_2", "A"]
    for i, id_ in enumerate(ids):
        store.save_decision({"id": id_, "timestamp": "2025-01-01T00:00:00", "n": i})
    assert store.get_decision_count() == len(ids)
    for i, id_ in enumerate(ids):
        assert store.get_decision_by_id(id_)["n"] == i
    for id_ in ["2", "b", "x_*", "", "%2F"]:
        assert store.get_decision_by_id(id_) is None
    assert not store.delete_decision("?x")
    assert store.delete_decision("*")
    assert store.get_decision_count() == len(ids) - 1
    assert os.listdir(store.storage_path.parent) == ["b"]


def test_numbers_as_ids_are_found(store):
    store.save_decision({"id": 17, "timestamp": "2025-01-01T00:00:00"})
    assert store.get_decision_by_id(17) == store.get_decision_by_id("17") == {"id": 17, "timestamp": "2025-01-01T00:00:00"}


def test_newest_written_first_even_within_a_tick(store):
    for i in range(50):
        store.save_decision(decision(i))
    assert [d["id"] for d in store.get_decisions(limit=50)] == [f"d-{i}" for i in reversed(range(50))]
    store.save_decision(decision(7))
    assert store.get_recent_decisions(1)[0]["id"] == "d-7"
    assert len(store.get_decisions()) == 10
    assert store.get_decisions(limit=0) == store.get_decisions(limit=-3) == []


def test_times_that_others_set_count(store):
    for i in range(5):
        store.save_decision(decision(i))
    store.get_decisions()
    old = store.storage_path / "2025-03-05_d-4.json"
    os.utime(old, (1_000_000, 1_000_000))
    os.utime(store.storage_path / "2025-03-01_d-0.json", (4e9, 4e9))
    assert [d["id"] for d in store.get_decisions(limit=9)] == ["d-0", "d-3", "d-2", "d-1", "d-4"]
    store.save_decision(decision(9))
    assert store.get_decisions(limit=2)[1]["id"] == "d-9"
    assert store.cleanup_old_decisions(days=30) == 1
    assert not old.exists()
    assert store.cleanup_old_decisions(days=30) == 0


def test_filters(store):
    for i in range(6):
        store.save_decision(decision(i, asset_pair="ETHUSD" if i % 2 else "BTCUSD"))
    store.save_decision(decision(6, asset_pair=None))
    (store.storage_path / "escaped.json").write_text('{"asset_pair": "\\u0045THUSD", "id": "e"}')
    (store.storage_path / "nested.json").write_text('{"asset_pair": "X", "other": "ETHUSD"}')
    assert [d["id"] for d in store.get_decisions("ETHUSD")] == ["e", "d-5", "d-3", "d-1"]
    assert [d["id"] for d in store.get_decisions("BTCUSD", 2)] == ["d-4", "d-2"]
    assert store.get_decisions("eth") == []
    assert len(store.get_decisions("")) == 9


def test_foreign_files_count_and_come_unfiltered(store):
    (store.storage_path / "a.json").write_text("[1, 2]")
    (store.storage_path / "b.json").write_text("null")
    (store.storage_path / "torn.json").write_text('{"id": ')
    (store.storage_path / "notes.txt").write_text("x")
    assert store.get_decision_count() == 3
    assert sorted(map(str, store.get_decisions())) == ["None", "[1, 2]"]
    assert store.get_decisions("BTCUSD") == []
    assert store.wipe_all_decisions() == 3
    assert (store.storage_path / "notes.txt").exists()


def test_an_update_keeps_the_name(store):
    store.save_decision(decision(1))
    changed = decision(1, timestamp="2026-01-01T00:00:00", executed=True)
    store.update_decision(changed)
    assert [p.name for p in store.storage_path.glob("*.json")] == ["2025-03-02_d-1.json"]
    assert store.get_decision_by_id("d-1") == changed
    store.update_decision(decision(2))
    assert store.get_decision_count() == 2


def test_an_edit_in_place_with_the_same_size_and_time_is_seen(store):
    store.save_decision(decision(1, n=1))
    path = store.storage_path / "2025-03-02_d-1.json"
    before = path.stat()
    assert store.get_decision_by_id("d-1")["n"] == 1
    text = path.read_text().replace('"n": 1', '"n": 2')
    with open(path, "r+") as file:
        file.write(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert store.get_decision_by_id("d-1")["n"] == 2
    assert store.get_decisions()[0]["n"] == 2


def test_what_others_add_and_remove_is_seen_at_once(store):
    other = DecisionStore({"storage_path": store.storage_path})
    for i in range(20):
        other.save_decision(decision(i))
        assert store.get_decision_by_id(f"d-{i}") is not None
        assert store.get_decision_count() == 1
        assert store.get_decisions()[0]["id"] == f"d-{i}"
        assert store.delete_decision(f"d-{i}")
        assert other.get_decision_by_id(f"d-{i}") is None
        assert other.get_decision_count() == 0


def test_a_directory_that_is_made_anew_is_followed(store):
    import shutil

    store.save_decision(decision(1))
    assert store.get_decision_count() == 1
    shutil.rmtree(store.storage_path)
    assert store.get_decision_count() == 0
    store.storage_path.mkdir()
    assert store.get_decisions() == []
    store.save_decision(decision(2))
    (store.storage_path / "x.json").write_text("{}")
    assert store.get_decision_count() == 2


def test_what_the_original_wrote_is_read(tmp_path):
    import shutil

    directory = tmp_path / "original"
    shutil.copytree(os.path.join(FIXTURES, "decisions"), directory)
    store = DecisionStore({"storage_path": directory})
    assert store.get_decision_count() == len(list(directory.glob("*.json")))
    assert store.get_decision_by_id("5b0c7f4e-9d1f-4c4e-8e52-6f1f1d1a2b3c")["id"].startswith("5b0c7f4e")
    assert store.get_decision_by_id("RECOVERED_BIP20DEC30CDE_1741000000_582be1c7") is not None
    # The original would give either of the two for this id.
    assert store.get_decision_by_id("1")["id"] == "1"
    assert store.get_decision_by_id("x_1")["id"] == "x_1"
    nan = store.get_decision_by_id("nan")
    assert any(value != value for value in nan.values())


def _save_many(path, who, count):
    store = DecisionStore({"storage_path": path}, raise_errors=True)
    for i in range(count):
        store.save_decision({"id": f"{who}-{i}", "timestamp": "2025-01-01T00:00:00", "text": "x" * 2000})
        store.update_decision({"id": "shared", "timestamp": "2025-01-01T00:00:00", "text": f"{who}" * 3000})


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_lose_nothing_and_readers_see_whole_files(tmp_path, method):
    store = DecisionStore({"storage_path": tmp_path / "d"}, raise_errors=True)
    store.save_decision({"id": "shared", "timestamp": "2025-01-01T00:00:00", "text": ""})
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=_save_many, args=(tmp_path / "d", who, 60)) for who in "ab"]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        text = store.get_decision_by_id("shared")["text"]
        assert text == text[:1] * len(text)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert store.get_decision_count() == 121
    assert all(store.get_decision_by_id(f"{who}-{i}") for who in "ab" for i in range(60))


def test_threads_share_a_store(store):
    def work(who):
        for i in range(30):
            store.save_decision({"id": f"{who}-{i}", "timestamp": "2025-01-01T00:00:00"})
            assert store.get_decision_by_id(f"{who}-{i}")

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get_decision_count() == 120


def test_a_kill_leaves_no_torn_file(tmp_path):
    program = (
        "import signal, sys\n"
        "from minutebook.compat.finance_feedback_engine import DecisionStore\n"
        "signal.alarm(60)\n"  # nobody may be left to end it
        "store = DecisionStore({'storage_path': sys.argv[1]}, raise_errors=True)\n"
        "i = 0\n"
        "while True:\n"
        "    store.save_decision({'id': str(i % 5), 'timestamp': '2025-01-01T00:00:00', 'i': i, 'text': 'x' * 100_000})\n"
        "    print(i, flush=True)\n"
        "    i += 1\n"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "d")], stdout=subprocess.PIPE)
        try:
            for _ in range(20):
                said = process.stdout.readline()
        finally:
            process.kill()
        rest = process.communicate()[0].split()
        last = int(rest[-1] if rest else said)
        store = DecisionStore({"storage_path": tmp_path / "d"})
        assert all(len(d["text"]) == 100_000 for d in store.get_decisions(limit=10))
        assert store.get_decision_by_id(str(last % 5))["i"] >= last


def test_ctrl_c_ends_the_wait_for_a_lock(tmp_path):
    from minutebook import _native

    store = DecisionStore({"storage_path": tmp_path / "d"})
    with _native.FileLock(store.storage_path / ".decisions.lock"):
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        start = time.monotonic()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            store.save_decision(decision(1))
        assert time.monotonic() - start < 30
    store.save_decision(decision(1))
    assert store.get_decision_count() == 1


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_calls_answers_as_a_directory_of_files_by_time_does(tmp_path, seed):
    """The format, read by itself: one file each, the newest modification first; a second store opened now and then."""
    import random

    rng = random.Random(seed)
    path = tmp_path / "decisions"
    store = DecisionStore({"storage_path": path}, raise_errors=True)
    pairs = ["BTCUSD", "ETHUSD", None]
    clock = time.time_ns() - 10**15

    def newest(pair=None, limit=10):
        files = sorted(path.glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        found = []
        for file in files:
            value = json.loads(file.read_text())
            if pair and value.get("asset_pair") != pair:
                continue
            found.append(value)
        return found[: max(limit, 0)]

    def by_id(wanted):
        found = [value for value in newest(limit=10**6) if value["id"] == wanted]
        return found[0] if found else None

    for step in range(250):
        id_ = rng.choice(["a", "b_a", "c", "*", "a b", "é", "2025-01-01_x", "x/y", "A"]) + str(rng.randrange(4))
        value = {"id": id_, "timestamp": f"2025-01-0{rng.randrange(1, 4)}T00:00:00", "asset_pair": rng.choice(pairs), "step": step}
        call = rng.randrange(10)
        if call < 3:
            store.save_decision(value)
        elif call < 5:
            there = by_id(id_) is not None
            files = set(path.glob("*.json"))
            store.update_decision(value)
            assert by_id(id_) == value and (not there or set(path.glob("*.json")) == files)
        elif call == 5:
            there = by_id(id_) is not None
            assert store.delete_decision(id_) is there
            assert by_id(id_) is None
        elif call == 6 and (files := sorted(path.glob("*.json"))):
            clock += 10**9
            os.utime(rng.choice(files), ns=(clock, clock))
        elif call == 7:
            before = len(list(path.glob("*.json")))
            days = rng.choice([0.5, 30])
            old = [file for file in path.glob("*.json") if file.stat().st_mtime < time.time() - days * 86_400]
            assert store.cleanup_old_decisions(days) == len(old)
            assert len(list(path.glob("*.json"))) == before - len(old)
        elif call == 8:
            store = DecisionStore({"storage_path": path}, raise_errors=True)
        pair, limit = rng.choice([None, "", *pairs[:2]]), rng.choice([-1, 0, 1, 3, 10, 1_000])
        assert store.get_decisions(pair, limit) == newest(pair, limit)
        assert store.get_decision_by_id(id_) == by_id(id_)
        assert store.get_decision_count() == len(list(path.glob("*.json")))
    count = len(newest(limit=10**6))
    assert store.wipe_all_decisions() == count
    assert store.get_decision_count() == 0


def filled(path, count):
    """A directory as the original writes it, and the ids in it."""
    path.mkdir()
    ids = [f"{i:08x}-{i * 7919 % 65521:04x}" for i in range(count)]
    for i, id_ in enumerate(ids):
        file = path / f"2025-01-{1 + i % 28:02d}_{id_}.json"
        file.write_text(json.dumps({"id": id_, "asset_pair": ("BTCUSD", "ETHUSD")[i % 2], "action": "BUY"}, indent=2))
        os.utime(file, ns=(10**18 + i * 10**9,) * 2)
    return ids


def test_get_and_recent_do_as_much_with_20_000_files_as_with_200(tmp_path):
    """Counted and not timed: the directory is listed once, and each call reads what it gives."""
    done = []
    for count in (200, 20_000):
        ids = filled(tmp_path / str(count), count)
        store = DecisionStore({"storage_path": tmp_path / str(count)})
        assert store.get_decision_count() == count
        calls = [
            lambda: [store.get_decision_by_id(id_)["id"] for id_ in ids[:: count // 20]] == ids[:: count // 20],
            lambda: store.get_decision_by_id("none") is None,
            lambda: [found["id"] for found in store.get_recent_decisions(10)] == ids[: -11 : -1],
            lambda: len(store.get_decisions("ETHUSD", limit=10)) == 10,
            lambda: store.get_decision_count() == count,
            lambda: store.save_decision({"id": "new", "timestamp": "2025-02-01T00:00:00"}) is None,
            lambda: store.get_recent_decisions(1)[0]["id"] == "new",
        ]
        work = []
        for call in calls:
            before = store._files.work()
            assert call()
            work.append(tuple(now - then for now, then in zip(store._files.work(), before, strict=True)))
        done.append(work)
    assert done[0] == done[1]
    lists, looks, reads = map(sum, zip(*done[1], strict=True))
    assert lists == 0 and looks <= 5 and done[1][2] == (0, 0, 10) and reads < 600
