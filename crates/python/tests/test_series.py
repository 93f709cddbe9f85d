"""Series: versions, compaction, gaps, declared keys."""

from datetime import datetime, timezone

import pytest
from shared import bars

import minutebook

pa = pytest.importorskip("pyarrow")


def test_versions_are_told_compared_and_restored(book):
    book.series.write("A@1h", bars())
    before = book.series.summary("A@1h").version
    changed = bars().slice(5, 1).set_column(5, "volume", pa.array([9.0]))
    book.series.write("A@1h", changed, "upsert")
    versions = book.series.versions("A@1h")
    assert [version.operation for version in versions] == ["append", "upsert"] and versions[-1].rows == 48
    diff = book.series.diff("A@1h", before)
    assert not diff.is_empty and sum(span.changed for span in diff.ranges) == 1 and diff.from_version == before
    made = book.series.create_snapshot("backtest", ["A@1h"], as_of=before, note={"why": "test"})
    assert made.series == {"A@1h": before} and made.note == {"why": "test"}
    version = book.series.restore("A@1h", before, note={"by": "me"})
    assert version > versions[-1].version and book.series.diff("A@1h", before).is_empty
    assert [found.name for found in book.series.snapshots()] == ["backtest"]
    assert book.series.drop_snapshot("backtest") and not book.series.drop_snapshot("backtest")
    with pytest.raises(minutebook.NotFoundError):
        book.series.versions("B@1h") or book.series.restore("B@1h", 1)


def test_small_files_are_put_together(book):
    table = bars(60)
    for i in range(0, 60, 5):
        book.series.write("A@1h", table.slice(i, 5))
    plan = book.series.plan_compaction("A@1h")
    done = book.series.compact("A@1h")
    assert done.segments_before == plan.segments_before and done.segments_after == plan.segments_after <= done.segments_before
    assert book.series.scan("A@1h").to_arrow().num_rows == 60
    assert book.series.vacuum("A@1h", dry_run=True).bytes >= 0


def test_gaps_and_wrong_bars_are_found_and_bars_are_made_coarser(book):
    table = bars(48)
    book.series.write("A@1h", pa.concat_tables([table.slice(0, 10), table.slice(14)]))
    spans = book.series.coverage("A@1h")
    assert [(span.state, span.bars) for span in spans] == [("data", 10), ("unknown", 4), ("data", 34)]
    assert spans[1].start == datetime(2025, 1, 1, 10, tzinfo=timezone.utc)
    report = book.series.validate_bars("A@1h")
    assert report.is_clean and report.rows == 44 and report.issues == []
    days = book.series.resampled("A@1h", "1d").to_arrow()
    assert days.num_rows == 2 and days["volume"].to_pylist() == [20.0, 24.0] and days["high"].to_pylist() == [124.0, 148.0]
    book.series.write("B@1h", table.set_column(2, "high", pa.array([1.0] * 48)))
    report = book.series.validate_bars("B@1h", end="2025-01-01T10:00:00")
    assert not report.is_clean and report.counts == {"high_below_low": 10} and report.issues[0].row == 0
    with pytest.raises(ValueError):
        book.series.coverage("A@1h", calendar="sundays")


def test_several_series_are_read_as_one(book):
    book.series.write("A@1h", bars(3))
    book.series.write("B@1h", bars(3))
    rows = book.series.scan_merged(["A@1h", "B@1h"], columns=["close"], first=4).to_arrow()
    assert rows["series"].to_pylist() == ["A@1h", "B@1h", "A@1h", "B@1h"] and rows["close"].to_pylist() == [100.0, 100.0, 101.0, 101.0]


def test_a_declared_key_tells_rows_of_one_time_apart(book):
    at = pa.array([10**18] * 2, pa.timestamp("ns", "UTC"))
    trades = pa.table({"timestamp": at, "trade_id": [1, 2], "price": [1.0, 2.0]})
    version = book.series.declare_key("@trades", ["timestamp", "trade_id"])
    assert book.series.summary("@trades").key == ["timestamp", "trade_id"]
    assert book.series.write("@trades", trades).version > version
    assert book.series.declare_key("@trades", ["trade_id"]) == book.series.summary("@trades").version
    with pytest.raises(minutebook.AlreadyExistsError):
        book.series.write("@trades", trades)
    done = book.series.write("@trades", trades.set_column(2, "price", [[5.0, 6.0]]), "upsert")
    assert (done.replaced, done.inserted) == (2, 0)
    with pytest.raises(minutebook.SchemaMismatchError, match="price"):
        book.series.declare_key("@trades", ["price"])
    with pytest.raises(minutebook.InvalidInputError, match="twice"):
        book.series.declare_key("@trades", ["a", "a"])
    book.series.declare_key("@trades", None)
    assert book.series.summary("@trades").key is None
    assert book.series.summary("@trades").rows == 2
    with pytest.raises(NotImplementedError):
        book.ticks.declare_key("BTCUSD@ticks", ["trade_id"])
