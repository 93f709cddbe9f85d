"""``TimeSeriesDataStore``: ticks and frames."""

import gc
import json
import logging
import multiprocessing
import os
import weakref
from datetime import datetime, timedelta, timezone

import pytest

from minutebook.compat.finance_feedback_engine import TimeSeriesDataStore

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../tests/fixtures/original")


@pytest.fixture
def store(tmp_path):
    return TimeSeriesDataStore(str(tmp_path / "a" / "ticks"))


def test_entries_come_back_in_order_and_the_file_is_the_originals(store):
    entries = [
        {"timestamp": "2025-01-02T00:00:00", "price": 1.5, "n": 1, "s": "é", "none": None, "flag": True},
        {"timestamp": "2025-01-01T00:00:00", "price": float("inf"), "n": 10**30, "nested": {"a": [1, {"b": 2.0}]}},
        {"no": "time"},
        {},
    ]
    for entry in entries:
        store.save_data("BTCUSD", entry)
    path = store.storage_path / "btcusd_timeseries.jsonl"
    assert path.read_text() == "".join(json.dumps(entry) + "\n" for entry in entries)
    assert store.load_data("btcusd") == entries
    assert [list(entry) for entry in store.load_data("BTCUSD")] == [list(entry) for entry in entries]


def test_a_datetime_becomes_text_and_the_callers_dict_stays(store):
    now = datetime(2025, 1, 1, 12, tzinfo=timezone.utc)
    entry = {"timestamp": now, "price": 1}
    store.save_data("X", entry)
    assert entry == {"timestamp": now, "price": 1}
    assert store.load_data("X") == [{"timestamp": "2025-01-01T12:00:00+00:00", "price": 1}]


def test_a_symbol_without_data_is_empty(store):
    assert store.load_data("NONE") == []


def test_symbols_stay_in_the_directory(store, tmp_path):
    store.save_data("../../X/Y", {"a": 1})
    assert store.load_data("../../X/Y") == [{"a": 1}]
    assert os.listdir(tmp_path) == ["a"] and os.listdir(tmp_path / "a") == ["ticks"]


def test_malformed_lines_are_skipped_and_logged(store, caplog):
    lines = ['{"a": 1}', "", "not json", '{"a": NaN}', '{"a": 1} x', "[1, 2", "  [3]  ", '"x"', '{"a": 01}', '{"a": "\\ud800"}', '{"t": ']
    (store.storage_path / "x_timeseries.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n" + b'{"b": 2}\r\n{"c": 3}')
    with caplog.at_level(logging.WARNING):
        data = store.load_data("X")
    assert data[0] == {"a": 1} and data[1]["a"] != data[1]["a"]
    assert data[2:] == [[3], "x", {"a": "\ud800"}, {"b": 2}, {"c": 3}]
    assert "6 malformed lines" in caplog.text and "lines 3, 5, 6, 9, 11, 12" in caplog.text


@pytest.mark.parametrize("line", [
    "0", "-0", "-0.0", "1e5", "1E-5", "0.1", "-12.5e+10", "123456789012345678", "9223372036854775807", "92233720368547758070",
    "1.7976931348623157e308", "1e400", "5e-324", "true", "false", "null", '""', '"a b"', '"\\u00e9\\n"', '"é"', "[]", "{}", "[ ]", "{ }",
    '[1, [2, [3, {"a": []}]]]', '{"a": 1, "a": 2}', '{"": 0}', "[" * 60 + "]" * 60, '"tab\there"', "NaN", "[Infinity, -Infinity]", "1.", ".5", "+1",
    "01", "-", "1e", "[1,]", '{"a":}', "{,}", "tru", "truex", "nul", '"\\x"', '{"a" 1}', "1 2", "\u00a0 1",
])
def test_each_line_is_what_python_reads(store, line):
    (store.storage_path / "x_timeseries.jsonl").write_text(line + "\n", encoding="utf-8")
    try:
        expected = [json.loads(line.strip())]
    except json.JSONDecodeError:
        expected = []
    found = store.load_data("x")
    assert repr(found) == repr(expected)


def test_what_the_original_wrote_is_read():
    store = TimeSeriesDataStore(os.path.join(FIXTURES, "ticks"))
    for symbol in ("BTCUSD", "ETHUSD"):
        with open(os.path.join(FIXTURES, "ticks", f"{symbol.lower()}_timeseries.jsonl"), encoding="utf-8-sig") as file:
            expected = []
            for line in file:
                try:
                    expected.append(json.loads(line))
                except json.JSONDecodeError:
                    pass
        assert store.load_data(symbol) == expected
        assert len(expected) > 1


