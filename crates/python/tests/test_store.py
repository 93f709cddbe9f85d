"""The store beyond reading and writing: documents, raw texts, feeds, versions, checks, the catalog's questions."""

import asyncio
import os
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


@pytest.fixture
def book(tmp_path):
    with minutebook.create(tmp_path / "store", durability="buffered") as book:
        yield book


def decision(i, **more):
    return {"id": f"d-{i}", "timestamp": f"2025-03-{i:02d}T10:00:00Z", "asset_pair": "BTCUSD" if i % 2 else "ETHUSD", "action": "BUY", **more}


def bars(count=48, minutes=60):
    start = datetime(2025, 1, 1, tzinfo=timezone.utc)
    times = [start + timedelta(minutes=minutes * i) for i in range(count)]
    closes = [100.0 + i for i in range(count)]
    return pa.table({
        "timestamp": pa.array(times, pa.timestamp("ns", "UTC")),
        "open": closes, "high": [c + 1 for c in closes], "low": [c - 1 for c in closes], "close": closes, "volume": [1.0] * count,
    })


# ---- decisions


def test_a_text_wider_than_json_is_kept_letter_for_letter(book):
    text = '{"id": "wide", "timestamp": "2025-03-01T00:00:00Z", "x": NaN, "n": 123456789012345678901234567890}'
    assert book.decisions.save_raw(text).outcome == "created"
    raw = book.decisions.get_raw("wide")
    assert raw.bytes.decode().strip() == text and raw.file == "2025-03-01_wide.json" and raw.revision
    with pytest.raises(minutebook.UnsupportedError, match="get_raw"):
        book.decisions.get("wide")
    assert book.decisions.get_raw("none") is None
    with pytest.raises(ValueError):
        book.decisions.save_raw("[1]")
    with pytest.raises(NotImplementedError):
        minutebook.in_memory().decisions.save_raw(text)


def test_decisions_are_counted_by_what_they_have_in_common(book):
    book.decisions.save_all(decision(i, outcome={"won": i > 3}) for i in range(1, 6))
    assert dict(book.decisions.count_by("pair")) == {"BTCUSD": 3, "ETHUSD": 2}
    assert dict(book.decisions.count_by("/outcome/won", asset_pair="BTCUSD")) == {False: 2, True: 1}
    assert sum(count for _, count in book.decisions.count_by("day")) == 5
    assert book.decisions.count_by("/none") == [(None, 5)]
    with pytest.raises(ValueError, match="pair, action, day"):
        book.decisions.count_by("asset")


def test_a_retention_plan_is_looked_at_before_it_is_applied(book):
    book.decisions.save_all(decision(i, **({"outcome": 1} if i == 1 else {})) for i in range(1, 7))
    plan = book.decisions.plan_retention(newest=2, per_pair=True, keep_with=["/outcome"])
    assert [item.id for item in plan.expired] == ["d-2"] and plan.kept == 1 and plan.examined == 6 and len(plan) == 1
    assert plan.expired[0].reason == "count" and plan.problems == [] and plan.cutoff is None and "expired=1" in repr(plan)
    old = book.decisions.plan_retention(older_than=timedelta(days=1), asset_pair="ETHUSD")
    assert {item.id for item in old.expired} == {"d-2", "d-4", "d-6"} and old.cutoff is not None
    book.decisions.save(decision(4, changed=True))
    outcome = book.decisions.apply_retention(old)
    assert (outcome.deleted, outcome.gone, outcome.changed, outcome.failed) == (2, 0, ["d-4"], [])
    assert book.decisions.apply_retention(plan).gone == 1
    with pytest.raises(ValueError):
        book.decisions.plan_retention(per_pair=True)


def test_a_state_of_before_is_read_by_time_and_by_revision(book):
    first = book.decisions.save(decision(1))
    time.sleep(0.005)
    book.decisions.save(decision(1, action="SELL"))
    assert book.decisions.get("d-1", at=first.revision)["action"] == "BUY"
    # A datetime of Python has no nanoseconds.
    assert book.decisions.get("d-1", at=first.recorded_at + timedelta(milliseconds=1))["action"] == "BUY"
    assert book.decisions.get("d-1", at=datetime.now(timezone.utc))["action"] == "SELL"


# ---- documents


def test_documents_are_values_under_names(book):
    book.documents.save("runs/2025-01-02", {"b": [1, None], "a": 1.5})
    book.documents.save("params", '{"x": 1}')
    found = book.documents.get("runs/2025-01-02")
    assert found.value == {"b": [1, None], "a": 1.5} and found.name == "runs/2025-01-02" and found.bytes > 0
    assert (book.path / "documents" / "params.json").is_file()
    assert [document.name for document in book.documents.list("runs/")] == ["runs/2025-01-02"]
    assert [document.value for document in book.documents.list()] == [None, None]
    assert book.documents.delete("params") and not book.documents.delete("params") and book.documents.get("params") is None
    with pytest.raises(ValueError):
        book.documents.save("../x", 1)


