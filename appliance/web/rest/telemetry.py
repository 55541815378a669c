"""Time series and attributes (spec §4.4). Errors of this topic are plain text."""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Series, Value, lifetime_s
from appliance.payload import PayloadError, parse_telemetry
from appliance.state.kinds import BY_NAME
from appliance.web.errors import ApiError, whole_number
from appliance.web.rest.call import USERS, Call, Table
from appliance.web.rest.series import CALENDAR_TYPES, MILLISECONDS, Calendar, read_series
from appliance.web.rest.values import attribute_values, refuse_nulls, shown

table = Table()
_AT = "/api/plugins/telemetry/{type}/{id}"
_AGGREGATIONS = ("NONE", "MIN", "MAX", "AVG", "SUM", "COUNT")
_LIMIT_MAX = 50_000
"""ThingsBoard's maxDatapointsLimit."""
_LIMIT_DEFAULT = 100


# --- time series -------------------------------------------------------------------------------


@table.on("GET", f"{_AT}/keys/timeseries", roles=USERS)
async def series_keys(call: Call) -> Any:
    """Names of all series of the entity."""
    return sorted(await call.services.storage.latest(_entity(call)))


@table.on("GET", f"{_AT}/values/timeseries", f"{_AT}/values/timeseries/history", roles=USERS)
async def series_values(call: Call) -> Any:
    """The newest points; those of a time range where `keys`, `startTs` and `endTs` are there."""
    entity, strict = _entity(call), call.flag("useStrictDataTypes")
    start_ms, end_ms = call.integer("startTs"), call.integer("endTs")
    if start_ms is None or end_ms is None or not (call.has("keys") or call.has("key")):
        return await _latest(call, entity, strict)
    keys = tuple(call.keys() or ())
    query = _query(call, SeriesQuery(entity, keys, start_ms, end_ms))
    found = await read_series(call.services.storage, query, _calendar(call))
    return {key: _points(found[key], strict) for key in keys if found.get(key)}


async def _latest(call: Call, entity: EntityId, strict: bool) -> dict[str, Any]:
    """One point per key; a key without any has the value null now, as the reference says."""
    keys = call.keys()
    found = await call.services.storage.latest(entity, keys)
    answer = {}
    for key in keys or sorted(found):
        point = found.get(key)
        if point is None:
            answer[key] = [{"ts": call.services.clock(), "value": None}]
        else:
            answer[key] = _points([point], strict)
    return answer


def _query(call: Call, query: SeriesQuery) -> SeriesQuery:
    """The range with its aggregation, order and limit. Raises ApiError 400."""
    agg, order = call.query("agg") or "NONE", (call.query("orderBy") or "DESC").upper()
    if agg not in _AGGREGATIONS:
        raise ApiError(400, f"No aggregation {agg}; there are {', '.join(_AGGREGATIONS)}")
    if order not in ("ASC", "DESC"):
        raise ApiError(400, f"No order {order}; there are ASC and DESC")
    limit, interval_ms = call.integer("limit", bits=32), call.integer("interval") or 0
    if limit is not None and limit < 1:
        raise _plain("'limit' must be greater than 0")
    if interval_ms < 0:
        raise _plain(f"'interval' must be greater than 0, but got {interval_ms}")
    return msgspec.structs.replace(
        query,
        limit=min(limit or _LIMIT_DEFAULT, _LIMIT_MAX),
        agg=agg,
        interval_ms=interval_ms,
        ascending=order == "ASC",
    )


def _calendar(call: Call) -> Calendar | None:
    """The calendar's intervals, where `intervalType` asks for them. Raises ApiError 400."""
    name = call.query("intervalType") or MILLISECONDS
    if name == MILLISECONDS:
        return None
    if name not in CALENDAR_TYPES:
        raise ApiError(400, f"No interval type {name}; there are {', '.join(CALENDAR_TYPES)}")
    return Calendar(name, call.query("timeZone") or "UTC")


@table.on("POST", f"{_AT}/timeseries/{{scope}}", roles=USERS)
@table.on("POST", f"{_AT}/timeseries/{{scope}}/{{ttl}}", roles=USERS)
async def save_series(call: Call) -> None:
    """Store points, in any of the device's forms; the word of the scope means nothing."""
    entity, ttl_s = _entity(call), _ttl_s(call)
    try:
        posts = parse_telemetry(call.body)
        refuse_nulls(call.body)
    except PayloadError as error:
        word = ": Invalid JSON body!" if error.line else f". Invalid JSON body: {error.args[0]}"
        raise _plain(f"Unable to parse time series payload{word}") from error
    now_ms = call.services.clock()
    series = [
        Series(entity, now_ms if ts is None else ts, values, ttl_s)
        for ts, values in posts
        if values
    ]
    if not series:
        raise _plain("No time series data found in request body!")
    await call.commands.save_telemetry(series, call.principal)


