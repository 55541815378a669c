"""The tenant profile's limits on calculated fields that run."""

from __future__ import annotations

from uuid import UUID

import pytest

from appliance.model.ids import EntityId
from tests.unit.fields.bench import Site, argument


async def set_limits(site: Site, **configuration: int) -> None:
    """The tenant's profile comes from the cloud."""
    id = EntityId("TENANT_PROFILE", UUID(int=1))
    body = {"id": id.to_json(), "name": "p", "profileData": {"configuration": configuration}}
    await site.bench.write("TENANT_PROFILE", id.id, body)


async def test_the_tenant_profile_bounds_a_running_field_without_a_new_calculation() -> None:
    site = Site()
    await site.start()
    rolling = argument("a", "TS_ROLLING", limit=5, timeWindow=60_000)
    script = {"arguments": {"a": rolling}, "expression": "return {'o': a.count()};"}
    await site.field("count", "SCRIPT", {**script, "output": {"type": "TIME_SERIES"}})
    for value in range(3):
        site.bench.now_ms += 1
        await site.send({"a": value})
    assert site.values("o") == [1, 2, 3]

    await set_limits(site, maxDataPointsPerRollingArg=2)
    assert site.values("o") == [1, 2, 3]

    site.bench.now_ms += 1
    await site.send({"a": 9})
    assert site.values("o")[-1] == 2


@pytest.mark.parametrize(("kilobytes", "results"), [(1, 0), (4, 1), (0, 1)])
async def test_the_tenant_profile_says_how_large_a_value_may_be(
    kilobytes: int, results: int
) -> None:
    site = Site()
    await site.start()
    await set_limits(site, maxSingleValueArgumentSizeInKBytes=kilobytes)
    script = {"arguments": {"a": argument("a")}, "expression": "return {'o': a.length()};"}
    await site.field("length", "SCRIPT", {**script, "output": {"type": "TIME_SERIES"}})
    await site.send({"a": "x" * 3000})
    assert len(site.values("o")) == results


@pytest.mark.parametrize(("kilobytes", "results"), [(1, 2), (2, 3), (0, 3)])
async def test_a_cell_that_knows_more_than_the_tenant_profile_allows_gives_no_result(
    kilobytes: int, results: int
) -> None:
    site = Site()
    await site.start()
    await set_limits(site, maxStateSizeInKBytes=kilobytes)
    keys = {key: argument(key, defaultValue="-") for key in "ab"}
    script = {"arguments": keys, "expression": "return {'o': a.length() + b.length()};"}
    await site.field("length", "SCRIPT", {**script, "output": {"type": "TIME_SERIES"}})
    site.bench.now_ms += 1
    await site.send({"a": "x" * 700})
    site.bench.now_ms += 1
    await site.send({"b": "x" * 700})
    assert len(site.values("o")) == results

    site.bench.now_ms += 1
    await site.send({"b": "x"})
    assert site.values("o")[-1] == 701


async def test_the_points_of_windows_count_against_the_size_of_a_state() -> None:
    site = Site()
    await site.start()
    await set_limits(site, maxStateSizeInKBytes=1)
    rolling = {"t": argument("t", "TS_ROLLING", limit=1000, timeWindow=60_000)}
    script = {"arguments": rolling, "expression": "return {'o': t.count()};"}
    await site.field("count", "SCRIPT", {**script, "output": {"type": "TIME_SERIES"}})

    for _ in range(60):
        site.bench.now_ms += 1
        await site.send({"t": 1})

    assert max(site.values("o")) == 1024 // 18
    assert "State size exceeds limit of 1Kb" in site.bench.events[-1].error


async def test_what_a_cell_knows_of_related_entities_counts_too() -> None:
    site = Site()
    await site.start()
    await set_limits(site, maxStateSizeInKBytes=1)
    child = site.bench.add_device("D2")
    site.bench.relate(site.device, child)
    field = {
        "relation": {"direction": "FROM", "relationType": "Contains"},
        "arguments": {"t": argument("t")},
        "metrics": {"n": {"function": "COUNT", "input": {"type": "key", "key": "t"}}},
        "output": {"type": "TIME_SERIES"},
    }
    await site.field("count", "RELATED_ENTITIES_AGGREGATION", field)

    await site.send({"t": "x" * 1500}, child)
    await site.bench.later(11_000)

    assert site.values("n") == [0]
