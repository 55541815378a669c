"""The devices behind one gateway: joined on first word, served on the gateway's connection.

A device joins by `connect` or by anything else that names it, and leaves by `disconnect` or with
the connection. From joining on, its shared attribute updates and requests are published to the
gateway, whether it subscribed or not. At most 10,000 devices join one gateway: each costs about
1 kB, and what is behind one connection should not outgrow what may connect by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from appliance.extension.ports import DeviceSession, Gate
from appliance.kernel.events import Emit
from appliance.model.errors import Permanent
from appliance.model.ids import EntityId
from appliance.model.telemetry import Value
from plugins.ingest_mqtt import events
from plugins.ingest_mqtt import gateway_requests as requests
from plugins.ingest_mqtt.topics import GATEWAY

CHILDREN_MAX = 10_000
TELEMETRY = f"{GATEWAY}telemetry"

Publish = Callable[[str, Any, tuple[DeviceSession, int] | None], bool]
"""(topic, body, the request that its acknowledgement delivers) -> whether it goes out."""


class Child(msgspec.Struct):
    """One joined device. stops: what to call when it leaves."""

    session: DeviceSession
    stops: tuple[Callable[[], None], ...]


class ChildDownlink:
    """What the core pushes to one device behind the gateway; see `Downlink`."""

    def __init__(self, session: DeviceSession, publish: Publish, leave: Callable[[], None]) -> None:
        self._session = session
        self._publish = publish
        self._leave = leave

    def attributes(self, updated: dict[str, Value], deleted: Sequence[str]) -> None:
        """See `Downlink`."""
        data = {**updated, "deleted": list(deleted)} if deleted else updated
        body = {"device": self._session.name, "data": data}
        self._publish(f"{GATEWAY}attributes", body, None)

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        """See `Downlink`."""
        data = {"id": request_id, "method": method, "params": params}
        body = {"device": self._session.name, "data": data}
        return self._publish(f"{GATEWAY}rpc", body, (self._session, request_id))

    def closed(self, reason: str) -> None:
        """See `Downlink`. The gateway stays; the next word about the device joins it anew."""
        self._leave()


class Gateway:
    """Performs a gateway's requests. publish, emit must not block."""

    def __init__(self, session: DeviceSession, gate: Gate, publish: Publish, emit: Emit) -> None:
        self._session = session
        self._gate = gate
        self._publish = publish
        self._emit = emit
        self._children: dict[str, Child] = {}
        self._names: dict[EntityId, str] = {}

    async def perform(self, request: requests.GatewayRequest, topic: str) -> None:
        """Return when all that the request caused is durable.

        A device that cannot be had or whose part is refused is told of and passed over. Raises
        Permanent where nothing of the request could be taken, Retryable where it must wait;
        performing it again is harmless.
        """
        await _PERFORM[type(request)](self, request, topic)

    def close(self) -> None:
        """All devices leave."""
        for name in list(self._children):
            self._leave(name)

    async def _child(self, name: str, profile: str | None = None) -> DeviceSession:
        child = self._children.get(name)
        if child is not None:
            return child.session
        if len(self._children) >= CHILDREN_MAX:
            raise Permanent(f"{CHILDREN_MAX} devices are behind this gateway already")
        session = await self._gate.child_session(self._session, name, profile)
        if name not in self._children:
            self._join(name, session)
        return session

    def _join(self, name: str, session: DeviceSession) -> None:
        """From now on it is served, and under one name only: it may have been renamed."""
        self._leave(self._names.get(session.device, ""))
        self._names[session.device] = name
        downlink = ChildDownlink(session, self._publish, lambda: self._leave(name))
        stop_activity = self._gate.connected(session)
        stop_pushes = self._gate.subscribe(session, downlink, attributes=True, rpc=True)
        self._children[name] = Child(session, (stop_pushes, stop_activity))

    def _leave(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child is None:
            return
        del self._names[child.session.device]
        for stop in child.stops:
            stop()

    async def _on_join(self, request: requests.Join, topic: str) -> None:
        await self._child(request.device, request.profile)

    async def _on_leave(self, request: requests.Leave, topic: str) -> None:
        self._leave(request.device)

    async def post_telemetry(self, messages: Sequence[requests.Telemetry]) -> None:
        """Perform messages together; as `perform`, but several are refused for any refused part.

        One by one, each is then taken as far as it can be.
        """
        if len(messages) == 1:
            await self._post_one(messages[0])
            return
        posts = [
            (await self._child(name), entries)
            for message in messages
            for name, entries in message.posts.items()
        ]
        await self._gate.post_telemetry(posts)
        for message in messages:
            self._settle(message.posts, message.refused, TELEMETRY)

    async def _post_one(self, request: requests.Telemetry) -> None:
        children, refused = await self._children_of(request.posts)
        posts = [(children[name], request.posts[name]) for name in children]
        try:
            await self._gate.post_telemetry(posts)
        except Permanent:
            refused |= await self._each(
                children,
                lambda name: self._gate.post_telemetry([(children[name], request.posts[name])]),
            )
        self._settle(children, refused | request.refused, TELEMETRY)

    async def _on_attributes(self, request: requests.Attributes, topic: str) -> None:
        children, refused = await self._children_of(request.values)
        refused |= await self._each(
            children,
            lambda name: self._gate.post_attributes(children[name], request.values[name]),
        )
        self._settle(children, refused | request.refused, topic)

    async def _on_attribute_request(self, request: requests.AttributeRequest, topic: str) -> None:
        child = await self._child(request.device)
        client, shared = (request.keys, None) if request.is_client else (None, request.keys)
        found = self._gate.read_attributes(child, client, shared)[0 if request.is_client else 1]
        body: dict[str, Any] = {"id": request.id, "device": request.device}
        if found and not request.is_single:
            body["values"] = found
        elif found:
            body["value"] = found[request.keys[0]]
        self._publish(f"{GATEWAY}attributes/response", body, None)

    async def _on_reply(self, request: requests.Reply, topic: str) -> None:
        child = await self._child(request.device)
        await self._gate.rpc_reply(child, request.request_id, request.data)

    async def _on_claims(self, request: requests.Claims, topic: str) -> None:
        children, refused = await self._children_of(request.claims)
        refused |= await self._each(
            children, lambda name: self._gate.claim(children[name], *request.claims[name])
        )
        self._settle(children, refused, topic)

    async def _children_of(
        self, names: dict[str, Any]
    ) -> tuple[dict[str, DeviceSession], dict[str, str]]:
        """(sessions by name, reasons of those that cannot be had), in the order given."""
        children: dict[str, DeviceSession] = {}
        refused: dict[str, str] = {}
        for name in names:
            try:
                children[name] = await self._child(name)
            except Permanent as error:
                refused[name] = str(error)
        return children, refused

    async def _each(
        self, names: Iterable[str], post: Callable[[str], Awaitable[None]]
    ) -> dict[str, str]:
        """Post one device after the other; the reasons of those refused."""
        refused: dict[str, str] = {}
        for name in names:
            try:
                await post(name)
            except Permanent as error:
                refused[name] = str(error)
        return refused

    def _settle(self, children: Mapping[str, object], refused: dict[str, str], topic: str) -> None:
        """Tell what was passed over, or refuse the message if that is all of it."""
        if refused and refused.keys() >= children.keys():
            raise Permanent("; ".join(f"{name}: {why}" for name, why in refused.items()))
        for name, reason in refused.items():
            self._emit(events.MqttPayloadRefused(device=name, topic=topic, reason=reason))


_PERFORM: dict[type[Any], Callable[[Gateway, Any, str], Awaitable[None]]] = {
    requests.Join: Gateway._on_join,
    requests.Leave: Gateway._on_leave,
    requests.Attributes: Gateway._on_attributes,
    requests.AttributeRequest: Gateway._on_attribute_request,
    requests.Reply: Gateway._on_reply,
    requests.Claims: Gateway._on_claims,
}
