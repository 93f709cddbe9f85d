"""The store itself: decisions, series, ticks, catalog, with and without asyncio."""

import asyncio
import errno
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

import minutebook
from minutebook import aio

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")


def decision(i, **more):
    return {"id": f"d-{i}", "timestamp": f"2025-03-{i + 1:02d}T10:00:00Z", "asset_pair": "BTCUSD", "action": "BUY", **more}


def test_a_store_says_where_it_is(book, tmp_path):
    assert repr(book) == f"Minutebook({tmp_path / 'store'})"
    assert book.path == tmp_path / "store"
    assert book.new_id() != book.new_id()
    assert repr(minutebook.in_memory()) == "Minutebook(in memory)"
    assert "registry.json" in repr(book.catalog) and "Ticks(of=ticks" in repr(book.ticks)


def test_a_missing_store_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        minutebook.open(tmp_path / "none")
    assert isinstance(caught.value, minutebook.MinutebookError)
    assert caught.value.kind == "not_found" and str(tmp_path / "none") in str(caught.value)
    with pytest.raises(ValueError, match="durability"):
        minutebook.create(tmp_path, durability="perhaps")


def test_decisions_are_saved_and_found(book):
    receipt = book.decisions.save(decision(1, note="é", nested={"a": [1, 2.5, None]}))
    assert receipt.outcome == "created" and receipt.recorded_at.tzinfo is not None
    assert book.decisions.save(decision(1, note="é", nested={"a": [1, 2.5, None]})).outcome == "unchanged"
    stored = book.decisions.get("d-1")
    assert stored.decision == decision(1, note="é", nested={"a": [1, 2.5, None]})
    assert stored["note"] == "é" and "none" not in stored and stored.get("none", 5) == 5
    assert stored.revision == receipt.revision and 'id="d-1"' in repr(stored)
    with pytest.raises(KeyError):
        stored["none"]
    assert book.decisions.get("d-2") is None
    assert book.decisions.save('{"id": "text", "n": 1.10}').outcome == "created"
    assert '"n":1.10' in book.decisions.get("text").json.replace(" ", "")


def test_each_kind_of_error_is_a_class_of_its_own(book):
    first = book.decisions.save(decision(1))
    with pytest.raises(minutebook.AlreadyExistsError) as caught:
        book.decisions.save(decision(1), "create")
    assert caught.value.resource == "d-1" and "d-1" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(KeyError):
        book.decisions.save(decision(2), "update")
    book.decisions.save(decision(1, executed=True), expected=first.revision)
    with pytest.raises(minutebook.ConflictError) as caught:
        book.decisions.save(decision(1, executed=False), expected=first.revision)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is minutebook.ConflictError and str(again) == str(caught.value)
    for bad in ({"no": "id"}, {"id": "x", "v": float("nan")}, {"id": "../x"}, "no json", {"id": "x", "timestamp": "yesterday"}):
        with pytest.raises(ValueError):
            book.decisions.save(bad)
    with pytest.raises(ValueError, match="condition"):
        book.decisions.count(colour="red")
    with pytest.raises(NotImplementedError):
        book.ticks.write("BTCUSD@ticks", [{"timestamp": datetime(2025, 1, 1), "price": 1.0}], "upsert")
    # In place of an exception for all, each gets its own.
    results = book.decisions.save_all([decision(1), decision(9)], "create")
    assert isinstance(results[0], minutebook.AlreadyExistsError) and results[1].outcome == "created"


def test_queries(book):
    book.decisions.save_all(decision(i, action="BUY" if i % 2 else "SELL", confidence=i / 10, tag={"k": i % 3}) for i in range(10))
    page = book.decisions.query(limit=4)
    assert [d.id for d in page] == ["d-9", "d-8", "d-7", "d-6"] and len(page) == 4 and page[-1].id == "d-6" and page.problems == []
    assert [d.id for d in book.decisions.query(limit=4, after=page.next)] == ["d-5", "d-4", "d-3", "d-2"]
    assert [d.id for d in book.decisions.query(order="oldest", action="SELL", min_confidence=0.3)] == ["d-4", "d-6", "d-8"]
    assert book.decisions.count(start="2025-03-03", end=datetime(2025, 3, 5, tzinfo=timezone.utc)) == 2
    assert book.decisions.count(fields={"/tag/k": 0}) == 4
    assert book.decisions.count(asset_pair="ethusd") == 0
    assert [d.id for d in book.decisions.recent(2, "BTCUSD")] == ["d-9", "d-8"]
    assert book.decisions.delete("d-9") and not book.decisions.delete("d-9")
    assert book.decisions.delete_matching(end="2025-03-03") == 2
    with pytest.raises(ValueError, match="everything"):
        book.decisions.delete_matching()
    assert book.decisions.delete_matching(everything=True) == 7


