"""What a program can do to both sides: changes, requests and faults.

A step that has nothing to work on does nothing, so any list of steps is a program and stays one
when it is made shorter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
import trio

from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import EntityId, new_uuid
from appliance.model.telemetry import Scope
from appliance.state.kinds import BY_NAME, relation_key
from appliance.web.commands import Change, NotConnected, RpcCommand
from tests.kit import sync_common as common
from tests.kit.phone import Phone
from tests.kit.sync_rows import ACTOR, body_of
from tests.model.tenant_steps import TenantSteps
from tests.model.world import CLOUD_SIDE, EDGE_SIDE, KEPT_S, RPC_S, Side, World

ALARM_TYPE = "Hot"
OWN_KEY = "c"
"""What devices call the attribute that they post."""
Step = tuple[Any, ...]


class Steps(TenantSteps):
    """A world in which steps are played; each `do_…` is one kind of step."""

    async def play(self, step: Step) -> None:
        """One step."""
        do: Callable[..., Awaitable[None]] = getattr(self, f"do_{step[0]}")
        await do(*step[1:])

    # --- entities -----------------------------------------------------------------------------

    async def do_make(self, name: str, kind: str, title: int) -> None:
        """A new entity; on the cloud it is assigned at once."""
        side = self.sides[name]
        if side.role is None or side.state.by_name(kind, f"{kind} {title}") is not None:
            return
        if kind == "ENTITY_VIEW" and self.entity(side, title, "DEVICE") is None:
            return
        if kind == "DEVICE" and side.state.by_name("DEVICE_PROFILE", "default") is None:
            return  # an adopted edge that was not synchronised yet
        id = new_uuid()
        entity, more = EntityId(kind, id), []
        if kind == "DEVICE":
            body = common.device(side.state, id, f"{kind} {title}")
            more = [Change("DEVICE_CREDENTIALS", id, common.token(id, f"T{id}"), "ADDED")]
        else:
            body = body_of(side.state, kind, id, **self._fields(side, entity, title))
            body[BY_NAME[kind].title] = f"{kind} {title}"
        self.entities.append(entity)
        await self.save(side, entity, "ADDED", *more, **body)
        if side.name == CLOUD_SIDE:
            await self._assign(entity)

    def _fields(self, side: Side, entity: EntityId, number: int) -> dict[str, Any]:
        """What one of that kind has besides its name."""
        if entity.type in common.FIELDS:
            return common.FIELDS[entity.type]
        if entity.type == "ASSET":
            profile = side.state.by_name("ASSET_PROFILE", "default") or {}
            return {"type": "default", "assetProfileId": profile.get("id")}
        device = self.entity(side, number, "DEVICE")
        assert device is not None
        self.shown[entity].add(device)
        return {"type": "default", "entityId": device.to_json()}

    async def do_label(self, name: str, number: int) -> None:
        """An entity changes."""
        side = self.sides[name]
        if (entity := self.entity(side, number)) is not None:
            await self.save(side, entity, "UPDATED")

    async def do_rename(self, name: str, number: int, title: int) -> None:
        """An entity gets a name that nobody has on that side."""
        side = self.sides[name]
        entity = self.entity(side, number)
        if entity is not None:
            new = f"{entity.type} {title}"
            if side.state.by_name(entity.type, new) is None:
                await self.save(side, entity, "UPDATED", **{BY_NAME[entity.type].title: new})

    async def do_token(self, name: str, number: int) -> None:
        """A device gets other credentials."""
        side = self.sides[name]
        if (entity := self.entity(side, number, "DEVICE")) is not None:
            body = {**(side.state.entity("DEVICE_CREDENTIALS", entity.id) or {})}
            body["credentialsId"] = f"T{next(self.numbers)} {name}"
            await self.change(
                side, Change("DEVICE_CREDENTIALS", entity.id, body, "CREDENTIALS_UPDATED")
            )

    async def do_delete(self, name: str, number: int) -> None:
        """An entity goes for good, or leaves the edge."""
        side = self.sides[name]
        if (entity := self.entity(side, number)) is not None:
            self._remove(side, entity)
            await self.change(side, Change(entity.type, entity.id, None, "DELETED"))

    def _remove(self, side: Side, entity: EntityId) -> None:
        """It may go, with what belongs to it."""
        self.removed.add(entity)
        for view in side.state.owned("ENTITY_VIEW", entity.id):
            self.removed.add(EntityId("ENTITY_VIEW", view))

    async def do_unassign(self, number: int) -> None:
        """The cloud takes an entity back."""
        cloud = self.sides[CLOUD_SIDE]
        entity = self.entity(cloud, number)
        if entity is not None and self.cloud.edges.has(self.edge_id, entity):
            self._remove(cloud, entity)
            commands = self.cloud.commands
            await self.on(cloud, lambda: commands.unassign(self.edge_id, entity, ACTOR))

    async def do_assign(self, number: int) -> None:
        """The cloud gives an entity (again)."""
        if (entity := self.entity(self.sides[CLOUD_SIDE], number)) is not None:
            await self._assign(entity)

    async def _assign(self, entity: EntityId) -> None:
        cloud = self.sides[CLOUD_SIDE]
        if cloud.role is not None and not self.cloud.edges.has(self.edge_id, entity):
            commands = self.cloud.commands
            await self.on(cloud, lambda: commands.assign(self.edge_id, entity, ACTOR))

    async def do_relate(self, name: str, first: int, second: int) -> None:
        """Two entities have to do with each other, or no longer."""
        side = self.sides[name]
        source, target = self.entity(side, first), self.entity(side, second)
        if source is None or target is None:
            return
        body = {"from": source.to_json(), "to": target.to_json(), "type": "Uses",
                "typeGroup": "COMMON", "additionalInfo": None}  # fmt: skip
        key = relation_key(body)
        there = side.state.entity("RELATION", key) is not None
        action = "RELATION_DELETED" if there else "RELATION_ADD_OR_UPDATE"
        await self.change(side, Change("RELATION", key, None if there else body, action))

    # --- data ---------------------------------------------------------------------------------

    async def do_attribute(self, name: str, number: int, scope: Scope, key: str) -> None:
        """An attribute is written by hand."""
        side = self.sides[name]
        if (entity := self.entity(side, number)) is not None:
            values: Any = {key: f"{name} {next(self.numbers)}"}
            save = side.role.commands.save_attributes
            await self.on(side, lambda: save(entity, scope, values, ACTOR))

    async def do_forget(self, name: str, number: int, scope: Scope, key: str) -> None:
        """An attribute is deleted by hand, be it the device's own."""
        side = self.sides[name]
        entity = self.entity(side, number)
        key = OWN_KEY if scope is Scope.CLIENT else key
        if entity is not None and key in side.state.attributes(entity, scope):
            delete = side.role.commands.delete_attributes
            await self.on(side, lambda: delete(entity, scope, [key], ACTOR))

    async def do_post(self, number: int, client: bool) -> None:
        """A device sends a value, or an attribute of its own."""
        side = self.sides[EDGE_SIDE]
        session = self._session(self.entity(side, number, "DEVICE"))
        if session is None:
            return
        gate, value = self.edge.gate, next(self.numbers)
        if client:
            await self.on(side, lambda: gate.post_attributes(session, {OWN_KEY: value}))
            return
        said = await self.on(
            side, lambda: gate.post_telemetry([(session, [(value, {"n": value})])])
        )
        if said and not self.adopting:
            self.posted[session.device.id].append(value)

    def _session(self, device: EntityId | None) -> Any:
        token = device and self.edge.state.entity("DEVICE_CREDENTIALS", device.id)
        return self.edge.gate.authenticate_token(token["credentialsId"]) if token else None

    # --- alarms -------------------------------------------------------------------------------

    def _alarm(self, side: Side, number: int) -> tuple[EntityId | None, dict[str, Any] | None]:
        entity = self.entity(side, number)
        return entity, entity and side.state.active_alarm(entity, ALARM_TYPE)

    async def do_alarm(self, name: str, number: int) -> None:
        """An alarm is raised, or gets another severity."""
        side = self.sides[name]
        entity, active = self._alarm(side, number)
        if entity is None:
            return
        if active is None:
            id, action = new_uuid(), "ADDED"
            active = body_of(
                side.state,
                "ALARM",
                id,
                type=ALARM_TYPE,
                originator=entity.to_json(),
                acknowledged=False,
                cleared=False,
                startTs=self.clock(side),
            )  # fmt: skip - one line of values
        else:
            id, action = UUID(active["id"]["id"]), "UPDATED"
        body = {**active, "severity": f"{name} {next(self.numbers)}"}
        await self.change(side, Change("ALARM", id, body, action))

    async def do_ack(self, name: str, number: int) -> None:
        """Somebody has seen it."""
        await self._settle(name, number, "ALARM_ACK", {"acknowledged": True})

    async def do_clear(self, name: str, number: int) -> None:
        """It is over."""
        await self._settle(name, number, "ALARM_CLEAR", {"cleared": True})

    async def _settle(self, name: str, number: int, action: str, how: dict[str, Any]) -> None:
        side = self.sides[name]
        _, active = self._alarm(side, number)
        if active is not None:
            id = UUID(active["id"]["id"])
            await self.change(side, Change("ALARM", id, {**active, **how}, action))

    async def do_dismiss(self, name: str, number: int) -> None:
        """An active alarm is deleted."""
        side = self.sides[name]
        entity, active = self._alarm(side, number)
        if entity is not None and active is not None:
            self.dismissed.add(entity)
            await self.change(side, Change("ALARM", UUID(active["id"]["id"]), None, "ALARM_DELETE"))

    async def do_comment(self, name: str, number: int) -> None:
        """Somebody says something about an active alarm."""
        side = self.sides[name]
        entity, active = self._alarm(side, number)
        if entity is not None and active is not None:
            id, text = new_uuid(), f"{name} {next(self.numbers)}"
            body = {"id": {"id": str(id)}, "createdTime": 1, "alarmId": active["id"],
                    "type": "OTHER", "comment": {"text": text}}  # fmt: skip
            if await self.change(side, Change("ALARM_COMMENT", id, body, "ADDED_COMMENT")):
                self.comments[text] = (entity, UUID(active["id"]["id"]))

    # --- requests -----------------------------------------------------------------------------

    async def do_rpc(self, number: int, kind: str) -> None:
        """The cloud asks a device something; the step does not wait for the answer.

        A request is kept for a device that is away, until its edge starts again or all is quiet.
        """
        cloud = self.sides[CLOUD_SIDE]
        device = self.entity(cloud, number, "DEVICE")
        if device is None:
            return
        if kind == "kept":
            self._disconnect_phone(device)
        else:
            self._connect_phone(device)
        expires_ms = self.clock(cloud) + int((KEPT_S if kind == "kept" else RPC_S) * 1000)
        command = RpcCommand("beep", next(self.numbers), kind == "oneway", expires_ms)
        commands = self.cloud.commands
        if kind == "kept":
            command = msgspec.structs.replace(command, request_uuid=new_uuid())
            there = ("DEVICE", device.id) in self.sides[EDGE_SIDE].disk.entities
            if await self.on(cloud, lambda: commands.queue_rpc(device.id, command)) and there:
                assert command.request_uuid is not None
                self.kept_requests[command.request_uuid] = (device, command.params)
            return
        troubles, connected = self.troubles, self.edge_id in self.cloud.service.sessions
        connected = connected and device.id in self.phones and trio.current_time() > self.calm_s

        def calm() -> bool:
            return connected and troubles == self.troubles

        self.nursery.start_soon(self._call, commands, device.id, command, calm)

    async def _call(
        self, commands: Any, device: UUID, command: RpcCommand, calm: Callable[[], bool]
    ) -> None:
        try:
            await commands.call_device(device, command)
            end = "answered"
        except (NotConnected, Permanent, Retryable, trio.TooSlowError) as error:
            end = type(error).__name__
        self.answers.append((calm() and device not in self.removed_ids, end))

    @property
    def removed_ids(self) -> set[UUID]:
        """Ids of what was removed at some time."""
        return {entity.id for entity in self.removed}

    def connect_phones(self) -> None:
        """Every device comes back when its edge is back."""
        for entity in self.entities:
            if entity.type == "DEVICE":
                self._connect_phone(entity)

    def _disconnect_phone(self, device: EntityId) -> None:
        life, phone = self.phones.pop(device.id, (None, None))
        if phone is not None and life is self.sides[EDGE_SIDE].life:
            phone.leave()
            self.troubles += 1

    def _connect_phone(self, device: EntityId) -> None:
        """The device has a session that answers, unless it has one since before."""
        side = self.sides[EDGE_SIDE]
        known = self.phones.get(device.id)
        if side.role is None or (known is not None and known[0] is side.life):
            return
        session = self._session(device)
        if session is not None:
            phone = AnsweringPhone(self, session.name and self._token(device))
            self.phones[device.id] = (side.life, phone)

    def _token(self, device: EntityId) -> str:
        body = self.edge.state.entity("DEVICE_CREDENTIALS", device.id)
        assert body is not None
        return str(body["credentialsId"])

    # --- faults -------------------------------------------------------------------------------

    async def do_cut(self, lose: bool) -> None:
        """The link breaks; what is on it is lost, or still arrives."""
        self._trouble(0)
        self.wire.cut(lose=lose)

    async def do_away(self, seconds: float) -> None:
        """No link for some time."""
        self._trouble(seconds)
        self.wire.refuse = Retryable("no network")
        self.wire.cut()

        async def back() -> None:
            await trio.sleep(seconds)
            self.wire.refuse = None

        self.nursery.start_soon(back)

    async def do_stall(self, seconds: float) -> None:
        """The link is half-open until somebody notices."""
        self._trouble(seconds)
        stalled = list(self.wire.links)
        self.wire.stall()

        async def notice() -> None:
            await trio.sleep(seconds)
            for link in stalled:
                for pipe in (link.outgoing, link.incoming):
                    pipe.stalled = False
                    pipe.close("no answer to a ping", "UNAVAILABLE", lose=True)

        self.nursery.start_soon(notice)

    async def do_restart(self, name: str, seconds: float) -> None:
        """One side stops in good order and starts again."""
        self._trouble(seconds)
        side = self.sides[name]
        side.down_s = seconds
        side.stop.set()
        await trio.sleep(0)

    async def do_kill(self, name: str, fuse: int, seconds: float) -> None:
        """One side dies in the middle of what it does next."""
        self._trouble(seconds)
        side = self.sides[name]
        side.down_s = seconds
        side.life.fuse = fuse

    async def do_full(self, name: str, seconds: float) -> None:
        """One side's disk takes nothing for a while."""
        self._trouble(seconds)
        side = self.sides[name]
        if (storage := side.storage) is None:
            return
        storage.full = True

        async def room() -> None:
            await trio.sleep(seconds)
            storage.full = False

        self.nursery.start_soon(room)

    async def do_skew(self, name: str, ms: int) -> None:
        """One side's clock jumps."""
        self.sides[name].skew_ms = ms

    async def do_sync(self, name: str) -> None:
        """Somebody wants everything again."""
        side = self.sides[name]
        if side.role is None:
            return
        if name == EDGE_SIDE:
            await self.on(side, self.edge.link.request_full_sync)
        else:
            commands = self.cloud.commands
            await self.on(side, lambda: commands.sync_edge(self.edge_id))

    async def do_meanwhile(self, step: Step) -> None:
        """A step for whose end nobody waits: the next happens at the same time."""
        self.nursery.start_soon(self.play, step)

    async def do_wait(self, seconds: float) -> None:
        """Time passes."""
        await trio.sleep(seconds)


class AnsweringPhone(Phone):
    """A device that answers every request at once, and counts how often it hears each."""

    def __init__(self, world: World, token: str) -> None:
        self._world = world
        self._here = world.edge
        super().__init__(world.edge, token)

    def rpc(self, request_id: int, method: str, params: Any, *, oneway: bool) -> bool:
        """See Downlink."""
        self._world.heard[params] += 1
        if not oneway:
            self._world.nursery.start_soon(self._reply, request_id)
        return True

    async def _reply(self, request_id: int) -> None:
        await self._here.gate.rpc_reply(self.session, request_id, {"ok": True})
