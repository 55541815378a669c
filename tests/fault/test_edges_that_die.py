"""Edges die at any moment of connecting; the next one is answered all the same.

APPLIANCE_SEED repeats a run, APPLIANCE_KILL_ROUNDS makes it longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from appliance.kernel.events import Event
from appliance.testing.memory_storage import MemoryStorage
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.events import RoomFailed
from plugins.transport_grpc.transport import GrpcTransport
from tests.kit.pair import running_cloud, until
from tests.kit.seed import SEED

ROUNDS = int(os.environ.get("APPLIANCE_KILL_ROUNDS", "40"))
ROOT = Path(__file__).parents[2]


@pytest.mark.fault
async def test_an_edge_that_comes_after_many_that_died_is_answered() -> None:
    print(f"seed {SEED}")
    events: list[Event] = []
    transport = GrpcTransport(GrpcConfig(listen="127.0.0.1", port=0), events.append)
    async with running_cloud(MemoryStorage(), transport) as cloud:
        command = [sys.executable, "-m", "tests.fault.connect_worker"]
        command += [str(cloud.service.port), str(SEED), str(ROUNDS)]
        with trio.fail_after(60 + ROUNDS):
            await trio.run_process(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        await until(lambda: not cloud.service.sessions, 20)
    assert not [event for event in events if isinstance(event, RoomFailed)]
