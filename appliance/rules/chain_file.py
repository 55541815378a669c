"""Chains and messages in files, as people and other programs write them.

A chain file is what ThingsBoard's UI exports (`{"ruleChain", "metadata"}`), what its REST API
gives (`RuleChainMetaData`), or a stored chain of ours; the three differ in what they leave out.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from appliance.model.errors import ConfigError
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.rules.entities import entity_named, name_of
from appliance.rules.values import as_number, java_text
from appliance.state.kinds import entity_id_of
from appliance.state.view import StateView

ChainJson = tuple[dict[str, Any], dict[str, Any]]
"""RuleChain and RuleChainMetaData."""


def read_chain(text: bytes, name: str) -> ChainJson:
    """The chain of a file, as root chain, with an id where the file has none.

    Raises:
        ConfigError: it is no chain; name (of the file) is in the message.
    """
    body = _object(text, name)
    metadata = body.get("metadata", body)
    chain = body.get("ruleChain") or {}
    if not isinstance(metadata, dict) or not isinstance(metadata.get("nodes"), list):
        raise ConfigError(
            f"{name} holds no rule chain",
            hint="export one in ThingsBoard, or get /api/ruleChain/{id}/metadata",
        )
    id = entity_id_of(chain.get("id")) or entity_id_of(metadata.get("ruleChainId"))
    reference = (id or EntityId("RULE_CHAIN", new_uuid())).to_json()
    named = {"name": name.rpartition("/")[2], **chain, "id": reference, "root": True}
    return named, metadata


def read_message(text: bytes, name: str, state: StateView, stranger: EntityId, now: int) -> Message:
    """The message of a file: `{"msg", "metadata", "msgType", "originator", "ts"}`.

    msg: JSON, or JSON as text. originator: a ThingsBoard id, or a device's name; without one it is
    `stranger`. Metadata gets what a device's message has: deviceName, deviceType, ts.

    Raises:
        ConfigError: it is no message, or comes from a device that is not known.
    """
    body = _object(text, name)
    if "msg" not in body:
        raise ConfigError(f"{name} holds no message", hint='{"msg": {"temperature": 21}}')
    originator = _originator(body.get("originator"), name, state) or stranger
    ts = as_number(body.get("ts"))
    at = now if ts is None else int(ts)
    given = body.get("metadata") or {}
    return Message(
        new_uuid(),
        at,
        body.get("msgType") or "POST_TELEMETRY_REQUEST",
        originator,
        _data(body["msg"]),
        device_metadata(state, originator, at) | {k: java_text(v) for k, v in given.items()},
    )


def device_metadata(state: StateView, originator: EntityId, ts: int) -> dict[str, str]:
    """What the metadata of a device's own message hold."""
    body = state.entity(originator.type, originator.id) or {}
    kind = originator.type.lower()
    named = {f"{kind}Name": name_of(state, originator) or "", f"{kind}Type": body.get("type") or ""}
    return {**named, "ts": str(ts)}


def _originator(given: Any, name: str, state: StateView) -> EntityId | None:
    if given is None:
        return None
    found = entity_named(state, "DEVICE", given) if isinstance(given, str) else _id_of(given)
    if found is None:
        raise ConfigError(f"{name}: there is no originator {given!r} here")
    return found


def _id_of(given: Any) -> EntityId | None:
    try:
        return entity_id_of(given)
    except (TypeError, ValueError):
        return None


def _data(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError:
        return given


def _object(text: bytes, name: str) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ConfigError(f"{name} is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ConfigError(f"{name} holds no JSON object")
    return body


def chain_id(chain: ChainJson) -> UUID:
    """The id of a chain that was read."""
    return UUID(chain[0]["id"]["id"])
