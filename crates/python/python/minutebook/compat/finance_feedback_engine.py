"""``DecisionStore`` and ``TimeSeriesDataStore`` as ``finance_feedback_engine.persistence`` has them.

Names, arguments, answers and files are those of the original; what it loses or tears, this keeps. Only the import line changes::

    from minutebook.compat.finance_feedback_engine import DecisionStore, TimeSeriesDataStore
"""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _native
from .._errors import InvalidInputError, MinutebookError
from . import _frames
from ._disk import as_plainly_made, is_synced

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DecisionStore", "TimeSeriesDataStore"]

logger = logging.getLogger(__name__)

_DAY_NS = 86_400 * 10**9
_MAX_NAME = 255
# From so many entries on it is worth keeping the collector from them.
_MANY_ENTRIES = 10_000


def _file_part(text: str) -> str:
    """The text as a part of a file name: as it is, but for what no file name can hold."""
    if text.isascii() and "/" not in text and "\0" not in text:
        return text
    raw = text.encode("utf-8", "surrogatepass")
    if b"/" not in raw and b"\0" not in raw:
        try:
            raw.decode("utf-8")
            return text
        except UnicodeDecodeError:
            pass
    return "".join(
        chr(byte) if byte < 0x80 and byte not in (0, 0x2F) else f"%{byte:02X}" for byte in raw
    )


def _tag(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _endings(decision_id: str) -> list[str]:
    """What the name of the decision's file may end with, before ``.json``: plain, tagged, cut."""
    part, tag = _file_part(decision_id), _tag(decision_id)
    return [part, f"{part}~{tag[:8]}", f"{_cut(part, 150)}~{tag}"]


def _absolute(path: str | os.PathLike[str]) -> str:
    """Where a path leads from the present directory."""
    path = os.fspath(path)
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)


def _cut(text: str, limit: int) -> str:
    return text.encode("utf-8")[:limit].decode("utf-8", "ignore")


