"""The store of record for trading systems: what was seen and what was decided, in open files.

::

    import minutebook

    with minutebook.create("my-store") as book:
        book.decisions.save({"id": book.new_id(), "timestamp": "2025-01-02T15:00:00Z", "asset_pair": "BTCUSD", "action": "BUY"})
        book.series.write("BTCUSD@1h", frame)                       # pandas, polars, pyarrow, anything that gives Arrow
        hours = book.series.scan("BTCUSD@1h", start="2025-01-01").to_pandas()

The same with ``await`` is in :mod:`minutebook.aio`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _native
from ._errors import *  # noqa: F403
from ._errors import __all__ as _errors_all
from ._native import (
    BackupCheck,
    BackupReport,
    BarIssue,
    BarReport,
    Batch,
    Batches,
    Catalog,
    Change,
    ChangedRange,
    Changes,
    CompactedTicks,
    Compaction,
    CoverageSpan,
    DamagedFile,
    DecisionPage,
    Decisions,
    Discovered,
    Document,
    Documents,
    Entries,
    Entry,
    Expired,
    Finding,
    Generation,
    Lineage,
    Minutebook,
    NamedSnapshot,
    RawDocument,
    RepairReport,
    RestoreReport,
    RetentionOutcome,
    RetentionPlan,
    SaveReceipt,
    Segment,
    Series,
    SeriesSummary,
    Stale,
    StoredDecision,
    StoredEntry,
    TickAppender,
    Ticks,
    VacuumReport,
    VerifyReport,
    VersionDiff,
    VersionInfo,
    VersionedSeries,
    WriteReceipt,
    __version__,
    backup_generations,
    restore_backup,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._native import Part

__all__ = [
    "BackupCheck",
    "BackupReport",
    "BarIssue",
    "BarReport",
    "Batch",
    "Batches",
    "Catalog",
    "Change",
    "ChangedRange",
    "Changes",
    "CompactedTicks",
    "Compaction",
    "CoverageSpan",
    "DamagedFile",
    "DecisionPage",
    "Decisions",
    "Discovered",
    "Document",
    "Documents",
    "Entries",
    "Entry",
    "Expired",
    "Finding",
    "Generation",
    "Lineage",
    "Minutebook",
    "NamedSnapshot",
    "RawDocument",
    "RepairReport",
    "RestoreReport",
    "RetentionOutcome",
    "RetentionPlan",
    "SaveReceipt",
    "Segment",
    "Series",
    "SeriesSummary",
    "Stale",
    "StoredDecision",
    "StoredEntry",
    "TickAppender",
    "Ticks",
    "VacuumReport",
    "VerifyReport",
    "VersionDiff",
    "VersionInfo",
    "VersionedSeries",
    "WriteReceipt",
    "__version__",
    "check_backup",
    "create",
    "generations",
    "in_memory",
    "open",
    "restore",
    *_errors_all,
]


def open(  # noqa: A001
    path: str | os.PathLike[str],
    *,
    durability: str | None = None,
    epoch_unit: str | None = None,
    tick_columns: Mapping[str, str] | None = None,
) -> Minutebook:
    """Opens the store in a directory; :class:`MissingFileError` if there is none. ``epoch_unit`` (``"s"``, ``"ms"``, ``"us"``, ``"ns"``) is what a
    number in the ``timestamp`` of a tick counts; without it only text is a time. ``tick_columns`` (``{"price": "float64"}``; ``int64``,
    ``float64``, ``boolean``, ``utf8`` or ``timestamp``) says as which types columns of ticks are read, whatever their entries show."""
    return Minutebook(path, durability=durability, epoch_unit=epoch_unit, tick_columns=tick_columns)


def create(
    path: str | os.PathLike[str],
    *,
    durability: str | None = None,
    epoch_unit: str | None = None,
    tick_columns: Mapping[str, str] | None = None,
) -> Minutebook:
    """Opens the store in a directory, and makes it first if it is not there."""
    return Minutebook(path, create=True, durability=durability, epoch_unit=epoch_unit, tick_columns=tick_columns)


def in_memory() -> Minutebook:
    """A store in memory, for tests."""
    return Minutebook()


def restore(
    backup: str | os.PathLike[str],
    into: str | os.PathLike[str],
    *,
    generation: str | None = None,
    parts: list[Part] | None = None,
) -> RestoreReport:
    """Makes a store of a generation of a backup, the newest unless one is named, in a directory that is empty or not there."""
    return restore_backup(backup, into, generation=generation, parts=parts)


def check_backup(backup: str | os.PathLike[str], *, generation: str | None = None) -> BackupCheck:
    """Reads a generation of a backup (the newest unless one is named, ``"all"`` for all) and compares each file with what it was."""
    return _native.check_backup(backup, generation=generation)


def generations(backup: str | os.PathLike[str]) -> list[Generation]:
    """The generations of a backup, the oldest first."""
    return backup_generations(backup)