# ---- ticks


def tick(i):
    return {"timestamp": f"2025-01-01T00:00:{i:02d}Z", "price": i / 2}


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


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("what", [
    "next(book.ticks.follow('BTCUSD@ticks'))",
    "next(book.decisions.watch())",
    "for _ in range(10_000): book.series.scan_merged(['A@1m', 'A@1m']).to_arrow()",
    "for _ in range(10_000): book.series.scan('A@1m').to_arrow()",
])
def test_ctrl_c_is_heard_while_it_waits_and_while_it_works(book, what):
    book.series.write("A@1m", bars(5_000, minutes=1))
    program = f"""
import minutebook, signal, sys
# Nobody may be left to end it.
signal.alarm(120)
book = minutebook.open({str(book.path)!r})
# What is imported on the way, so that the signal does not come while it is.
book.series.scan("A@1m").to_arrow()
print("ready", flush=True)
try:
    {what}
except KeyboardInterrupt:
    print("heard", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "heard\n"
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0


def test_the_interpreter_is_free_while_a_call_waits(book):
    feed = book.ticks.follow("BTCUSD@ticks")
    taken = []
    waiter = threading.Thread(target=lambda: taken.append(next(feed)), daemon=True)
    waiter.start()
    # Were the lock held, nothing below would run.
    for i in range(50):
        book.decisions.save(decision(i % 28 + 1, n=i))
    with book.ticks.appender() as appender:
        for _ in range(1_000):
            appender.append("BTCUSD@ticks", tick(3))
            waiter.join(0.05)
            if not waiter.is_alive():
                break
    assert taken[0].value == tick(3)


# ---- series


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


# ---- the catalog


def test_entries_are_renamed_traced_and_due(book):
    book.series.write("A@1h", bars())
    book.catalog.register_series("raw", "A@1h")
    book.catalog.register_dataset("daily", "A", "daily.parquet", derived_from=["raw"])
    assert book.catalog.lineage("daily").parents == ["raw"] and book.catalog.lineage("raw").descendants == ["daily"]
    book.catalog.rename("raw", "source")
    assert book.catalog.lineage("daily").ancestors == ["source"] and book.catalog.get("raw") is None
    due = {stale.entry.name: stale.reasons for stale in book.catalog.stale()}
    assert "data_missing" in due["daily"] and "source" not in due
    book.series.write("A@1h", bars().slice(0, 1), "upsert")
    book.series.write("B@1h", bars(5))
    found = book.catalog.discover()
    assert [proposal.file_path for proposal in found] == ["series:B@1h"] or found[0].entry["row_count"] == 5
    book.catalog.refresh("source")
    with pytest.raises(KeyError):
        book.catalog.refresh("none")
    assert book.catalog.remove_with_data("source") and book.series.summary("A@1h") is None


# ---- checks


def test_findings_are_objects_and_a_repair_keeps_what_it_replaces(book):
    book.decisions.save_all(decision(i) for i in range(1, 4))
    assert book.verify().is_clean
    torn = book.path / "decisions" / "2025-03-02_d-2.json"
    torn.write_text('{"id": "d-2", "ti')
    report = book.verify(["decisions"])
    assert not report.is_clean and report.damage == 1 and report.journal_head
    finding = report.findings[0]
    assert finding.kind == "decision-torn" and finding.severity == "damage" and finding.part == "decisions" and finding.mendable
    assert finding.path.name == torn.name and finding.kind in finding.text and "kind='decision-torn'" in repr(finding)
    assert [found.kind for found in book.plan_repair()] == ["decision-torn"]
    done = book.repair()
    assert [found.kind for found in done.mended] == ["decision-torn"] and done.failed == [] and done.after.is_clean
    assert done.quarantine.is_dir() and book.decisions.get("d-2")["action"] == "BUY"
    with pytest.raises(ValueError):
        book.verify(["everything"])
    with pytest.raises(NotImplementedError):
        minutebook.in_memory().verify()


def test_a_backup_is_added_to_and_brought_back(book, tmp_path):
    book.decisions.save(decision(1))
    first = book.backup(tmp_path / "backups", keep=5)
    book.decisions.save(decision(2))
    book.series.write("A@1h", bars())
    second = book.backup(tmp_path / "backups")
    assert second.files > first.files and second.copied_files < second.files and second.skipped == second.unsteady == []
    assert [found.name for found in minutebook.generations(tmp_path / "backups")] == [first.generation, second.generation]
    assert minutebook.restore(tmp_path / "backups", tmp_path / "again").generation == second.generation
    minutebook.restore(tmp_path / "backups", tmp_path / "before", generation=first.generation, parts=["decisions"])
    again, before = minutebook.open(tmp_path / "again"), minutebook.open(tmp_path / "before")
    assert again.verify().is_clean and again.decisions.count() == 2 and again.series.summary("A@1h").rows == 48
    assert before.decisions.count() == 1
    with pytest.raises(minutebook.MinutebookError):
        minutebook.restore(tmp_path / "backups", tmp_path / "again")

    async def main():
        other = aio.open(tmp_path / "again")
        made = await other.backup(tmp_path / "other")
        assert (await aio.generations(tmp_path / "other"))[0].name == made.generation
        assert (await aio.restore(tmp_path / "other", tmp_path / "third")).files == made.files

    asyncio.run(main())


def test_a_backup_of_another_store_is_left_alone_unless_the_store_was_moved(book, tmp_path):
    book.decisions.save(decision(1))
    first = book.backup(tmp_path / "backups")
    minutebook.restore(tmp_path / "backups", tmp_path / "moved")
    moved = minutebook.open(tmp_path / "moved")
    with pytest.raises(minutebook.AlreadyExistsError, match="source_moved"):
        moved.backup(tmp_path / "backups")
    second = moved.backup(tmp_path / "backups", source_moved=True)
    assert second.copied_files < first.copied_files and len(minutebook.generations(tmp_path / "backups")) == 2
    moved.backup(tmp_path / "backups")  # from then on the new place is the known one
    with pytest.raises(minutebook.AlreadyExistsError):
        book.backup(tmp_path / "backups")


# ---- asyncio


def test_all_of_it_can_be_awaited(tmp_path):
    async def main():
        book = aio.create(tmp_path / "store", durability="buffered")
        await book.documents.save("a", 1)
        assert (await book.documents.get("a")).value == 1
        assert (await book.verify()).is_clean
        await book.series.write("A@1h", bars())
        assert len(await book.series.versions("A@1h")) == 1
        assert [span.state for span in await book.series.coverage("A@1h")] == ["data"]
        feed = book.ticks.follow("BTCUSD@ticks", start=True)
        async with book.ticks.appender() as appender:
            await appender.push("BTCUSD@ticks", tick(1))
        async for entry in feed:
            assert entry.value == tick(1)
            break
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(feed), 0.2)
        with pytest.raises(TypeError):
            iter(feed)
        await book.decisions.save(decision(1))
        assert await book.decisions.count_by("pair") == [("BTCUSD", 1)]
        assert len(await book.decisions.plan_retention(newest=0)) == 1

    asyncio.run(main())


# ---- instants to the nanosecond


def test_instants_are_there_in_nanoseconds_too(book):
    receipt = book.decisions.save(decision(1))
    stored = book.decisions.get("d-1")
    whole = round(stored.recorded_at.timestamp() * 10**6)
    assert receipt.recorded_at_ns == stored.recorded_at_ns == book.decisions.history("d-1")[0].recorded_at_ns
    assert stored.recorded_at_ns // 1_000 == whole
    # A microsecond is not enough to say which state is meant; the nanoseconds are.
    changed = book.decisions.save(decision(1, more=1))
    assert changed.recorded_at_ns > receipt.recorded_at_ns
    assert book.decisions.get("d-1", at=receipt.recorded_at_ns).decision == decision(1)
    assert book.decisions.get("d-1", at=changed.recorded_at_ns).decision == decision(1, more=1)
    assert book.decisions.get("d-1", at=receipt.recorded_at_ns - 1) is None
    with pytest.raises(ValueError, match="nanoseconds"):
        book.decisions.get("d-1", at=10**40)
    with pytest.raises(ValueError):
        book.decisions.get("d-1", at=True)

    at = 1_735_732_800_123_456_789
    book.series.write("T@ticks", pa.table({"timestamp": pa.array([at, at + 1], pa.timestamp("ns", "UTC")), "price": [1.0, 2.0]}))
    summary = book.series.summary("T@ticks")
    assert (summary.first_ns, summary.last_ns) == (at, at + 1)
    assert book.series.scan("T@ticks", start=at + 1).to_arrow()["price"].to_pylist() == [2.0]
    assert book.series.versions("T@ticks")[0].committed_at_ns > at
    assert minutebook.in_memory().series.summary("T@ticks") is None
    book.documents.save("a", 1)
    assert book.documents.get("a").saved_at_ns // 1_000 == round(book.documents.get("a").saved_at.timestamp() * 10**6)


# ---- keys, segments, checks of backups


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


def ticked(book, first, last):
    with book.ticks.appender() as appender:
        for i in range(first, last):
            appender.push("BTCUSD@ticks", tick(i))


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


def test_a_backup_is_checked_without_restoring_it(book, tmp_path):
    book.decisions.save(decision(1))
    target = tmp_path / "backups"
    first = book.backup(target)
    book.decisions.save(decision(2))
    book.backup(target)
    check = minutebook.check_backup(target)
    assert check.is_whole and check.damaged == [] and check.files > first.files - 1 and check.read > 0
    assert len(minutebook.check_backup(target, generation="all").generations) == 2
    with pytest.raises(KeyError):
        minutebook.check_backup(target, generation="none")
    objects = [path for path in target.rglob("*") if path.is_file() and b"d-2" in path.read_bytes() and "object" in str(path)]
    assert objects
    for path in objects:
        os.chmod(path, 0o644)
        path.write_bytes(b"x")

    async def main():
        return await aio.check_backup(target, generation="all")

    check = asyncio.run(main())
    assert not check.is_whole and check.damaged_files == len(check.damaged) >= 1
    assert check.damaged[0].part == "decisions" and check.damaged[0].object in objects and check.damaged[0].cause


# ---- who stops waiting, who was forked


def test_who_stops_waiting_for_an_entry_leaves_it_to_the_next_call(tmp_path):
    """Timeouts of every length, while entries come: each comes once, in order."""
    count = 300

    async def main():
        book = aio.create(tmp_path / "store", durability="buffered")
        feed = book.ticks.follow("BTCUSD@ticks", start=True)
        found, waits = [], 0

        async def push():
            async with book.ticks.appender() as appender:
                for i in range(count):
                    await appender.push("BTCUSD@ticks", {**tick(1), "n": i})
                    if i % 10 == 0:
                        await asyncio.sleep(0.002)

        pushing = asyncio.create_task(push())
        while len(found) < count:
            waits += 1
            assert waits < 100_000
            try:
                found.append((await asyncio.wait_for(anext(feed), waits % 7 * 0.000_2)).value["n"])
            except asyncio.TimeoutError:
                pass
        await pushing
        assert found == list(range(count)) and waits > count

    asyncio.run(main())


def test_rows_that_were_on_their_way_to_who_stopped_waiting_go_to_the_next_reader(tmp_path):
    """An `async for` that is given up at any moment, and Arrow after it: each row comes once."""
    count = 2_000

    async def rest(book, pause, before):
        rows = await book.series.scan("A@1m", batch_size=100)
        found = [(await anext(rows)) for _ in range(before)]
        waiting = asyncio.create_task(anext(rows))
        await asyncio.sleep(0)
        # The loop is held: what comes meanwhile is delivered to nobody.
        time.sleep(pause)
        waiting.cancel()
        try:
            found.append(await waiting)
        except asyncio.CancelledError:
            pass
        closes = [value for batch in found for value in pa.record_batch(batch)["close"].to_pylist()]
        closes += rows.to_arrow()["close"].to_pylist()
        assert closes == [100.0 + i for i in range(count)], (pause, before)
        with pytest.raises(RuntimeError, match="read already"):
            rows.to_arrow()

    async def main():
        book = aio.create(tmp_path / "store", durability="buffered")
        await book.series.write("A@1m", bars(count, minutes=1))
        for before in (0, 1, 7, 19):
            for pause in (0, 0.000_1, 0.000_5, 0.002, 0.05):
                await rest(book, pause, before)
        rows = await book.series.scan("A@1m", batch_size=100)
        first, second = await asyncio.gather(anext(rows), anext(rows))
        assert len(first) == len(second) == 100 and rows.to_arrow().num_rows == count - 200

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_was_opened_before_a_fork_says_so_and_lets_go(book):
    appender = book.ticks.appender()
    appender.push("BTCUSD@ticks", tick(1))
    appender.flush()
    feed, changes, rows = book.ticks.follow("BTCUSD@ticks", start=True), book.decisions.watch(), book.ticks.scan("BTCUSD@ticks")
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        refused = 0
        for call in (lambda: appender.push("BTCUSD@ticks", tick(2)), appender.take_unwritten, lambda: appender.accepted,
                     lambda: next(feed), lambda: next(changes), lambda: next(rows), lambda: pa.table(rows), book.decisions.watch):
            try:
                call()
            except RuntimeError as error:
                refused += "forked" in str(error)
        # A handle that nobody holds any more waits for no thread.
        del appender
        os._exit(100 + refused)
    deadline = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("the child hangs")
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 108
    assert next(feed).value == tick(1)
    appender.close()
