"""Checks, repairs and backups."""

import asyncio
import os

import pytest
from shared import bars, decision

import minutebook
from minutebook import aio


def test_findings_are_objects_and_a_repair_keeps_what_it_replaces(book):
    book.decisions.save_all(decision(i) for i in range(1, 4))
    assert book.verify().is_clean
    torn = book.path / "decisions" / "2025-03-02_d-2.json"
    torn.write_text('{"id": "d-2", "ti')
    report = book.verify(["decisions"])
    assert not report.is_clean and report.damage == 1 and report.journal_head
    finding = report.findings[0]
    assert finding.kind == "decision-torn" and finding.severity == "damage" and finding.part == "decisions" and finding.mendable
    assert finding.path.name == torn.name and finding.kind in finding.text and "kind='decision-torn'" in repr(finding)
    assert [found.kind for found in book.plan_repair()] == ["decision-torn"]
    done = book.repair()
    assert [found.kind for found in done.mended] == ["decision-torn"] and done.failed == [] and done.after.is_clean
    assert done.quarantine.is_dir() and book.decisions.get("d-2")["action"] == "BUY"
    with pytest.raises(ValueError):
        book.verify(["everything"])
    with pytest.raises(NotImplementedError):
        minutebook.in_memory().verify()


def test_a_backup_is_added_to_and_brought_back(book, tmp_path):
    book.decisions.save(decision(1))
    first = book.backup(tmp_path / "backups", keep=5)
    book.decisions.save(decision(2))
    book.series.write("A@1h", bars())
    second = book.backup(tmp_path / "backups")
    assert second.files > first.files and second.copied_files < second.files and second.skipped == second.unsteady == []
    assert [found.name for found in minutebook.generations(tmp_path / "backups")] == [first.generation, second.generation]
    assert minutebook.restore(tmp_path / "backups", tmp_path / "again").generation == second.generation
    minutebook.restore(tmp_path / "backups", tmp_path / "before", generation=first.generation, parts=["decisions"])
    again, before = minutebook.open(tmp_path / "again"), minutebook.open(tmp_path / "before")
    assert again.verify().is_clean and again.decisions.count() == 2 and again.series.summary("A@1h").rows == 48
    assert before.decisions.count() == 1
    with pytest.raises(minutebook.MinutebookError):
        minutebook.restore(tmp_path / "backups", tmp_path / "again")

    async def main():
        other = aio.open(tmp_path / "again")
        made = await other.backup(tmp_path / "other")
        assert (await aio.generations(tmp_path / "other"))[0].name == made.generation
        assert (await aio.restore(tmp_path / "other", tmp_path / "third")).files == made.files

    asyncio.run(main())


def test_a_backup_is_checked_without_restoring_it(book, tmp_path):
    book.decisions.save(decision(1))
    target = tmp_path / "backups"
    first = book.backup(target)
    book.decisions.save(decision(2))
    book.backup(target)
    check = minutebook.check_backup(target)
    assert check.is_whole and check.damaged == [] and check.files > first.files - 1 and check.read > 0
    assert len(minutebook.check_backup(target, generation="all").generations) == 2
    with pytest.raises(KeyError):
        minutebook.check_backup(target, generation="none")
    objects = [path for path in target.rglob("*") if path.is_file() and b"d-2" in path.read_bytes() and "object" in str(path)]
    assert objects
    for path in objects:
        os.chmod(path, 0o644)
        path.write_bytes(b"x")

    async def main():
        return await aio.check_backup(target, generation="all")

    check = asyncio.run(main())
    assert not check.is_whole and check.damaged_files == len(check.damaged) >= 1
    assert check.damaged[0].part == "decisions" and check.damaged[0].object in objects and check.damaged[0].cause


def test_a_backup_of_another_store_is_left_alone_unless_the_store_was_moved(book, tmp_path):
    book.decisions.save(decision(1))
    first = book.backup(tmp_path / "backups")
    minutebook.restore(tmp_path / "backups", tmp_path / "moved")
    moved = minutebook.open(tmp_path / "moved")
    with pytest.raises(minutebook.AlreadyExistsError, match="source_moved"):
        moved.backup(tmp_path / "backups")
    second = moved.backup(tmp_path / "backups", source_moved=True)
    assert second.copied_files < first.copied_files and len(minutebook.generations(tmp_path / "backups")) == 2
    moved.backup(tmp_path / "backups")  # from then on the new place is the known one
    with pytest.raises(minutebook.AlreadyExistsError):
        book.backup(tmp_path / "backups")
