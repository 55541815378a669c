"""Which entities a relations query finds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.rules.entities import RelationsQuery, related
from appliance.testing.rules import RuleBench

DEVICES = {"relationType": "Contains", "entityTypes": ["DEVICE"]}
QUERIES: dict[str, tuple[dict[str, Any], str]] = {
    "the next level where no level is named": ({}, "floor owner"),
    "level by level": ({"maxLevel": 2}, "floor owner pump room"),
    "through entities that no filter names": ({"maxLevel": 0, "filters": [DEVICES]}, "pump probe"),
    "the other way": ({"direction": "TO", "maxLevel": 0}, ""),
    "any alternative": (
        {"maxLevel": 2, "filters": [{"relationType": "Manages"}, {"entityTypes": ["DEVICE"]}]},
        "owner pump",
    ),
    "all but a type": ({"filters": [{"relationType": "Contains", "negate": True}]}, "owner"),
    "to negate no type says nothing": (
        {"filters": [{"relationType": "", "negate": True}]},
        "floor owner",
    ),
    "the last level, and what leads no further": (
        {"maxLevel": 3, "fetchLastLevelOnly": True},
        "owner pump probe",
    ),
    "leaves only, where the levels have no end": (
        {"maxLevel": 0, "fetchLastLevelOnly": True},
        "owner pump probe",
    ),
    "the filters come after the last level": (
        {"maxLevel": 2, "fetchLastLevelOnly": True, "filters": [{"relationType": "Manages"}]},
        "owner",
    ),
}


@pytest.mark.parametrize(("query", "found"), QUERIES.values(), ids=QUERIES)
def test_a_query_finds(query: dict[str, Any], found: str) -> None:
    bench = RuleBench({})
    names = {}
    for kind, name in (("ASSET", "house"), ("ASSET", "floor"), ("ASSET", "room")):
        names[bench.add(kind, {"name": name})] = name
    house, floor, room = names
    owner = bench.add("CUSTOMER", {"title": "owner"})
    pump, probe = bench.add_device("pump"), bench.add_device("probe")
    names |= {owner: "owner", pump: "pump", probe: "probe"}
    for source, target in ((house, floor), (floor, pump), (floor, room), (room, probe)):
        bench.relate(source, target)
    bench.relate(house, owner, "Manages")
    parsed = msgspec.convert({"direction": "FROM", **query}, RelationsQuery)
    walked = sorted(names[entity] for entity in related(bench.state, house, parsed))
    assert walked == sorted(found.split())


def test_a_circle_of_relations_ends() -> None:
    bench = RuleBench({})
    first, second = bench.add("ASSET", {"name": "1"}), bench.add("ASSET", {"name": "2"})
    bench.relate(first, second)
    bench.relate(second, first)
    assert list(related(bench.state, first, RelationsQuery(direction="FROM", max_level=0))) == [
        second
    ]