class DecisionStore:
    """Trading decisions, one JSON file each.

    ``config`` has ``storage_path`` (``"data/decisions"``) and ``max_decisions`` (1000, which bounds nothing on disk).
    ``durability="synced"`` makes each write survive a power cut, and not only the death of the process;
    ``raise_errors=True`` raises what is otherwise logged. Both may stand in ``config`` too.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        durability: str | None = None,
        raise_errors: bool | None = None,
    ) -> None:
        self.config = config
        self.storage_path = Path(config.get("storage_path", "data/decisions"))
        self.max_decisions = config.get("max_decisions", 1000)
        self.durability = durability or config.get("durability", "buffered")
        self.raise_errors = bool(config.get("raise_errors", False) if raise_errors is None else raise_errors)
        self._synced = is_synced(self.durability)
        self._opened: tuple[int, str, _native.DecisionFiles] | None = None
        self.storage_path.mkdir(parents=True, exist_ok=True)
        logger.info("Decision store initialized at %s", self.storage_path)

    def __repr__(self) -> str:
        return f"DecisionStore({str(self.storage_path)!r}, decisions={self.get_decision_count()})"

    def __getstate__(self) -> dict[str, Any]:
        """All but what is open: a copy opens the same directory."""
        return {**self.__dict__, "_opened": None}

    @property
    def _files(self) -> _native.DecisionFiles:
        """The directory as it is called now; a process that was forked looks at it anew."""
        pid, directory = os.getpid(), _absolute(self.storage_path)
        opened = self._opened
        if opened is None or opened[0] != pid or opened[1] != directory:
            opened = self._opened = (pid, directory, _native.DecisionFiles(directory, self._synced))
        return opened[2]

    def _lock(self) -> _native.FileLock:
        return _native.FileLock(os.path.join(_absolute(self.storage_path), ".decisions.lock"))

    def _failed(self, what: str, error: Exception) -> None:
        logger.error("%s: %s", what, error)
        if self.raise_errors:
            raise error

    # ---- writing

    def save_decision(self, decision: dict[str, Any]) -> None:
        """Saves a decision as ``{date}_{id}.json``. Without an id nothing is written, and an error logged."""
        decision_id = decision.get("id")
        if not decision_id:
            logger.error("Cannot save decision without ID")
            if self.raise_errors:
                raise ValueError("Cannot save decision without ID")
            return
        try:
            text = self._text(decision)
            with self._lock():
                name = self._name_for(decision, str(decision_id))
                self._files.write(name, text)
            logger.info("Decision saved: %s", self.storage_path / name)
        except (MinutebookError, OSError, TypeError, ValueError, RecursionError) as error:
            self._failed("Error saving decision", error)

    def save(self, decision: dict[str, Any]) -> None:
        """As :meth:`save_decision`."""
        self.save_decision(decision)

    def update_decision(self, decision: dict[str, Any]) -> None:
        """Replaces a decision, in the file that it is in; one that is not there is saved as a new one."""
        decision_id = decision.get("id")
        if not decision_id:
            logger.error("Cannot update decision without ID")
            if self.raise_errors:
                raise ValueError("Cannot update decision without ID")
            return
        try:
            text = self._text(decision)
            with self._lock():
                torn: list[str] = []
                found = next(self._find(str(decision_id), torn), None)
                if found is not None:
                    name = found[0]
                elif torn:
                    name = torn[0]
                else:
                    logger.warning("Decision %s not found, saving as new", decision_id)
                    name = self._name_for(decision, str(decision_id))
                self._files.write(name, text)
            logger.info("Decision updated: %s", self.storage_path / name)
        except (MinutebookError, OSError, TypeError, ValueError, RecursionError) as error:
            self._failed("Error updating decision", error)

    def delete_decision(self, decision_id: str) -> bool:
        """Deletes a decision, also one that cannot be read; ``False`` if it is not there."""
        try:
            with self._lock():
                names: list[str] = []
                names += [name for name, _ in self._find(str(decision_id), names)]
                removed = [name for name in names if self._files.remove(name)]
        except (MinutebookError, OSError) as error:
            self._failed("Error deleting decision", error)
            return False
        if not removed:
            logger.warning("Decision not found for deletion: %s", decision_id)
            return False
        logger.info("Decision deleted: %s", decision_id)
        return True

    def cleanup_old_decisions(self, days: int = 30) -> int:
        """Deletes the files that were last modified more than ``days`` days ago; gives their number."""
        before = time.time_ns() - int(timedelta(days=days) / timedelta(microseconds=1)) * 1_000
        deleted = self._remove(lambda: self._files.older_than(before), "Error cleaning up")
        logger.info("Cleaned up %d old decisions", deleted)
        return deleted

    def wipe_all_decisions(self) -> int:
        """Deletes all decisions; gives their number."""
        deleted = self._remove(lambda: self._files.names(), "Error deleting")
        logger.info("Wiped %d decisions", deleted)
        return deleted

    def _remove(self, names: Any, what: str) -> int:
        try:
            with self._lock():
                deleted, failed = self._files.remove_all(names())
        except (MinutebookError, OSError) as error:
            self._failed(what, error)
            return 0
        for name, why in failed:
            self._failed(f"{what} {name}", OSError(why))
        return deleted

    # ---- reading

    def get_decision_by_id(self, decision_id: str) -> dict[str, Any] | None:
        """The decision with this id, or ``None``."""
        try:
            for _, decision in self._find(str(decision_id)):
                return decision
        except (MinutebookError, OSError) as error:
            self._failed("Error loading decision", error)
        logger.warning("Decision not found: %s", decision_id)
        return None

    def get_decisions(self, asset_pair: str | None = None, limit: int = 10) -> list[dict[str, Any]]:
        """Decisions, the file that was modified last first."""
        decisions: list[dict[str, Any]] = []
        try:
            for decision in self._newest(asset_pair, limit):
                decisions.append(decision)
                if len(decisions) >= limit:
                    break
        except (MinutebookError, OSError) as error:
            self._failed("Error listing decisions", error)
        logger.info("Retrieved %d decisions", len(decisions))
        return decisions

    def get_recent_decisions(self, limit: int = 10, asset_pair: str | None = None) -> list[dict[str, Any]]:
        """As :meth:`get_decisions`, with the arguments the other way round."""
        return self.get_decisions(asset_pair=asset_pair, limit=limit)

    def get_decision_count(self) -> int:
        """The number of ``*.json`` files."""
        try:
            return len(self._files)
        except (MinutebookError, OSError) as error:
            self._failed("Error counting decisions", error)
            return 0

    def _newest(self, asset_pair: str | None, limit: int) -> Iterator[Any]:
        if limit <= 0:
            return
        needle = None
        if isinstance(asset_pair, str) and asset_pair and asset_pair.isascii():
            quoted = json.dumps(asset_pair)
            # What needs no escape stands in the file as it is, or with needless escapes that begin with \u.
            if quoted == f'"{asset_pair}"' and "/" not in asset_pair:
                needle = quoted.encode("ascii")
        walk = self._files.newest(needle)
        size = limit if not asset_pair or needle else 256
        while rows := walk.next(max(1, min(size, 1_000))):
            for name, text, why in rows:
                if text is None:
                    logger.error("Error loading decision from %s: %s", self.storage_path / name, why)
                    continue
                try:
                    decision = json.loads(text)
                except (ValueError, RecursionError) as error:
                    logger.error("Error loading decision from %s: %s", self.storage_path / name, error)
                    continue
                if asset_pair and not (isinstance(decision, dict) and decision.get("asset_pair") == asset_pair):
                    continue
                yield decision

    def _find(self, decision_id: str, torn: list[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """The files of the decision with what is in them, newest first. What is inside counts, and not what a name looks like.

        ``torn`` gets the names of files that cannot be read and by their names can be no other decision's.
        """
        files = self._files
        nameless = None
        for name in files.ending_with(_endings(decision_id)):
            try:
                text = files.read(name)
                if text is None:
                    continue
                decision = json.loads(text)
            except (MinutebookError, OSError, ValueError, RecursionError) as error:
                logger.error("Error loading decision from %s: %s", self.storage_path / name, error)
                if torn is not None and _is_own_name(name, decision_id):
                    torn.append(name)
                continue
            inside = decision.get("id") if isinstance(decision, dict) else None
            if inside is not None and str(inside) == decision_id:
                yield name, decision
            elif not inside and nameless is None and _is_own_name(name, decision_id):
                nameless = (name, decision)
        if nameless is not None:
            yield nameless

    # ---- names and texts

    @staticmethod
    def _text(decision: dict[str, Any]) -> bytes:
        return json.dumps(decision, indent=2).encode("ascii")

    def _name_for(self, decision: dict[str, Any], decision_id: str) -> str:
        """The file for a decision: its own if it is there, else a name that nothing else has."""
        timestamp = decision.get("timestamp")
        if timestamp is None:
            timestamp = datetime.now(UTC).isoformat()
        date = _file_part(str(timestamp).split("T")[0])
        plain, tagged, cut = (f"{date}_{ending}.json" for ending in _endings(decision_id))
        if len(plain.encode("utf-8")) > _MAX_NAME:
            return f"{_cut(date, 32)}_{cut.removeprefix(f'{date}_')}"
        if plain.startswith("."):
            plain, tagged = f"%2E{plain[1:]}", f"%2E{tagged[1:]}"
        text = self._files.read(plain)
        if text is not None:
            try:
                there = json.loads(text)
            except (ValueError, RecursionError):
                return plain  # torn: what is saved now takes its place
            inside = there.get("id") if isinstance(there, dict) else None
            if inside is not None and str(inside) != decision_id:
                return tagged
        return plain


def _is_own_name(name: str, decision_id: str) -> bool:
    """Whether the name is that of this decision and of no id that ends like it: what is before the id is a date, which has no underscore."""
    for ending in _endings(decision_id):
        date = name.removesuffix(f"_{ending}.json")
        if date != name and "_" not in date:
            return True
    return False


def _tell_of_skipped(path: str, lines: list[int]) -> None:
    if lines:
        shown = ", ".join(map(str, lines[:10]))
        more = ", ..." if len(lines) > 10 else ""
        logger.warning("%s: %d malformed lines skipped (lines %s%s)", path, len(lines), shown, more)


class TimeSeriesDataStore:
    """Ticks as JSON lines, and frames of bars as Parquet files, one for each query.

    ``durability="synced"`` makes each write survive a power cut. ``max_age`` (seconds or a ``timedelta``) makes
    :meth:`load_dataframe` answer ``None`` for files that are older; there is no such limit unless it is given.
    """

    def __init__(
        self,
        storage_path: str | os.PathLike[str] = "data/time_series_data",
        *,
        durability: str = "buffered",
        max_age: float | timedelta | None = None,
    ) -> None:
        self.storage_path = Path(storage_path)
        self.durability = durability
        self.max_age = max_age
        self._synced = is_synced(durability)
        self._logs: dict[str, _native.LineLog] = {}
        self._pid = os.getpid()
        self.storage_path.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"TimeSeriesDataStore({str(self.storage_path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        """All but what is open: a copy opens the same directory."""
        return {**self.__dict__, "_logs": {}}

    # ---- ticks

    def _get_filepath(self, symbol: str) -> str:
        return os.path.join(self.storage_path, f"{_file_part(symbol.lower())}_timeseries.jsonl")

    def _log(self, path: str) -> _native.LineLog:
        pid = os.getpid()
        if pid != self._pid:
            # Locks are held by open files, and a fork shares those.
            self._logs, self._pid = {}, pid
        log = self._logs.get(path)
        if log is None:
            is_link = os.path.islink(path)
            directory, name = os.path.split(os.path.realpath(path) if is_link else path)
            lock = os.path.join(directory, f".{name.removesuffix('_timeseries.jsonl')}.lock")
            log = _native.LineLog(os.path.join(directory, name), lock, self._synced)
            if is_link:
                return log  # it may lead elsewhere by the next call
            if len(self._logs) >= 256:
                self._logs.clear()
            self._logs[path] = log
        return log

    def save_data(self, symbol: str, data_entry: dict[str, Any]) -> None:
        """Appends an entry to the symbol's file. The caller's dict stays as it is."""
        if isinstance(data_entry.get("timestamp"), datetime):
            data_entry = {**data_entry, "timestamp": data_entry["timestamp"].isoformat()}
        line = f"{json.dumps(data_entry)}\n".encode("ascii")
        path = _absolute(self._get_filepath(symbol))
        try:
            offset = self._log(path).append(line)
        except InvalidInputError:
            if not os.path.islink(path):
                raise
            self._logs.pop(path, None)  # what was a file has become a link meanwhile
            offset = self._log(path).append(line)
        if offset == 0:
            as_plainly_made(path)

    def load_data(self, symbol: str) -> list[dict[str, Any]]:
        """All entries of a symbol, in the order written, those first that were sealed in compressed segments meanwhile. Lines that are no
        JSON are skipped, and logged."""
        path = self._get_filepath(symbol)
        collects = gc.isenabled()
        gc.disable()  # nothing of what is made here can be garbage yet, and looking for it takes longer than making it
        try:
            data = self._load(path)
            if collects and len(data) >= _MANY_ENTRIES and not gc.get_freeze_count():
                # Into the oldest generation at once, where they end in any case: the next object would set off a walk through all of them.
                gc.freeze()
                gc.unfreeze()
            return data
        finally:
            if collects:
                gc.enable()

    def _load(self, path: str) -> list[dict[str, Any]]:
        sealed = f"{path.removesuffix('_timeseries.jsonl')}~sealed"
        if os.path.isdir(sealed):
            return self._load_sealed(path)
        loaded = _native.load_lines(path, json.loads)
        if os.path.isdir(sealed):  # meanwhile
            return self._load_sealed(path)
        if loaded is None:
            return []
        data, skipped = loaded
        _tell_of_skipped(path, skipped)
        return data

    def _load_sealed(self, path: str) -> list[dict[str, Any]]:
        directory, name = os.path.split(_absolute(path))
        loaded = _native.load_series(directory, name, json.loads)
        is_series = loaded is not None
        if loaded is None:
            loaded = [(None, *(_native.load_lines(path, json.loads) or ([], [])))]
        data: list[dict[str, Any]] = []
        for segment, values, skipped in loaded:
            data += values
            _tell_of_skipped(path if segment is None else f"{path}, segment {segment}", skipped)
        segments = [segment for segment, _, _ in loaded if segment is not None]
        moved = max(segments, default=0) - len(segments)
        if moved or (is_series and not segments):
            count = moved or "all"
            logger.warning("%s: %s earlier segments were moved to Parquet; minutebook.open reads them", path, count)
        return data

    # ---- frames

    def _get_dataframe_filepath(
        self, asset_pair: str, start_date: datetime, end_date: datetime, timeframe: str
    ) -> Path:
        dates = f"{start_date.strftime('%Y-%m-%d')}_{end_date.strftime('%Y-%m-%d')}"
        return self.storage_path / _file_part(f"{asset_pair.lower()}_{timeframe}_{dates}.parquet")

    def save_dataframe(
        self,
        asset_pair: str,
        df: pd.DataFrame,
        start_date: datetime,
        end_date: datetime,
        timeframe: str,
    ) -> None:
        """Saves a frame of bars. An empty one is not saved, and a warning logged."""
        if df.empty:
            logger.warning("Not saving empty DataFrame for %s", asset_pair)
            return
        path = self._get_dataframe_filepath(asset_pair, start_date, end_date, timeframe)
        try:
            _frames.save(df, path, synced=self._synced)
        except Exception as error:
            logger.error("Failed to save DataFrame for %s: %s", asset_pair, error)
            raise
        logger.info("Saved %d candles for %s (%s) to %s", len(df), asset_pair, timeframe, path.name)

    def load_dataframe(
        self,
        asset_pair: str,
        start_date: datetime,
        end_date: datetime,
        timeframe: str,
        max_age: float | timedelta | None = None,
    ) -> pd.DataFrame | None:
        """The frame that was saved for this query, its index named ``timestamp``; ``None`` if there is none, if it cannot be read (with
        a warning), or if it is older than ``max_age``."""
        try:
            path = self._get_dataframe_filepath(asset_pair, start_date, end_date, timeframe)
            if not path.exists():
                return None
            limit = self.max_age if max_age is None else max_age
            if limit is not None:
                seconds = limit.total_seconds() if isinstance(limit, timedelta) else limit
                age = time.time() - path.stat().st_mtime
                if age > seconds:
                    logger.info("%s is %.0f s old, more than %.0f", path.name, age, seconds)
                    return None
            df = _frames.load(path)
            df = _frames.with_timestamps(df)
        except Exception as error:
            logger.warning("Failed to load DataFrame for %s: %s", asset_pair, error)
            return None
        logger.info("Loaded %d candles for %s (%s) from cache", len(df), asset_pair, timeframe)
        return df
