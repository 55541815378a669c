"""What the session wants done: the output side of the state machine.

The driver performs actions in the order given. Where an action carries a receipt, the driver
tells the session the outcome (`accepted`, `refused`) and sends what it gets back.
"""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.extension.ports import DeviceSession
from appliance.kernel.events import Event
from appliance.payload import Post
from plugins.ingest_mqtt.gateway_requests import GatewayRequest, Telemetry


class Receipt(msgspec.Struct, frozen=True):
    """One PUBLISH that waits for its acknowledgement."""

    qos: int
    packet_id: int
    topic: str


class Send(msgspec.Struct, frozen=True):
    """Write bytes to the device."""

    data: bytes


class Close(msgspec.Struct, frozen=True):
    """Flush and close; nothing follows. reason: for people."""

    reason: str


class Tell(msgspec.Struct, frozen=True):
    """Emit an event."""

    event: Event


class Authenticate(msgspec.Struct, frozen=True):
    """Find out whose credentials these are and call `authenticated`."""

    client_id: str | None
    username: str | None
    password: str | None


class PostTelemetry(msgspec.Struct, frozen=True):
    """Messages in the order they came; one call to the gate."""

    messages: list[tuple[Receipt, list[Post]]]


class PostAttributes(msgspec.Struct, frozen=True):
    """Client attributes."""

    receipt: Receipt
    values: dict[str, Any]


class ReadAttributes(msgspec.Struct, frozen=True):
    """Answer on `reply`; None = not asked."""

    receipt: Receipt
    client: list[str] | None
    shared: list[str] | None
    reply: str


class CallServer(msgspec.Struct, frozen=True):
    """A request of the device: acknowledge at once, answer on `reply` when there is one."""

    receipt: Receipt
    method: str
    params: Any
    reply: str


class RpcReply(msgspec.Struct, frozen=True):
    """The device's answer to a request."""

    receipt: Receipt
    request_id: int
    body: Any


class RpcDelivered(msgspec.Struct, frozen=True):
    """A request arrived: its publish was acknowledged. device: this one, or one behind it."""

    device: DeviceSession
    request_id: int


class Claim(msgspec.Struct, frozen=True):
    """The device may be claimed."""

    receipt: Receipt
    secret_key: str
    duration_ms: int | None


class Provision(msgspec.Struct, frozen=True):
    """Ask for credentials and answer on `reply`."""

    receipt: Receipt
    request: dict[str, Any]
    reply: str


class Subscribed(msgspec.Struct, frozen=True):
    """What the device now wants pushed."""

    attributes: bool
    rpc: bool


class GatewayTelemetry(msgspec.Struct, frozen=True):
    """Messages of a gateway in the order they came; one call to the gate."""

    messages: list[tuple[Receipt, Telemetry]]


class GatewayMessage(msgspec.Struct, frozen=True):
    """Something else about devices behind this one."""

    receipt: Receipt
    request: GatewayRequest


Action = (
    Send
    | Close
    | Tell
    | Authenticate
    | PostTelemetry
    | PostAttributes
    | ReadAttributes
    | CallServer
    | RpcReply
    | RpcDelivered
    | Claim
    | Provision
    | Subscribed
    | GatewayTelemetry
    | GatewayMessage
)