def test_history_and_earlier_states(book):
    first = book.decisions.save(decision(1, n=1))
    book.decisions.save(decision(1, n=2))
    book.decisions.delete("d-1")
    states = book.decisions.history("d-1")
    assert [state.kind for state in states] == ["saved", "saved", "deleted"]
    assert states[0].decision["n"] == 1 and states[2].decision is None
    assert book.decisions.get("d-1", at=first.revision)["n"] == 1
    assert book.decisions.get("d-1", at=first.recorded_at - timedelta(days=1)) is None


def test_the_feed_gives_each_change_and_ctrl_c_ends_the_wait(book):
    changes = book.decisions.watch()
    book.decisions.save(decision(1))
    book.decisions.delete("d-1")
    seen = [next(changes), next(changes)]
    assert [(change.id, change.kind) for change in seen] == [("d-1", "saved"), ("d-1", "deleted")]
    assert [change.kind for change in [next(book.decisions.watch(after=seen[0].position))]] == ["deleted"]
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        next(changes)
    assert time.monotonic() - start < 30
    book.decisions.save(decision(2))
    assert next(changes).id == "d-2"


# ---- series


def bars(n=1000, start="2025-01-01"):
    times = pd.date_range(start, periods=n, freq="h", tz="UTC", name="timestamp")
    return pd.DataFrame({"open": range(n), "close": [float(i) for i in range(n)]}, index=times)


def test_frames_of_pandas_go_in_and_out(book):
    receipt = book.series.write("BTCUSD@1h", bars())
    assert (receipt.inserted, receipt.replaced) == (1000, 0)
    back = book.series.scan("BTCUSD@1h").to_pandas()
    pd.testing.assert_frame_equal(back, bars(), check_freq=False, check_index_type=False)
    part = book.series.scan("BTCUSD@1h", "2025-01-02", pd.Timestamp("2025-01-03"), columns=["close"]).to_pandas()
    assert len(part) == 24 and list(part.columns) == ["close"] and part["close"].iloc[0] == 24.0
    assert book.series.write("BTCUSD@1h", bars(10), "upsert").replaced == 10
    replaced = book.series.write("BTCUSD@1h", bars(2), "replace", start="2025-01-01", end="2025-01-02")
    assert replaced.version > receipt.version
    assert book.series.scan("BTCUSD@1h", as_of=receipt.version).to_arrow().num_rows == 1000
    assert book.series.scan("BTCUSD@1h", last=3).to_pandas()["open"].tolist() == [997, 998, 999]
    summary = book.series.summary("BTCUSD@1h")
    assert summary.rows == 978 and summary.first == datetime(2025, 1, 1, tzinfo=timezone.utc) and "rows=978" in repr(summary)
    assert book.series.list() == ["BTCUSD@1h"] and book.series.summary("ETHUSD@1h") is None
    assert book.series.delete("BTCUSD@1h", end="2025-01-03") == 26
    with pytest.raises(ValueError):
        book.series.scan("BTCUSD@1h", "2025-01-03", "2025-01-01")
    with pytest.raises(ValueError):
        book.series.write("no series", bars())


def test_naive_frames_nameless_indexes_and_columns_of_times(book):
    naive = bars().tz_localize(None).rename_axis(None)
    book.series.write("A@1h", naive)
    assert book.series.summary("A@1h").first == datetime(2025, 1, 1, tzinfo=timezone.utc)
    column = bars().reset_index().rename(columns={"timestamp": "when"})
    book.series.write("B@1h", column, time_column="when")
    book.series.write("C@1h", column)
    assert book.series.summary("B@1h").rows == book.series.summary("C@1h").rows == 1000
    with pytest.raises(ValueError):
        book.series.write("D@1h", bars().reset_index(drop=True))


def test_arrow_goes_through_as_it_is(book):
    table = pa.Table.from_pandas(bars().reset_index())
    book.series.write("A@1h", table)
    book.series.write("B@1h", table.to_reader(max_chunksize=100))
    book.series.write("C@1h", book.series.scan("A@1h"))
    assert book.series.scan("B@1h").to_arrow().equals(book.series.scan("C@1h").to_arrow())
    batches = book.series.scan("A@1h", batch_size=300)
    assert batches.columns == ["timestamp", "open", "close"]
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == 1000 and max(sizes) <= 300 and batches.problems == []
    assert pa.record_batch(next(book.series.scan("A@1h", batch_size=7))).num_rows == 7
    reader = pa.RecordBatchReader.from_stream(book.series.scan("A@1h"))
    assert reader.read_all().num_rows == 1000
    taken = book.series.scan("A@1h")
    taken.to_arrow()
    with pytest.raises(RuntimeError, match="read already"):
        taken.to_arrow()


