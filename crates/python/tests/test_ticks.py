"""Ticks: feeds, appenders, sealed segments."""

import asyncio
import threading
import time
from datetime import datetime, timezone

import pytest
from shared import tick, ticked

import minutebook
import minutebook.aio


def test_a_feed_of_ticks_waits_for_what_comes_and_goes_on_after_a_position(book):
    book.ticks.write("BTCUSD@ticks", [{"timestamp": datetime(2025, 1, 1), "price": 0.5}])
    feed = book.ticks.follow("BTCUSD@ticks", start=True)
    first = next(feed)
    assert first.value["price"] == 0.5 and first.timestamp == datetime(2025, 1, 1, tzinfo=timezone.utc)
    with book.ticks.appender() as appender:
        writer = threading.Timer(0.1, lambda: appender.push("BTCUSD@ticks", tick(1)))
        writer.start()
        assert next(feed).value == tick(1)
        writer.join()
        appender.push("BTCUSD@ticks", tick(2))
    again = book.ticks.follow("BTCUSD@ticks", after=first.position)
    assert [next(again).value["price"] for _ in range(2)] == [0.5, 1.0]
    assert next(book.ticks.follow("BTCUSD@ticks", last=1)).value == tick(2)
    assert feed.problems == [] and "after=" in repr(feed)
    with pytest.raises(ValueError):
        book.ticks.follow("BTCUSD@ticks", start=True, last=1)
    with pytest.raises(NotImplementedError):
        minutebook.in_memory().ticks.follow("BTCUSD@ticks")


def test_an_appender_says_how_far_it_is_and_ends_with_the_block(book):
    with book.ticks.appender(durability="buffered", linger=0.0) as appender:
        for i in range(100):
            appender.push("BTCUSD@ticks", tick(i % 60))
        appender.append("BTCUSD@ticks", '{"timestamp": "2025-01-01T01:00:00Z", "price": 7}')
        appender.flush()
        assert appender.accepted == appender.written == 101
        with pytest.raises(ValueError):
            appender.push("BTCUSD@ticks", [1])
    assert appender.durable == 101 and appender.take_unwritten() == [] and "durable=101" in repr(appender)
    with pytest.raises(minutebook.MinutebookError):
        appender.push("BTCUSD@ticks", tick(1))
    assert book.ticks.scan("BTCUSD@ticks").to_arrow().num_rows == 101


def test_ticks_are_sealed_and_read_as_one(book):
    with pytest.raises(KeyError):
        book.ticks.rotate("BTCUSD@ticks")
    ticked(book, 0, 3)
    sealed = book.ticks.rotate("BTCUSD@ticks")
    assert (sealed.number, sealed.rows, sealed.lines, sealed.flaws) == (1, 3, 3, 0)
    assert sealed.path.exists() and sealed.stored_bytes == sealed.path.stat().st_size and sealed.first_ns <= sealed.last_ns
    assert book.ticks.rotate("BTCUSD@ticks") is None
    ticked(book, 3, 5)
    assert [(found.number, found.digest) for found in book.ticks.segments("BTCUSD@ticks")] == [(1, sealed.digest)]
    assert book.ticks.scan("BTCUSD@ticks").to_arrow().num_rows == 5
    assert "number=1" in repr(sealed)
    with pytest.raises(minutebook.UnsupportedError, match="tiered"):
        book.ticks.compact()
    with pytest.raises(NotImplementedError):
        minutebook.in_memory().ticks.rotate("BTCUSD@ticks")


def test_sealed_ticks_are_moved_to_parquet(tmp_path):
    minutebook.create(tmp_path / "store").ticks.appender().close()
    (tmp_path / "store" / "minutebook.toml").write_text("[ticks]\ntiered = true\n")
    book = minutebook.open(tmp_path / "store", durability="buffered")
    ticked(book, 0, 4)
    before = book.ticks.scan("BTCUSD@ticks").to_arrow()
    book.ticks.rotate("BTCUSD@ticks")
    planned, = book.ticks.compact("BTCUSD", dry_run=True)
    assert [segment.rows for segment in planned.moved] == [4] and planned.moved[0].path.exists()
    done, = book.ticks.compact()
    assert done.series == "BTCUSD@ticks" and done.refused == done.resumed == [] and done.freed_bytes > 0
    assert not done.moved[0].path.exists() and book.ticks.segments("BTCUSD@ticks") == []
    assert book.ticks.scan("BTCUSD@ticks").to_arrow().num_rows == before.num_rows

    async def main():
        other = minutebook.aio.open(tmp_path / "store")
        assert await other.ticks.rotate("BTCUSD@ticks") is None
        assert await other.ticks.segments("BTCUSD@ticks") == []
        assert (await other.ticks.compact("BTCUSD"))[0].moved == []
        assert await other.series.declare_key("@trades", ["trade_id"]) == 1

    asyncio.run(main())


