"""A folder that lost something opens, never waits for what is gone, and says what that was."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.errors import Retryable
from appliance.model.unit import CLOUD, Lane
from appliance.testing.storage import all_pending, check_conservation, query, running, telemetry
from plugins.storage_duckdb import DuckdbStorage, build, snapshot
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.database import FILE
from plugins.storage_duckdb.format import GROUP_MAGIC
from plugins.storage_duckdb.fsck import DAMAGED, OK, fsck
from plugins.storage_duckdb.mark import MARK
from plugins.storage_duckdb.reader import JournalReader
from plugins.storage_duckdb.segments import open_sealed, segment_paths

ANSWER_S = 10.0
"""A wait for what is gone would take for ever; this is only where a test gives up."""


def storage_in(folder: Path, **changes: object) -> DuckdbStorage:
    config = DuckdbStorageConfig(history_s=0.0, free_bytes_min=0, **changes)
    return build(config, Context("edge", folder, wall_clock_ms, ignore))


async def crashed(tmp_path: Path, *batches: int) -> Path:
    """A folder as a crash leaves it: the batches committed, applied, not checkpointed."""
    folder = tmp_path / "crashed"
    ts = 0
    async with running(storage_in(tmp_path / "live")) as storage:
        for size in batches:
            await storage.commit([telemetry(ts + n, {"t": ts + n}) for n in range(size)])
            ts += size
        assert len(await numbers(storage)) == ts
        shutil.copytree(tmp_path / "live", folder)
    return folder


async def numbers(storage: DuckdbStorage) -> list[int]:
    """All values of the history."""
    found = await storage.query_series(query("t", limit=1 << 30))
    return [value for _, value in found.get("t", [])]


async def look(folder: Path) -> tuple[list[int], list[str], int]:
    """(history, missing, events that wait) of the folder, opened once more."""
    with trio.fail_after(ANSWER_S):
        async with running(storage_in(folder)) as storage:
            seen = await numbers(storage)
            waiting = len(await all_pending(storage))
            assert waiting == storage.depth(CLOUD, Lane.DATA).pending
            check_conservation(storage)
            return seen, storage.statistics()["missing"], waiting


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def flip(path: Path) -> None:
    """One bit in the middle of a group, which costs the record there."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def journal_of(folder: Path) -> Path:
    (path,) = segment_paths(folder / "journal")
    return path


# --- the end of the journal ----------------------------------------------------------------------


@pytest.mark.parametrize("log", [True, False], ids=["with DuckDB's log", "without"])
async def test_nobody_waits_for_records_that_the_journal_lost(tmp_path: Path, log: bool) -> None:
    folder = await crashed(tmp_path, 40)
    path = journal_of(folder)
    cut(path, path.stat().st_size * 3 // 4)
    if not log:
        (folder / f"{FILE}.wal").unlink()
    seen, missing, waiting = await look(folder)
    assert seen == list(range(waiting))
    assert 0 < waiting < 40
    assert f"records {waiting + 1}..40" in missing[0]


async def test_a_journal_that_ends_between_two_groups_is_known_to_have_gone_on(
    tmp_path: Path,
) -> None:
    short = journal_of(await crashed(tmp_path / "short", 10))
    folder = await crashed(tmp_path, 10, 10, 1)
    cut(journal_of(folder), short.stat().st_size)
    assert fsck(folder).exit_code == DAMAGED
    seen, missing, waiting = await look(folder)
    assert (seen, waiting) == (list(range(10)), 10)
    assert missing == ["journal records gone: records 11..21"]
    async with running(storage_in(folder)) as storage:
        assert await storage.commit([telemetry(50, {"t": 50})]) > 21
    seen, again, waiting = await look(folder)
    assert (seen, waiting) == ([*range(10), 50], 11)
    assert again == missing, "the same loss is told once"


async def test_a_write_that_never_finished_is_no_loss(tmp_path: Path) -> None:
    folder = await crashed(tmp_path, 10)
    path = journal_of(folder)
    path.write_bytes(path.read_bytes() + b"\xe7\x47half a group")
    seen, missing, waiting = await look(folder)
    assert (seen, waiting) == (list(range(10)), 10)
    assert "nothing that was acknowledged" in missing[0]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 12, bytes(12)])