def test_polars_takes_and_gives(book):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"timestamp": [datetime(2025, 1, 1), datetime(2025, 1, 2)], "x": [1, 2], "s": ["a", "b"]})
    book.series.write("@things", frame)
    back = book.series.scan("@things").to_polars()
    assert back["x"].to_list() == [1, 2] and back["s"].to_list() == ["a", "b"]


def test_duckdb_takes_what_a_scan_gives(book):
    duckdb = pytest.importorskip("duckdb")
    book.series.write("A@1h", bars())
    hours = pa.RecordBatchReader.from_stream(book.series.scan("A@1h"))
    assert duckdb.sql("select count(*), max(close) from hours").fetchall() == [(1000, 999.0)]
    rows = book.series.scan("A@1h")
    assert duckdb.sql("select sum(open) from rows").fetchall() == [(499500,)]


def test_ticks_append(book):
    rows = [{"timestamp": datetime(2025, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=i), "price": i / 2, "size": i} for i in range(50)]
    assert book.ticks.write("BTCUSD@ticks", rows).inserted == 50
    assert book.ticks.scan("BTCUSD@ticks", "2025-01-01T00:00:40").to_pandas()["size"].tolist() == list(range(40, 50))
    path = book.path / "ticks" / "btcusd_timeseries.jsonl"
    with open(path, "a") as file:
        file.write("damaged\n")
    batches = book.ticks.scan("BTCUSD@ticks")
    assert batches.to_arrow().num_rows == 50 and len(batches.problems) == 1
    with pytest.raises(ValueError):
        book.ticks.scan("BTCUSD@ticks", strict=True).to_arrow()


def test_the_catalog(book):
    book.series.write("BTCUSD@1h", bars())
    entry = book.catalog.register_series("btc_hours", "BTCUSD@1h")
    assert (entry.name, entry.row_count, entry["row_count"]) == ("btc_hours", 1000, 1000)
    revision = book.catalog.register("vix", "VIX", "data/vix.parquet", tenor="1M", metadata={"source": "desk", "n": 1})
    assert book.catalog.get("vix").metadata == {"source": "desk", "n": 1} and book.catalog.get("none") is None
    assert [entry.name for entry in book.catalog.list()] == ["btc_hours", "vix"]
    assert [entry.name for entry in book.catalog.list(instrument="VIX", tenor="1M")] == ["vix"]
    with pytest.raises(minutebook.AlreadyExistsError):
        book.catalog.register("vix", "VIX", "x")
    book.catalog.update("vix", tenor="2M", metadata={"n": None}, expected=revision)
    with pytest.raises(minutebook.ConflictError):
        book.catalog.update("vix", tenor="3M", expected=revision)
    assert book.catalog.get("vix").to_dict()["tenor"] == "2M" and book.catalog.get("vix").metadata == {"source": "desk"}
    with pytest.raises(minutebook.ConflictError):
        book.catalog.remove("vix", expected=revision)
    assert book.catalog.remove("vix") and not book.catalog.remove("vix")
    with pytest.raises(KeyError):
        book.catalog.update("vix", tenor="3M")


def test_the_store_in_memory_is_the_same(tmp_path):
    book = minutebook.in_memory()
    book.decisions.save(decision(1))
    book.series.write("A@1h", bars(5))
    book.catalog.register("x", "X", "x.parquet")
    assert book.path is None and book.decisions.count() == 1 and book.series.summary("A@1h").rows == 5


def test_the_compat_layer_and_the_store_share_a_directory(book):
    from minutebook.compat.finance_feedback_engine import DecisionStore, TimeSeriesDataStore

    store = DecisionStore({"storage_path": book.path / "decisions"}, raise_errors=True)
    book.decisions.save(decision(1))
    store.save_decision(decision(2))
    assert [d["id"] for d in store.get_decisions()] == ["d-2", "d-1"]
    assert [d.id for d in book.decisions.query()] == ["d-2", "d-1"]
    store.update_decision(decision(1, executed=True))
    assert book.decisions.get("d-1")["executed"] is True
    assert store.delete_decision("d-1") and book.decisions.get("d-1") is None
    ticks = TimeSeriesDataStore(book.path / "ticks")
    ticks.save_data("BTCUSD", {"timestamp": "2025-01-01T00:00:00", "price": 1.5})
    book.ticks.write("BTCUSD@ticks", [{"timestamp": datetime(2025, 1, 1, 1), "price": 2.5}])
    assert [entry["price"] for entry in ticks.load_data("BTCUSD")] == [1.5, 2.5]


def _forked(book, answers):
    signal.alarm(60)
    try:
        book.decisions.count()
    except RuntimeError as error:
        answers.put(str(error))
    answers.put(minutebook.open(book.path).decisions.count())


