"""What a node has in hand while it processes one message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from appliance.extension.ports import SeriesQuery
from appliance.model.ids import EntityId
from appliance.model.message import Message
from appliance.model.telemetry import Value
from appliance.model.unit import CLOUD, Lane, OutboxEvent, StateWrite, Unit
from appliance.rules.node import FAILURE, SUCCESS
from appliance.rules.ports import RuleServices
from appliance.rules.work import Work
from appliance.state.view import StateView

if TYPE_CHECKING:
    from appliance.rules.compile import CompiledNode
    from appliance.rules.run import Branch, Run

STATE_OWNER = "rules"
"""Owner of every StateWrite made by a node; its key is "<node key>/<name>"."""


class Context:
    """One visit of one message to one node. Cheap: one is made per visit."""

    __slots__ = ("_branch", "_depth", "_node", "_run")

    def __init__(self, run: Run, node: CompiledNode, branch: Branch, depth: int) -> None:
        self._run = run
        self._node = node
        self._branch = branch
        self._depth = depth

    # where it goes -------------------------------------------------------------------------------
    def tell(self, label: str, message: Message, error: str | None = None) -> None:
        """Send a message along every link with this label (any case).

        No link: the message is done, or has failed where the label is Failure. Two or more: each
        link gets a copy with an id of its own, and one copy's failure leaves the others alone.
        """
        self._run.tell(self._node, label, message, self._branch, self._depth, error)

    def success(self, message: Message) -> None:
        """tell("Success")."""
        self._run.tell(self._node, SUCCESS, message, self._branch, self._depth, None)

    def failure(self, message: Message, error: str) -> None:
        """tell("Failure") with the error that people see."""
        self._run.tell(self._node, FAILURE, message, self._branch, self._depth, error)

    def reject(self, message: Message, error: str) -> None:
        """Fail the message for good, past any Failure link (§2.4: a node that did not start)."""
        self._run.reject(self._node, message, self._branch, error)

    def call_chain(self, chain_id: UUID, message: Message) -> None:
        """Go on in another chain; its output nodes come back to this node's links.

        Raises NodeError when the chain calls itself or is not there.
        """
        self._run.call_chain(self._node, chain_id, message, self._branch, self._depth)

    def return_to_caller(self, label: str, message: Message) -> bool:
        """Leave this chain by `label` of the node that called it; False without a caller."""
        return self._run.return_to_caller(label, message, self._branch, self._depth)

    def profile_chain(self, message: Message) -> UUID | None:
        """The chain that the originator's profile names, where it is loaded."""
        chain = self._run.engine.profile_chain_of(message.originator)
        return None if chain is None else chain.id

    def enqueue(self, label: str, message: Message) -> None:
        """tell, but from here on the message fails, and is retried, on its own (§2.5)."""
        self._run.enqueue(self._node, label, message, self._branch, self._depth)

    def ack(self, message: Message) -> None:
        """The message ends here, well; not calling it does the same, less visibly."""
        self._run.note(self._node, message, "ACK")

    def follow_up(self, message: Message) -> None:
        """A new message for its originator's own chain, in this unit, after this message."""
        self._run.note(self._node, message, "To Root Rule Chain")
        self._run.work.follow_ups.append(message)

    # what it causes ------------------------------------------------------------------------------
    @property
    def unit(self) -> Unit:
        """Append durable effects here; they are committed together (model/unit.py)."""
        return self._run.work.unit

    @property
    def work(self) -> Work:
        """The work that this visit belongs to."""
        return self._run.work

    @property
    def services(self) -> RuleServices:
        """Effects outside the unit; prefer `after_commit`."""
        return self._run.engine.services

    def after_commit(self, call: Callable[[], None]) -> None:
        """Make a plain call once the unit is durable."""
        self._run.work.after.append(call)

    def announce(self, entity: EntityId, action: str, body: bytes) -> None:
        """Tell the cloud of an entity that this node made, changed or removed (§5.2)."""
        if self._run.engine.announces:
            event = OutboxEvent(CLOUD, Lane.ENTITY, entity.type, action, entity, body)
            self._run.work.unit.events.append(event)

    def save_state(self, name: str, body: bytes | None) -> None:
        """Keep a small value for this node over restarts and changes of its configuration; None
        forgets it."""
        write = StateWrite(STATE_OWNER, f"{self._node.key}/{name}", body)
        self._run.work.unit.states.append(write)
        self._run.engine.keep(self._node.key, name, body)

    # what it may read ----------------------------------------------------------------------------
    @property
    def state(self) -> StateView:
        """Entities, attributes, relations, alarms; includes this unit's own effects."""
        return self._run.view

    def now(self) -> int:
        """Epoch milliseconds."""
        return self._run.engine.clock()

    async def latest(self, entity: EntityId, keys: list[str]) -> dict[str, tuple[int, Value]]:
        """Newest point per key, this unit's own included; absent keys are left out."""
        points = await self._run.engine.storage.latest(entity, keys)
        for series in self._run.work.unit.series:
            if series.entity == entity:
                for key in keys:
                    if key in series.values and series.ts >= points.get(key, (series.ts,))[0]:
                        points[key] = (series.ts, series.values[key])
        return points

    async def series(self, query: SeriesQuery) -> dict[str, list[tuple[int, Value]]]:
        """History of an interval, this unit's own points included; without aggregation."""
        found = await self._run.engine.storage.query_series(query)
        for series in self._run.work.unit.series:
            if series.entity == query.entity and query.start_ms <= series.ts < query.end_ms:
                for key in series.values.keys() & set(query.keys):
                    merged = {**dict(found.get(key, ())), series.ts: series.values[key]}
                    ordered = sorted(
                        merged.items(), key=lambda point: point[0], reverse=not query.ascending
                    )
                    found[key] = ordered[: query.limit]
        return found
