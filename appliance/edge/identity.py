"""Who the edge is: what the cloud says of it (§3.5), and whose data the folder holds.

A data folder belongs to one edge. Data of another are refused, or put away first (cloud.adopt).
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from appliance.edge.adopt import everything_gone, put_away_outbox
from appliance.edge.configuration import edge_body, settings_text
from appliance.edge.credentials import revoked
from appliance.edge.fullsync import FullSync
from appliance.edge.link_events import FolderAdopted
from appliance.edge.policy import request
from appliance.edge.processor import Processor
from appliance.edge.sessions import Sessions
from appliance.extension.ports import Storage
from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit
from appliance.model.errors import Retryable
from appliance.model.ids import NULL_UUID, EntityId
from appliance.model.telemetry import AttributeWrite, Scope, Value
from appliance.model.unit import EntityWrite, StateWrite, Unit
from appliance.state.store import State
from appliance.sync.messages import EdgeConfiguration

STATE_OWNER = "link"


class Refused(Exception):
    """The server did not accept the CONNECT, or takes us for an edge that we are not."""


class Identity:
    """The edge's own entity.

    edge_id: whose data the folder holds; None in a new one. configuration: what the server said
    last; None before the first connection of this run. adopts: whether another edge's folder may
    become this one's.
    """

    def __init__(
        self,
        storage: Storage,
        state: State,
        processor: Processor,
        sessions: Sessions,
        full: FullSync,
        clock: Clock,
        emit: Emit,
        *,
        adopts: bool,
    ) -> None:
        self._storage = storage
        self._state = state
        self._processor = processor
        self._sessions = sessions
        self._full = full
        self._clock = clock
        self._emit = emit
        self._adopts = adopts
        self.edge_id: UUID | None = None
        self.configuration: EdgeConfiguration | None = None

    @property
    def name(self) -> str:
        """The edge's name; empty before the first connection of this run."""
        return self.configuration.name if self.configuration else ""

    def load(self, states: Mapping[str, bytes]) -> None:
        """Take back what an earlier run knew."""
        if "edge_id" in states:
            self.edge_id = UUID(states["edge_id"].decode())

    async def adopt(self, configuration: EdgeConfiguration) -> None:
        """Put away what another edge left in the folder, if that is wanted."""
        new, old = configuration.edge_id, self.edge_id
        if old is None or new in (None, old) or not self._adopts:
            return
        events = await put_away_outbox(self._storage)
        unit = everything_gone(self._state)
        ended = list(revoked(unit, self._state))
        self._state.apply(unit)
        await self._processor.commit_received([unit])
        for device, reason in ended:
            self._sessions.close(device, reason)
        count = len(unit.entities)
        self._emit(FolderAdopted(old=str(old), entities=count, events=events))

    async def take(self, configuration: EdgeConfiguration, *, while_connected: bool) -> None:
        """Take over the edge's own entity.

        Raises:
            Refused: it is another edge's, and may not or not now become ours.
        """
        edge_id = configuration.edge_id
        if edge_id is None or configuration.tenant_id is None:
            raise Refused("the server sent no edge id or tenant id")
        unit = Unit(states=[StateWrite(STATE_OWNER, "edge_id", str(edge_id).encode())])
        if self.edge_id != edge_id:
            self._check_other(edge_id, while_connected)
            unit.states += self._full.ask()
        self.configuration = configuration
        self.edge_id = edge_id
        edge = EntityId("EDGE", edge_id)
        self._state.tenant_id = configuration.tenant_id
        unit.entities.append(EntityWrite("EDGE", edge_id, edge_body(configuration)))
        unit.events.append(request(edge, "ATTRIBUTES_REQUEST"))
        unit.events.append(request(edge, "RELATION_REQUEST"))
        self._state.apply(unit)
        await self._processor.commit_received([unit])

    def _check_other(self, edge_id: UUID, while_connected: bool) -> None:
        if self.edge_id is not None and not self._adopts:
            raise Refused(
                f"the data folder belongs to edge {self.edge_id}, the server says {edge_id}; "
                "use another data folder, or --adopt to make this one the new edge's"
            )
        if self.edge_id is not None and while_connected:
            raise Refused(f"the server calls this edge {edge_id} now; connecting again")

    async def note(self, values: dict[str, Value]) -> None:
        """Write what the reference's status page reads (device-and-rest-api §6.1)."""
        if self._state.tenant_id == NULL_UUID:
            return
        if self.configuration is not None:
            values = values | {"edgeSettings": settings_text(self.configuration)}
        tenant = EntityId("TENANT", self._state.tenant_id)
        unit = Unit(attributes=[AttributeWrite(tenant, Scope.SERVER, self._clock(), values)])
        self._state.apply(unit)
        try:
            await self._storage.commit([unit])
        except Retryable:
            pass  # a courtesy to the status page; the link itself must go on
