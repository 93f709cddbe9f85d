"""The store for asyncio: the same objects, whose calls are awaited and whose iterators are used with ``async for``.

::

    async with minutebook.aio.create("my-store") as book:
        await book.decisions.save(decision)
        async for change in book.decisions.watch():
            ...
"""

from __future__ import annotations

import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from . import _native
from ._native import (
    Batches,
    Catalog,
    Changes,
    Decisions,
    Documents,
    Entries,
    Minutebook,
    Series,
    TickAppender,
    Ticks,
    VersionedSeries,
    backup_generations,
    restore_backup,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._native import BackupCheck, Generation, Part, RestoreReport

__all__ = [
    "Batches",
    "Catalog",
    "Changes",
    "Decisions",
    "Documents",
    "Entries",
    "Minutebook",
    "Series",
    "TickAppender",
    "Ticks",
    "VersionedSeries",
    "check_backup",
    "create",
    "generations",
    "in_memory",
    "open",
    "restore",
]


def open(  # noqa: A001
    path: str | os.PathLike[str],
    *,
    durability: str | None = None,
    epoch_unit: str | None = None,
    tick_columns: Mapping[str, str] | None = None,
) -> Minutebook:
    """As :func:`minutebook.open`, for asyncio."""
    return Minutebook(path, durability=durability, epoch_unit=epoch_unit, tick_columns=tick_columns, asynchronous=True)


def create(
    path: str | os.PathLike[str],
    *,
    durability: str | None = None,
    epoch_unit: str | None = None,
    tick_columns: Mapping[str, str] | None = None,
) -> Minutebook:
    """As :func:`minutebook.create`, for asyncio."""
    return Minutebook(path, create=True, durability=durability, epoch_unit=epoch_unit, tick_columns=tick_columns, asynchronous=True)


def in_memory() -> Minutebook:
    """As :func:`minutebook.in_memory`, for asyncio."""
    return Minutebook(asynchronous=True)


def restore(
    backup: str | os.PathLike[str],
    into: str | os.PathLike[str],
    *,
    generation: str | None = None,
    parts: list[Part] | None = None,
) -> Awaitable[RestoreReport]:
    """As :func:`minutebook.restore`, for asyncio."""
    return restore_backup(backup, into, generation=generation, parts=parts, asynchronous=True)


def check_backup(backup: str | os.PathLike[str], *, generation: str | None = None) -> Awaitable[BackupCheck]:
    """As :func:`minutebook.check_backup`, for asyncio."""
    return _native.check_backup(backup, generation=generation, asynchronous=True)


def generations(backup: str | os.PathLike[str]) -> Awaitable[list[Generation]]:
    """As :func:`minutebook.generations`, for asyncio."""
    return backup_generations(backup, asynchronous=True)