def test_numbers_are_times_where_their_unit_is_declared(tmp_path):
    path, second = tmp_path / "store", 1_735_689_600
    with minutebook.create(path, durability="buffered") as book:
        with pytest.raises(minutebook.InvalidInputError):
            with book.ticks.appender() as appender:
                appender.append("BTCUSD@ticks", {"timestamp": second * 1_000, "price": 1})
    with minutebook.open(path, durability="buffered", epoch_unit="ms") as book:
        with book.ticks.appender() as appender:
            appender.push("BTCUSD@ticks", {"timestamp": second * 1_000 + 250, "price": 1})
            appender.append("BTCUSD@ticks", {"timestamp": "2025-01-01T00:00:01Z", "price": 2})
        rows = book.ticks.scan("BTCUSD@ticks").to_arrow()
        assert rows["timestamp"].cast("int64").to_pylist() == [second * 10**9 + 250_000_000, (second + 1) * 10**9]
    # Declared once, it stays with the series.
    with minutebook.open(path) as book:
        assert book.ticks.scan("BTCUSD@ticks", start="2025-01-01T00:00:00.1Z", end="2025-01-01T00:00:01Z").to_arrow()["price"].to_pylist() == [1]
        assert next(book.ticks.follow("BTCUSD@ticks", start=True)).timestamp_ns == second * 10**9 + 250_000_000
    # Of a file that another program wrote.
    (path / "ticks/ethusd_timeseries.jsonl").write_text(f'{{"timestamp": {second}, "price": 3}}\n')
    for unit, found in (("s", [second * 10**9]), ("us", [second * 10**3])):
        with minutebook.open(path, epoch_unit=unit) as book:
            assert book.ticks.scan("ETHUSD@ticks").to_arrow()["timestamp"].cast("int64").to_pylist() == found
    with pytest.raises(minutebook.InvalidInputError, match="write s, ms"):
        minutebook.open(path, epoch_unit="minutes")


def test_columns_are_read_as_they_are_declared(tmp_path):
    path = tmp_path / "store"
    with minutebook.create(path, durability="buffered") as book, book.ticks.appender() as appender:
        for second, price in enumerate(("1.5", 2, "dear")):
            appender.push("BTCUSD@ticks", {"timestamp": f"2025-01-01T00:00:0{second}Z", "price": price})
    with minutebook.open(path, tick_columns={"price": "float64", "side": "utf8"}) as book:
        rows = book.ticks.scan("BTCUSD@ticks").to_arrow()
        assert rows["price"].to_pylist() == [1.5, 2.0, None]
        assert rows["side"].to_pylist() == [None] * 3
    with minutebook.open(path) as book:
        assert book.ticks.scan("BTCUSD@ticks").to_arrow()["price"].to_pylist() == ["1.5", "2", "dear"]
    for columns in ({"price": "decimal"}, {"timestamp": "utf8"}):
        with pytest.raises(minutebook.InvalidInputError):
            minutebook.open(path, tick_columns=columns)


def test_a_series_that_refuses_entries_stops_no_other(tmp_path):
    path = tmp_path / "store"
    with minutebook.create(path, epoch_unit="s") as book, book.ticks.appender() as appender:
        appender.append("BTCUSD@ticks", {"timestamp": 1_735_689_600, "price": 1})
    with minutebook.open(path, epoch_unit="ms") as book:
        appender = book.ticks.appender()
        for series in ("BTCUSD@ticks", "ETHUSD@ticks"):
            appender.push(series, {"timestamp": 1_735_689_600_000, "price": 2})
        with pytest.raises(minutebook.InvalidInputError, match="BTCUSD"):
            appender.flush()
        assert (appender.accepted, appender.written, appender.refused) == (2, 1, 1)
        with pytest.raises(minutebook.InvalidInputError, match="refused"):
            appender.append("BTCUSD@ticks", {"timestamp": "2025-01-01", "price": 3})
        assert [series for series, _ in appender.take_unwritten()] == ["BTCUSD@ticks"]
        appender.append("BTCUSD@ticks", {"timestamp": "2025-01-01", "price": 3})
        appender.close()
        assert book.ticks.scan("BTCUSD@ticks").to_arrow()["price"].to_pylist() == [1, 3]
        assert book.ticks.scan("ETHUSD@ticks").to_arrow()["price"].to_pylist() == [2]


def test_what_was_written_is_synced_after_an_interval(book):
    with book.ticks.appender(durability="buffered", sync_interval=0.01) as appender:
        appender.push("BTCUSD@ticks", tick(1))
        deadline = time.monotonic() + 60
        while appender.durable < 1:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    with pytest.raises(minutebook.InvalidInputError, match="sync_interval"):
        book.ticks.appender(sync_interval=-1)
