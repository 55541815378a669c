"""A device's PUBLISH as an action, by its topic (spec/device-and-rest-api.md §2.4).

Pure: parses and types the payload, knows nothing of sessions. What cannot be parsed raises
PayloadError; what cannot even be answered raises MalformedPacket and ends the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.payload import (
    PayloadError,
    parse_attributes,
    parse_json,
    parse_telemetry,
    read_call,
    read_claim,
)
from plugins.ingest_mqtt import actions
from plugins.ingest_mqtt.actions import Action, Receipt
from plugins.ingest_mqtt.gateway_requests import Telemetry, parse
from plugins.ingest_mqtt.packets import MalformedPacket, Publish, Reason
from plugins.ingest_mqtt.topics import GATEWAY, Kind, Route

_NUMBERED = {Kind.ATTRIBUTE_REQUEST, Kind.RPC_REQUEST, Kind.RPC_REPLY}


def action_of(publish: Publish, where: Route, receipt: Receipt, *, type_cast: bool) -> Action:
    """What to do about a publish to a known topic other than an OTA request."""
    if where.kind in _NUMBERED and where.number is None:
        reason = Reason.SERVER_STOPPING  # what the reference says of every failure it foresaw not
        raise MalformedPacket(f"no request id in topic {publish.topic!r}", reason)
    payload = publish.payload
    if where.kind is Kind.TELEMETRY:
        posts = parse_telemetry(payload, type_cast=type_cast)
        return actions.PostTelemetry([(receipt, posts)])
    if where.kind is Kind.ATTRIBUTES:
        return actions.PostAttributes(receipt, parse_attributes(payload, type_cast=type_cast))
    if where.kind is Kind.GATEWAY:
        name = publish.topic.removeprefix(GATEWAY)
        request = parse(name, payload, type_cast=type_cast)
        if isinstance(request, Telemetry):
            return actions.GatewayTelemetry([(receipt, request)])
        return actions.GatewayMessage(receipt, request)
    return _OTHERS[where.kind](payload, where, receipt)


def _attribute_request(payload: bytes, where: Route, receipt: Receipt) -> Action:
    body = _object(payload)
    client, shared = _keys(body, "clientKeys"), _keys(body, "sharedKeys")
    return actions.ReadAttributes(receipt, client, shared, f"{where.reply}{where.number}")


def _keys(body: dict[str, Any], name: str) -> list[str] | None:
    """Keys separated by commas; None when not asked for."""
    keys = body.get(name)
    if keys is None or keys == "":
        return None
    if not isinstance(keys, str):
        raise PayloadError(f"'{name}' must be keys separated by commas")
    return keys.split(",")


def _rpc_request(payload: bytes, where: Route, receipt: Receipt) -> Action:
    reply = f"{where.reply}{where.number}"
    return actions.CallServer(receipt, *read_call(parse_json(payload)), reply)


def _rpc_reply(payload: bytes, where: Route, receipt: Receipt) -> Action:
    """Any text is an answer; only what is JSON is taken as such."""
    try:
        body = parse_json(payload)
    except PayloadError:
        body = payload.decode("utf-8", "replace")
    assert where.number is not None  # checked above
    return actions.RpcReply(receipt, where.number, body)


def _claim(payload: bytes, where: Route, receipt: Receipt) -> Action:
    return actions.Claim(receipt, *read_claim(parse_json(payload) if payload else {}))


def _provision(payload: bytes, where: Route, receipt: Receipt) -> Action:
    return actions.Provision(receipt, _object(payload), where.reply)


def _object(payload: bytes) -> dict[str, Any]:
    body = parse_json(payload)
    if not isinstance(body, dict):
        raise PayloadError("an object was expected")
    return body


_OTHERS: dict[Kind, Callable[[bytes, Route, Receipt], Action]] = {
    Kind.ATTRIBUTE_REQUEST: _attribute_request,
    Kind.RPC_REQUEST: _rpc_request,
    Kind.RPC_REPLY: _rpc_reply,
    Kind.CLAIM: _claim,
    Kind.PROVISION: _provision,
}