def test_a_fork_opens_the_store_again(book):
    book.decisions.save(decision(1))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=_forked, args=(book, answers))
    process.start()
    assert "open it again" in answers.get(timeout=60)
    assert answers.get(timeout=60) == 1
    process.join()


def test_threads_run_at_the_same_time(book):
    errors = []

    def work(who):
        try:
            for i in range(20):
                book.decisions.save({"id": f"{who}-{i}"})
                assert book.decisions.get(f"{who}-{i}") is not None
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and book.decisions.count() == 80


# ---- asyncio


def test_everything_can_be_awaited(tmp_path):
    async def main():
        async with aio.create(tmp_path / "store", durability="buffered") as book:
            assert repr(book).startswith("AsyncMinutebook(")
            receipts = await asyncio.gather(*(book.decisions.save(decision(i)) for i in range(8)))
            assert all(receipt.outcome == "created" for receipt in receipts)
            assert (await book.decisions.get("d-3"))["action"] == "BUY"
            assert await book.decisions.count() == 8
            with pytest.raises(minutebook.AlreadyExistsError):
                await book.decisions.save(decision(1), "create")
            await book.series.write("A@1h", bars())
            rows = 0
            async for batch in await book.series.scan("A@1h", batch_size=100):
                rows += len(batch)
            assert rows == 1000
            assert (await book.catalog.register_series("a", "A@1h")).row_count == 1000
            with pytest.raises(TypeError):
                iter(await book.series.scan("A@1h"))
        with pytest.raises(ValueError):
            book.__enter__()

    asyncio.run(main())


def test_an_async_feed_waits_and_can_be_cancelled(tmp_path):
    async def main():
        book = aio.create(tmp_path / "store", durability="buffered")
        changes = book.decisions.watch(start=True)

        async def write():
            await asyncio.sleep(0.05)
            await book.decisions.save(decision(1))

        writer = asyncio.create_task(write())
        async for change in changes:
            assert change.id == "d-1" and change.decision["action"] == "BUY"
            break
        await writer
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(changes), 0.2)
        await book.decisions.save(decision(2))
        assert (await asyncio.wait_for(anext(changes), 30)).id == "d-2"

    asyncio.run(main())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_store_that_is_not_there_is_a_missing_file(tmp_path, asynchronous):
    path = tmp_path / "none"
    with pytest.raises(FileNotFoundError) as caught:
        (aio if asynchronous else minutebook).open(path)
    error = caught.value
    assert type(error) is minutebook.MissingFileError and error.errno == errno.ENOENT and error.filename == str(path)
    again = pickle.loads(pickle.dumps(error))
    assert (again.errno, again.filename, str(again)) == (error.errno, error.filename, str(error)) and str(path) in str(error)


def test_what_another_process_holds_is_locked(book, tmp_path):
    holder = """
import sys
from minutebook import _native
with _native.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
    (tmp_path / "backup").mkdir()
    lock = tmp_path / "backup/.minutebook-backup.lock"
    process = subprocess.Popen([sys.executable, "-c", holder, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(minutebook.LockedError, match="another backup") as caught:
            book.backup(tmp_path / "backup")
        assert isinstance(caught.value, OSError) and caught.value.kind == "locked" and str(tmp_path) in caught.value.resource
    finally:
        process.communicate("")
    assert book.backup(tmp_path / "backup").generation


def test_batches_cross_without_a_copy(book):
    """The buffers that Python gets are those of the batch, however often it is given."""
    def addresses(batch):
        return [buffer.address for column in pa.record_batch(batch).columns for buffer in column.buffers() if buffer is not None]

    book.series.write("A@1h", bars(48))
    for batch in book.series.scan("A@1h"):
        first = addresses(batch)
        assert len(first) >= 3 and addresses(batch) == first
        # They live as long as somebody has them.
        table = pa.table(pa.record_batch(batch))
        del batch
        gc.collect()
        assert table["close"].to_pylist() == bars(48)["close"].tolist()
        assert {buffer.address for column in table.columns for buffer in column.chunk(0).buffers() if buffer is not None} == set(first)


def test_what_is_damaged_is_corrupt(book):
    book.series.write("A@1h", bars(48))
    book.ticks.write("BTCUSD@ticks", bars(2))
    (segment,) = book.path.rglob("*.parquet")
    os.truncate(segment, segment.stat().st_size // 2)
    with open(book.path / "ticks/btcusd_timeseries.jsonl", "a") as file:
        file.write("malformed\n")
    again = minutebook.open(book.path)
    for call, named in (
        (lambda: again.series.scan("A@1h").to_arrow(), "parquet"),
        (lambda: again.ticks.scan("BTCUSD@ticks", strict=True).to_arrow(), "line 3"),
    ):
        with pytest.raises(minutebook.CorruptError, match=named) as caught:
            call()
        assert isinstance(caught.value, ValueError) and caught.value.kind == "corrupt"
