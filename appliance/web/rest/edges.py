"""Edges, on either side (spec §4.7, §4.8).

The cloud role manages edges and what they get. The edge role tells what it is and what it has
sent; there, managing is answered 500 "Edges support disabled", as the reference does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope
from appliance.state.kinds import id_of
from appliance.web.commands import Change, EdgeNotReady
from appliance.web.errors import ApiError
from appliance.web.rest.call import ADMIN, ALL, USERS, Call, Handler, Table
from appliance.web.rest.entities import dashboard_info, info
from appliance.web.rest.paging import page_link, page_of
from appliance.web.rest.shapes import random_token

table = Table()
_ASSIGNED = {
    "device": "DEVICE",
    "asset": "ASSET",
    "dashboard": "DASHBOARD",
    "entityView": "ENTITY_VIEW",
    "ruleChain": "RULE_CHAIN",
}
_INPUT_NODE = "org.thingsboard.rule.engine.flow.TbRuleChainInputNode"
_CONTAINS, _GROUP = "Contains", "EDGE"


def _cloud_only(call: Call) -> None:
    if call.services.role != "cloud":
        raise ApiError(500, "Edges support disabled")


# --- what this edge is and has sent ------------------------------------------------------------


@table.on("GET", "/api/edge/settings", roles=USERS)
async def edge_settings(call: Call) -> Any:
    """Who this edge is; 404 before the first connect."""
    tenant = EntityId("TENANT", call.view.tenant_id)
    found = call.view.attributes(tenant, Scope.SERVER).get("edgeSettings")
    if found is None:
        raise ApiError(404, "Requested item wasn't found!")
    return msgspec.json.decode(found.value) if isinstance(found.value, str) else found.value


@table.on("GET", "/api/edge/events", roles=ALL)
async def cloud_events(call: Call) -> Any:
    """A page of what was and will be sent to the cloud, telemetry left out."""
    return await _events(call, telemetry=False)


@table.on("GET", "/api/edge/events/timeseries", roles=ALL)
async def telemetry_events(call: Call) -> Any:
    """A page of the telemetry that was and will be sent."""
    return await _events(call, telemetry=True)


async def _events(call: Call, *, telemetry: bool) -> Any:
    return await call.services.events.page(
        call.view.tenant_id, page_link(call), telemetry=telemetry
    )


@table.on("GET", "/api/edge/{id}/events", roles=ADMIN)
async def edge_events(call: Call) -> Any:
    """A page of what the cloud has sent and will send to the edge."""
    _cloud_only(call)
    edge = call.path_id()
    call.entity("EDGE", edge)
    return await call.services.events.edge_page(call.view.tenant_id, edge, page_link(call))


@table.on("GET", "/api/edges/enabled", roles=ALL)
async def edges_enabled(call: Call) -> Any:
    """Whether edges can be managed here."""
    return call.services.role == "cloud"


# --- managing edges ----------------------------------------------------------------------------


@table.on("POST", "/api/edge", roles=ADMIN)
async def save_edge(call: Call) -> Any:
    """Make or change an edge; a new one gets a key and a secret unless given."""
    _cloud_only(call)
    id, body, new = call.compose("EDGE", call.json_object())
    body["routingKey"] = body.get("routingKey") or random_token()
    body["secret"] = body.get("secret") or random_token()
    for other in call.view.entities("EDGE"):
        if other.get("routingKey") == body["routingKey"] and id_of(other["id"]) != id:
            raise ApiError(400, "Edge with such routing key already exists!")
    body["rootRuleChainId"] = body.get("rootRuleChainId") or _template_root(call)
    change = Change("EDGE", id, body, "ADDED" if new else "UPDATED")
    await call.commands.change([change], call.principal)
    return body


def _template_root(call: Call) -> dict[str, Any] | None:
    """The chain that edges start with: the root one of type EDGE."""
    chains = (c for c in call.view.entities("RULE_CHAIN") if c.get("type") == "EDGE")
    return next((chain["id"] for chain in chains if chain.get("root")), None)


@table.on("POST", "/api/edge/{id}/{chain}/root", roles=ADMIN)
async def set_root_chain(call: Call) -> Any:
    """Choose the edge's root rule chain."""
    _cloud_only(call)
    id, chain = call.path_id(), call.path_id("chain")
    body = {**call.entity("EDGE", id), "rootRuleChainId": call.entity("RULE_CHAIN", chain)["id"]}
    await call.commands.change([Change("EDGE", id, body, "UPDATED")], call.principal)
    return body


