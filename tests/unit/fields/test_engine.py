"""The engine beyond the recorded cases: loops, owners, changes beside the chain, IMMEDIATE."""

from __future__ import annotations

from uuid import UUID

import pytest

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.model.unit import EntityWrite, Unit
from appliance.rules.ports import CalculationInput
from appliance.rules.values import encode_json
from tests.unit.fields.bench import Site, alarm, argument, numeric, simple

AT_ONCE = {
    "type": "IMMEDIATE",
    "saveTimeSeries": True,
    "saveLatest": True,
    "saveAttribute": True,
    "processCfs": True,
}


@pytest.fixture
def site() -> Site:
    return Site()


async def test_two_fields_that_feed_each_other_stop(site: Site) -> None:
    await site.start()
    await site.field("there", "SIMPLE", simple("p+1", "q", "p"))
    await site.field("back", "SIMPLE", simple("q+1", "p", "q"))

    await site.send({"p": 1})

    assert site.values("q") == [2.0]
    assert site.values("p") == [3.0]


async def test_fields_that_feed_each_other_at_once_stop_too(site: Site) -> None:
    await site.start()
    there, back = simple("p+1", "q", "p"), simple("q+1", "p", "q")
    there["output"]["strategy"] = back["output"]["strategy"] = AT_ONCE
    await site.field("there", "SIMPLE", there)
    await site.field("back", "SIMPLE", back)

    await site.send({"p": 1})

    assert site.values("q") == [2.0]
    assert site.values("p") == [3.0]


async def test_a_result_is_in_the_unit_of_the_value_it_comes_from(site: Site) -> None:
    await site.start()
    await site.field("double", "SIMPLE", simple("a*2", "o", "a"))

    work = await site.bench.send("POST_TELEMETRY_REQUEST", site.device, {"a": 4})

    assert [series.values for series in work.unit.series] == [{"a": 4}, {"o": 8.0}]
    assert [state.owner for state in work.unit.states] == ["fields"]
    assert [event.action for event in work.unit.events] == ["TIMESERIES_UPDATED"] * 2


async def test_what_is_saved_at_once_does_not_go_up(site: Site) -> None:
    await site.start()
    field = simple("a*2", "o", "a")
    field["output"]["strategy"] = AT_ONCE
    await site.field("double", "SIMPLE", field)

    work = await site.bench.send("POST_TELEMETRY_REQUEST", site.device, {"a": 4})

    assert [series.values for series in work.unit.series] == [{"a": 4}, {"o": 8.0}]
    assert len(work.unit.events) == 1


async def test_an_attribute_is_saved_at_once_only_where_it_changed(site: Site) -> None:
    await site.start()
    field = simple("floor(a)", "o", "a")
    strategy = {**AT_ONCE, "updateAttributesOnlyOnValueChange": True}
    field["output"] |= {"type": "ATTRIBUTES", "scope": "SHARED_SCOPE", "strategy": strategy}
    await site.field("whole", "SIMPLE", field)

    for value in (1.2, 1.4, 2.5):
        await site.send({"a": value})

    told = [updated for _, scope, updated, _ in site.bench.services.notified]
    assert told == [{"o": 1.0}, {"o": 2.0}]


async def test_an_attribute_that_changed_beside_the_chain_counts_at_the_next_value(
    site: Site,
) -> None:
    await site.start()
    field = simple("a*k", "o", "a")
    field["arguments"]["k"] = argument("k", "ATTRIBUTE", defaultValue="1")
    await site.field("scaled", "SIMPLE", field)
    await site.bench.later(1_000)
    write = AttributeWrite(site.device, Scope.SERVER, site.bench.now_ms, {"k": 10})
    site.bench.state.apply(Unit(attributes=[write]))

    await site.send({"a": 3})

    assert site.values("o") == [30.0]


async def test_points_that_come_together_are_one_change(site: Site) -> None:
    await site.start()
    await site.field("double", "SIMPLE", simple("a*2", "o", "a", useLatestTs=True))
    now = site.bench.now_ms
    inputs = [CalculationInput(site.device, None, now + n, {"a": n}) for n in range(3)]

    await site.bench.do(lambda work: site.bench.fields.take(inputs, work))

    assert site.values("o") == [4.0]


async def test_a_device_that_changes_its_profile_changes_its_fields(site: Site) -> None:
    await site.start()
    profile = site.bench.add("DEVICE_PROFILE", {"name": "pumps"})
    await site.field("double", "SIMPLE", simple("a*2", "o", "a"), owner=profile)
    await site.send({"a": 1})
    assert site.values("o") == []

    body = {**site.bench.state.entity("DEVICE", site.device.id)}
    body["deviceProfileId"] = profile.to_json()
    await site.bench.write("DEVICE", site.device.id, body)
    assert site.values("o") == [2.0]
    await site.bench.write("DEVICE", site.device.id, None)

    assert site.bench.history.states["fields"] == {}


