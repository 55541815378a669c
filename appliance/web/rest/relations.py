"""Relations between entities (spec §4.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from appliance.model.ids import EntityId
from appliance.state.kinds import entity_id_of, relation_key
from appliance.state.view import Relation, StateView
from appliance.web.commands import Change
from appliance.web.errors import ApiError, uuid_of
from appliance.web.rest.call import USERS, Call, Handler, Table, entity_type_of
from appliance.web.rest.checked import GROUPS, checked
from appliance.web.rest.shapes import check_length

table = Table()
LEVELS_MAX = 50
"""How far a search goes; deeper than any plant's hierarchy, and an end to every cycle."""


def relation_body(relation: Relation) -> dict[str, Any]:
    """The relation as ThingsBoard writes it."""
    return {
        "from": relation.source.to_json(),
        "to": relation.target.to_json(),
        "type": relation.type,
        "typeGroup": relation.group,
        "version": None,
        "additionalInfo": relation.additional_info,
    }


# --- one ---------------------------------------------------------------------------------------


@table.on("POST", "/api/relation", roles=USERS)
async def save_relation(call: Call) -> None:
    """Make or change a relation."""
    await _save(call)


@table.on("POST", "/api/v2/relation", roles=USERS)
async def save_relation_v2(call: Call) -> Any:
    """Make or change a relation; returns it."""
    return await _save(call)


async def _save(call: Call) -> dict[str, Any]:
    given = checked(call.json_object(), ("from", "to", "type", "typeGroup", "additionalInfo"))
    for end in ("from", "to"):
        entity = entity_id_of(given.get(end))
        if entity is None:
            raise ApiError(400, f"Parameter '{end}' must name an entity")
        call.entity(entity_type_of(entity.type), entity.id)
    if not isinstance(given.get("type"), str) or not given["type"]:
        raise ApiError(400, "Relation type should be specified!")
    check_length("type", given["type"])
    body = {
        "from": given["from"],
        "to": given["to"],
        "type": given["type"],
        "typeGroup": given.get("typeGroup") or "COMMON",
        "version": None,
        "additionalInfo": given.get("additionalInfo"),
    }
    change = Change("RELATION", relation_key(body), body, "RELATION_ADD_OR_UPDATE")
    await call.commands.change([change], call.principal)
    return body


@table.on("GET", "/api/relation", roles=USERS)
async def read_relation(call: Call) -> Any:
    """One relation by its ends and type. Raises ApiError 404."""
    return relation_body(_find(call))


@table.on("DELETE", "/api/relation", roles=USERS)
async def delete_relation(call: Call) -> None:
    """Remove one relation."""
    await _delete(call)


@table.on("DELETE", "/api/v2/relation", roles=USERS)
async def delete_relation_v2(call: Call) -> Any:
    """Remove one relation; returns it."""
    return await _delete(call)


async def _delete(call: Call) -> dict[str, Any]:
    body = relation_body(_find(call))
    await _remove(call, [body])
    return body


async def _remove(call: Call, bodies: Iterable[dict[str, Any]]) -> None:
    changes = [Change("RELATION", relation_key(b), None, "RELATION_DELETED") for b in bodies]
    await call.commands.change(changes, call.principal)


def _find(call: Call) -> Relation:
    source, target = _end(call, "from"), _end(call, "to")
    type, group = call.need("relationType"), _group(call)
    for relation in call.view.relations_from(source):
        if (relation.target, relation.type, relation.group) == (target, type, group):
            return relation
    raise ApiError(404, "Requested item wasn't found!")


def _group(call: Call) -> str:
    """The group asked for; one that does not exist counts as not asked for, as it always did."""
    group = call.query("relationTypeGroup")
    return group if group in GROUPS else "COMMON"


@table.on("DELETE", "/api/relations", roles=USERS)
async def delete_all(call: Call) -> None:
    """Remove every common relation of an entity, in both directions."""
    entity = _end(call, "entity")
    relations = [*call.view.relations_from(entity), *call.view.relations_to(entity)]
    await _remove(call, [relation_body(r) for r in relations if r.group == "COMMON"])


# --- lists -------------------------------------------------------------------------------------


@table.on("GET", "/api/relations", roles=USERS)
async def relations(call: Call) -> Any:
    """The relations from an entity or to it."""
    end = "from" if call.query("fromId") else "to"
    return [relation_body(r) for r in _of(call, _end(call, end), end)]


@table.on("GET", "/api/relations/info", roles=USERS)
async def relations_info(call: Call) -> Any:
    """The same with the name of the other end."""
    end = "from" if call.query("fromId") else "to"
    return [_info(call.view, r, _OTHER_NAME[end]) for r in _of(call, _end(call, end), end)]


_OTHER_NAME = {"from": "toName", "to": "fromName"}


