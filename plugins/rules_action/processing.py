"""Processing settings of the save nodes: which of its actions a node takes (§9.7).

Deduplicate: of the messages of one originator in one slot of message time, the first one acts.
The last `SLOTS_MAX` slots seen are remembered, so 20,000 devices may each be in a slot of their
own (about 3 MB); beyond that an old slot may act twice, never not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal
from uuid import UUID

from appliance.rules.node import NodeConfig, require

SLOTS_MAX = 20_000
DAY_S = 86_400

Acts = Callable[[UUID, int], bool]
"""Whether to act for this originator at this message time."""


class Strategy(NodeConfig, frozen=True, kw_only=True):
    """One action's own setting. deduplication_interval_secs: 1 .. 86,400."""

    type: Literal["ON_EVERY_MESSAGE", "DEDUPLICATE", "SKIP"]
    deduplication_interval_secs: int = 0

    def compile(self) -> Acts:
        """Raises ConfigError for an interval out of bounds."""
        if self.type == "SKIP":
            return never
        if self.type == "ON_EVERY_MESSAGE":
            return always
        require(
            1 <= self.deduplication_interval_secs <= DAY_S,
            "deduplicationIntervalSecs must be 1 .. 86400",
        )
        return _first_of_slot(self.deduplication_interval_secs * 1000)


class ProcessingSettings(NodeConfig, frozen=True, kw_only=True):
    """type ADVANCED has a strategy for each action, the others one for all."""

    type: Literal["ON_EVERY_MESSAGE", "WEBSOCKETS_ONLY", "DEDUPLICATE", "ADVANCED"]
    deduplication_interval_secs: int = 0
    timeseries: Strategy | None = None
    latest: Strategy | None = None
    attributes: Strategy | None = None
    web_sockets: Strategy | None = None
    calculated_fields: Strategy | None = None

    def compile(self, *actions: str) -> tuple[Acts, ...]:
        """A decision for each of these fields. Raises ConfigError where one is missing."""
        if self.type == "ADVANCED":
            strategies: list[Strategy | None] = [getattr(self, action) for action in actions]
            require(all(strategies), f"a strategy is needed for each of {', '.join(actions)}")
            return tuple(strategy.compile() for strategy in strategies if strategy)
        if self.type == "DEDUPLICATE":
            interval = self.deduplication_interval_secs
            shared = Strategy(type="DEDUPLICATE", deduplication_interval_secs=interval)
            return tuple(shared.compile() for _ in actions)
        if self.type == "WEBSOCKETS_ONLY":
            return tuple(always if action == "web_sockets" else never for action in actions)
        return tuple(always for _ in actions)


ON_EVERY_MESSAGE = {"type": "ON_EVERY_MESSAGE"}
"""The settings of a configuration from before there were any."""


def always(originator: UUID, ts: int) -> bool:
    """On every message."""
    return True


def never(originator: UUID, ts: int) -> bool:
    """Skip."""
    return False


def _first_of_slot(interval_ms: int) -> Acts:
    seen: dict[tuple[UUID, int], None] = {}

    def acts(originator: UUID, ts: int) -> bool:
        slot = (originator, ts // interval_ms)
        if slot in seen:
            return False
        seen[slot] = None
        if len(seen) > SLOTS_MAX:
            del seen[next(iter(seen))]
        return True

    return acts
