"""A full disk: commits say wait, nothing acknowledged is lost, and it recovers by itself."""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from appliance.extension.ports import SeriesQuery, Storage
from appliance.model.errors import Retryable
from appliance.model.unit import CLOUD, Lane
from appliance.testing.storage import all_pending, check_conservation, running
from tests.fault.storage_worker import DEVICE, number_of, storage_in, unit


async def fill(storage: Storage, first: int) -> int:
    """Commit until it is refused; the number of the first unit that was not taken."""
    for start in range(first, first + 500_000, 20):
        try:
            await storage.commit([unit(n) for n in range(start, start + 20)])
        except Retryable as refusal:
            assert "full" in str(refusal)
            return start
    raise AssertionError("nothing refuses")


async def commit_patiently(storage: Storage, number: int) -> None:
    """As a device would: try again until it is taken."""
    with trio.fail_after(30):
        while True:
            try:
                await storage.commit([unit(number)])
                return
            except Retryable:
                await trio.sleep(0.05)


async def history_patiently(storage: Storage) -> list[object]:
    """The numbers in history, once the database has caught up."""
    query = SeriesQuery(DEVICE, ("n",), 0, 1 << 40, 1 << 30, ascending=True)
    with trio.fail_after(30):
        while True:
            try:
                return [value for _, value in (await storage.query_series(query))["n"]]
            except Retryable:
                await trio.sleep(0.1)


async def check_all(storage: Storage, count: int) -> None:
    data = [number_of(e.event.body) for e in await all_pending(storage, Lane.DATA)]
    assert data == list(range(count))
    assert await history_patiently(storage) == list(range(count))
    check_conservation(storage)


@pytest.mark.fault
async def test_a_limit_on_file_size_refuses_commits_until_it_is_lifted(tmp_path: Path) -> None:
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    hold = {"segment_bytes": 1 << 22, "apply_interval_s": 0.0, "wal_bytes_max": 1 << 22}
    async with running(storage_in(tmp_path, **hold)) as storage:
        await storage.commit([unit(0)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, former[1]))
        try:
            taken = await fill(storage, 1)
            assert storage.statistics()["full"]
            with pytest.raises(Retryable):
                await storage.commit([unit(n) for n in range(taken, taken + 20)])
            events = await all_pending(storage, Lane.DATA)
            assert [number_of(event.event.body) for event in events] == list(range(taken))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, former)
        await commit_patiently(storage, taken)
        assert not storage.statistics()["full"]
        await check_all(storage, taken + 1)
        assert storage.statistics()["missing"] == []
    async with running(storage_in(tmp_path)) as storage:
        await check_all(storage, taken + 1)
        assert storage.statistics()["missing"] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB; skips where one may not be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.fault
async def test_a_full_file_system_refuses_commits_until_there_is_space(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(12 << 20))
    async with running(storage_in(small_disk)) as storage:
        taken = await fill(storage, 0)
        assert storage.statistics()["full"]
        await trio.sleep(0.3)  # a checkpoint may fail meanwhile; that must not hurt
        ballast.unlink()
        await commit_patiently(storage, taken)
        await check_all(storage, taken + 1)
        assert storage.statistics()["missing"] == []
    async with running(storage_in(small_disk)) as storage:
        await check_all(storage, taken + 1)


@pytest.mark.fault
async def test_it_starts_on_a_full_file_system(small_disk: Path) -> None:
    async with running(storage_in(small_disk)) as storage:
        await storage.commit([unit(n) for n in range(100)])
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    async with running(storage_in(small_disk)) as storage:
        with pytest.raises(Retryable):
            await storage.commit([unit(100)])
        data = [number_of(e.event.body) for e in await all_pending(storage, Lane.DATA)]
        assert data == list(range(100))
        ballast.unlink()
        await commit_patiently(storage, 100)
        await check_all(storage, 101)


@pytest.mark.fault
async def test_the_reserve_is_kept_free(tmp_path: Path) -> None:
    async with running(storage_in(tmp_path, free_bytes_min=1 << 60)) as storage:
        with pytest.raises(Retryable, match="kept free"):
            await storage.commit([unit(0)])
        assert storage.depth(CLOUD, Lane.DATA).accepted == 0