def _lister(end: str, *, with_info: bool) -> Handler:
    """The same two with the entity in the path."""

    async def show(call: Call) -> Any:
        entity = call.path_entity()
        call.entity(entity.type, entity.id)
        found = _of(call, entity, end)
        if with_info:
            return [_info(call.view, relation, _OTHER_NAME[end]) for relation in found]
        return [relation_body(relation) for relation in found]

    return show


for _side in _OTHER_NAME:
    _path = f"/api/relations/{_side}/{{type}}/{{id}}"
    _show = _lister(_side, with_info=False)
    table.on("GET", _path, _path + "/{relationType}", roles=USERS)(_show)
    _show_info = _lister(_side, with_info=True)
    table.on("GET", f"/api/relations/info/{_side}/{{type}}/{{id}}", roles=USERS)(_show_info)


def _of(call: Call, entity: EntityId, end: str) -> Iterator[Relation]:
    """The entity's relations of the type and group asked for."""
    type = call.path_or("relationType", "") or call.query("relationType")
    group = _group(call)
    view = call.view
    found = view.relations_from(entity) if end == "from" else view.relations_to(entity)
    return (r for r in found if r.group == group and type in (None, r.type))


def _info(view: StateView, relation: Relation, name: str) -> dict[str, Any]:
    other = relation.target if name == "toName" else relation.source
    body = view.entity(other.type, other.id) or {}
    names = {"fromName": None, "toName": None, name: body.get("name") or body.get("title")}
    return {**relation_body(relation), **names}


@table.on("POST", "/api/relations", roles=USERS)
async def search(call: Call) -> Any:
    """Relations found by following them from a root."""
    return [relation_body(relation) for relation in _search(call)]


@table.on("POST", "/api/relations/info", roles=USERS)
async def search_info(call: Call) -> Any:
    """The same with the name of the far end."""
    name = "toName" if _parameters(call)["direction"] == "FROM" else "fromName"
    return [_info(call.view, relation, name) for relation in _search(call)]


def _parameters(call: Call) -> dict[str, Any]:
    parameters = call.json_object().get("parameters")
    if not isinstance(parameters, dict) or parameters.get("direction") not in ("FROM", "TO"):
        raise ApiError(400, "'parameters' must have a direction, FROM or TO")
    return parameters


def _search(call: Call) -> list[Relation]:
    parameters, filters = _parameters(call), call.json_object().get("filters") or []
    if not isinstance(filters, list) or not all(isinstance(rule, dict) for rule in filters):
        raise ApiError(400, "'filters' must be an array of objects")
    root = EntityId(
        entity_type_of(str(parameters.get("rootType"))), uuid_of(parameters.get("rootId"))
    )
    call.entity(root.type, root.id)
    levels = parameters.get("maxLevel")
    levels = levels if isinstance(levels, int) and 0 < levels < LEVELS_MAX else LEVELS_MAX
    outward = parameters["direction"] == "FROM"
    group = parameters.get("relationTypeGroup") or "COMMON"
    found = follow(call.view, root, levels, outward=outward, group=group)
    if parameters.get("fetchLastLevelOnly"):
        found = [
            step for step in found if step[0] == levels or not _goes_on(step[1], found, outward)
        ]
    return [relation for _, relation in found if _passes(relation, filters, outward)]


def follow(
    view: StateView, root: EntityId, levels: int, *, outward: bool, group: str
) -> list[tuple[int, Relation]]:
    """Every relation within so many steps of the root, with its step; each one once."""
    found: list[tuple[int, Relation]] = []
    seen, edge = {root}, [root]
    for level in range(1, levels + 1):
        steps: list[EntityId] = []
        for entity in edge:
            relations = view.relations_from(entity) if outward else view.relations_to(entity)
            for relation in relations:
                if relation.group != group:
                    continue
                found.append((level, relation))
                far = relation.target if outward else relation.source
                if far not in seen:
                    seen.add(far)
                    steps.append(far)
        if not steps:
            break
        edge = steps
    return found


def _goes_on(relation: Relation, found: list[tuple[int, Relation]], outward: bool) -> bool:
    far = relation.target if outward else relation.source
    return any((r.source if outward else r.target) == far for _, r in found)


def _passes(relation: Relation, filters: list[dict[str, Any]], outward: bool) -> bool:
    """Whether a filter takes the relation; without filters all pass."""
    far = relation.target if outward else relation.source
    for rule in filters:
        types = rule.get("entityTypes") or [far.type]
        same = rule.get("relationType") in (None, "", relation.type) and far.type in types
        if same is not bool(rule.get("negate")):
            return True
    return not filters


def _end(call: Call, end: str) -> EntityId:
    """`{end}Type` and `{end}Id` of the query; a visible entity."""
    entity = EntityId(entity_type_of(call.need(f"{end}Type")), uuid_of(call.need(f"{end}Id")))
    call.entity(entity.type, entity.id)
    return entity
