"""Aggregates over related entities and propagation to them, beyond the recorded cases."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.rules.ports import CalculationInput
from appliance.state.kinds import relation_key
from tests.unit.fields.bench import Site, argument

CONTAINS = {"direction": "FROM", "relationType": "Contains"}
SERIES = {"type": "TIME_SERIES"}


def metric(function: str, key: str = "t", **more: Any) -> dict[str, Any]:
    """A metric over an argument."""
    return {"function": function, "input": {"type": "key", "key": key}, **more}


def computed(function: str, script: str, **more: Any) -> dict[str, Any]:
    """A metric over what a function makes of each entity."""
    return {"function": function, "input": {"type": "function", "function": script}, **more}


def aggregation(metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Over `t` and `u` of what the device contains."""
    arguments = {"t": argument("t"), "u": argument("u")}
    field = {"relation": CONTAINS, "arguments": arguments, "metrics": metrics, "output": SERIES}
    return {**field, "deduplicationIntervalInSec": 10, **more}


class Family:
    """A site whose device contains others."""

    def __init__(self, children: int) -> None:
        self.site = Site()
        self.children = [self.site.bench.add_device(f"C{n}") for n in range(children)]
        for child in self.children:
            self.site.bench.relate(self.site.device, child)

    async def each(self, *values: dict[str, Any]) -> None:
        """Values of the children, then the time that results wait for."""
        for child, given in zip(self.children, values, strict=False):
            await self.site.send(given, child)
        await self.site.bench.later(10_000)

    async def unrelate(self, child: EntityId) -> None:
        """The relation goes."""
        ends = {"from": self.site.device.to_json(), "to": child.to_json()}
        key = relation_key({**ends, "type": "Contains", "typeGroup": "COMMON"})
        await self.site.bench.write("RELATION", key, None)


@pytest.mark.parametrize(
    ("metrics", "decimals", "result"),
    [
        ({"m": metric("MIN")}, None, 1.5),
        ({"m": metric("MAX")}, None, 4.0),
        ({"m": metric("SUM")}, None, 7.6),
        ({"m": metric("AVG")}, 1, 2.5),
        ({"m": metric("AVG")}, 0, 3),
        ({"m": metric("COUNT")}, 2, 3),
        ({"m": metric("COUNT_UNIQUE", "u")}, None, 2),
        ({"m": metric("COUNT", "u")}, None, 3),
        ({"m": metric("SUM", filter="return t > 2;")}, None, 6.1),
        ({"m": metric("COUNT", filter="return u == 'a';")}, None, 2),
        ({"m": metric("COUNT", filter="return 1;")}, None, 0),
        ({"m": computed("SUM", "return t * 10;")}, None, 76.0),
        ({"m": computed("SUM", "return u == 'b' ? t : null;")}, None, 4.0),
        ({"m": computed("COUNT_UNIQUE", "return u.toUpperCase();")}, None, 2),
        ({"m": computed("MAX", "return ctx.args.t.value;")}, None, 4.0),
        ({"m": metric("SUM", "u")}, None, None),
        ({"m": metric("MIN", filter="return nope;")}, None, None),
    ],
)
async def test_a_metric(metrics: dict[str, Any], decimals: int | None, result: Any) -> None:
    family = Family(3)
    await family.site.start()
    output = {**SERIES, **({} if decimals is None else {"decimalsByDefault": decimals})}
    field = aggregation(metrics, output=output)
    await family.site.field("f", "RELATED_ENTITIES_AGGREGATION", field)
    await family.each({"t": 1.5, "u": "a"}, {"t": 2.1, "u": "a"}, {"t": 4, "u": "b"})
    assert (family.site.values("m") or [None])[-1] == result


async def test_nobody_is_no_aggregate() -> None:
    family = Family(1)
    await family.site.start()
    field = aggregation({"n": metric("COUNT")})
    await family.site.field("f", "RELATED_ENTITIES_AGGREGATION", field)
    await family.each({"t": 1})
    assert family.site.values("n") == [0, 1]
    await family.unrelate(family.children[0])
    await family.site.bench.later(60_000)
    assert family.site.values("n") == [0, 1]


async def test_who_is_no_longer_related_no_longer_counts() -> None:
    family = Family(2)
    await family.site.start()
    field = aggregation({"s": metric("SUM")})
    await family.site.field("f", "RELATED_ENTITIES_AGGREGATION", field)
    await family.each({"t": 1}, {"t": 2})
    await family.site.bench.later(1)
    await family.unrelate(family.children[0])
    await family.site.bench.later(20_000)
    assert family.site.values("s") == [3.0, 2.0]


async def test_many_changes_are_one_result_per_interval() -> None:
    family = Family(1)
    await family.site.start()
    field = aggregation({"s": metric("SUM")}, deduplicationIntervalInSec=30)
    await family.site.field("f", "RELATED_ENTITIES_AGGREGATION", field)
    for value in range(60):
        await family.site.send({"t": value}, family.children[0])
        await family.site.bench.later(1_000)
    await family.site.bench.later(60_000)
    assert family.site.values("s") == [29.0, 59.0]


