"""kill -9 at random points under load: nothing acknowledged is lost, nothing is torn."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.extension.ports import SeriesQuery
from appliance.model.unit import CLOUD, Lane
from appliance.testing.storage import all_pending, check_conservation, running
from tests.fault.storage_worker import DEVICE, number_of, storage_in
from tests.kit.seed import SEED

ROUNDS = int(os.environ.get("STORAGE_KILL_ROUNDS", "10"))
WORKER = "tests.fault.storage_worker"
ROOT = Path(__file__).parents[2]


def run_until_killed(folder: Path, first: int, seed: int, after_s: float) -> list[list[str]]:
    """Start the worker, let it work for a while, kill it; what it said."""
    spoken = folder.parent / "spoken"
    with spoken.open("wb") as output:
        worker = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.fault.storage_worker",
                str(folder),
                str(first),
                str(seed),
            ],
            cwd=ROOT,
            stdout=output,
        )
        while b"r" not in spoken.read_bytes():
            assert worker.poll() is None, "the worker could not start"
            time.sleep(0.01)
        time.sleep(after_s)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    return [line.split() for line in spoken.read_text().splitlines() if " " in line]


@pytest.mark.fault
@pytest.mark.slow
async def test_killing_loses_nothing_acknowledged_and_tears_nothing(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    folder = tmp_path / "data"
    folder.mkdir()
    following = 0
    acknowledged = -1
    for _ in range(ROUNDS):
        words = run_until_killed(folder, following, chance.getrandbits(30), chance.random() * 0.6)
        committed = [int(number) for word, number in words if word == "c"]
        sent = [int(number) for word, number in words if word == "a"]
        acknowledged = max([acknowledged, *sent])
        following = await check(folder, max(committed, default=following - 1), acknowledged)


async def check(folder: Path, committed: int, acknowledged: int) -> int:
    """Everything up to `committed` is there, whole; returns the next number."""
    async with running(storage_in(folder)) as storage:
        query = SeriesQuery(DEVICE, ("n", "text"), 0, 1 << 40, 1 << 30, ascending=True)
        history = await storage.query_series(query)
        numbers = [value for _, value in history.get("n", [])]
        last = len(numbers) - 1
        assert numbers == list(range(len(numbers))), "history has holes"
        assert [len(str(v)) for _, v in history.get("text", [])] == [n % 50 for n in numbers]
        assert last >= committed, "a commit that had returned is lost"
        data = [number_of(e.event.body) for e in await all_pending(storage, Lane.DATA)]
        entity = [int(e.event.body) for e in await all_pending(storage, Lane.ENTITY)]
        assert data == list(range(last + 1))[len(numbers) - len(data) :], "events out of order"
        assert not data or data[0] <= acknowledged + 1, "an event that was never sent is gone"
        assert not entity or entity[-1] == last, "a unit is torn"
        if numbers:
            assert (await storage.load_states("worker"))["last"] == b"%d" % last
        depth = storage.depth(CLOUD, Lane.DATA)
        assert (depth.accepted, depth.pending) == (last + 1, len(data))
        check_conservation(storage)
        return last + 1