async def test_a_damaged_mark_makes_the_end_uncertain(tmp_path: Path, content: bytes) -> None:
    folder = await crashed(tmp_path, 10)
    (folder / "journal" / MARK).write_bytes(content)
    assert fsck(folder).exit_code == DAMAGED
    seen, missing, waiting = await look(folder)
    assert (seen, waiting) == (list(range(10)), 10)
    (words,) = missing
    assert words.endswith("whatever followed record 10, if anything did")
    assert fsck(folder).exit_code == OK
    assert await look(folder) == (seen, missing, waiting)


async def test_a_folder_from_before_there_was_a_mark_is_whole(tmp_path: Path) -> None:
    folder = await crashed(tmp_path, 10)
    (folder / "journal" / MARK).unlink()
    assert await look(folder) == (list(range(10)), [], 10)


# --- zeros, whose checksum is zero ---------------------------------------------------------------


@pytest.mark.parametrize("place", [slice(8, 16), slice(-16, -8)], ids=["header", "footer"])
async def test_zeros_in_a_segments_frame_cost_nothing(tmp_path: Path, place: slice) -> None:
    async with running(storage_in(tmp_path)) as storage:
        await storage.commit([telemetry(n, {"t": n}) for n in range(10)])
    path = journal_of(tmp_path)
    data = bytearray(path.read_bytes())
    data[place] = bytes(8)
    path.write_bytes(data)
    seen, missing, waiting = await look(tmp_path)
    assert (seen, waiting) == (list(range(10)), 10)
    assert not any(re.search(r"records \d", words) for words in missing)


def test_zeros_in_a_snapshot_are_damage(tmp_path: Path) -> None:
    path = tmp_path / snapshot.CURRENT
    path.write_bytes(bytes(512))
    found = snapshot.read(path)
    assert found is not None
    assert not found.complete


# --- DuckDB's log --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".wal", ".wal.checkpoint", ".wal.recovery"])
async def test_duckdbs_log_is_not_read(tmp_path: Path, suffix: str) -> None:
    folder = await crashed(tmp_path, 10)
    (folder / f"{FILE}{suffix}").write_bytes(b"no log at all" * 100)
    assert await look(folder) == (list(range(10)), [], 10)


async def test_a_rebuild_copies_what_only_the_old_file_has(tmp_path: Path) -> None:
    """Records gone from the middle of the journal, but checkpointed before."""
    live = tmp_path / "live"
    async with running(storage_in(live)) as storage:
        for start in range(0, 30, 10):
            await storage.commit([telemetry(n, {"t": n}) for n in range(start, start + 10)])
        assert len(await numbers(storage)) == 30
    flip(journal_of(live))
    seen, missing, waiting = await look(live)
    assert (len(seen), waiting, len(missing)) == (30, 29, 1)
    assert fsck(live).exit_code == OK
    async with running(storage_in(live)) as storage:
        applier = storage._opened().applier
        await applier._reopen(applier.database, ValueError("by hand"), rebuild=True)
        assert await numbers(storage) == list(range(30))


# --- a block of the disk that cannot be read ------------------------------------------------------


