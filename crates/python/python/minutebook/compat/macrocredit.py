"""``macrocredit.persistence`` (later ``aponyx.persistence``): Parquet and JSON files, and the registry of datasets.

Names, arguments, answers and files are those of the original. Only the import line changes::

    from minutebook.compat.macrocredit import DataRegistry, load_parquet, save_parquet
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from .. import _native
from .._errors import MissingFileError
from . import _frames
from ._disk import Guard, in_place, is_synced, ready

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DataRegistry",
    "DatasetEntry",
    "EnhancedJSONEncoder",
    "list_parquet_files",
    "load_json",
    "load_parquet",
    "save_json",
    "save_parquet",
]

logger = logging.getLogger(__name__)


# ---- Parquet


def save_parquet(
    df: pd.DataFrame,
    path: str | os.PathLike[str],
    compression: str | None = "snappy",
    index: bool = True,
    *,
    durability: str = "buffered",
) -> Path:
    """Saves a frame, whole or not at all, and gives the absolute path."""
    if df.empty:
        raise ValueError("Cannot save empty DataFrame")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    logger.info("Saving DataFrame to Parquet: path=%s, rows=%d, columns=%d", path, len(df), len(df.columns))
    _frames.save(df, path, compression, index, synced=is_synced(durability))
    return path.absolute()


def load_parquet(
    path: str | os.PathLike[str],
    columns: list[str] | None = None,
    start_date: pd.Timestamp | None = None,
    end_date: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Reads a frame, or the part of it between two dates, both included."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"Parquet file not found: {path}")
    if start_date is None and end_date is None:
        df = _frames.load(path, columns)
    else:
        df = _frames.load_range(path, columns, start_date, end_date)
    logger.info("Loaded %d rows, %d columns from %s", len(df), len(df.columns), path)
    return df


def list_parquet_files(directory: str | os.PathLike[str], pattern: str = "*.parquet") -> list[Path]:
    """The files of a directory that match a pattern, sorted; none if there is no directory."""
    directory = Path(directory)
    return sorted(directory.glob(pattern)) if directory.exists() else []


# ---- JSON


class EnhancedJSONEncoder(json.JSONEncoder):
    """An encoder that also takes dates, paths and the numbers and arrays of numpy."""

    def default(self, o: Any) -> Any:
        if isinstance(o, (datetime, date)):
            return o.isoformat()
        if isinstance(o, PurePath):
            return str(o)
        if type(o).__module__.partition(".")[0] == "numpy":
            import numpy as np

            if isinstance(o, np.integer):
                return int(o)
            if isinstance(o, np.floating):
                return float(o)
            if isinstance(o, np.bool_):
                return bool(o)
            if isinstance(o, np.ndarray):
                return o.tolist()
        return super().default(o)


def _dumps(data: Any, indent: int | None = 2, sort_keys: bool = True) -> str:
    return json.dumps(data, cls=EnhancedJSONEncoder, indent=indent, sort_keys=sort_keys, ensure_ascii=False)


def save_json(
    data: dict[str, Any],
    path: str | os.PathLike[str],
    indent: int | None = 2,
    sort_keys: bool = True,
    *,
    durability: str = "buffered",
) -> Path:
    """Saves a value as JSON, whole or not at all, and gives the absolute path."""
    path = Path(path)
    text = _dumps(data, indent, sort_keys).encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    with ready(path) as target:
        _native.replace_file(target, text, is_synced(durability))
    logger.info("Saved %d bytes of JSON to %s", len(text), path)
    return path.absolute()


def load_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a JSON file."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"JSON file not found: {path}")
    with path.open(encoding="utf-8") as file:
        return json.load(file)


# ---- the registry


@dataclass
class DatasetEntry:
    """What the registry knows of a dataset."""

    instrument: str
    file_path: str
    registered_at: str
    tenor: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    row_count: int | None = None
    last_updated: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The entry as a dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DatasetEntry:
        """The entry that a dict describes."""
        return cls(**data)


class DataRegistry:
    """What data there is, in one JSON file.

    Any number of processes may change one registry: each change is brought together with those of the others under a lock, and a
    reader sees the file whole. ``_catalog`` may be changed and saved with ``_save()``.
    """

    def __init__(
        self,
        registry_path: str | os.PathLike[str],
        data_directory: str | os.PathLike[str],
        *,
        durability: str = "buffered",
    ) -> None:
        self.registry_path = Path(registry_path)
        self.data_directory = Path(data_directory)
        self.durability = durability
        self._synced = is_synced(durability)
        self._guard = Guard()
        self.data_directory.mkdir(parents=True, exist_ok=True)
        self._catalog: dict[str, Any] = {}
        # The entries as they were when this and the file were last the same, as text.
        self._base: dict[str, str] = {}
        self._text: bytes | None = None
        self._seen: tuple[int, ...] | None = None
        if self.registry_path.exists():
            self._refresh()
            logger.info("Loaded existing registry: path=%s, datasets=%d", self.registry_path, len(self._catalog))
        else:
            self._save()
            logger.info("Created new registry: path=%s", self.registry_path)

    def __repr__(self) -> str:
        return f"DataRegistry(path={self.registry_path}, datasets={len(self._catalog)})"

    def register_dataset(
        self,
        name: str,
        file_path: str | os.PathLike[str],
        instrument: str,
        tenor: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Registers a dataset, with range and row count if its file is there."""
        path = Path(file_path)
        entry = DatasetEntry(
            instrument=instrument,
            tenor=tenor,
            file_path=str(path),
            registered_at=datetime.now().isoformat(),
            metadata=metadata or {},
        )
        if path.exists():
            try:
                entry.start_date, entry.end_date, entry.row_count = _statistics(path)
            except Exception as error:
                logger.warning("Failed to extract stats from %s: %s", path, error)
        stored = entry.to_dict()
        _dumps(stored)  # what JSON cannot hold is refused before anything is changed
        with self._guard:
            self._catalog[name] = stored
            self._save()
        logger.info("Registered dataset: name=%s, instrument=%s, rows=%s", name, instrument, entry.row_count)

    def get_dataset_info(self, name: str) -> dict[str, Any]:
        """A copy of the dataset's entry."""
        return self._entry(name).copy()

    def get_dataset_entry(self, name: str) -> DatasetEntry:
        """The dataset's entry as an object."""
        return DatasetEntry.from_dict(self._entry(name))

    def list_datasets(self, instrument: str | None = None, tenor: str | None = None) -> list[str]:
        """The names of the datasets, sorted."""
        with self._guard:
            self._refresh()
            return sorted(
                name
                for name, info in self._catalog.items()
                if (not instrument or info.get("instrument") == instrument) and (not tenor or info.get("tenor") == tenor)
            )

    def update_dataset_stats(self, name: str) -> None:
        """Reads range and row count of the dataset's file anew."""
        entry = self._entry(name)
        path = Path(entry["file_path"])
        if not path.exists():
            raise FileNotFoundError(f"Dataset file not found: {path}")
        start, end, rows = _statistics(path)
        with self._guard:
            entry = self._entry(name)
            if start is not None:
                entry["start_date"], entry["end_date"] = start, end
            entry["row_count"] = rows
            entry["last_updated"] = datetime.now().isoformat()
            self._save()
        logger.info("Updated dataset stats: name=%s, rows=%d", name, rows)

    def remove_dataset(self, name: str, delete_file: bool = False) -> None:
        """Takes a dataset out of the registry, and deletes its file if asked to."""
        path = Path(self._entry(name)["file_path"])
        if delete_file and path.exists():
            _native.remove_file(path, self._synced)
            logger.info("Deleted file for dataset: name=%s, path=%s", name, path)
        with self._guard:
            self._entry(name)
            del self._catalog[name]
            self._save()
        logger.info("Removed dataset from registry: name=%s", name)

    def _entry(self, name: str) -> dict[str, Any]:
        with self._guard:
            self._refresh()
            if name not in self._catalog:
                raise KeyError(f"Dataset '{name}' not found in registry")
            return self._catalog[name]

    # ---- the file

    def _save(self) -> None:
        """Brings what was changed here together with what others changed in the file, and writes it."""
        path = in_place(self.registry_path).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._guard, _native.FileLock(path.with_name(f".{path.name}.lock")):
            there = _bytes(path)
            self._merge(there)
            text = _dumps(self._catalog).encode("utf-8")
            if text != there:
                with ready(path) as target:
                    _native.replace_file(target, text, self._synced)
            self._agree(text)
            self._seen = None

    def _refresh(self) -> None:
        """Takes over what others changed in the file since."""
        with self._guard:
            seen = _stamp(self.registry_path)
            if seen is not None and seen == self._seen:
                return
            text = _bytes(self.registry_path)
            self._merge(text)
            # A change within the same tick of the clock would leave the same times: trusted only once the tick is over.
            self._seen = seen if seen is not None and _is_past(seen) else None

    def _merge(self, text: bytes | None) -> None:
        if text is None or text == self._text:
            return
        theirs = json.loads(text.decode("utf-8"))
        if not isinstance(theirs, dict):
            raise ValueError(f"{self.registry_path} is no registry: it holds no JSON object")
        mine, base = self._catalog, self._base
        agreed = {name: _compact(entry) for name, entry in theirs.items()}
        for name in [name for name in mine if name not in theirs]:
            # Removed by others, and not changed here: gone.
            if name in base and base[name] == _compact(mine[name]):
                del mine[name]
        for name, entry in theirs.items():
            known = base.get(name)
            if name in mine:
                here = _compact(mine[name])
                if known == here or here == agreed[name]:
                    mine[name] = _into(mine[name], entry)
                elif known is not None and known != agreed[name]:
                    mine[name] = _joined(json.loads(known), mine[name], entry)
            elif known is None or known != agreed[name]:
                mine[name] = entry
        # Last: whoever is interrupted before this goes through it all again, with the same outcome.
        self._text, self._base = text, agreed

    def _agree(self, text: bytes) -> None:
        base = {name: _compact(entry) for name, entry in json.loads(text.decode("utf-8")).items()}
        self._text, self._base = text, base


