"""Types of the store for asyncio: what answers at once in :mod:`minutebook` is awaited here."""

import builtins
import os
from collections.abc import Awaitable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, final

from typing_extensions import disjoint_base

import pandas as pd
import polars as pl
import pyarrow as pa

from ._native import (
    BackupCheck,
    BackupReport,
    BarReport,
    Batch,
    Change,
    CompactedTicks,
    Compaction,
    CoverageSpan,
    DecisionPage,
    Discovered,
    Document,
    Entry,
    Finding,
    Generation,
    Instant,
    Lineage,
    Mode,
    NamedSnapshot,
    OpenDays,
    Part,
    RawDocument,
    RepairReport,
    RestoreReport,
    RetentionOutcome,
    RetentionPlan,
    SaveReceipt,
    Segment,
    SeriesSummary,
    Snapshot,
    Stale,
    StoredDecision,
    StoredEntry,
    VacuumReport,
    VerifyReport,
    VersionDiff,
    VersionInfo,
    WriteReceipt,
)

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

def open(
    path: str | os.PathLike[str],
    *,
    durability: str | None = None,
    epoch_unit: str | None = None,
    tick_columns: Mapping[str, str] | None = None,
) -> Minutebook: ...
def create(
    path: str | os.PathLike[str],
    *,
    durability: str | None = None,
    epoch_unit: str | None = None,
    tick_columns: Mapping[str, str] | None = None,
) -> Minutebook: ...
def in_memory() -> Minutebook: ...
def restore(
    backup: str | os.PathLike[str],
    into: str | os.PathLike[str],
    *,
    generation: str | None = None,
    parts: list[Part] | None = None,
) -> Awaitable[RestoreReport]: ...
def check_backup(backup: str | os.PathLike[str], *, generation: str | None = None) -> Awaitable[BackupCheck]: ...
def generations(backup: str | os.PathLike[str]) -> Awaitable[list[Generation]]: ...

@final
class Minutebook:
    def __new__(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        durability: Literal["synced", "buffered"] | str | None = None,
        epoch_unit: Literal["s", "ms", "us", "ns"] | str | None = None,
        tick_columns: Mapping[str, str] | None = None,
        asynchronous: Literal[True],
    ) -> Self: ...
    @property
    def decisions(self) -> Decisions: ...
    @property
    def ticks(self) -> Ticks: ...
    @property
    def series(self) -> VersionedSeries: ...
    @property
    def catalog(self) -> Catalog: ...
    @property
    def documents(self) -> Documents: ...
    def verify(self, parts: list[Part] | None = None, *, head: str | None = None) -> Awaitable[VerifyReport]: ...
    def plan_repair(self, parts: list[Part] | None = None, *, head: str | None = None) -> Awaitable[list[Finding]]: ...
    def repair(self, parts: list[Part] | None = None, *, head: str | None = None) -> Awaitable[RepairReport]: ...
    def backup(
        self,
        target: str | os.PathLike[str],
        *,
        keep: int | None = None,
        reread: bool = False,
        source_moved: bool = False,
    ) -> Awaitable[BackupReport]: ...
    @property
    def path(self) -> Path | None: ...
    def new_id(self) -> str: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

