"""What a gateway says about the devices behind it, parsed (spec/device-and-rest-api.md §2.6).

Pure. An entry that cannot be taken is put beside the others with its reason; only a message of
which nothing can be taken is refused as a whole, as a real edge does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from appliance.payload import (
    PayloadError,
    Post,
    parse_attributes_by_device,
    parse_json,
    parse_telemetry_by_device,
    read_claim,
    read_text,
    read_whole,
)


class Join(msgspec.Struct, frozen=True):
    """A device is there. profile: its type, None if not said."""

    device: str
    profile: str | None


class Leave(msgspec.Struct, frozen=True):
    """A device is gone."""

    device: str


class Telemetry(msgspec.Struct, frozen=True):
    """Posts by device; refused: reasons by device."""

    posts: dict[str, list[Post]]
    refused: dict[str, str]


class Attributes(msgspec.Struct, frozen=True):
    """Client attributes by device; refused: reasons by device."""

    values: dict[str, dict[str, Any]]
    refused: dict[str, str]


class AttributeRequest(msgspec.Struct, frozen=True):
    """is_client: client attributes, else shared. is_single: answered as `value`."""

    id: int
    device: str
    is_client: bool
    keys: list[str]
    is_single: bool


class Reply(msgspec.Struct, frozen=True):
    """A device's answer to a request."""

    device: str
    request_id: int
    data: Any


class Claims(msgspec.Struct, frozen=True):
    """(secret key, duration or None) by device."""

    claims: dict[str, tuple[str, int | None]]


GatewayRequest = Join | Leave | Telemetry | Attributes | AttributeRequest | Reply | Claims


def parse(name: str, payload: bytes, *, type_cast: bool) -> GatewayRequest:
    """The request in a message to `v1/gateway/<name>`, one of NAMES. Raises PayloadError."""
    if name == "telemetry":
        return Telemetry(*_some(*parse_telemetry_by_device(payload, type_cast=type_cast)))
    if name == "attributes":
        return Attributes(*_some(*parse_attributes_by_device(payload, type_cast=type_cast)))
    body = parse_json(payload)
    if not isinstance(body, dict):
        raise PayloadError("an object was expected")
    return _PARSERS[name](body)


def _some(taken: dict[str, Any], refused: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    if refused and not taken:
        raise PayloadError("; ".join(f"{name}: {why}" for name, why in refused.items()))
    return taken, refused


def _device(body: dict[str, Any]) -> str:
    name = read_text(body, "device")
    if not name.strip():
        raise PayloadError("a device without a name")
    return name


def _join(body: dict[str, Any]) -> GatewayRequest:
    return Join(_device(body), read_text(body, "type", "") or None)


def _leave(body: dict[str, Any]) -> GatewayRequest:
    return Leave(_device(body))


def _attribute_request(body: dict[str, Any]) -> GatewayRequest:
    keys = body.get("keys")
    if keys is not None and not (isinstance(keys, list) and all(isinstance(k, str) for k in keys)):
        raise PayloadError("'keys' must be an array of keys")
    wanted = [read_text(body, "key")] if keys is None else keys
    is_client = read_text(body, "client", "false").lower() == "true"
    return AttributeRequest(read_whole(body, "id"), _device(body), is_client, wanted, keys is None)


def _reply(body: dict[str, Any]) -> GatewayRequest:
    return Reply(_device(body), read_whole(body, "id"), body.get("data"))


def _claims(body: dict[str, Any]) -> GatewayRequest:
    return Claims({device: read_claim(claim) for device, claim in body.items()})


_PARSERS: dict[str, Callable[[dict[str, Any]], GatewayRequest]] = {
    "connect": _join,
    "disconnect": _leave,
    "attributes/request": _attribute_request,
    "rpc": _reply,
    "claim": _claims,
}

NAMES = frozenset({"telemetry", "attributes", *_PARSERS})
"""The ends of the topics that a gateway may publish to."""
