"""Which topic means what (spec/device-and-rest-api.md §2.4; JSON forms only).

A short topic may say `/j` for JSON. The protobuf forms (`/p`) are not spoken here: publishing to
one is an unknown topic, subscribing is refused.
"""

from __future__ import annotations

import re
from enum import Enum, auto

import msgspec


class Kind(Enum):
    """What a device wants by publishing to a topic."""

    TELEMETRY = auto()
    ATTRIBUTES = auto()
    ATTRIBUTE_REQUEST = auto()
    RPC_REPLY = auto()
    RPC_REQUEST = auto()
    CLAIM = auto()
    OTA_CHUNK = auto()
    GATEWAY = auto()
    PROVISION = auto()


class Route(msgspec.Struct, frozen=True):
    """Where a publish goes. number: the id at the end of the topic, None if it is no number of
    32 bits.

    reply: the topic to answer on, up to the id.
    """

    kind: Kind
    number: int | None = None
    reply: str = ""


PROVISION_RESPONSE = "/provision/response"
OTA_ERROR = "v2/fw/error"
GATEWAY = "v1/gateway/"
_ME = "v1/devices/me"

_FIXED = {
    f"{_ME}/telemetry": Route(Kind.TELEMETRY),
    "v2/t": Route(Kind.TELEMETRY),
    "v2/t/j": Route(Kind.TELEMETRY),
    f"{_ME}/attributes": Route(Kind.ATTRIBUTES),
    "v2/a": Route(Kind.ATTRIBUTES),
    "v2/a/j": Route(Kind.ATTRIBUTES),
    f"{_ME}/claim": Route(Kind.CLAIM),
    "/provision/request": Route(Kind.PROVISION, reply=PROVISION_RESPONSE),
}

_NUMBERED = {
    f"{_ME}/attributes/request/": (Kind.ATTRIBUTE_REQUEST, f"{_ME}/attributes/response/"),
    "v2/a/req/": (Kind.ATTRIBUTE_REQUEST, "v2/a/res/"),
    "v2/a/req/j/": (Kind.ATTRIBUTE_REQUEST, "v2/a/res/j/"),
    f"{_ME}/rpc/request/": (Kind.RPC_REQUEST, f"{_ME}/rpc/response/"),
    "v2/r/req/": (Kind.RPC_REQUEST, "v2/r/res/"),
    "v2/r/req/j/": (Kind.RPC_REQUEST, "v2/r/res/j/"),
    f"{_ME}/rpc/response/": (Kind.RPC_REPLY, ""),
    "v2/r/res/": (Kind.RPC_REPLY, ""),
    "v2/r/res/j/": (Kind.RPC_REPLY, ""),
}
_NUMBER = re.compile(r"-?[0-9]{1,10}")
_OTA = re.compile(r"v2/(?:fw|sw)/request/[^/]+/chunk/[^/]+")

ATTRIBUTE_FILTERS = {f"{_ME}/attributes", "v2/a", "v2/a/j"}
"""Shared attribute updates are published to the filter itself."""

RPC_FILTERS = {f"{_ME}/rpc/request/+", "v2/r/req/+", "v2/r/req/j/+"}
"""Requests of the server are published to the filter with the request id for the plus."""

FILTERS = (
    ATTRIBUTE_FILTERS
    | RPC_FILTERS
    | {f"{reply}+" for _, reply in _NUMBERED.values() if reply}
    | {f"v2/{package}/response/+/chunk/+" for package in ("fw", "sw")}
    | {OTA_ERROR}
    | {f"{GATEWAY}{name}" for name in ("attributes", "attributes/response", "rpc")}
)
"""All that a device may subscribe to."""


def route(topic: str) -> Route | None:
    """What a publish to this topic means; None when nothing does."""
    fixed = _FIXED.get(topic)
    if fixed is not None:
        return fixed
    if topic.startswith(GATEWAY):
        return Route(Kind.GATEWAY)
    head, slash, tail = topic.rpartition("/")
    numbered = _NUMBERED.get(head + slash)
    if numbered is not None:
        number = int(tail) if _NUMBER.fullmatch(tail) else None
        inside = number is not None and -(1 << 31) <= number < 1 << 31
        return Route(numbered[0], number if inside else None, numbered[1])
    return Route(Kind.OTA_CHUNK) if _OTA.fullmatch(topic) else None