@final
class Decisions:
    def save(
        self, decision: Mapping[str, Any] | str, mode: Mode = "upsert", *, expected: str | None = None
    ) -> Awaitable[SaveReceipt]: ...
    def save_all(
        self, decisions: Iterable[Mapping[str, Any] | str], mode: Mode = "upsert"
    ) -> Awaitable[list[SaveReceipt | Exception]]: ...
    def get(self, id: str, *, at: Instant | None = None) -> Awaitable[StoredDecision | None]: ...
    def query(
        self,
        *,
        order: Literal["newest", "oldest", "recently_written"] = "newest",
        limit: int | None = None,
        after: str | None = None,
        asset_pair: str | None = None,
        action: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        min_confidence: float | None = None,
        id_prefix: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Awaitable[DecisionPage]: ...
    def recent(self, limit: int = 10, asset_pair: str | None = None) -> Awaitable[list[StoredDecision]]: ...
    def count(
        self,
        *,
        asset_pair: str | None = None,
        action: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        min_confidence: float | None = None,
        id_prefix: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Awaitable[int]: ...
    def delete(self, id: str) -> Awaitable[bool]: ...
    def delete_matching(
        self,
        *,
        everything: bool = False,
        asset_pair: str | None = None,
        action: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        min_confidence: float | None = None,
        id_prefix: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Awaitable[int]: ...
    def save_raw(self, text: str, mode: Mode = "upsert", *, expected: str | None = None) -> Awaitable[SaveReceipt]: ...
    def get_raw(self, id: str) -> Awaitable[RawDocument | None]: ...
    def count_by(
        self,
        by: str,
        *,
        asset_pair: str | None = None,
        action: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        min_confidence: float | None = None,
        id_prefix: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Awaitable[list[tuple[Any, int]]]: ...
    def plan_retention(
        self,
        *,
        older_than: timedelta | None = None,
        newest: int | None = None,
        per_pair: bool = False,
        keep_with: list[str] | None = None,
        asset_pair: str | None = None,
        action: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        min_confidence: float | None = None,
        id_prefix: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Awaitable[RetentionPlan]: ...
    def apply_retention(self, plan: RetentionPlan) -> Awaitable[RetentionOutcome]: ...
    def history(self, id: str) -> Awaitable[list[Change]]: ...
    def watch(self, *, start: bool = False, after: str | None = None) -> Changes: ...

@final
class Changes:
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Change: ...

@disjoint_base
class Series:
    def write(
        self,
        series: str,
        data: Any,
        mode: Literal["append", "upsert", "replace"] = "append",
        *,
        on_conflict: Literal["replace", "keep", "fail"] = "replace",
        start: Instant | None = None,
        end: Instant | None = None,
        time_column: str | None = None,
    ) -> Awaitable[WriteReceipt]: ...
    def scan(
        self,
        series: str,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        columns: list[str] | None = None,
        first: int | None = None,
        last: int | None = None,
        as_of: Snapshot | None = None,
        batch_size: int | None = None,
        strict: bool = False,
    ) -> Awaitable[Batches]: ...
    def summary(self, series: str) -> Awaitable[SeriesSummary | None]: ...
    def declare_key(self, series: str, columns: builtins.list[str] | None) -> Awaitable[int]: ...
    def list(
        self, *, symbol: str | None = None, timeframe: str | None = None, prefix: str | None = None
    ) -> Awaitable[list[str]]: ...
    def delete(self, series: str, start: Instant | None = None, end: Instant | None = None) -> Awaitable[int]: ...
    def scan_merged(
        self,
        series: builtins.list[str],
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        columns: builtins.list[str] | None = None,
        first: int | None = None,
        last: int | None = None,
        batch_size: int | None = None,
        strict: bool = False,
    ) -> Awaitable[Batches]: ...
    def coverage(
        self, series: str, start: Instant | None = None, end: Instant | None = None, *, calendar: OpenDays | None = None
    ) -> Awaitable[builtins.list[CoverageSpan]]: ...
    def validate_bars(
        self,
        series: str,
        start: Instant | None = None,
        end: Instant | None = None,
        *,
        calendar: OpenDays | None = None,
        allow_negative_prices: bool = False,
    ) -> Awaitable[BarReport]: ...
    def resampled(
        self, series: str, timeframe: str, start: Instant | None = None, end: Instant | None = None
    ) -> Awaitable[Batches]: ...

@final
class Ticks(Series):
    def follow(
        self, series: str, *, start: bool = False, last: int | None = None, after: str | None = None, strict: bool = False
    ) -> Entries: ...
    def rotate(self, series: str) -> Awaitable[Segment | None]: ...
    def segments(self, series: str) -> Awaitable[builtins.list[Segment]]: ...
    def compact(self, symbol: str | None = None, *, dry_run: bool = False) -> Awaitable[builtins.list[CompactedTicks]]: ...
    def appender(
        self,
        *,
        durability: Literal["synced", "buffered"] | None = None,
        sync_interval: float | None = None,
        linger: float = 0.001,
        batch_bytes: int = 262_144,
        max_queued_bytes: int = 8_388_608,
    ) -> TickAppender: ...

@final
class Entries:
    @property
    def problems(self) -> list[str]: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Entry: ...

@final
class TickAppender:
    def push(self, series: str, entry: Mapping[str, Any] | str) -> Awaitable[None]: ...
    def append(
        self, series: str, entry: Mapping[str, Any] | str, durability: Literal["synced", "buffered"] = "synced"
    ) -> Awaitable[None]: ...
    def flush(self) -> Awaitable[None]: ...
    def sync(self) -> Awaitable[None]: ...
    def close(self) -> Awaitable[None]: ...
    def take_unwritten(self) -> list[tuple[str, str]]: ...
    @property
    def accepted(self) -> int: ...
    @property
    def written(self) -> int: ...
    @property
    def durable(self) -> int: ...
    @property
    def refused(self) -> int: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

@final
class VersionedSeries(Series):
    def versions(self, series: str) -> Awaitable[builtins.list[VersionInfo]]: ...
    def diff(self, series: str, since: Snapshot, to: Snapshot | None = None) -> Awaitable[VersionDiff]: ...
    def restore(self, series: str, to: Snapshot, *, note: dict[str, str] | None = None) -> Awaitable[int]: ...
    def create_snapshot(
        self,
        name: str,
        series: builtins.list[str],
        *,
        as_of: Snapshot | None = None,
        note: dict[str, str] | None = None,
    ) -> Awaitable[NamedSnapshot]: ...
    def snapshots(self) -> Awaitable[builtins.list[NamedSnapshot]]: ...
    def drop_snapshot(self, name: str) -> Awaitable[bool]: ...
    def plan_compaction(self, series: str) -> Awaitable[Compaction]: ...
    def compact(self, series: str) -> Awaitable[Compaction]: ...
    def vacuum(self, series: str, *, dry_run: bool = False) -> Awaitable[VacuumReport]: ...

@final
class Batches:
    @property
    def columns(self) -> list[str]: ...
    @property
    def problems(self) -> list[str]: ...
    def to_arrow(self) -> pa.Table: ...
    def to_pandas(self) -> pd.DataFrame: ...
    def to_polars(self) -> pl.DataFrame: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Batch: ...

@final
class Catalog:
    def register(
        self,
        name: str,
        instrument: str,
        file_path: str | os.PathLike[str],
        *,
        tenor: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        mode: Mode = "create",
    ) -> Awaitable[str]: ...
    def register_series(self, name: str, series: str) -> Awaitable[StoredEntry]: ...
    def get(self, name: str) -> Awaitable[StoredEntry | None]: ...
    def list(
        self,
        *,
        instrument: str | None = None,
        tenor: str | None = None,
        prefix: str | None = None,
        pattern: str | None = None,
        overlaps: tuple[Instant, Instant] | None = None,
    ) -> Awaitable[list[StoredEntry]]: ...
    def update(
        self,
        name: str,
        *,
        instrument: str | None = None,
        tenor: str | None = None,
        file_path: str | os.PathLike[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        expected: str | None = None,
    ) -> Awaitable[str]: ...
    def remove(self, name: str, *, expected: str | None = None) -> Awaitable[bool]: ...
    def remove_with_data(self, name: str) -> Awaitable[bool]: ...
    def rename(self, name: str, to: str) -> Awaitable[str]: ...
    def lineage(self, name: str) -> Awaitable[Lineage]: ...
    def stale(
        self, *, instrument: str | None = None, tenor: str | None = None, prefix: str | None = None
    ) -> Awaitable[builtins.list[Stale]]: ...
    def refresh(self, name: str) -> Awaitable[str]: ...
    def discover(self) -> Awaitable[builtins.list[Discovered]]: ...
    def register_dataset(
        self,
        name: str,
        instrument: str,
        file_path: str | os.PathLike[str],
        *,
        tenor: str | None = None,
        derived_from: builtins.list[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        mode: Mode = "create",
    ) -> Awaitable[str]: ...

@final
class Documents:
    def save(self, name: str, value: Any) -> Awaitable[None]: ...
    def get(self, name: str) -> Awaitable[Document | None]: ...
    def list(
        self, prefix: str | None = None, start: Instant | None = None, end: Instant | None = None
    ) -> Awaitable[list[Document]]: ...
    def delete(self, name: str) -> Awaitable[bool]: ...