def _ttl_s(call: Call) -> int:
    return lifetime_s(whole_number("ttl", call.path_or("ttl", "0")))


@table.on("DELETE", f"{_AT}/timeseries/delete", roles=USERS)
async def delete_series(call: Call) -> None:
    """Remove the points of a time range, or all of the keys."""
    entity, keys = _entity(call), call.keys()
    if not keys:
        raise _plain(f"Empty keys: {call.query('keys') or ''}")
    start_ms, end_ms = call.integer("startTs"), call.integer("endTs")
    if call.flag("deleteAllDataForKeys"):
        start_ms, end_ms = -(2**62), 2**62
    elif start_ms is None or end_ms is None:
        raise _plain(
            "When deleteAllDataForKeys is false, start and end timestamp values shouldn't be empty"
        )
    await call.commands.delete_series(entity, keys, start_ms, end_ms, call.principal)


# --- attributes --------------------------------------------------------------------------------


@table.on("GET", f"{_AT}/keys/attributes", roles=USERS)
@table.on("GET", f"{_AT}/keys/attributes/{{scope}}", roles=USERS)
async def attribute_keys(call: Call) -> Any:
    """Names of the attributes of all scopes, or of one."""
    return sorted({found["key"] for found in _attributes(call)})


@table.on("GET", f"{_AT}/values/attributes", roles=USERS)
@table.on("GET", f"{_AT}/values/attributes/{{scope}}", roles=USERS)
async def attribute_list(call: Call) -> Any:
    """Attributes of all scopes, or of one; `keys` and `key` choose."""
    keys = call.keys()
    return [found for found in _attributes(call) if keys is None or found["key"] in keys]


@table.on("POST", f"{_AT}/{{scope}}", f"{_AT}/attributes/{{scope}}", roles=USERS)
@table.on("POST", "/api/plugins/telemetry/{id}/{scope}", roles=USERS)
async def save_attributes(call: Call) -> None:
    """Write attributes of the server or shared scope."""
    entity, scope = _entity(call), _scope(call)
    if scope is Scope.CLIENT:
        raise _plain("Invalid scope: CLIENT_SCOPE")
    try:
        values = attribute_values(call.body)
    except PayloadError as error:
        raise _plain("Invalid JSON" if error.line else str(error.args[0])) from error
    if not values:
        raise _plain("No attributes data found in request body!")
    await call.commands.save_attributes(entity, scope, values, call.principal)


@table.on("DELETE", f"{_AT}/{{scope}}", "/api/plugins/telemetry/{id}/{scope}", roles=USERS)
async def delete_attributes(call: Call) -> None:
    """Remove the attributes named by `keys`."""
    entity, scope, keys = _entity(call), _scope(call), call.keys()
    if not keys:
        raise _plain(f"Empty keys: {call.query('keys') or ''}")
    await call.commands.delete_attributes(entity, scope, keys, call.principal)


def _attributes(call: Call) -> list[dict[str, Any]]:
    entity = _entity(call)
    scopes = [_scope(call)] if call.path_or("scope", "") else list(Scope)
    return [
        {"lastUpdateTs": found.ts, "key": key, "value": found.value}
        for scope in scopes
        for key, found in call.view.attributes(entity, scope).items()
    ]


# --- shared ------------------------------------------------------------------------------------


def _entity(call: Call) -> EntityId:
    """The entity of the path, which must exist and be visible; without a type it is a device."""
    entity = call.path_entity() if call.path_or("type", "") else EntityId("DEVICE", call.path_id())
    if entity.type == "TENANT" and entity.id == call.view.tenant_id:
        call.check_visible("TENANT", {})
        return entity
    body = call.view.entity(entity.type, entity.id) if entity.type in BY_NAME else None
    if body is None:
        words = entity.type.replace("_", " ").capitalize()
        raise ApiError(404, f"{words} with requested id wasn't found!", plain=True)
    call.check_visible(entity.type, body)
    return entity


def _scope(call: Call) -> Scope:
    try:
        return Scope(call.path("scope"))
    except ValueError as error:
        raise ApiError(400, f"No attribute scope {call.path('scope')}") from error


def _points(points: list[tuple[int, Value]], strict: bool) -> list[dict[str, Any]]:
    return [{"ts": ts, "value": shown(value, strict=strict)} for ts, value in points]


def _plain(message: str) -> ApiError:
    return ApiError(400, message, plain=True)
