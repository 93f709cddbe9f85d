"""The store beyond reading and writing: decisions as texts, counts, retention, states of before; documents; the catalog's questions."""

import time
from datetime import datetime, timedelta, timezone

import pytest
from shared import bars, decision

import minutebook

pa = pytest.importorskip("pyarrow")


def test_a_text_wider_than_json_is_kept_letter_for_letter(book):
    text = '{"id": "wide", "timestamp": "2025-03-01T00:00:00Z", "x": NaN, "n": 123456789012345678901234567890}'
    assert book.decisions.save_raw(text).outcome == "created"
    raw = book.decisions.get_raw("wide")
    assert raw.bytes.decode().strip() == text and raw.file == "2025-03-01_wide.json" and raw.revision
    with pytest.raises(minutebook.UnsupportedError, match="get_raw"):
        book.decisions.get("wide")
    assert book.decisions.get_raw("none") is None
    with pytest.raises(ValueError):
        book.decisions.save_raw("[1]")
    with pytest.raises(NotImplementedError):
        minutebook.in_memory().decisions.save_raw(text)


def test_decisions_are_counted_by_what_they_have_in_common(book):
    book.decisions.save_all(decision(i, outcome={"won": i > 3}) for i in range(1, 6))
    assert dict(book.decisions.count_by("pair")) == {"BTCUSD": 3, "ETHUSD": 2}
    assert dict(book.decisions.count_by("/outcome/won", asset_pair="BTCUSD")) == {False: 2, True: 1}
    assert sum(count for _, count in book.decisions.count_by("day")) == 5
    assert book.decisions.count_by("/none") == [(None, 5)]
    with pytest.raises(ValueError, match="pair, action, day"):
        book.decisions.count_by("asset")


def test_a_retention_plan_is_looked_at_before_it_is_applied(book):
    book.decisions.save_all(decision(i, **({"outcome": 1} if i == 1 else {})) for i in range(1, 7))
    plan = book.decisions.plan_retention(newest=2, per_pair=True, keep_with=["/outcome"])
    assert [item.id for item in plan.expired] == ["d-2"] and plan.kept == 1 and plan.examined == 6 and len(plan) == 1
    assert plan.expired[0].reason == "count" and plan.problems == [] and plan.cutoff is None and "expired=1" in repr(plan)
    old = book.decisions.plan_retention(older_than=timedelta(days=1), asset_pair="ETHUSD")
    assert {item.id for item in old.expired} == {"d-2", "d-4", "d-6"} and old.cutoff is not None
    book.decisions.save(decision(4, changed=True))
    outcome = book.decisions.apply_retention(old)
    assert (outcome.deleted, outcome.gone, outcome.changed, outcome.failed) == (2, 0, ["d-4"], [])
    assert book.decisions.apply_retention(plan).gone == 1
    with pytest.raises(ValueError):
        book.decisions.plan_retention(per_pair=True)


def test_a_state_of_before_is_read_by_time_and_by_revision(book):
    first = book.decisions.save(decision(1))
    time.sleep(0.005)
    book.decisions.save(decision(1, action="SELL"))
    assert book.decisions.get("d-1", at=first.revision)["action"] == "BUY"
    # A datetime of Python has no nanoseconds.
    assert book.decisions.get("d-1", at=first.recorded_at + timedelta(milliseconds=1))["action"] == "BUY"
    assert book.decisions.get("d-1", at=datetime.now(timezone.utc))["action"] == "SELL"


def test_instants_are_there_in_nanoseconds_too(book):
    receipt = book.decisions.save(decision(1))
    stored = book.decisions.get("d-1")
    whole = round(stored.recorded_at.timestamp() * 10**6)
    assert receipt.recorded_at_ns == stored.recorded_at_ns == book.decisions.history("d-1")[0].recorded_at_ns
    assert stored.recorded_at_ns // 1_000 == whole
    # A microsecond is not enough to say which state is meant; the nanoseconds are.
    changed = book.decisions.save(decision(1, more=1))
    assert changed.recorded_at_ns > receipt.recorded_at_ns
    assert book.decisions.get("d-1", at=receipt.recorded_at_ns).decision == decision(1)
    assert book.decisions.get("d-1", at=changed.recorded_at_ns).decision == decision(1, more=1)
    assert book.decisions.get("d-1", at=receipt.recorded_at_ns - 1) is None
    with pytest.raises(ValueError, match="nanoseconds"):
        book.decisions.get("d-1", at=10**40)
    with pytest.raises(ValueError):
        book.decisions.get("d-1", at=True)

    at = 1_735_732_800_123_456_789
    book.series.write("T@ticks", pa.table({"timestamp": pa.array([at, at + 1], pa.timestamp("ns", "UTC")), "price": [1.0, 2.0]}))
    summary = book.series.summary("T@ticks")
    assert (summary.first_ns, summary.last_ns) == (at, at + 1)
    assert book.series.scan("T@ticks", start=at + 1).to_arrow()["price"].to_pylist() == [2.0]
    assert book.series.versions("T@ticks")[0].committed_at_ns > at
    assert minutebook.in_memory().series.summary("T@ticks") is None
    book.documents.save("a", 1)
    assert book.documents.get("a").saved_at_ns // 1_000 == round(book.documents.get("a").saved_at.timestamp() * 10**6)


def test_documents_are_values_under_names(book):
    book.documents.save("runs/2025-01-02", {"b": [1, None], "a": 1.5})
    book.documents.save("params", '{"x": 1}')
    found = book.documents.get("runs/2025-01-02")
    assert found.value == {"b": [1, None], "a": 1.5} and found.name == "runs/2025-01-02" and found.bytes > 0
    assert (book.path / "documents" / "params.json").is_file()
    assert [document.name for document in book.documents.list("runs/")] == ["runs/2025-01-02"]
    assert [document.value for document in book.documents.list()] == [None, None]
    assert book.documents.delete("params") and not book.documents.delete("params") and book.documents.get("params") is None
    with pytest.raises(ValueError):
        book.documents.save("../x", 1)


def test_entries_are_renamed_traced_and_due(book):
    book.series.write("A@1h", bars())
    book.catalog.register_series("raw", "A@1h")
    book.catalog.register_dataset("daily", "A", "daily.parquet", derived_from=["raw"])
    assert book.catalog.lineage("daily").parents == ["raw"] and book.catalog.lineage("raw").descendants == ["daily"]
    book.catalog.rename("raw", "source")
    assert book.catalog.lineage("daily").ancestors == ["source"] and book.catalog.get("raw") is None
    due = {stale.entry.name: stale.reasons for stale in book.catalog.stale()}
    assert "data_missing" in due["daily"] and "source" not in due
    book.series.write("A@1h", bars().slice(0, 1), "upsert")
    book.series.write("B@1h", bars(5))
    found = book.catalog.discover()
    assert [proposal.file_path for proposal in found] == ["series:B@1h"] or found[0].entry["row_count"] == 5
    book.catalog.refresh("source")
    with pytest.raises(KeyError):
        book.catalog.refresh("none")
    assert book.catalog.remove_with_data("source") and book.series.summary("A@1h") is None
