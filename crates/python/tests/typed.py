"""What type checkers make of the store, in both ways of calling it. It is checked and never run: `mypy tests/typed.py`."""

from collections.abc import Awaitable
from typing import assert_type

import minutebook
from minutebook import aio


def plain() -> None:
    with minutebook.create("store") as book:
        assert_type(book, minutebook.Minutebook)
        assert_type(book.decisions.save({"id": "d-1"}), minutebook.SaveReceipt)
        assert_type(book.decisions.get("d-1"), minutebook.StoredDecision | None)
        assert_type(book.decisions.count(), int)
        for batch in book.series.scan("A@1h", start="2025-01-01"):
            assert_type(batch, minutebook.Batch)
        for change in book.decisions.watch():
            assert_type(change.id, str)
        book.ticks.write("A@ticks", [], "upsert", on_conflict="keep")
        book.ticks.write("A@ticks", [], "insert")  # type: ignore[arg-type]
        with book.ticks.appender() as appender:
            appender.push("A@ticks", {"price": 1})
        async_rows = book.series.scan("A@1h").__aiter__()  # type: ignore[attr-defined]
        del async_rows


async def awaited() -> None:
    async with aio.create("store") as book:
        assert_type(book, aio.Minutebook)
        assert_type(book.decisions.save({"id": "d-1"}), Awaitable[minutebook.SaveReceipt])
        assert_type(await book.decisions.get("d-1"), minutebook.StoredDecision | None)
        assert_type(await book.decisions.count(), int)
        page = await book.decisions.query(limit=10, fields={"action": "BUY"})
        assert_type(page.decisions, list[minutebook.StoredDecision])
        rows = await book.series.scan("A@1h", start="2025-01-01")
        assert_type(rows, aio.Batches)
        async for batch in rows:
            assert_type(batch, minutebook.Batch)
        async for entry in book.ticks.follow("A@ticks", last=1):
            assert_type(entry, minutebook.Entry)
        async for change in book.decisions.watch():
            assert_type(change, minutebook.Change)
        assert_type(await book.series.versions("A@1h"), list[minutebook.VersionInfo])
        async with book.ticks.appender() as appender:
            await appender.push("A@ticks", {"price": 1})
        assert_type(await book.catalog.get("a"), minutebook.StoredEntry | None)
        assert_type((await book.verify()).is_clean, bool)
        assert_type((await aio.restore("backup", "again")).files, int)
        # What belongs to the other way of calling is refused.
        (await book.decisions.save({"id": "d-1"})).revision
        book.decisions.save({"id": "d-1"}).revision  # type: ignore[attr-defined]
        for batch in rows:  # type: ignore[attr-defined]
            pass
        with aio.in_memory():  # type: ignore[attr-defined]
            pass
