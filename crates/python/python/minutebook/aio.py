"""The store for asyncio: the same objects, whose calls are awaited and whose iterators are used with ``async for``.

::

    async with minutebook.aio.create("my-store") as book:
        await book.decisions.save(decision)
        async for change in book.decisions.watch():
            ...
"""

from __future__ import annotations

import os

from ._native import Minutebook

__all__ = ["create", "in_memory", "open"]


def open(path: str | os.PathLike[str], *, durability: str | None = None) -> Minutebook:  # noqa: A001
    """As :func:`minutebook.open`, for asyncio."""
    return Minutebook(path, durability=durability, asynchronous=True)


def create(path: str | os.PathLike[str], *, durability: str | None = None) -> Minutebook:
    """As :func:`minutebook.create`, for asyncio."""
    return Minutebook(path, create=True, durability=durability, asynchronous=True)


def in_memory() -> Minutebook:
    """As :func:`minutebook.in_memory`, for asyncio."""
    return Minutebook(asynchronous=True)
