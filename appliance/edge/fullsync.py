"""Full syncs: when one is asked for, and what one shows to be gone.

A server drops much of what happens while an edge is away, and no partial sync brings back what it
took away (edge-protocol §7.3). So a full sync is asked for after an outage of
`full_sync_after_outage_s`, and when data come about something that is not here; by itself at most
once in `AUTOMATIC_EVERY_MS`, since it is hundreds of messages. Asking by hand is not limited.

What the server assigns and we have must both be in a full sync: everything of `KINDS` that was not
seen between the request and the completion is unassigned. Two things are never taken for that:
what was created here and has not come down since (`Origin`), and anything at all when the tenant
was not among what came, because then a partial sync answered (§4.1: a request during another sync
is ignored) and the full one is asked for once more; a server that still shows no tenant has none
to show, and is believed. Ids are noted as they arrive, applied or refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from appliance.model.ids import EntityId
from appliance.model.unit import CLOUD, StateWrite, Unit
from appliance.state.kinds import BY_FIELD
from appliance.state.store import State
from appliance.sync.messages import EntityUpdate, Item, UpdateKind

KINDS = ("ENTITY_VIEW", "DEVICE", "ASSET", "DASHBOARD", "RULE_CHAIN")
"""What a server assigns to an edge; views before what they show."""
AUTOMATIC_EVERY_MS = 86_400_000
OWNER = "full_sync"
_ORIGIN = "created_here"
MARK = "unassignedFromEdge"

Unassigned = Literal["remove", "mark", "keep"]


class Origin:
    """Which entities were created here and have not come down since."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def load(self, states: Mapping[str, bytes]) -> None:
        """Take over what storage kept."""
        self._ids = set(states)

    owner = _ORIGIN

    def note(self, unit: Unit) -> None:
        """Mark, in the same unit, what it creates."""
        for event in unit.events:
            if event.outbox == CLOUD and event.action == "ADDED" and event.type in KINDS:
                self._ids.add(str(event.entity))
                unit.states.append(StateWrite(_ORIGIN, str(event.entity), b"1"))

    def came_down(self, unit: Unit, items: Iterable[Item]) -> None:
        """Unmark what the cloud said, and what its words deleted; what they renamed stays ours."""
        said = {item.id for item in items if isinstance(item, EntityUpdate)}
        for write in unit.entities:
            name = str(EntityId(write.kind, write.id))
            if name in self._ids and (write.body is None or write.id in said):
                self._ids.discard(name)
                unit.states.append(StateWrite(_ORIGIN, name, None))

    def is_ours(self, entity: EntityId) -> bool:
        """Whether the cloud has never sent it."""
        return str(entity) in self._ids


class FullSync:
    """Decides on full syncs and collects what one brings. Pure: time is an argument."""

    def __init__(self, after_outage_s: float) -> None:
        self._after_outage_ms = after_outage_s * 1000
        self._owed = True
        self._connected_ms: int | None = None
        self._automatic_ms: int | None = None
        self._running = False
        self._seen: set[EntityId] = set()
        self._seen_tenant = False
        self._without_tenant = 0

    def load(self, states: Mapping[str, bytes]) -> None:
        """Take over what storage kept."""
        self._owed = "done" not in states
        numbers = {key: int(value) for key, value in states.items() if key != "done"}
        self._connected_ms = numbers.get("connected_ms")
        self._automatic_ms = numbers.get("automatic_ms")

    # --- when ---------------------------------------------------------------------------------

    @property
    def owed(self) -> bool:
        """Whether the next sync must be a full one."""
        return self._owed

    def connected(self, now_ms: int) -> list[StateWrite]:
        """A link is there, or is there still; what to keep."""
        before, self._connected_ms = self._connected_ms, now_ms
        writes = [StateWrite(OWNER, "connected_ms", b"%d" % now_ms)]
        if before is not None and 0 < self._after_outage_ms <= now_ms - before:
            writes += self.automatic(now_ms)
        return writes

    def automatic(self, now_ms: int) -> list[StateWrite]:
        """There is a reason for a full sync; nothing if there was one for a reason not long ago."""
        last_ms = self._automatic_ms
        if self._owed or not self._after_outage_ms:
            return []
        if last_ms is not None and now_ms - last_ms < AUTOMATIC_EVERY_MS:
            return []
        self._automatic_ms = now_ms
        return [*self.ask(), StateWrite(OWNER, "automatic_ms", b"%d" % now_ms)]

    def ask(self) -> list[StateWrite]:
        """Somebody wants a full sync; what to keep."""
        self._owed = True
        return [StateWrite(OWNER, "done", None)]

    # --- what ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """A sync is being asked for on a link."""
        self._running = self._owed
        self._seen.clear()
        self._seen_tenant = False

    def note(self, items: Iterable[Item]) -> None:
        """A batch came."""
        if not self._running:
            return
        for item in items:
            if isinstance(item, EntityUpdate) and item.kind != UpdateKind.DELETED:
                self._note(item)

    def _note(self, item: EntityUpdate) -> None:
        kind = BY_FIELD.get(item.field)
        if kind is None:
            return
        if kind.name == "TENANT":
            self._seen_tenant = True
        elif kind.name in KINDS and item.id is not None:
            self._seen.add(EntityId(kind.name, item.id))

    def complete(self) -> list[StateWrite]:
        """A sync has come to its end; what to keep. `owed` tells whether it was the full one."""
        if not self._running:
            return []
        self._without_tenant = 0 if self._seen_tenant else self._without_tenant + 1
        if self._without_tenant == 1:
            return []
        self._owed = False
        return [StateWrite(OWNER, "done", b"1")]

    def unassigned(self, state: State, origin: Origin) -> list[EntityId]:
        """After `complete`: what is here and the server does not assign to us any more."""
        if not self._running or not self._seen_tenant:
            return []
        self._running = False
        here = (EntityId(kind, id) for kind in KINDS for id in state.ids(kind))
        return [e for e in here if e not in self._seen and not origin.is_ours(e)]


def marked(state: State, entities: Iterable[EntityId]) -> Iterator[tuple[EntityId, bytes]]:
    """The bodies of what is not assigned any more, with the mark that says so."""
    for entity in entities:
        body: dict[str, Any] = state.entity(entity.type, entity.id) or {}
        info = body.get("additionalInfo") or {}
        if not info.get(MARK):
            info = {**info, MARK: True}
            yield entity, msgspec.json.encode({**body, "additionalInfo": info})