def test_a_long_file_of_lines_of_every_kind_is_what_python_reads(store):
    """More than is read at once, so that lines lie across the pieces."""
    kinds = [
        lambda i: {"symbol": "BTCUSD", "timestamp": f"2025-01-01T00:00:00.{i:06d}", "price": i / 10, "size": i % 97},
        lambda i: {"symbol": "BTCUSD", "timestamp": f"2025-01-01T00:00:00.{i:06d}", "price": -i / 7, "size": 10**i % 10**25},
        lambda i: {"timestamp": "x", "symbol": "é" * (i % 50), "more": {"a": [1, 2.5, None, True], "b": {}}},
        lambda i: {"text": 'a "quoted" one\n', "n": float("inf"), "i": i},
        lambda i: [i, "x", {"symbol": 1}],
        lambda i: {"long": "y" * (i % 7_000)},
        lambda i: {},
        lambda i: {"symbol": None, "timestamp": False, "price": -0.0, "size": 1e-300},
    ]
    lines, expected, skipped = [], [], 0
    for i in range(12_000):
        value = kinds[i * i % 13 % len(kinds)](i)
        ends = ("\n", "\r\n", "\n\n")[i % 5 % 3]
        if i % 1_000 == 999:
            lines.append('{"torn": ' + ends)
            skipped += 1
            continue
        if i % 500 == 77:
            # A key twice: the last one counts.
            lines.append('{"symbol": 1, "timestamp": 2, "symbol": 3}' + ends)
            expected.append({"symbol": 3, "timestamp": 2})
            continue
        lines.append(json.dumps(value, ensure_ascii=i % 2 == 0) + ends)
        expected.append(value)
    path = store.storage_path / "x_timeseries.jsonl"
    path.write_text("".join(lines), encoding="utf-8", newline="")
    assert path.stat().st_size > 900_000
    found = store.load_data("X")
    assert repr(found) == repr(expected)
    assert [list(entry) for entry in found if isinstance(entry, dict)] == [list(entry) for entry in expected if isinstance(entry, dict)]
    # What is the same object is never one that can be changed.
    found[0]["price"] = None
    assert store.load_data("X") == expected
    from minutebook import _native
    assert len(_native.load_lines(path, json.loads)[1]) == skipped


def test_values_that_come_again_after_a_long_time_of_new_ones_are_read_as_they_are(store):
    """Whether values are looked for among those before is tried anew from time to time."""
    path = store.storage_path / "x_timeseries.jsonl"
    expected = []
    for i in range(150_000):
        expected.append({"n": i if i < 100_000 else i % 7, "x": i / 8 if 50_000 < i < 120_000 else i % 3 + 0.5, "t": f"t{i // (1 + i // 70_000 * 1_000)}"})
    path.write_text("".join(json.dumps(entry) + "\n" for entry in expected))
    assert store.load_data("X") == expected


def test_loading_leaves_the_collector_as_it_was(store):
    store.save_data("X", {"a": 1})
    for enabled in (True, False):
        gc.enable() if enabled else gc.disable()
        try:
            store.load_data("X")
            assert gc.isenabled() is enabled
            (store.storage_path / "dir_timeseries.jsonl").mkdir(exist_ok=True)
            with pytest.raises(OSError):
                store.load_data("DIR")
            assert gc.isenabled() is enabled
        finally:
            gc.enable()


def collections_while(make):
    """How often the collector begins while ``make`` is called and a few objects are made after it."""
    begun = []
    gc.callbacks.append(lambda phase, info: begun.append(info) if phase == "start" else None)
    try:
        made = make()
        few = [[] for _ in range(50)]
    finally:
        gc.callbacks.pop()
    assert len(few) == 50
    return made, begun


def many_lines(store):
    (store.storage_path / "x_timeseries.jsonl").write_text("".join(json.dumps({"n": n, "in": {"a": [n]}}) + "\n" for n in range(30_000)))


@pytest.mark.skipif(gc.get_freeze_count() > 0, reason="this interpreter begins with frozen objects, which are left alone")
def test_a_long_load_does_not_set_off_the_collector(store):
    many_lines(store)
    gc.collect()
    made, begun = collections_while(lambda: store.load_data("X"))
    assert len(made) == 30_000 and begun == []
    assert gc.get_freeze_count() == 0
    # What was made is the collector's all the same: a loop through it is found.
    made[7]["loop"] = made
    gone = Gone()
    made[7]["in"]["gone"] = gone
    del made
    seen = gone.seen()
    del gone
    gc.collect()
    assert seen() is None


class Gone:
    """What can be seen to be gone."""

    def seen(self):
        return weakref.ref(self)


def test_what_a_program_has_frozen_stays_frozen(store):
    many_lines(store)
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        assert len(store.load_data("X")) == 30_000
        # Less by what of it was freed in the meantime, not by all of it.
        assert gc.get_freeze_count() > frozen * 0.9
    finally:
        gc.unfreeze()


