"""Keeps the rule engine's chains equal to the chains in the state."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import trio

from appliance.kernel.events import Emit, Event
from appliance.kernel.wakeup import Wakeup
from appliance.rules.default_chain import default_root_chain
from appliance.rules.engine import RuleEngine
from appliance.state.store import State


class ChainUnreadable(Event, frozen=True):
    """What came as a rule chain is none."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "rule chain {chain} cannot be read: {reason}"
    counters: ClassVar[dict[str, str]] = {"rule_chains_unreadable": ""}
    chain: str
    reason: str


class Chains:
    """A Component: reloads a chain once it and its metadata are there, removes deleted ones.

    Changes are collected and loaded between messages, never in the middle of one. Until a root
    chain has come, the default one runs: a device may be known a moment before its chain is, and
    its values must be saved and sent then too. The current root is never removed.
    """

    def __init__(self, state: State, engine: RuleEngine, emit: Emit) -> None:
        self._state = state
        self._engine = engine
        self._emit = emit
        self._changed: set[UUID] = set()
        self._wakeup = Wakeup()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Load every chain, say started, then follow the state until cancelled."""
        await self._engine.restore()
        self._engine.load_chain(*default_root_chain())
        for chain in self._state.ids("RULE_CHAIN"):
            self._load(chain)
        self._state.watch(self._note)
        task_status.started()
        while True:
            await self._wakeup.wait()
            changed, self._changed = self._changed, set()
            for chain in changed:
                self._load(chain)

    def _note(self, kind: str, id: UUID, body: dict[str, Any] | None) -> None:
        if kind in ("RULE_CHAIN", "RULE_CHAIN_METADATA"):
            self._changed.add(id)
            self._wakeup.set()

    def _load(self, id: UUID) -> None:
        chain = self._state.entity("RULE_CHAIN", id)
        metadata = self._state.entity("RULE_CHAIN_METADATA", id)
        if chain is None:
            if self._engine.root_id != id:
                self._engine.remove_chain(id)
        elif metadata is not None:
            try:
                self._engine.load_chain(chain, metadata)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                # The server's JSON is not a chain; what runs under that id goes on.
                self._emit(ChainUnreadable(chain=str(id), reason=repr(error)))
