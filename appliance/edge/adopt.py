"""A data folder becomes another edge's (cloud.adopt).

Safe in any order of crashes: the folder is the old edge's until the last of its things is gone,
then the new edge's id is written. Its unsent events leave the outbox first, so that nothing about
entities of one edge is ever said in the name of another. History stays; nobody asks for it.
"""

from __future__ import annotations

from appliance.extension.ports import Storage
from appliance.model.ids import EntityId
from appliance.model.telemetry import AttributeDelete, Scope
from appliance.model.unit import CLOUD, EntityWrite, Lane, Unit
from appliance.state.deleted import forget
from appliance.state.store import State

PAGE = 1000
REASON = "the data folder was adopted by another edge"


async def put_away_outbox(storage: Storage) -> int:
    """Put every unsent event into quarantine, where people can still see it; how many."""
    count = 0
    for lane in Lane:
        while events := await storage.pending(CLOUD, lane, None, PAGE, 1 << 24):
            for event in events:
                size = len(event.event.body)
                await storage.quarantine(CLOUD, lane, event, REASON, size)
            count += len(events)
    return count


def everything_gone(state: State) -> Unit:
    """Deletes all entities and their attributes, and what is remembered of earlier deletions."""
    unit = Unit()
    for kind in state.counts():
        for id in state.ids(kind):
            unit.entities.append(EntityWrite(kind, id, None))
            entity = EntityId(kind, id)
            for scope in Scope:
                keys = tuple(state.attributes(entity, scope))
                if keys:
                    unit.attributes.append(AttributeDelete(entity, scope, keys, 0))
    forget(unit, state.deletions())
    return unit
