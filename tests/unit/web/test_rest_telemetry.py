"""Time series and attributes over REST where no recording tells."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from uuid import UUID

import pytest

from tests.kit.rest_client import Client
from tests.kit.rest_site import Site


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"t":null}', "Can't parse value: null"),
        (b'{"ts":1,"values":{"t":null}}', "Can't parse value: null"),
        (b"[]", "No time series data"),
        (b"[1]", "Unable to parse time series payload"),
        (b"{", "Invalid JSON body!"),
    ],
)
async def test_points_that_cannot_be_taken_are_refused_in_plain_text(
    body: bytes, message: str
) -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    path = f"/api/plugins/telemetry/DEVICE/{device}/timeseries/ANY"
    status, answer = await admin.ask("POST", path, body)
    assert status == 400
    assert message in answer


async def test_points_are_kept_as_long_as_told() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    path = f"/api/plugins/telemetry/DEVICE/{device}/timeseries/ANY"
    assert (await admin.ask("POST", f"{path}/3600", {"t": 1}))[0] == 200
    for odd in ("-1", "9223372036854775807"):
        assert (await admin.ask("POST", f"{path}/{odd}", {"t": 1}))[0] == 200
    for wrong in ("soon", "1.5", "9223372036854775808"):
        assert (await admin.ask("POST", f"{path}/{wrong}", {"t": 1}))[0] == 400
    kept = [series for unit in admin.site.storage.disk.units for series in unit.series]
    assert [series.ttl_s for series in kept] == [3600, 0, 2**31 - 1]


@pytest.mark.parametrize(
    "query",
    [
        "keys=t&startTs=2&endTs=1&agg=AVG&interval=1000",
        "keys=t&startTs=1&endTs=2&limit=-1",
        "keys=t&startTs=1&endTs=2&limit=0",
        "keys=t&startTs=1&endTs=2&limit=2147483648",
        "keys=t&startTs=1&endTs=2&agg=avg",
        "keys=t&startTs=1&endTs=2&orderBy=UP",
        "keys=t&startTs=1&endTs=2&agg=AVG&interval=-1",
        "keys=t&startTs=1&endTs=2&agg=AVG&intervalType=YEAR",
        "keys=t&startTs=1&endTs=9223372036854775807&agg=AVG&intervalType=MONTH",
        "keys=t&startTs=1&endTs=9223372036854775808",
        "keys=t&startTs=1&endTs=2&useStrictDataTypes=perhaps",
        "keys=t&startTs=0&endTs=1000000&agg=AVG&interval=1",
        "keys=t&startTs=x&endTs=2",
    ],
)
async def test_a_range_that_makes_no_sense_is_refused(query: str) -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    path = f"/api/plugins/telemetry/DEVICE/{device}/values/timeseries?{query}"
    assert (await admin.ask("GET", path))[0] == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("keys=a,b", ["a", "b"]),
        ("keys=a&keys=b", ["a", "b"]),
        ("key=a&key=b", ["a", "b"]),
        ("key=x,y", ["x,y"]),
        ("keys=a&key=x,y", ["a", "x,y"]),
        ("keys=", ["a", "b", "x,y"]),
    ],
)
async def test_keys_are_said_together_or_one_by_one_with_their_commas(
    query: str, found: list[str]
) -> None:
    admin = Client(Site("edge"))
    at = f"/api/plugins/telemetry/DEVICE/{await admin.new_device()}"
    everything = {"a": 1, "b": 2, "x,y": 3}
    for way in ("timeseries/ANY", "SERVER_SCOPE"):
        assert (await admin.ask("POST", f"{at}/{way}", everything))[0] == 200
    _, series = await admin.ask("GET", f"{at}/values/timeseries?{query}")
    _, listed = await admin.ask("GET", f"{at}/values/attributes?{query}")
    assert [sorted(series), sorted(each["key"] for each in listed)] == [found, found]
    times = "startTs=0&endTs=9000000000000"
    if query != "keys=":
        _, series = await admin.ask("GET", f"{at}/values/timeseries?{query}&{times}")
        assert sorted(series) == found
        assert (await admin.ask("DELETE", f"{at}/SERVER_SCOPE?{query}"))[0] == 200
        _, left = await admin.ask("GET", f"{at}/keys/attributes")
        assert {*left, *found} == everything.keys()
        everywhere = f"{at}/timeseries/delete?{query}&deleteAllDataForKeys=true"
        assert (await admin.ask("DELETE", everywhere))[0] == 200


T0 = 1_700_000_000_000
TENTH = f"startTs={T0}&endTs={T0 + 10_000}"


@pytest.mark.parametrize(
    ("query", "times"),
    [
        (f"{TENTH}&agg=AVG", [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (f"{TENTH}&agg=AVG&interval=0&limit=2&orderBy=asc", [0, 1]),
        (f"{TENTH}&agg=MAX&interval=5000&limit=1", [2.5, 7.5]),
        (f"{TENTH}&agg=MAX&interval=10", [n + 0.5 for n in range(10)]),
        (f"startTs={T0}&endTs={T0}&agg=COUNT&interval=1000", [0]),
        (f"startTs={T0}&endTs={T0}", []),
        (f"startTs={T0 + 1}&endTs={T0}", []),
    ],
)
async def test_a_range_is_read_as_the_reference_reads_it(query: str, times: list[float]) -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    admin.site.put_series(UUID(device))
    path = f"/api/plugins/telemetry/DEVICE/{device}/values/timeseries?keys=t&{query}"
    status, found = await admin.ask("GET", path)
    assert status == 200
    assert [(point["ts"] - T0) / 1000 for point in found.get("t", ())] == times


async def test_a_range_without_keys_asks_for_the_newest() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    admin.site.put_series(UUID(device))
    path = f"/api/plugins/telemetry/DEVICE/{device}/values/timeseries"
    _, newest = await admin.ask("GET", path)
    assert await admin.ask("GET", f"{path}?{TENTH}") == (200, newest)
    assert await admin.ask("GET", f"{path}?keys=&{TENTH}") == (200, {})


@pytest.mark.parametrize(
    ("type", "zone", "starts"),
    [
        # 2023-11-14 is a Tuesday; a week begins on Sunday, an ISO week on Monday.
        ("WEEK", "UTC", ["2023-11-19T00", "2023-11-26T00"]),
        ("WEEK_ISO", "UTC", ["2023-11-20T00", "2023-11-27T00"]),
        ("MONTH", "Europe/Kyiv", ["2023-11-30T22"]),
        ("QUARTER", "", []),
    ],
)
async def test_calendar_intervals_begin_where_the_range_does(
    type: str, zone: str, starts: list[str]
) -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    path = f"/api/plugins/telemetry/DEVICE/{device}"
    begin, end = _ms("2023-11-14T12"), _ms("2023-12-01T12")
    edges = [begin, *map(_ms, starts), end]
    points = [{"ts": ts, "values": {"n": 1}} for ts in edges[:-1]]
    await admin.ask("POST", f"{path}/timeseries/ANY", points)
    query = f"keys=n&startTs={begin}&endTs={end}&agg=COUNT&intervalType={type}&timeZone={zone}"
    _, found = await admin.ask("GET", f"{path}/values/timeseries?{query}")
    middles = [(a + b) // 2 for a, b in pairwise(edges)]
    assert found == {"n": [{"ts": ts, "value": "1"} for ts in middles]}


def _ms(hour: str) -> int:
    return int(datetime.fromisoformat(f"{hour}:00+00:00").timestamp() * 1000)


async def test_attributes_are_typed_as_a_device_s() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    path = f"/api/plugins/telemetry/DEVICE/{device}"
    body = b'{a: \'007\', "b": 1e3, "c": 9223372036854775808, "d": 7.0, "e": "x"}'
    assert (await admin.ask("POST", f"{path}/SERVER_SCOPE", body))[0] == 200
    _, found = await admin.ask("GET", f"{path}/values/attributes/SERVER_SCOPE")
    kept = {one["key"]: one["value"] for one in found}
    assert kept == {"a": 7, "b": 1000, "c": "9223372036854775808", "d": 7.0, "e": "x"}
    assert [type(value) for value in kept.values()] == [int, int, str, float, str]
    for wrong in (b"[]", b"5", b"null", b"{", b"", b'{" ":1}', b'{"a":1,"b":null}'):
        assert (await admin.ask("POST", f"{path}/SERVER_SCOPE", wrong))[0] == 400


async def test_attributes_keep_their_types_and_their_scopes() -> None:
    admin = Client(Site("edge"))
    device = await admin.new_device()
    path = f"/api/plugins/telemetry/DEVICE/{device}"
    values = {"s": "x7", "i": 7, "d": 7.0, "b": False, "j": {"k": [1]}}
    assert (await admin.ask("POST", f"{path}/attributes/SHARED_SCOPE", values))[0] == 200
    _, found = await admin.ask("GET", f"{path}/values/attributes/SHARED_SCOPE")
    kept = {one["key"]: one["value"] for one in found}
    assert kept == values
    assert [type(kept[key]) for key in values] == [type(value) for value in values.values()]
    assert (await admin.ask("GET", f"{path}/values/attributes/SERVER_SCOPE"))[1] == []
    assert (await admin.ask("DELETE", f"{path}/SHARED_SCOPE?keys=s,i"))[0] == 200
    assert (await admin.ask("GET", f"{path}/keys/attributes"))[1] == ["b", "d", "j"]
    for wrong in ({}, [1], {"": 1}, {"k" * 256: 1}):
        assert (await admin.ask("POST", f"{path}/SERVER_SCOPE", wrong))[0] == 400
