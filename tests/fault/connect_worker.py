"""Edges that connect and die: forked from this process, killed at random moments.

Arguments: port, seed, how many. Half of them die while they connect, half after the answer to
their CONNECT, with telemetry under way. Ends with 1 when an answer did not come.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time

import trio

from appliance.kernel.events import ignore
from appliance.model.ids import EntityId, new_uuid
from appliance.sync.messages import Batch, Connect, Connected, SyncRequest, Telemetry
from appliance.sync.wire import encode_entry
from plugins.transport_grpc.config import GrpcConfig
from plugins.transport_grpc.transport import GrpcTransport
from tests.kit.pair import KEY, SECRET

ANSWER_S = 15.0


async def live(port: int, told: int) -> None:
    """One edge; says on `told` that it was answered, then sends until it is killed."""
    transport = GrpcTransport(GrpcConfig(host="127.0.0.1", port=port), ignore)
    entry, device = encode_entry(1, {"n": 1}), EntityId("DEVICE", new_uuid())
    async with transport.connect() as link:
        await link.send([Connect(KEY, SECRET, 13, 4_194_304)])
        assert isinstance((await link.receive())[0], Connected)
        os.write(told, b"!")
        await link.send([SyncRequest(full=True)])
        for number in range(1_000_000):
            await link.send([Batch(number, (Telemetry(device, (entry,) * 50),))])


def one(port: int, chance: random.Random) -> bool:
    """One edge's life; False if it waited for its answer in vain."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        trio.run(live, port, writer)
        os._exit(0)
    os.close(writer)
    answered = True
    if chance.random() < 0.5:
        answered = bool(select.select([reader], [], [], ANSWER_S)[0]) and bool(os.read(reader, 1))
    time.sleep(chance.uniform(0.0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    return answered


if __name__ == "__main__":
    port, seed, count = map(int, sys.argv[1:])
    chance = random.Random(seed)
    sys.exit(0 if all(one(port, chance) for _ in range(count)) else 1)
