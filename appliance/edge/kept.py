"""Persistent requests on the edge: entities of kind RPC, QUEUED until they have ended (§8.1).

One is stored in the unit that brings it, from the cloud or over REST, and ends in the unit that
tells the cloud how. In between the device is asked when it has a session, after a restart too, but
never after the request has expired. An edge that dies between the device's answer and that unit
asks once more.

At most `ENDED_MAX` ended ones are remembered, half a megabyte: what a server says again after a
cut is a repeat then, and somebody may want to see them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec

from appliance.model.unit import EntityWrite
from appliance.rules.ports import RpcOutcome
from appliance.state.kinds import id_of
from appliance.state.store import State
from appliance.sync.mapping import rpc_from_json, rpc_to_json
from appliance.sync.messages import RpcCall
from appliance.web.rpc_forms import rpc_body, rpc_status

ENDED_MAX = 1_000


def kept(call: RpcCall, tenant: UUID, *, from_cloud: bool) -> EntityWrite:
    """A new request as it is stored; it has an id."""
    assert call.request_uuid is not None
    body = rpc_body(call.request_uuid, tenant, call, "QUEUED", None)
    body |= {"fromCloud": from_cloud, "call": msgspec.Raw(rpc_to_json(call))}
    return EntityWrite("RPC", call.request_uuid, msgspec.json.encode(body))


def waiting(state: State) -> Iterator[tuple[RpcCall, bool]]:
    """Requests that have not ended, and whether the cloud waits for them."""
    for body in state.entities("RPC"):
        device = id_of(body.get("deviceId"))
        if body.get("status") == "QUEUED" and device is not None and "call" in body:
            yield rpc_from_json(device, body["call"]), bool(body.get("fromCloud"))


def ended(state: State, id: UUID, outcome: RpcOutcome) -> Iterator[EntityWrite]:
    """What to store of a request's end; nothing of one that was withdrawn."""
    body = state.entity("RPC", id)
    if body is None:
        return
    known = {"status": rpc_status(outcome.error), "response": outcome.reply}
    yield EntityWrite("RPC", id, msgspec.json.encode({**body, **known}))
    if state.count("RPC") > ENDED_MAX:
        yield from _forgotten(state)


def _forgotten(state: State) -> Iterator[EntityWrite]:
    """The oldest that has ended, if there are that many."""
    ids: list[UUID] = []
    for id in state.ids("RPC"):
        body: dict[str, Any] = state.entity("RPC", id) or {}
        if body.get("status") != "QUEUED":
            ids.append(id)
    if len(ids) >= ENDED_MAX:
        yield EntityWrite("RPC", ids[0], None)
