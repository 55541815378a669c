"""kill −9 of the edge and of the cloud while people at both ends change the same devices.

Oracle, once both are back and nothing waits: both sides show the same devices, attributes with
their times and alarms; every device that the edge acknowledged is on the cloud; a device's label is
one that somebody gave it; every value that a device was told to be kept is on the cloud once, and
each device's values were first taken in the order in which they were sent.

APPLIANCE_KILL_ROUNDS says how many kills (6), APPLIANCE_SEED repeats the choices.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kit.hands import BASE_MS, Hand, Numbers, Refused
from tests.kit.process import House, arrivals, connects, history, wait_for
from tests.kit.seed import SEED

ROUNDS = int(os.environ.get("APPLIANCE_KILL_ROUNDS", "6"))
DEVICES = 3


@pytest.mark.fault
@pytest.mark.slow
def test_both_sides_agree_after_kills_of_either(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    house = House(tmp_path, DEVICES)
    devices = {str(d.id): t for d, t in zip(house.devices, house.tokens, strict=True)}
    numbers = Numbers()
    edge = Hand("edge", house.http, devices, numbers, SEED)
    cloud = Hand("cloud", house.cloud_http, devices, numbers, SEED + 1)
    house.cloud.start()
    house.edge.start()
    try:
        house.wait_drained()
        wait_for(lambda: knows(edge, DEVICES), 30, "the first sync")
        edge.start()
        cloud.start()
        for _ in range(ROUNDS):
            time.sleep(chance.uniform(0.1, 1.0))
            kill(house, chance)
        edge.stop()
        cloud.stop()
        wait_for(lambda: quiet(house), 60, "both outboxes to drain")
        compare(edge, cloud)
        print(f"{edge.done} and {cloud.done} changes, {sum(map(len, edge.posted.values()))} values")
        assert house.edge.stop() == 0
    finally:
        print(*(f"{side['links']} {side['ledger']}" for side in sides(house)), sep="\n")
        house.edge.kill()
        assert house.cloud.stop() == 0
    compare_history(house, edge)


def knows(hand: Hand, devices: int) -> bool:
    """Whether somebody can log in and sees all devices."""
    try:
        return len(hand.view()["names"]) == devices
    except Refused:
        return False


def kill(house: House, chance: random.Random) -> None:
    """One of them, or both; then they start again."""
    victims = chance.choice(([house.edge], [house.cloud], [house.edge, house.cloud]))
    for victim in victims:
        victim.kill()
    time.sleep(chance.choice((0.0, 0.3)))
    for victim in victims:
        victim.start()
    wait_for(lambda: connects(house.cloud_http) and connects(house.http), 30, "both to be back")


def quiet(house: House) -> bool:
    """Whether both are connected and have nothing left to say."""
    seen = sides(house)
    if len(seen) < 2:
        return False
    link = seen[0]["links"][0]
    pending = any(side["ledger"]["pending"] for side in seen)
    return link["state"] == "connected" and not link["syncing"] and not pending


def sides(house: House) -> list[dict[str, Any]]:
    """What the edge and the cloud say of themselves; nothing where one of them does not run."""
    try:
        return [house.status(), house.status(house.cloud_http)]
    except OSError:
        return []


def compare(edge: Hand, cloud: Hand) -> None:
    """Both views, and what was acknowledged."""
    mine, theirs = edge.view(), cloud.view()
    for what in mine:
        for here, there in zip(mine[what], theirs[what], strict=True):
            assert here == there, what
    assert set(edge.made) <= set(theirs["names"])
    for device, (label, _, _) in ((d, v) for d, v in theirs.items() if d != "names"):
        given = {None, *edge.unsure[device], *cloud.unsure[device]}
        if edge.acked[device] or cloud.acked[device]:
            given.discard(None)
        assert label in given


def compare_history(house: House, edge: Hand) -> None:
    """Every acknowledged value, once, in order."""
    folder = house.folder / "cloud"
    points, came = history(folder), arrivals(folder)
    for entity in house.devices:
        id = str(entity.id)
        mine = [(ts, n) for device, ts, n in points if device == id]
        assert all(ts == BASE_MS + n for ts, n in mine)
        assert len({n for _, n in mine}) == len(mine), "a value shows twice"
        lost = set(edge.posted[id]) - {n for _, n in mine}
        assert not lost, f"{len(lost)} acknowledged values lost, e.g. {sorted(lost)[:5]}"
        firsts = list(dict.fromkeys(n for device, n in came if device == id))
        assert firsts == sorted(firsts), "a device's values came out of order"
