"""SIMPLE and SCRIPT beyond the recorded cases: what comes in, what goes out, and when."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeWrite, Scope
from appliance.rules.ports import CalculationInput
from tests.unit.fields.bench import Site, argument, simple

SERIES = {"type": "TIME_SERIES"}


def script(expression: str, *keys: str, **more: Any) -> dict[str, Any]:
    """A SCRIPT field over series of these keys."""
    arguments = {key: argument(key) for key in keys}
    return {"arguments": arguments, "expression": expression, "output": SERIES, **more}


def window(key: str, seconds: int = 60, limit: int = 100) -> dict[str, Any]:
    """A rolling argument."""
    return argument(key, "TS_ROLLING", timeWindow=seconds * 1000, limit=limit)


async def started(type: str, configuration: dict[str, Any]) -> Site:
    """A site with a field."""
    site = Site()
    await site.start()
    await site.field("f", type, configuration)
    return site


async def save_attributes(
    site: Site, scope: Scope, values: dict[str, Any], entity: EntityId | None = None
) -> None:
    """A user saves attributes."""
    await site.bench.later(1_000)
    entity, now = entity or site.device, site.bench.now_ms

    async def task(work: Any) -> None:
        work.unit.attributes.append(AttributeWrite(entity, scope, now, values))
        await site.bench.fields.take([CalculationInput(entity, scope, now, values)], work)

    await site.bench.carry_out(task)


@pytest.mark.parametrize(
    ("expression", "decimals", "value", "result"),
    [
        ("a/3", 0, 10, 3),
        ("a/3", 3, 10, 3.333),
        ("a*1.0", 0, 0.5, 1),
        ("a*1.0", 0, -0.5, -1),
        ("a", -2, 1250, 1300.0),
        ("a", None, True, 1.0),
        ("a", None, "1e3", 1000.0),
        ("a", 2, 1.005, 1.01),
        ("a*1e7", None, 1, 10_000_000),
        ("a*1e7", 2, 1.5, 15_000_000),
        ("a^400", None, 10, "Infinity"),
        ("sqrt(a)", None, -1, "NaN"),
        ("0-a^400", None, 10, "-Infinity"),
        ("a/7", 12, 1, 0.142857142857),
        ("a", None, 9007199254740993, 9007199254740992),
        ("a*0", 1, -5, 0.0),
        ("a/10^5", None, 1, 1e-05),
    ],
)  # fmt: skip - a table
async def test_the_number_and_its_form(
    expression: str, decimals: int | None, value: Any, result: Any
) -> None:
    field = simple(expression, "o", "a")
    if decimals is not None:
        field["output"]["decimalsByDefault"] = decimals
    site = await started("SIMPLE", field)
    await site.send({"a": value})
    (found,) = site.values("o")
    assert found == result and type(found) is type(result)


@pytest.mark.parametrize("value", ["text", {"a": 1}, [1], "", "1_000", "0x10"])
async def test_what_is_no_number_gives_no_result(value: Any) -> None:
    site = await started("SIMPLE", simple("a", "o", "a"))
    await site.send({"a": value})
    assert site.values("o") == []
    assert site.bench.events[-1].error == "Argument 'a' is not a number."


@pytest.mark.parametrize(
    ("default", "results"),
    [
        ("5", [5.0]),
        (5, [5.0]),
        ("-2.5", [-2.5]),
        ("true", [1.0]),
        ("FALSE", [0.0]),
        ("", []),
        ("  ", []),
        (None, []),
        ("abc", []),
    ],
)  # fmt: skip - a table
async def test_a_default_stands_in_from_the_beginning(default: Any, results: list[float]) -> None:
    field = simple("a", "o", "a")
    field["arguments"]["a"]["defaultValue"] = default
    site = await started("SIMPLE", field)
    assert site.values("o") == results


async def test_one_key_may_be_two_arguments() -> None:
    field = simple("a+b", "o")
    field["arguments"] = {"a": argument("t"), "b": argument("t")}
    site = await started("SIMPLE", field)
    await site.send({"t": 4})
    assert site.values("o") == [8.0]


async def test_names_of_constants_are_names_of_arguments_first() -> None:
    field = simple("e*pi", "o", "e", "pi")
    site = await started("SIMPLE", field)
    await site.send({"e": 2, "pi": 3})
    assert site.values("o") == [6.0]


@pytest.mark.parametrize("scope", list(Scope))
async def test_an_attribute_of_its_scope_only(scope: Scope) -> None:
    field = simple("k*2", "o")
    key = {"key": "k", "type": "ATTRIBUTE", "scope": scope.value}
    field["arguments"] = {"k": {"refEntityKey": key}}
    site = await started("SIMPLE", field)
    for other in Scope:
        await save_attributes(site, other, {"k": 1 if other is scope else 50})
    assert site.values("o") == [2.0]


async def test_arguments_of_other_entities_are_followed() -> None:
    site = Site()
    await site.start()
    meter = site.bench.add_device("meter")
    plant = site.bench.add("ASSET", {"name": "plant"})
    field = simple("p*f", "o")
    field["arguments"] = {
        "p": argument("p", refEntityId=meter.to_json()),
        "f": argument("f", "ATTRIBUTE", refEntityId=plant.to_json(), defaultValue="1"),
    }
    await site.field("f", "SIMPLE", field)
    await site.send({"p": 100})
    await site.send({"p": 5}, meter)
    await save_attributes(site, Scope.SERVER, {"f": 3}, plant)
    assert site.values("o") == [5.0, 15.0]
    assert site.values("o", meter) == []


@pytest.mark.parametrize(
    ("times", "results"),
    [((0, 1_000), [1.0, 2.0]), ((0, -1), [1.0]), ((0, 0), [2.0])],
)
async def test_the_newest_time_is_the_results_time(
    times: tuple[int, int], results: list[float]
) -> None:
    site = await started("SIMPLE", simple("a", "o", "a", useLatestTs=True))
    now = site.bench.now_ms
    for value, ms in enumerate(times, 1):
        await site.send({"a": value}, ts=now + ms)
    assert site.values("o") == results
    assert min(site.bench.history.points[site.device]["o"]) == now


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        ("{'o': a}", {"o": [3]}),
        ("{'o': a / 2}", {"o": [1.5]}),
        ("{'o': '7'}", {"o": [7]}),
        ("{'o': 'x', 'p': true}", {"o": ["x"], "p": [True]}),
        ("{'o': null}", {"o": []}),
        ("{'o': {'x': [1]}}", {"o": [{"x": [1]}]}),
        ("a", {"o": []}),
        ("'x'", {"o": []}),
        ("[a]", {"o": []}),
        ("null", {"o": []}),
        ("{}", {"o": []}),
        ("[{'o': 1}, {'p': 2}]", {"o": [1], "p": [2]}),
        ("{'ts': ctx.latestTs - 5, 'values': {'o': 1}}", {"o": [1]}),
        ("[{'ts': 5, 'values': {'o': 1}}, {'ts': 6, 'values': {'o': 2}}]", {"o": [1, 2]}),
        ("{'o': ctx.args.a.value + 1}", {"o": [4]}),
        ("{'o': ctx.args.a.ts > 0}", {"o": [True]}),
        ("{'o': toFixed(a / 7, 3)}", {"o": [0.429]}),
    ],
)  # fmt: skip - a table
async def test_what_a_script_returns(result: str, stored: dict[str, Any]) -> None:
    site = await started("SCRIPT", script(f"return {result};", "a"))
    await site.send({"a": 3})
    assert {key: site.values(key) for key in stored} == stored


@pytest.mark.parametrize(
    ("call", "values", "result"),
    [
        ("t.sum()", [1, 2, 3.5], 6.5),
        ("t.mean()", [1, 2], 1.5),
        ("t.avg()", [1, 2], 1.5),
        ("t.min()", [4, 2], 2.0),
        ("t.max()", [-4, -2], -2.0),
        ("t.std()", [2, 4], 1.0),
        ("t.median()", [5, 1, 3], 3.0),
        ("t.median()", [5, 1], 3.0),
        ("t.count()", [1, "x"], 1),
        ("t.count(false)", [1, "x"], 2),
        ("t.first()", ["x", 7], 7.0),
        ("t.last()", [7, "x"], 7.0),
        ("t.sum()", [True, False, True], 2.0),
        ("t.sum()", ["1e1", 1], 11.0),
        ("t.values.size()", [1, 2], 2),
        ("t.values[0].value", [1, 2], 1.0),
        ("t.size", [1, 2, 3], 3),
        ("t.values[1].ts - t.values[0].ts", [1, 2], 1_000),
    ],
)  # fmt: skip - a table
async def test_a_window(call: str, values: list[Any], result: Any) -> None:
    field = script(f"return {{'o': {call}}};")
    field["arguments"] = {"t": window("t")}
    site = await started("SCRIPT", field)
    for value in values:
        await site.bench.later(1_000)
        await site.send({"t": value})
    assert site.values("o")[-1] == result


@pytest.mark.parametrize(
    ("seconds", "limit", "counts"),
    [(60, 2, [1, 2, 2, 2]), (2, 100, [1, 2, 3, 3]), (0, 3, [1, 2, 3, 3])],
)
async def test_a_window_forgets_by_time_and_by_number(
    seconds: int, limit: int, counts: list[int]
) -> None:
    field = script("return {'o': t.count()};")
    field["arguments"] = {"t": window("t", seconds, limit)}
    site = await started("SCRIPT", field)
    for value in range(4):
        await site.send({"t": value})
        await site.bench.later(1_000)
    assert site.values("o") == counts


async def test_a_default_is_none_for_a_window() -> None:
    field = script("return {'o': t.sum() + a};")
    field["arguments"] = {"t": {**window("t"), "defaultValue": "5"}, "a": argument("a")}
    site = await started("SCRIPT", field)
    await site.send({"a": 1})
    assert site.values("o") == []
    assert site.bench.events[-1].error == "Required arguments are missing: t"


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_result_may_be_an_attribute_of_each_scope(scope: Scope) -> None:
    field = simple("a", "o", "a", useLatestTs=True)
    field["output"] = {"type": "ATTRIBUTES", "scope": scope.value, "name": "o"}
    site = await started("SIMPLE", field)
    await site.send({"a": 3})
    assert site.bench.state.attributes(site.device, scope)["o"].value == 3.0
    assert site.values("o") == []


async def test_a_deleted_field_is_silent_and_a_changed_one_calculates_at_once() -> None:
    site = await started("SIMPLE", simple("a+1", "o", "a"))
    await site.send({"a": 1})
    await site.bench.later(1_000)
    await site.change(expression="a+2")
    assert site.values("o") == [2.0, 3.0]
    await site.bench.later(1_000)
    await site.change(arguments={"a": argument("b")})
    await site.send({"a": 7})
    assert site.values("o") == [2.0, 3.0]
    await site.send({"b": 5})
    assert site.values("o") == [2.0, 3.0, 7.0]

    (id,) = site.bench.state.ids("CALCULATED_FIELD")
    await site.bench.write("CALCULATED_FIELD", id, None)
    await site.send({"b": 6})
    assert site.values("o") == [2.0, 3.0, 7.0]


@pytest.mark.parametrize(
    ("strategy", "saved", "followed"),
    [
        ({}, [], []),
        ({"saveTimeSeries": True, "ttl": 60}, [6.0], []),
        ({"saveLatest": True, "processCfs": True}, [6.0], [7.0]),
        ({"processCfs": True}, [], [7.0]),
        ({"sendWsUpdate": True}, [], []),
    ],
)
async def test_a_result_at_once_is_where_the_strategy_wants_it(
    strategy: dict[str, Any], saved: list[float], followed: list[float]
) -> None:
    field = simple("a*2", "o", "a")
    field["output"]["strategy"] = {"type": "IMMEDIATE", **strategy}
    site = await started("SIMPLE", field)
    await site.field("next", "SIMPLE", simple("o+1", "p", "o"))
    work = await site.bench.send("POST_TELEMETRY_REQUEST", site.device, {"a": 3})
    assert (site.values("o"), site.values("p")) == (saved, followed)
    ttls = [series.ttl_s for series in work.unit.series if "o" in series.values]
    assert ttls == [strategy.get("ttl", 0)] * len(saved)


@pytest.mark.parametrize(
    ("owner", "kind", "reference"),
    [("ASSET_PROFILE", "ASSET", "assetProfileId"), ("DEVICE_PROFILE", "DEVICE", "deviceProfileId")],
)
async def test_a_field_of_a_profile_runs_at_each_of_its_entities(
    owner: str, kind: str, reference: str
) -> None:
    site = Site()
    await site.start()
    profile, other = (site.bench.add(owner, {"name": name}) for name in ("mine", "other"))
    early = site.bench.add(kind, {"name": "early", reference: profile.to_json()})
    stranger = site.bench.add(kind, {"name": "stranger", reference: other.to_json()})
    field = simple("t*2", "o", "t")
    field["arguments"]["t"]["defaultValue"] = "5"
    await site.field("f", "SIMPLE", field, owner=profile)
    late = EntityId(kind, UUID(int=1))
    body = {"id": late.to_json(), "name": "late", reference: profile.to_json()}
    await site.bench.write(kind, late.id, body)
    for entity in (early, stranger, late):
        await site.bench.later(1_000)
        await site.send({"t": 1}, entity)
    assert [site.values("o", each) for each in (early, stranger, late)] == [
        [10.0, 2.0],
        [],
        [10.0, 2.0],
    ]


async def test_a_customer_has_fields_of_its_own() -> None:
    site = Site()
    await site.start()
    customer = site.bench.add("CUSTOMER", {"title": "C"})
    field = simple("k/2", "half")
    field["arguments"] = {"k": argument("k", "ATTRIBUTE")}
    field["output"] = {"type": "ATTRIBUTES", "scope": "SERVER_SCOPE", "name": "half"}
    await site.field("f", "SIMPLE", field, owner=customer)
    await save_attributes(site, Scope.SERVER, {"k": 8}, customer)
    assert site.bench.state.attributes(customer, Scope.SERVER)["half"].value == 4.0


async def test_a_window_that_is_stored_is_json() -> None:
    field = script("return {'o': t, 'm': t.merge(t)};")
    field["arguments"] = {"t": window("t")}
    site = await started("SCRIPT", field)
    await site.send({"t": 7})
    now = site.bench.now_ms
    bounds = {"startTs": now - 60_000, "endTs": now}
    points = [{"ts": now, "value": 7.0}]
    assert site.values("o") == [{"type": "TS_ROLLING", "timeWindow": bounds, "values": points}]
    rows = [{"ts": now, "values": [7.0, 7.0]}]
    assert site.values("m") == [{"timeWindow": bounds, "values": rows}]
