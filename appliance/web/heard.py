"""What rule chains hear of what people do over REST (spec/rule-engine.md §2.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from appliance.access.tokens import Principal
from appliance.kernel.clock import Clock
from appliance.model.ids import EntityId, new_uuid
from appliance.model.message import Message
from appliance.model.telemetry import Scope, Series
from appliance.state.kinds import entity_id_of
from appliance.state.store import State
from appliance.sync.incoming import source_metadata
from appliance.web.commands import Change

_CHANGED = {"ADDED": "ENTITY_CREATED", "UPDATED": "ENTITY_UPDATED", "DELETED": "ENTITY_DELETED"}
_ALARM_CHANGED = frozenset({"ALARM_ACK", "ALARM_CLEAR"})


class Heard:
    """Messages about a person's deeds; the person is in their metadata."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def of_change(self, change: Change, actor: Principal) -> Iterator[Message]:
        """Of a change of an entity; to be asked before the state has it."""
        stored = change.body or self._state.entity(change.kind, change.id)
        if change.kind in ("DEVICE", "ASSET") and change.action in _CHANGED:
            entity = EntityId(change.kind, change.id)
            yield self.message(_CHANGED[change.action], entity, stored, actor)
        elif change.kind == "ALARM" and change.action in _ALARM_CHANGED and stored:
            originator = entity_id_of(stored.get("originator"))
            if originator is not None:
                yield self.message(change.action, originator, stored, actor)

    def of_series(self, series: Sequence[Series], actor: Principal) -> Message:
        """Of points of one entity; at least one."""
        told = [{"ts": each.ts, "values": each.values} for each in series]
        entity = series[0].entity
        return self.message("TIMESERIES_UPDATED", entity, {"timeseries": told}, actor)

    def message(
        self,
        type: str,
        entity: EntityId,
        data: Any,
        actor: Principal,
        scope: Scope | None = None,
        ts: int | None = None,
    ) -> Message:
        """Of anything else. ts: epoch milliseconds; None = now."""
        metadata = source_metadata(entity, self._state, "rest") | {
            "userId": str(actor.user_id),
            "userName": actor.email,
            "userEmail": actor.email,
        }
        del metadata["source"]
        if scope is not None:
            metadata["scope"] = scope.value
        moment = self._clock() if ts is None else ts
        return Message(new_uuid(), moment, type, entity, data, metadata)