def _compact(entry: Any) -> str:
    return json.dumps(entry, cls=EnhancedJSONEncoder, sort_keys=True, ensure_ascii=False)


def _into(mine: Any, theirs: Any) -> Any:
    """Their state in our object, since callers may hold it."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        if _compact(mine) != _compact(theirs):
            mine.clear()
            mine.update(theirs)
        return mine
    return theirs


def _joined(base: Any, mine: Any, theirs: Any) -> Any:
    """Both sides' changes of one entry, field by field; where both changed a field, ours."""
    if not (isinstance(base, dict) and isinstance(mine, dict) and isinstance(theirs, dict)):
        return mine
    for key, value in theirs.items():
        changed_there = key not in base or _compact(base[key]) != _compact(value)
        changed_here = (key in mine) != (key in base) or (
            key in mine and key in base and _compact(mine[key]) != _compact(base[key])
        )
        if not changed_there:
            continue
        if not changed_here:
            mine[key] = value
        elif key in mine:
            mine[key] = _joined(base.get(key, {}), mine[key], value)
    for key in [key for key in mine if key in base and key not in theirs]:
        if _compact(mine[key]) == _compact(base[key]):
            del mine[key]
    return mine


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _is_past(stamp: tuple[int, ...]) -> bool:
    import time

    return time.time_ns() - stamp[-1] > 50_000_000


def _statistics(path: Path) -> tuple[str | None, str | None, int]:
    """First and last time and the number of rows of a file; of its columns only the index is read."""
    import pandas as pd

    index, rows = _frames.index_of(path)
    if not isinstance(index, pd.DatetimeIndex):
        return None, None, rows
    start, end = index.min(), index.max()
    if start is pd.NaT:
        return None, None, rows
    return start.isoformat(), end.isoformat(), rows