async def test_a_new_customer_brings_its_own_values(site: Site) -> None:
    await site.start()
    customer = site.bench.add("CUSTOMER", {"title": "C"})
    site.bench.put_attributes(site.bench.tenant, Scope.SERVER, {"k": 2})
    site.bench.put_attributes(customer, Scope.SERVER, {"k": 5})
    site.bench.state.tenant_id = site.bench.tenant.id
    field = simple("a*k", "o", "a")
    owner = {"refDynamicSourceConfiguration": {"type": "CURRENT_OWNER"}}
    field["arguments"]["k"] = argument("k", "ATTRIBUTE", **owner)
    await site.field("scaled", "SIMPLE", field)
    await site.send({"a": 1})
    assert site.values("o") == [2.0]
    await site.bench.later(1_000)

    body = {**site.bench.state.entity("DEVICE", site.device.id), "customerId": customer.to_json()}
    await site.bench.write("DEVICE", site.device.id, body)

    assert site.values("o") == [2.0, 5.0]


async def test_a_field_that_makes_no_sense_is_told_and_the_rest_runs(site: Site) -> None:
    await site.start()
    await site.field("nonsense", "SIMPLE", {"expression": "a"})
    await site.field("unknown", "FUTURE_TYPE", {})
    await site.field("double", "SIMPLE", simple("a*2", "o", "a"))

    await site.send({"a": 1})

    assert site.values("o") == [2.0]
    refused = [e.name for e in site.bench.events if type(e).__name__ == "FieldRefused"]
    assert refused == ["nonsense", "unknown"]


async def test_a_type_can_be_left_to_the_server(site: Site) -> None:
    site.bench.fields.leave(["SIMPLE"])
    await site.start()
    await site.field("double", "SIMPLE", simple("a*2", "o", "a"))

    await site.send({"a": 1})

    assert site.values("o") == []


async def test_a_field_may_come_before_its_device(site: Site) -> None:
    await site.start()
    later = EntityId("DEVICE", site.bench.add_device("D2").id)
    body = {**site.bench.state.entity("DEVICE", later.id)}
    await site.bench.write("DEVICE", later.id, None)
    await site.field("double", "SIMPLE", simple("a*2", "o", "a"), owner=later)
    await site.bench.write("DEVICE", later.id, body)

    await site.send({"a": 1}, later)

    assert site.values("o", later) == [2.0]


KINDS = {
    "SIMPLE": simple("t*2", "o", "t"),
    "ALARM": alarm(numeric("t", "GREATER", 5)),
    "GEOFENCING": {
        "entityCoordinates": {"latitudeKeyName": "lat", "longitudeKeyName": "lon"},
        "output": {"type": "TIME_SERIES"},
    },
    "RELATED_ENTITIES_AGGREGATION": {
        "arguments": {"t": argument("t")},
        "relation": {"direction": "FROM", "relationType": "Contains"},
        "metrics": {"n": {"function": "COUNT", "input": {"type": "key", "key": "t"}}},
        "output": {"type": "TIME_SERIES"},
    },
    "ENTITY_AGGREGATION": {
        "arguments": {"t": argument("t")},
        "interval": {"type": "HOUR", "tz": "UTC"},
        "metrics": {"n": {"function": "COUNT", "input": {"type": "key", "key": "t"}}},
        "output": {"type": "TIME_SERIES"},
    },
}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("before", KINDS)
async def test_a_field_that_becomes_of_another_type_starts_over(
    site: Site, before: str, after: str, restarted: bool
) -> None:
    await site.start()
    id = await site.field("f", before, KINDS[before])
    await site.send({"t": 1, "lat": 1, "lon": 1})
    body = {**site.bench.state.entity("CALCULATED_FIELD", id.id), "type": after}
    body["configuration"] = {"type": after, **KINDS[after]}
    if restarted:
        site.bench.state._watchers.clear()
        await site.bench.write("CALCULATED_FIELD", id.id, body)
        await site.restart()
    else:
        await site.bench.write("CALCULATED_FIELD", id.id, body)
    await site.bench.later(1_000)
    await site.send({"t": 6})
    (slot,) = site.bench.fields._index.slots.values()
    assert slot.field.type == after and slot.waiting is None
    assert bool(site.alarms()) == (after == "ALARM")
    assert not [e for e in site.bench.events if type(e).__name__ == "FieldBroke"]


async def test_what_comes_while_a_cell_begins_is_calculated_after_the_beginning(
    site: Site,
) -> None:
    await site.start()
    child = site.bench.add_device("child")
    site.bench.relate(site.device, child)
    await site.send({"t": 1, "u": 2})
    field = dict(KINDS["RELATED_ENTITIES_AGGREGATION"])
    field["arguments"] = {"t": argument("t"), "u": argument("u")}
    id = EntityId("CALCULATED_FIELD", UUID(int=7))
    body = {"id": id.to_json(), "name": "f", "type": "PROPAGATION"}
    body |= {"entityId": site.device.to_json(), "configuration": {"type": "PROPAGATION", **field}}
    site.bench.state.apply(Unit(entities=[EntityWrite(id.type, id.id, encode_json(body))]))
    site.bench.now_ms += 1
    (slot,) = site.bench.fields._index.slots.values()
    assert slot.waiting == []

    await site.bench.do(
        lambda work: site.bench.fields.calculate(
            CalculationInput(site.device, None, site.bench.now_ms, {"t": 5}), work
        )
    )
    assert site.bench.history.points.get(child) is None
    await site.bench.calm()

    assert (site.values("t", child), site.values("u", child)) == ([1, 5], [2])
