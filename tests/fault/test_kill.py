"""kill −9 at random points under load: nothing acknowledged is lost, nothing is doubled.

Oracle: every value is a number of its own at a millisecond of its own; the publisher knows which
numbers got a PUBACK. In the end each of them is at the cloud exactly once, and no device's numbers
came out of order.

APPLIANCE_KILL_ROUNDS says how many rounds (200; 2,000 for a long run), APPLIANCE_SEED repeats one.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.kit.mqtt_load import Publisher
from tests.kit.process import House, arrivals, history
from tests.kit.seed import SEED

ROUNDS = int(os.environ.get("APPLIANCE_KILL_ROUNDS", "200"))
DEVICES = 3
BASE_MS = 1_700_000_000_000


@pytest.mark.fault
@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled_by_kills(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    house = House(tmp_path, DEVICES)
    house.cloud.start()
    acked: dict[int, set[int]] = {device: set() for device in range(DEVICES)}
    first = [device * 10_000_000 for device in range(DEVICES)]
    try:
        for _ in range(ROUNDS):
            one_life(house, chance, acked, first)
        house.edge.start()
        house.wait_accepting()
        house.wait_drained()
        ledger = house.status()["ledger"]
        assert ledger["missing"] == 0
        assert house.edge.stop() == 0
    finally:
        house.edge.kill()
        assert house.cloud.stop() == 0
    compare(house, acked)


def one_life(
    house: House, chance: random.Random, acked: dict[int, set[int]], first: list[int]
) -> None:
    """Start the edge, publish from every device, kill it somewhere in the middle."""
    house.edge.start()
    house.wait_accepting()
    publishers = [
        Publisher(
            house.mqtt,
            house.tokens[device],
            first[device],
            burst=chance.choice((1, 7, 40)),
            ts_of=lambda number: BASE_MS + number,
        )
        for device in range(DEVICES)
    ]  # fmt: skip - one device a line
    for publisher in publishers:
        publisher.start()
    time.sleep(chance.uniform(0.0, 0.4))
    house.edge.kill()
    for device, publisher in enumerate(publishers):
        publisher.stop()
        publisher.join()
        acked[device] |= publisher.acked
        first[device] = publisher.next


def compare(house: House, acked: dict[int, set[int]]) -> None:
    """The oracle's verdict on what the cloud has."""
    cloud = house.folder / "cloud"
    points, came = history(cloud), arrivals(cloud)
    total = 0
    for device, entity in enumerate(house.devices):
        mine = [(ts, n) for id, ts, n in points if id == str(entity.id)]
        there = {n for _, n in mine}
        lost = acked[device] - there
        assert not lost, f"{len(lost)} acknowledged values lost, e.g. {sorted(lost)[:5]}"
        assert len(there) == len(mine), "a value shows twice"
        assert all(ts == BASE_MS + n for ts, n in mine)
        firsts = list(dict.fromkeys(n for id, n in came if id == str(entity.id)))
        assert firsts == sorted(firsts), "a device's values came out of order"
        total += len(there)
    print(f"{total} values at the cloud, {sum(map(len, acked.values()))} acknowledged")
