"""What several tests write into a store."""

from datetime import datetime, timedelta, timezone

import pytest

pa = pytest.importorskip("pyarrow")


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


def tick(i):
    return {"timestamp": f"2025-01-01T00:00:{i:02d}Z", "price": i / 2}


def ticked(book, first, last):
    with book.ticks.appender() as appender:
        for i in range(first, last):
            appender.push("BTCUSD@ticks", tick(i))
