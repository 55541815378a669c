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

    id: Any
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


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise PayloadError(f"'{name}' is missing")
    return value


def _join(body: dict[str, Any]) -> GatewayRequest:
    profile = body.get("type")
    return Join(_text(body, "device"), profile if isinstance(profile, str) and profile else None)


def _leave(body: dict[str, Any]) -> GatewayRequest:
    return Leave(_text(body, "device"))


def _attribute_request(body: dict[str, Any]) -> GatewayRequest:
    keys = body.get("keys")
    if keys is not None and not (isinstance(keys, list) and all(isinstance(k, str) for k in keys)):
        raise PayloadError("'keys' must be an array of keys")
    wanted = [_text(body, "key")] if keys is None else keys
    is_client = body.get("client") is True
    return AttributeRequest(body.get("id"), _text(body, "device"), is_client, wanted, keys is None)


def _reply(body: dict[str, Any]) -> GatewayRequest:
    request_id = body.get("id")
    if type(request_id) is not int:
        raise PayloadError("'id' must be the number of the request")
    return Reply(_text(body, "device"), request_id, body.get("data"))


def _claims(body: dict[str, Any]) -> GatewayRequest:
    return Claims({device: read_claim(claim) for device, claim in body.items()})


def read_claim(body: Any) -> tuple[str, int | None]:
    """(secret key, duration in ms or None) of a claim. Raises PayloadError."""
    if not isinstance(body, dict):
        raise PayloadError("an object was expected")
    secret_key, duration_ms = body.get("secretKey", ""), body.get("durationMs")
    if not isinstance(secret_key, str) or not isinstance(duration_ms, int | None):
        raise PayloadError("'secretKey' must be text and 'durationMs' a whole number")
    return secret_key, duration_ms


_PARSERS: dict[str, Callable[[dict[str, Any]], GatewayRequest]] = {
    "connect": _join,
    "disconnect": _leave,
    "attributes/request": _attribute_request,
    "rpc": _reply,
    "claim": _claims,
}

NAMES = frozenset({"telemetry", "attributes", *_PARSERS})
"""The ends of the topics that a gateway may publish to."""
