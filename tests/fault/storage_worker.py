"""A process that is made to be killed: commits numbered units and says so on standard output.

Unit n carries the point n in history, a telemetry event with the very same values, an entity event
and a state, so that a torn unit would show. Prints `c n` when the commit of n has returned and
`a n` before everything up to n is acknowledged.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from uuid import UUID

import msgspec
import trio

from appliance.extension.hookspecs import Context
from appliance.kernel.clock import wall_clock_ms
from appliance.kernel.events import ignore
from appliance.model.ids import EntityId
from appliance.model.telemetry import Series, Value
from appliance.model.unit import CLOUD, Lane, OutboxEvent, StateWrite, Unit
from appliance.sync.wire import decode_entry, encode_entry
from appliance.testing.storage import running
from plugins.storage_duckdb import build
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.storage import DuckdbStorage

DEVICE = EntityId("DEVICE", UUID("11111111-0000-11ee-8000-000000000001"))
CONFIG = DuckdbStorageConfig(
    segment_bytes=1 << 16,
    retention_interval_s=0.05,
    acknowledge_interval_s=0.02,
    apply_interval_s=0.01,
    wal_bytes_max=1 << 16,
    free_bytes_min=0,
    history_s=0.0,
)


def storage_in(folder: Path, **changes: float) -> DuckdbStorage:
    config = msgspec.structs.replace(CONFIG, **changes)
    return build(config, Context("edge", folder, wall_clock_ms, ignore))


def unit(number: int) -> Unit:
    values: dict[str, Value] = {"n": number, "half": number / 2, "text": "x" * (number % 50)}
    entry = encode_entry(number, values)
    return Unit(
        series=[Series(DEVICE, number, values)],
        events=[
            OutboxEvent(CLOUD, Lane.DATA, "DEVICE", "TIMESERIES_UPDATED", DEVICE, entry),
            OutboxEvent(CLOUD, Lane.ENTITY, "DEVICE", "UPDATED", DEVICE, b"%d" % number),
        ],
        states=[StateWrite("worker", "last", b"%d" % number)],
    )


def number_of(body: bytes) -> int:
    number = decode_entry(body)[1]["n"]
    assert isinstance(number, int)
    return number


def say(word: str, number: int) -> None:
    os.write(1, b"%s %d\n" % (word.encode(), number))


async def work(folder: Path, first: int, seed: int) -> None:
    chance = random.Random(seed)
    number = first
    async with running(storage_in(folder)) as storage, trio.open_nursery() as nursery:

        async def commit(numbers: range) -> None:
            await storage.commit([unit(n) for n in numbers])
            say("c", numbers[-1])

        async def send() -> None:
            while True:
                await trio.sleep(chance.random() / 20)
                for lane in (Lane.DATA, Lane.ENTITY):
                    events = await storage.pending(CLOUD, lane, None, 50, 1 << 20)
                    if events and lane is Lane.DATA:
                        say("a", number_of(events[-1].event.body))
                    storage.acknowledge(CLOUD, lane, events)

        nursery.start_soon(send)
        say("r", first)
        while True:
            step = chance.choice((1, 1, 2, 40))
            nursery.start_soon(commit, range(number, number + step))
            number += step
            await trio.sleep(chance.choice((0, 0, 0.001, 0.004)))
            while len(nursery.child_tasks) > 20:
                await trio.sleep(0.001)


if __name__ == "__main__":
    trio.run(work, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