@pytest.fixture
def bad_block(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Make the 4 KiB of a file around an offset unreadable, as the kernel shows a bad sector."""
    bad: list[tuple[int, int]] = []
    good_pread = os.pread

    def pread(file: int, length: int, at: int) -> bytes:
        for inode, start in bad:
            if os.fstat(file).st_ino == inode and at < start + 4096 and at + length > start:
                if at >= start:
                    raise OSError(errno.EIO, "Input/output error")
                return good_pread(file, start - at, at)
        return good_pread(file, length, at)

    monkeypatch.setattr(os, "pread", pread)
    return lambda path, at: bad.append((path.stat().st_ino, at // 4096 * 4096))


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0], ids=["beginning", "middle", "end"])
async def test_a_bad_block_of_the_journal_costs_its_records_and_not_the_start(
    tmp_path: Path, bad_block: Callable[[Path, int], None], part: float
) -> None:
    folder = await crashed(tmp_path, *[20] * 20)
    path = journal_of(folder)
    bad_block(path, int((path.stat().st_size - 1) * part))
    seen, missing, waiting = await look(folder)
    assert 250 < waiting < 400
    assert len(seen) == waiting
    assert "records" in missing[0]
    assert await look(folder) == (seen, missing, waiting)


async def test_a_bad_block_met_while_running_is_stepped_over(
    tmp_path: Path, bad_block: Callable[[Path, int], None]
) -> None:
    storage = storage_in(tmp_path, apply_interval_s=3600, ring_bytes_max=0)
    with trio.fail_after(ANSWER_S):
        async with running(storage):
            for start in range(0, 400, 20):
                await storage.commit([telemetry(n, {"t": n}) for n in range(start, start + 20)])
            path = journal_of(tmp_path)
            bad_block(path, path.stat().st_size // 2)
            storage._opened().applier._forget_waiting()
            assert 250 < len(await numbers(storage)) < 400
            assert 250 < len(await all_pending(storage)) < 400
            assert "could not be read: records" in storage.statistics()["missing"][0]


# --- while it runs -------------------------------------------------------------------------------


async def test_a_damaged_group_header_met_while_running_brings_no_record_twice(
    tmp_path: Path,
) -> None:
    async with running(storage_in(tmp_path)) as storage:
        for start in range(0, 60, 20):
            await storage.commit([telemetry(n, {"t": n}) for n in range(start, start + 20)])
        path = journal_of(tmp_path)
        data = path.read_bytes()
        second = data.index(GROUP_MAGIC, data.index(GROUP_MAGIC) + 1)
        path.write_bytes(data[:second] + b"\0" + data[second + 1 :])
        records = JournalReader().read(storage._opened().journal.segments, 1)
        assert [record.seq for record in records] == list(range(1, 61))


async def test_records_that_vanish_before_they_are_applied_are_told(tmp_path: Path) -> None:
    storage = storage_in(tmp_path, apply_interval_s=3600)
    with trio.fail_after(ANSWER_S):
        async with running(storage):
            await storage.commit([telemetry(n, {"t": n}) for n in range(30)])
            flip(journal_of(tmp_path))
            storage._opened().applier._forget_waiting()
            (gone,) = set(range(30)) - set(await numbers(storage))
            missing = storage.statistics()["missing"]
            assert missing == [f"the journal could not be read: records {gone + 1}"]


async def test_nobody_waits_for_a_segment_that_vanishes_while_it_runs(tmp_path: Path) -> None:
    storage = storage_in(tmp_path, apply_interval_s=3600)
    with trio.fail_after(ANSWER_S):
        async with running(storage):
            await storage.commit([telemetry(n, {"t": n}) for n in range(30)])
            journal_of(tmp_path).unlink()
            storage._opened().applier._forget_waiting()
            assert await numbers(storage) == []
            assert storage.statistics()["missing"] == [
                "the journal could not be read: records 1..30"
            ]


async def test_a_healed_segment_remembers_what_it_lost(tmp_path: Path) -> None:
    folder = await crashed(tmp_path, 30)
    path = journal_of(folder)
    flip(path)
    (_, missing, _) = await look(folder)
    segment = open_sealed(path)
    assert segment is not None
    ((first, last),) = segment.lost
    assert (first, missing) == (last, [f"journal {path.name} damaged: records {first}"])


async def test_who_waits_when_the_storage_stops_is_told_so(tmp_path: Path) -> None:
    told: list[str] = []

    async def wait() -> None:
        with pytest.raises(Retryable):
            await storage.wait_pending(CLOUD, Lane.DATA, None)
        told.append("pending")

    with trio.fail_after(ANSWER_S):
        async with trio.open_nursery() as nursery:
            storage = storage_in(tmp_path)
            async with running(storage):
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked(0.01)
    assert told == ["pending"]