@table.on("POST", "/api/edge/sync/{id}", roles=ADMIN)
async def sync_edge(call: Call) -> None:
    """Send everything to the edge again; an edge asks its own server for it."""
    if call.view.entity("EDGE", call.path_id()) is None:
        _cloud_only(call)
    try:
        await call.commands.sync_edge(call.path_id())
    except EdgeNotReady as error:
        raise ApiError(500, str(error)) from error


@table.on("GET", "/api/edge/missingToRelatedRuleChains/{id}", roles=ADMIN)
async def missing_chains(call: Call) -> Any:
    """Per assigned rule chain the names of chains it hands messages to that are not assigned."""
    _cloud_only(call)
    chains = list(_assigned(call, call.path_id(), "RULE_CHAIN"))
    assigned = {chain["id"]["id"] for chain in chains}
    answer: dict[str, list[str]] = {}
    for chain in chains:
        metadata = call.view.entity("RULE_CHAIN_METADATA", UUID(chain["id"]["id"])) or {}
        for node in metadata.get("nodes") or ():
            target = (node.get("configuration") or {}).get("ruleChainId")
            if node.get("type") == _INPUT_NODE and target and target not in assigned:
                found = call.view.entity("RULE_CHAIN", UUID(target)) or {}
                answer.setdefault(chain["name"], []).append(found.get("name") or target)
    return answer


@table.on("GET", "/api/edge/instructions/install/{id}/{method}", roles=ADMIN)
async def install_instructions(call: Call) -> Any:
    """How to start an appliance as this edge, as Markdown."""
    _cloud_only(call)
    edge, method = call.entity("EDGE", call.path_id()), call.path("method").lower()
    if method not in ("docker", "ubuntu", "centos"):
        raise ApiError(400, f"Unsupported installation method for Edge: {method}")
    key, secret = edge.get("routingKey"), edge.get("secret")
    lines = [
        "Start the appliance with the name of this server and what it is known by:",
        "```bash",
        f"CLOUD_ROUTING_KEY={key} CLOUD_ROUTING_SECRET={secret} CLOUD_RPC_HOST=… appliance run",
        "```",
    ]
    return {"instructions": "\n".join(lines)}


@table.on("GET", "/api/edge/{id}/upgrade/available", roles=ADMIN)
async def upgrade_available(call: Call) -> Any:
    """An appliance is upgraded by its own means."""
    _cloud_only(call)
    call.entity("EDGE", call.path_id())
    return False


# --- what edges get ----------------------------------------------------------------------------


def _assigner(kind: str) -> Handler:
    async def assign(call: Call) -> Any:
        edge, entity, body = _pair(call, kind)
        await call.commands.assign(edge, entity, call.principal)
        return body

    return assign


def _unassigner(kind: str) -> Handler:
    async def unassign(call: Call) -> Any:
        edge, entity, body = _pair(call, kind)
        await call.commands.unassign(edge, entity, call.principal)
        return body

    return unassign


def _pair(call: Call, kind: str) -> tuple[UUID, EntityId, dict[str, Any]]:
    _cloud_only(call)
    edge, id = call.path_id("edge"), call.path_id()
    call.entity("EDGE", edge)
    return edge, EntityId(kind, id), call.entity(kind, id)


def _lister(kind: str) -> Handler:
    async def show(call: Call) -> Any:
        found = _assigned(call, call.path_id("edge"), kind)
        return page_of((_shown(call, kind, body) for body in found), page_link(call))

    return show


def _shown(call: Call, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """DeviceInfo, DashboardInfo; the others whole."""
    if kind == "DEVICE":
        return info(call.view, kind, body)
    return dashboard_info(body) if kind == "DASHBOARD" else body


def _assigned(call: Call, edge: UUID, kind: str) -> Iterator[dict[str, Any]]:
    """What of this kind the edge has. Raises ApiError 404."""
    call.entity("EDGE", edge)
    for relation in call.view.relations_from(EntityId("EDGE", edge)):
        if (relation.group, relation.type, relation.target.type) == (_GROUP, _CONTAINS, kind):
            body = call.view.entity(kind, relation.target.id)
            if body is not None:
                yield body


for _word, _kind in _ASSIGNED.items():
    _one = "/api/edge/{edge}/" + _word + "/{id}"
    table.on("POST", _one, roles=ADMIN)(_assigner(_kind))
    table.on("DELETE", _one, roles=ADMIN)(_unassigner(_kind))
    table.on("GET", f"/api/edge/{{edge}}/{_word}s", roles=USERS)(_lister(_kind))
