"""Entities found by a filter and shown by fields, attributes and newest values (spec §4, §5).

Filters of kinds, names and relations; conditions on any key; a page sorted by any key. Values are
texts, a missing one is "" of time 0. A condition with a dynamic value compares with its default.
Every entity of the kind is looked at, those of the page alone are shown: 10,000 take some 30 ms
where conditions and order need no time series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.rules.conditions import compare_booleans, compare_numbers, compare_texts
from appliance.state.kinds import BY_NAME, entity_id_of
from appliance.web.errors import ApiError, uuid_of
from appliance.web.rest.call import USERS, Call, Table, entity_type_of
from appliance.web.rest.checked import checked
from appliance.web.rest.paging import SIZE_MAX, PageLink, page_data
from appliance.web.rest.relations import LEVELS_MAX, follow
from appliance.web.rest.values import shown

table = Table()
Key = tuple[str, str]
"""(type, key)."""
Cell = tuple[int, str]
"""(ts, value as text)."""

_SCOPES = {
    "ATTRIBUTE": (Scope.SERVER, Scope.SHARED, Scope.CLIENT),
    "CLIENT_ATTRIBUTE": (Scope.CLIENT,),
    "SHARED_ATTRIBUTE": (Scope.SHARED,),
    "SERVER_ATTRIBUTE": (Scope.SERVER,),
}
_KEY_TYPES = (*_SCOPES, "TIME_SERIES", "ENTITY_FIELD")
_TYPED = {
    "deviceType": ("DEVICE", "deviceType", "deviceNameFilter"),
    "assetType": ("ASSET", "assetType", "assetNameFilter"),
    "edgeType": ("EDGE", "edgeType", "edgeNameFilter"),
    "entityViewType": ("ENTITY_VIEW", "entityViewType", "entityViewNameFilter"),
}
_SEARCHED = {
    "deviceSearchQuery": ("DEVICE", "deviceTypes"),
    "assetSearchQuery": ("ASSET", "assetTypes"),
    "edgeSearchQuery": ("EDGE", "edgeTypes"),
    "entityViewSearchQuery": ("ENTITY_VIEW", "entityViewTypes"),
}
_NOTHING: Cell = (0, "")


@table.on("POST", "/api/entitiesQuery/count", roles=USERS)
async def count(call: Call) -> Any:
    """How many entities the filter and the conditions choose."""
    return len(await _chosen(call, call.json_object()))


@table.on("POST", "/api/entitiesQuery/find", roles=USERS)
async def find(call: Call) -> Any:
    """A page of EntityData."""
    query = call.json_object()
    link = _object(query, "pageLink")
    fields, latest = _keys(query, "entityFields"), _keys(query, "latestValues")
    page = _page(link)
    found = await _chosen(call, query)
    if page.text:
        found = [e for e in found if page.text in await _line(call, e, [*fields, *latest])]
    order = link.get("sortOrder")
    if isinstance(order, dict):
        found = await _sorted(call, found, _key(order.get("key")), order.get("direction"))
    else:
        found.sort(key=lambda entity: str(entity.id))
    part = found[page.page * page.size :][: page.size]
    data = [await _entity_data(call, entity, [*fields, *latest]) for entity in part]
    return page_data(data, page, len(found))


def _page(link: dict[str, Any]) -> PageLink:
    size, page = link.get("pageSize"), link.get("page", 0)
    if type(size) is not int or type(page) is not int or size < 1 or page < 0:
        raise ApiError(400, "'pageLink' needs a 'pageSize' greater than zero and a 'page'")
    return PageLink(min(size, SIZE_MAX), page, str(link.get("textSearch") or "").lower())


async def _line(call: Call, entity: EntityId, keys: list[Key]) -> str:
    return "\n".join([(await _cell(call, entity, key))[1].lower() for key in keys])


async def _sorted(call: Call, found: list[EntityId], key: Key, direction: Any) -> list[EntityId]:
    cells = [(await _cell(call, entity, key))[1] for entity in found]
    order = sorted(range(len(found)), key=lambda n: _order(cells[n]), reverse=direction == "DESC")
    return [found[n] for n in order]


def _order(text: str) -> tuple[int, float, str]:
    number = _number(text)
    return (1, 0.0, text.lower()) if number is None else (0, number, "")


async def _entity_data(call: Call, entity: EntityId, keys: list[Key]) -> dict[str, Any]:
    latest: dict[str, dict[str, Any]] = {}
    for key in keys:
        ts, value = await _cell(call, entity, key)
        latest.setdefault(key[0], {})[key[1]] = {"ts": ts, "value": value}
    return {"entityId": entity.to_json(), "latest": latest, "timeseries": {}, "aggLatest": {}}


async def _cell(call: Call, entity: EntityId, key: Key) -> Cell:
    """What an entity has under a key."""
    type, name = key
    if type == "ENTITY_FIELD":
        body = call.view.entity(entity.type, entity.id) or {}
        value = body.get(name, body.get("title") if name == "name" else None)
        return (call.services.clock(), "" if value is None else shown(value, strict=False))
    if type == "TIME_SERIES":
        points = await call.services.storage.latest(entity, [name])
        return (
            (points[name][0], shown(points[name][1], strict=False)) if name in points else _NOTHING
        )
    cells = (call.view.attributes(entity, scope).get(name) for scope in _SCOPES[type])
    newest = max((cell for cell in cells if cell), key=lambda cell: cell.ts, default=None)
    return _NOTHING if newest is None else (newest.ts, shown(newest.value, strict=False))


# --- what is asked for -------------------------------------------------------------------------


async def _chosen(call: Call, query: dict[str, Any]) -> list[EntityId]:
    """The visible entities that filter and conditions choose. Raises ApiError 400."""
    conditions = [_condition(rule) for rule in _list(query, "keyFilters")]
    found = []
    for entity in dict.fromkeys(_filtered(call, _object(query, "entityFilter"))):
        body = call.view.entity(entity.type, entity.id)
        if body is None or not call.sees(entity.type, body):
            continue
        if all([passes((await _cell(call, entity, key))[1]) for key, passes in conditions]):
            found.append(entity)
    return found


def _filtered(call: Call, wanted: dict[str, Any]) -> Iterable[EntityId]:
    type = str(wanted.get("type"))
    if type == "singleEntity":
        return [_entity(wanted, "singleEntity")]
    if type == "entityList":
        kind = _kind(wanted)
        return [EntityId(kind, uuid_of(id)) for id in _list(wanted, "entityList", str)]
    if type == "entityType":
        return _named(call, _kind(wanted), None, "")
    if type == "entityName":
        return _named(call, _kind(wanted), None, wanted.get("entityNameFilter"))
    if type in _TYPED:
        kind, one, name = _TYPED[type]
        types = _list(wanted, f"{one}s", str) or [wanted.get(one)]
        return _named(call, kind, types, wanted.get(name))
    if type == "relationsQuery":
        return _related(call, wanted)
    if type in _SEARCHED:
        return _searched(call, wanted, *_SEARCHED[type])
    raise ApiError(400, f"No entity filter {type}")


def _named(call: Call, kind: str, types: Any, start: Any) -> Iterator[EntityId]:
    """Entities of a kind, of some types, whose names begin so."""
    title, begin = BY_NAME[kind].title, str(start or "").lower().strip("%")
    for body in call.view.entities(kind):
        if types is not None and body.get("type") not in types:
            continue
        if str(body.get(title) or "").lower().startswith(begin):
            yield EntityId(kind, UUID(body["id"]["id"]))


def _related(call: Call, wanted: dict[str, Any]) -> list[EntityId]:
    """What relations lead to from a root."""
    root, outward = _entity(wanted, "rootEntity"), wanted.get("direction", "FROM") == "FROM"
    levels = wanted.get("maxLevel")
    levels = levels if type(levels) is int and 0 < levels < LEVELS_MAX else LEVELS_MAX
    rules = _list(wanted, "filters")
    found = []
    for _, relation in follow(call.view, root, levels, outward=outward, group="COMMON"):
        far = relation.target if outward else relation.source
        for rule in rules or [{}]:
            types = _list(rule, "entityTypes", str) or [far.type]
            if rule.get("relationType") in (None, "", relation.type) and far.type in types:
                found.append(far)
    return found


def _searched(call: Call, wanted: dict[str, Any], kind: str, member: str) -> list[EntityId]:
    """Entities of a kind and of some types that relations of one type lead to from a root."""
    rule = {"relationType": wanted.get("relationType"), "entityTypes": [kind]}
    types = _list(wanted, member, str)
    found = _related(call, {**wanted, "filters": [rule]})
    return [far for far in found if (call.view.entity(kind, far.id) or {}).get("type") in types]


def _condition(rule: dict[str, Any]) -> tuple[Key, Callable[[str], bool]]:
    """(key, whether a value passes). Raises ApiError 400."""
    return _key(rule.get("key")), _predicate(_object(rule, "predicate"))


def _predicate(rule: dict[str, Any]) -> Callable[[str], bool]:
    type, operation = rule.get("type"), str(rule.get("operation"))
    if type == "COMPLEX":
        parts = [_predicate(part) for part in _list(rule, "predicates")]
        join = all if operation == "AND" else any
        return lambda value: join(part(value) for part in parts)
    given = rule.get("value")
    right = given.get("defaultValue") if isinstance(given, dict) else given
    if type == "STRING":
        ignore_case = rule.get("ignoreCase") is True
        return lambda value: compare_texts(operation, value, str(right or ""), ignore_case)
    if type == "NUMERIC":
        return lambda value: compare_numbers(operation, _number(value), _number(str(right)))
    if type == "BOOLEAN":
        return lambda value: compare_booleans(operation, value, right)
    raise ApiError(400, f"No predicate {type}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# --- members of the query ----------------------------------------------------------------------


def _keys(query: dict[str, Any], name: str) -> list[Key]:
    return [_key(key) for key in _list(query, name)]


def _key(value: Any) -> Key:
    if not isinstance(value, dict) or not isinstance(value.get("key"), str):
        raise ApiError(400, "A key has a type and a key")
    if value.get("type") not in _KEY_TYPES:
        raise ApiError(400, f"No key type {value.get('type')}; there are {', '.join(_KEY_TYPES)}")
    return value["type"], value["key"]


def _kind(wanted: dict[str, Any]) -> str:
    kind = entity_type_of(str(wanted.get("entityType")))
    if kind not in BY_NAME:
        raise ApiError(400, f"No entities of type {kind} here")
    return kind


def _entity(wanted: dict[str, Any], name: str) -> EntityId:
    found = entity_id_of(checked({"id": wanted.get(name)}, ("id",))["id"])
    if found is None or found.type not in BY_NAME:
        raise ApiError(400, f"'{name}' must name an entity")
    return found


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name)
    if not isinstance(found, dict):
        raise ApiError(400, f"'{name}' must be an object")
    return found


def _list(body: dict[str, Any], name: str, of: type = dict) -> list[Any]:
    found = body.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, of) for one in found):
        raise ApiError(400, f"'{name}' must be an array of {'texts' if of is str else 'objects'}")
    return found
