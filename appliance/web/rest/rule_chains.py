"""Rule chains: their nodes and connections, which one is root, which ones every edge gets."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.model.ids import EntityId, created_time_ms, new_uuid
from appliance.state.kinds import id_of, relation_key
from appliance.web.commands import Change
from appliance.web.errors import ApiError, uuid_of
from appliance.web.rest.call import Call, Table
from appliance.web.rest.checked import checked

table = Table()
_AUTO_ASSIGN = "EDGE_AUTO_ASSIGN_RULE_CHAIN"


# --- metadata ----------------------------------------------------------------------------------


@table.on("GET", "/api/ruleChain/{id}/metadata")
async def read_metadata(call: Call) -> Any:
    """Nodes and connections."""
    id = call.path_id()
    chain = call.entity("RULE_CHAIN", id)
    return call.view.entity("RULE_CHAIN_METADATA", id) or _metadata(chain, None, [], [], [])


@table.on("POST", "/api/ruleChain/metadata")
async def save_metadata(call: Call) -> Any:
    """Replace nodes and connections; new nodes get their ids."""
    given = call.json_object()
    checked(given, ("ruleChainId",))
    reference = given.get("ruleChainId")
    id = uuid_of(reference.get("id") if isinstance(reference, dict) else None)
    chain = call.entity("RULE_CHAIN", id)
    nodes = [_node(node, chain) for node in _objects(given, "nodes")]
    first = given.get("firstNodeIndex")
    if first is not None and not _is_index(first, nodes):
        raise ApiError(400, "'firstNodeIndex' names no node")
    connections = _objects(given, "connections")
    for connection in connections:
        ends = (connection.get("fromIndex"), connection.get("toIndex"))
        if not all(_is_index(end, nodes) for end in ends):
            raise ApiError(400, f"A connection names no node: {connection}")
        if not isinstance(connection.get("type"), str):
            raise ApiError(400, f"A connection has no type: {connection}")
    others = _objects(given, "ruleChainConnections")
    body = _metadata(chain, first, nodes, connections, others)
    first_id = nodes[first]["id"] if first is not None else None
    changes = [
        Change("RULE_CHAIN", id, {**chain, "firstRuleNodeId": first_id}, "UPDATED"),
        Change("RULE_CHAIN_METADATA", id, body, "UPDATED"),
    ]
    await call.commands.change(changes, call.principal)
    return body


def _metadata(
    chain: dict[str, Any], first: int | None, nodes: list[Any], links: list[Any], others: list[Any]
) -> dict[str, Any]:
    return {
        "ruleChainId": chain["id"],
        "version": chain.get("version"),
        "firstNodeIndex": first,
        "nodes": nodes,
        "connections": links,
        "ruleChainConnections": others,
    }


def _node(given: dict[str, Any], chain: dict[str, Any]) -> dict[str, Any]:
    for field in ("type", "name"):
        if not isinstance(given.get(field), str) or not given[field]:
            raise ApiError(400, f"A rule node has no {field}")
    checked(given, ("id", "name", "type"))
    id = id_of(given.get("id")) or new_uuid()
    return {
        "singletonMode": False,
        "queueName": None,
        "configurationVersion": 0,
        "configuration": {},
        "debugSettings": None,
        "externalId": None,
        "additionalInfo": None,
        **given,
        "id": EntityId("RULE_NODE", id).to_json(),
        "createdTime": given.get("createdTime") or created_time_ms(id),
        "ruleChainId": chain["id"],
    }


def _objects(given: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = given.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ApiError(400, f"'{name}' must be an array of objects")
    return found


def _is_index(value: Any, nodes: list[Any]) -> bool:
    return type(value) is int and 0 <= value < len(nodes)


# --- roots -------------------------------------------------------------------------------------


@table.on("POST", "/api/ruleChain/{id}/root")
async def set_root(call: Call) -> Any:
    """Make it the chain that messages enter first."""
    return await _make_root(call, "CORE")


@table.on("POST", "/api/ruleChain/{id}/edgeTemplateRoot")
async def set_template_root(call: Call) -> Any:
    """Make it the root chain that new edges get."""
    return await _make_root(call, "EDGE")


async def _make_root(call: Call, type: str) -> dict[str, Any]:
    id = call.path_id()
    chain = call.entity("RULE_CHAIN", id)
    if chain.get("type") != type:
        raise ApiError(400, f"The rule chain is not of type {type}")
    changes = [
        Change("RULE_CHAIN", UUID(other["id"]["id"]), {**other, "root": False}, "UPDATED")
        for other in call.view.entities("RULE_CHAIN")
        if other.get("root") and other.get("type") == type and other["id"] != chain["id"]
    ]
    body = {**chain, "root": True}
    changes.append(Change("RULE_CHAIN", id, body, "UPDATED"))
    await call.commands.change(changes, call.principal)
    return body


# --- given to every new edge -------------------------------------------------------------------


@table.on("GET", "/api/ruleChain/autoAssignToEdgeRuleChains")
async def auto_assigned(call: Call) -> Any:
    """The chains that every new edge gets."""
    tenant = EntityId("TENANT", call.view.tenant_id)
    relations = [r for r in call.view.relations_from(tenant) if r.group == _AUTO_ASSIGN]
    found = [call.view.entity("RULE_CHAIN", relation.target.id) for relation in relations]
    return [chain for chain in found if chain is not None]


@table.on("POST", "/api/ruleChain/{id}/autoAssignToEdge")
async def auto_assign(call: Call) -> Any:
    """Every new edge gets it from now on."""
    return await _set_auto_assign(call, present=True)


@table.on("DELETE", "/api/ruleChain/{id}/autoAssignToEdge")
async def no_auto_assign(call: Call) -> Any:
    """New edges do not get it any more."""
    return await _set_auto_assign(call, present=False)


async def _set_auto_assign(call: Call, *, present: bool) -> dict[str, Any]:
    chain = call.entity("RULE_CHAIN", call.path_id())
    body = {
        "from": EntityId("TENANT", call.view.tenant_id).to_json(),
        "to": chain["id"],
        "type": "Contains",
        "typeGroup": _AUTO_ASSIGN,
        "version": None,
        "additionalInfo": None,
    }
    action = "RELATION_ADD_OR_UPDATE" if present else "RELATION_DELETED"
    change = Change("RELATION", relation_key(body), body if present else None, action)
    await call.commands.change([change], call.principal)
    return chain
