"""What the REST API asks of a role when something is to change.

The API validates and composes whole ThingsBoard objects; the role makes them durable in one unit
of work, with the outbox events and rule messages that follow. Each call returns when that is
done. It raises Permanent for what can never be (400), Retryable for not now (503).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from appliance.access.tokens import Principal
from appliance.model.errors import Permanent, Retryable
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Series, Value
from appliance.state.kinds import BY_NAME, entity_id_of, id_of
from appliance.state.store import State
from appliance.state.view import StateView
from appliance.sync.conflicts import UNIQUE_NAMES, namesake


class NotConnected(Exception):
    """The device has no session that takes requests."""


class EdgeNotReady(Exception):
    """The edge is not connected, or is being synchronised; the text says which."""


class Change(msgspec.Struct, frozen=True):
    """One stored object becomes this body, or goes (None).

    kind, id: as EntityWrite (state/kinds.py). action: the EdgeEventActionType name of what
    happened: ADDED, UPDATED, DELETED, CREDENTIALS_UPDATED, ALARM_ACK, RELATION_ADD_OR_UPDATE, ….
    """

    kind: str
    id: UUID
    body: dict[str, Any] | None
    action: str


_MAKES = frozenset({"ADDED", "ADDED_COMMENT", "RELATION_ADD_OR_UPDATE"})
"""Actions that find nothing there; all others are of what somebody has before them."""
_PARTS = frozenset({"ADMIN_SETTINGS", "RULE_CHAIN_METADATA", "USER_CREDENTIALS"})
"""Kinds whose first word is a change, since what they are part of is there already."""


class Overtaken(Retryable):
    """Somebody did the same at the same moment; who looks again finds it done."""


def refuse_what_is_late(state: State, changes: Sequence[Change]) -> None:
    """Look whether all is still as the caller saw it.

    Raises:
        Permanent: a change is of something that went. It would bring back a part of that: a device
            without credentials, an alarm of nothing. Or it takes a name that the other side took.
        Overtaken: an alarm is new no longer.
    """
    for change in changes:
        known = state.entity(change.kind, change.id) is not None
        makes = change.action in _MAKES or change.kind in _PARTS
        if change.body is not None and not makes and not known:
            raise Permanent(f"{change.kind} {change.id} is not here any more")
        if change.kind in UNIQUE_NAMES and change.body is not None:
            _refuse_taken_name(state, change.kind, change.id, change.body)
        if change.kind == "ALARM" and change.action == "ADDED" and change.body is not None:
            originator = entity_id_of(change.body.get("originator"))
            cleared = change.body.get("cleared")
            if originator and not cleared and state.active_alarm(originator, change.body["type"]):
                raise Overtaken("such an alarm has just been raised", retry_after_s=0.0)


def _refuse_taken_name(state: State, kind: str, id: UUID, body: dict[str, Any]) -> None:
    """Only of a new name: what two have already, as a peer may have sent it, hinders no change."""
    row = BY_NAME[kind]
    field = row.unique or row.title
    known = state.entity(kind, id) or {}
    if known.get(field) != body.get(field) and namesake(state, row, id, body) is not None:
        words = kind.replace("_", " ").capitalize()
        raise Permanent(f"{words} with such {field} already exists!")


_USERS_OF = {"DEVICE_PROFILE": "device", "ASSET_PROFILE": "asset"}


def refuse_what_is_needed(state: StateView, changes: Sequence[Change]) -> None:
    """Look whether what is to go can be done without.

    Raises:
        Permanent: a profile is the default one, or something has it.
    """
    for change in changes:
        users = _USERS_OF.get(change.kind)
        if users is None or change.body is not None:
            continue
        if (state.entity(change.kind, change.id) or {}).get("default"):
            words = change.kind.replace("_", " ").title()
            raise Permanent(f"Deletion of Default {words} is prohibited!")
        field = f"{users}ProfileId"
        if any(id_of(b.get(field)) == change.id for b in state.entities(users.upper())):
            raise Permanent(
                f"The {users} profile referenced by the {users}s cannot be deleted!",
                hint=f"give the {users}s another profile first",
            )


def with_what_mirrors(state: StateView, changes: Iterable[Change]) -> Iterator[Change]:
    """The changes, and those of devices or assets whose type is the name of a profile."""
    for change in changes:
        yield change
        users = _USERS_OF.get(change.kind)
        known = state.entity(change.kind, change.id)
        if users is None or known is None or change.body is None:
            continue
        name = change.body.get("name")
        for body in state.entities(users.upper()) if name != known.get("name") else ():
            own = id_of(body["id"])
            if own is not None and id_of(body.get(f"{users}ProfileId")) == change.id:
                yield Change(users.upper(), own, {**body, "type": name}, "UPDATED")


class RpcCommand(msgspec.Struct, frozen=True):
    """A request for a device. params: any JSON. expires_ms: epoch milliseconds.

    retries: of a persistent request, None = as configured.
    """

    method: str
    params: Any
    oneway: bool
    expires_ms: int
    request_uuid: UUID | None = None
    retries: int | None = None
    additional_info: Any = None


class Commands(Protocol):
    """Implemented by each role."""

    async def change(self, changes: Sequence[Change], actor: Principal) -> None:
        """Apply all changes in one unit of work, in order; related things follow.

        What follows a deletion (credentials, relations, attributes, alarms of the entity) is the
        role's to add, as it also happens when the other side deletes.
        """
        ...

    async def save_attributes(
        self, entity: EntityId, scope: Scope, values: dict[str, Value], actor: Principal
    ) -> None:
        """Write attributes now; shared ones reach a connected device."""
        ...

    async def delete_attributes(
        self, entity: EntityId, scope: Scope, keys: Sequence[str], actor: Principal
    ) -> None:
        """Remove attributes."""
        ...

    async def save_telemetry(self, series: Sequence[Series], actor: Principal) -> None:
        """Store points of one entity; at least one."""
        ...

    async def delete_series(
        self, entity: EntityId, keys: Sequence[str], start_ms: int, end_ms: int, actor: Principal
    ) -> None:
        """Remove points with start_ms <= ts < end_ms."""
        ...

    async def call_device(self, device: UUID, command: RpcCommand) -> Any:
        """Send a request; the device's answer (any JSON), None for a one-way request.

        Raises NotConnected, or trio.TooSlowError when it expired.
        """
        ...

    async def queue_rpc(self, device: UUID, command: RpcCommand) -> UUID:
        """Keep a persistent request as an entity of kind RPC; its id."""
        ...

    async def assign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """Cloud role: the edge gets the entity.

        Kept as ThingsBoard does, as a relation EDGE –Contains→ entity of group EDGE. The edge
        role raises Permanent.
        """
        ...

    async def unassign(self, edge: UUID, entity: EntityId, actor: Principal) -> None:
        """Cloud role: the edge loses the entity. The edge role raises Permanent."""
        ...

    async def sync_edge(self, edge: UUID) -> None:
        """Cloud role: send everything again. Raises EdgeNotReady."""
        ...