def test_a_torn_tail_is_not_glued_to_the_next_entry(store):
    path = store.storage_path / "x_timeseries.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    store.save_data("X", {"a": 3})
    assert store.load_data("X") == [{"a": 1}, {"a": 3}]


def _append(path, who, count):
    store = TimeSeriesDataStore(path)
    for i in range(count):
        store.save_data("X", {"who": who, "i": i, "text": who * 5000})


def test_processes_append_without_loss(store):
    store.save_data("X", {"who": "", "i": 0, "text": ""})
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_append, args=(store.storage_path, who, 200)) for who in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    data = store.load_data("X")
    assert len(data) == 601
    for who in "abc":
        assert [entry["i"] for entry in data if entry["who"] == who] == list(range(200))


pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

WHEN = (datetime(2025, 1, 1), datetime(2025, 1, 2), "1h")


def frame(**index):
    times = pd.date_range("2025-01-01", periods=24, freq="h", **index)
    return pd.DataFrame({"close": [float(i) for i in range(24)]}, index=times)


def test_frames_come_back_with_a_named_index(store):
    df = frame(tz="UTC")
    store.save_dataframe("BTCUSD", df, *WHEN)
    assert (store.storage_path / "btcusd_1h_2025-01-01_2025-01-02.parquet").exists()
    back = store.load_dataframe("BTCUSD", *WHEN)
    assert back.index.name == "timestamp" and str(back.index.tz) == "UTC"
    assert back["close"].tolist() == df["close"].tolist()
    assert store.load_dataframe("ETHUSD", *WHEN) is None


def test_naive_frames_stay_naive_and_other_indexes_become_times(store):
    store.save_dataframe("A", frame(), *WHEN)
    assert store.load_dataframe("A", *WHEN).index.tz is None
    text = frame()
    text.index = text.index.strftime("%Y-%m-%d %H:%M:%S")
    store.save_dataframe("B", text, *WHEN)
    back = store.load_dataframe("B", *WHEN)
    assert str(back.index.tz) == "UTC" and back.index[1].hour == 1


def test_an_empty_frame_is_warned_about_and_an_unreadable_one_too(store, caplog):
    with caplog.at_level(logging.WARNING):
        store.save_dataframe("A", pd.DataFrame(), *WHEN)
        (store.storage_path / "b_1h_2025-01-01_2025-01-02.parquet").write_bytes(b"PAR1 no")
        assert store.load_dataframe("B", *WHEN) is None
    assert len(caplog.records) == 2
    assert not list(store.storage_path.glob("a_*"))


def test_there_is_a_limit_of_age_only_where_one_is_given(store):
    store.save_dataframe("A", frame(), *WHEN)
    path = next(store.storage_path.glob("*.parquet"))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert store.load_dataframe("A", *WHEN) is not None
    assert store.load_dataframe("A", *WHEN, max_age=600) is None
    assert TimeSeriesDataStore(store.storage_path, max_age=timedelta(hours=1)).load_dataframe("A", *WHEN) is None


def test_lines_of_the_same_keys_are_what_python_reads(store):
    """Long runs of one shape, whose dicts share their keys: values that change or come again, keys twice, broken and other lines between."""
    def shape(i):
        if i % 1_700 < 1_000:
            return json.dumps({"symbol": "BTCUSD", "side": ("buy", "sell")[i // 50 % 2], "price": 100 + i % 37 / 10, "n": i % 5, "ok": i % 300 == 0, "none": None})
        if i % 1_700 < 1_300:
            return f'{{"a": {i}, "b": "x", "a": "y", "c": [{i}, {{"d": 1}}]}}'
        return json.dumps({f"k{j}": (i * j) % 11 for j in range(40)})

    lines = []
    for i in range(20_000):
        line = shape(i)
        if i % 97 == 5:
            line = line[:-1]  # torn, after its values were read
        if i % 101 == 7:
            line = line.replace("1", "1e400", 1) if i % 2 else '{"symbol": "\\u00e9", "price": NaN}'
        if i % 211 == 9:
            line = "  " + line.replace(":", " : ")
        lines.append(line)
    path = store.storage_path / "x_timeseries.jsonl"
    path.write_text("\n".join(lines) + "\n")
    expected = []
    for line in lines:
        try:
            expected.append(json.loads(line))
        except json.JSONDecodeError:
            pass
    found = store.load_data("x")
    assert repr(found) == repr(expected) and len(found) < len(lines)
    # They are dicts of their own, whatever they have in common.
    for entry in found[:2_000]:
        entry["new"] = 1
        entry.pop("symbol", None)
    assert repr(found[2_000:]) == repr(expected[2_000:])
    changed = [{**{key: value for key, value in entry.items() if key != "symbol"}, "new": 1} for entry in expected[:2_000]]
    assert repr(found[:2_000]) == repr(changed)
