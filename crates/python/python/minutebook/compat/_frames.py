"""Frames of pandas as Parquet files: what pandas and pyarrow make of a frame, replaced whole, and read in part."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _native
from ._disk import ready

if TYPE_CHECKING:
    import pandas as pd

# Small enough that a month of minutes needs one or two of them, large enough for the columns to compress.
ROW_GROUP = 1 << 16
_DAY_NS = 86_400 * 10**9


def save(
    df: pd.DataFrame,
    path: Path,
    compression: str | None = "snappy",
    index: bool | None = None,
    *,
    synced: bool = False,
) -> None:
    """Writes a frame: the file that was there, or the whole new one."""
    buffer = io.BytesIO()
    # As pandas writes it, but in smaller groups of rows, with an index of pages: readers of ranges skip the rest.
    df.to_parquet(
        buffer,
        engine="pyarrow",
        compression=compression,
        index=index,
        row_group_size=ROW_GROUP,
        write_page_index=True,
        use_dictionary=_repeating(df),
    )
    with ready(path) as target:
        # The whole buffer as it is: nothing is copied.
        _native.replace_file(target, buffer.getvalue(), synced)


def _repeating(df: pd.DataFrame) -> list[str]:
    """The columns whose values may well come again, for which a dictionary is worth the search: no prices, no times."""
    import pandas as pd

    index = df.index
    levels = zip(index.names, index.dtypes if isinstance(index, pd.MultiIndex) else [index.dtype], strict=True)
    named = ((f"__index_level_{i}__" if name is None else name, dtype) for i, (name, dtype) in enumerate(levels))
    columns = [*zip(df.columns, df.dtypes, strict=True), *named]
    return [str(name) for name, dtype in columns if getattr(dtype, "kind", "O") not in "fmM"]


def load(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Reads a whole file."""
    import pandas as pd

    return pd.read_parquet(path, engine="pyarrow", columns=columns)


def load_range(
    path: Path, columns: list[str] | None, start: Any, end: Any
) -> pd.DataFrame:
    """The rows between two dates, both included, of which no more is read than the groups that may have them."""
    import pandas as pd

    df = _near(path, columns, start, end)
    if df is None:
        df = load(path, columns)
    if not isinstance(df.index, pd.DatetimeIndex):
        raise ValueError(f"Date filtering requires DatetimeIndex. Got {type(df.index).__name__}")
    if start is not None:
        df = df[df.index >= start]
    if end is not None:
        df = df[df.index <= end]
    return df


def _near(path: Path, columns: list[str] | None, start: Any, end: Any) -> pd.DataFrame | None:
    """A frame of no more rows than may lie between the dates, and a day on either side; ``None`` if the file does not tell which."""
    bounds = _nanos(start), _nanos(end)
    if bounds == (None, None):
        return None
    # A day on either side: a naive date may mean any zone, and the frame itself is asked afterwards.
    low = None if bounds[0] is None else bounds[0] - _DAY_NS
    high = None if bounds[1] is None else bounds[1] + _DAY_NS
    batch = _native.load_range(path, columns, low, high)
    if batch is not None:
        import pyarrow as pa

        table = pa.table(batch)
        # Seconds stand as milliseconds in a file, and which of them a column is pyarrow knows best.
        if not any(pa.types.is_timestamp(kind) and kind.unit in ("s", "ms") for kind in table.schema.types):
            return _frame(table)
    return _groups(path, columns, low, high)


def _groups(path: Path, columns: list[str] | None, low: int | None, high: int | None) -> pd.DataFrame | None:
    """The row groups that may have rows between two instants: for frames of unusual columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        meta, schema = file.metadata, file.schema_arrow
        pandas = (schema.pandas_metadata or {}).get("index_columns")
        if not pandas or len(pandas) != 1 or not isinstance(pandas[0], str) or pandas[0] not in schema.names:
            return None
        index = pandas[0]
        kind = schema.field(index).type
        if not pa.types.is_timestamp(kind) or schema.names.count(index) != 1:
            return None
        if any(pa.types.is_dictionary(field.type) for field in schema):
            return None  # the categories of a frame are those of all its rows
        leaf = next((i for i in range(meta.num_columns) if meta.schema.column(i).path == index), None)
        if leaf is None:
            return None
        scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[kind.unit]
        groups = []
        for group in range(meta.num_row_groups):
            stats = meta.row_group(group).column(leaf).statistics
            if stats is None or not stats.has_min_max:
                groups.append(group)
                continue
            # The raw numbers count what the column in the file counts, which need not be the unit of the frame.
            first, last = _span(stats, scale)
            if low is not None and last is not None and last < low:
                continue
            if high is not None and first is not None and first > high:
                continue
            groups.append(group)
        if len(groups) == meta.num_row_groups:
            return None
        wanted = None if columns is None else [*columns, *([] if index in columns else [index])]
        table = file.read_row_groups(groups, columns=wanted, use_pandas_metadata=True)
    return _frame(table)


def _frame(table: Any) -> pd.DataFrame:
    """A table of pyarrow as pandas itself would read it from a file."""
    import json

    df = table.to_pandas()
    meta = table.schema.metadata or {}
    if b"PANDAS_ATTRS" in meta:
        df.attrs = json.loads(meta[b"PANDAS_ATTRS"])
    return df


def _nanos(date: Any) -> int | None:
    """The instant in nanoseconds since 1970; a naive one as if it were UTC. ``None`` for what is no single date."""
    import pandas as pd

    if date is None:
        return None
    try:
        stamp = pd.Timestamp(date)
        return None if stamp is pd.NaT else stamp.as_unit("ns").value
    except (TypeError, ValueError, OverflowError):
        return None


def _span(stats: Any, scale: int) -> tuple[int | None, int | None]:
    import pandas as pd

    def nanos(value: Any) -> int | None:
        if isinstance(value, int):
            return value * scale
        try:
            return pd.Timestamp(value).as_unit("ns").value
        except (TypeError, ValueError, OverflowError):
            return None

    return nanos(stats.min), nanos(stats.max)


def index_of(path: Path) -> tuple[Any, int]:
    """The index of a file's frame and the number of its rows, without its columns."""
    df = load(path, [])
    if len(df) == 0 and len(df.columns) == 0:
        import pyarrow.parquet as pq

        return df.index, pq.read_metadata(path).num_rows
    return df.index, len(df)


def with_timestamps(df: pd.DataFrame) -> pd.DataFrame:
    """The frame with an index of times, named ``timestamp``."""
    import pandas as pd

    if not isinstance(df.index, pd.DatetimeIndex):
        df.index = pd.to_datetime(df.index, utc=True)
    df.index.name = "timestamp"
    return df