async def test_values_of_children_are_known_after_a_restart() -> None:
    family = Family(2)
    await family.site.start()
    field = aggregation({"s": metric("SUM")})
    await family.site.field("f", "RELATED_ENTITIES_AGGREGATION", field)
    await family.each({"t": 1}, {"t": 2})
    await family.site.restart()
    await family.each({"t": 5})
    assert family.site.values("s") == [3.0, 7.0]


async def test_attributes_of_children_and_an_attribute_for_the_result() -> None:
    family = Family(2)
    site = family.site
    await site.start()
    output = {"type": "ATTRIBUTES", "scope": "SERVER_SCOPE", "decimalsByDefault": 0}
    field = aggregation({"s": metric("SUM", "k")}, output=output, useLatestTs=True)
    field["arguments"] = {"k": argument("k", "ATTRIBUTE", defaultValue="10")}
    await site.field("f", "RELATED_ENTITIES_AGGREGATION", field)
    assert site.server_attributes() == {"s": 20}
    await site.bench.later(10_000)
    child, now = family.children[0], site.bench.now_ms

    async def task(work: Any) -> None:
        work.unit.attributes.append(AttributeWrite(child, Scope.SERVER, now, {"k": 2.4}))
        given = CalculationInput(child, Scope.SERVER, now, {"k": 2.4})
        await site.bench.fields.take([given], work)

    await site.bench.carry_out(task)
    assert site.server_attributes() == {"s": 12}


# propagation --------------------------------------------------------------------------------------


def propagation(**more: Any) -> dict[str, Any]:
    """`t` and `u` to what the device contains."""
    arguments = {"t": argument("t"), "u": argument("u")}
    return {"relation": CONTAINS, "arguments": arguments, "output": SERIES, **more}


async def test_what_comes_goes_on_to_everybody_and_nothing_else() -> None:
    family = Family(2)
    site = family.site
    await site.start()
    await site.field("f", "PROPAGATION", propagation())
    await site.send({"t": 1})
    await site.bench.later(1_000)
    await site.send({"u": True})
    for child in family.children:
        assert site.values("t", child) == [1]
        assert site.values("u", child) == [True]
        assert len(site.bench.history.points[child]["t"]) == 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_who_becomes_related_gets_what_is_known_and_the_others_nothing_new(
    restarted: bool,
) -> None:
    family = Family(1)
    site = family.site
    await site.start()
    more = {"applyExpressionToResolvedArguments": True, "expression": "return {'s': t};"}
    await site.field("f", "PROPAGATION", propagation(**more))
    await site.send({"t": 1, "u": "x"})
    if restarted:
        await site.restart()
    late = site.bench.add_device("late")
    ends = {"from": site.device.to_json(), "to": late.to_json()}
    body = {**ends, "type": "Contains", "typeGroup": "COMMON"}
    await site.bench.later(5_000)
    await site.bench.write("RELATION", relation_key(body), body)
    assert site.values("s", late) == [1]
    assert site.values("s", family.children[0]) == [1]


async def test_the_tenant_profile_says_how_many_get_what_comes() -> None:
    family = Family(120)
    await family.site.start()
    await family.site.field("f", "PROPAGATION", propagation())
    await family.site.send({"t": 1})
    assert sum(len(family.site.values("t", child)) for child in family.children) == 100


async def test_relations_to_what_has_no_values_lead_nowhere() -> None:
    family = Family(0)
    site = family.site
    await site.start()
    site.bench.relate(site.device, site.bench.add("DASHBOARD", {"title": "D"}))
    await site.field("f", "PROPAGATION", propagation())
    work = await site.bench.send("POST_TELEMETRY_REQUEST", site.device, {"t": 1})
    assert len(work.unit.series) == 1


@pytest.mark.parametrize(
    ("expression", "given", "values"),
    [
        ("return {'s': t + u};", {"t": 1, "u": 2}, [3.0]),
        ("return {'s': t + u};", {"t": 1}, []),
        ("return t > 1 ? {'s': t} : null;", {"t": 1, "u": 2}, []),
        (
            "return [{'ts': 5, 'values': {'s': 1}}, {'ts': 6, 'values': {'s': 2}}];",
            {"t": 1, "u": 2},
            [1, 2],
        ),
    ],
)  # fmt: skip - a table
async def test_what_a_script_makes_of_all_goes_on(
    expression: str, given: dict[str, Any], values: list[Any]
) -> None:
    family = Family(1)
    await family.site.start()
    more = {"applyExpressionToResolvedArguments": True, "expression": expression}
    await family.site.field("f", "PROPAGATION", propagation(**more))
    await family.site.send(given)
    assert family.site.values("s", family.children[0]) == values
