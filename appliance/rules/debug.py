"""Debug events of nodes and fields, as ThingsBoard's UI shows them; bounded, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

from appliance.model.ids import new_uuid
from appliance.model.message import Message

EVENTS_MAX = 50
"""Per node or field; 300 chains of 10 nodes, all in debug with 1 kB messages, then take 150 MB."""


class Recorded(Protocol):
    """What a log keeps. ts: epoch milliseconds. error: what went wrong, None where nothing did."""

    @property
    def ts(self) -> int: ...

    @property
    def error(self) -> str | None: ...


E = TypeVar("E", bound=Recorded)


class DebugEvent(msgspec.Struct, frozen=True):
    """direction: "IN" or "OUT". label: of an OUT event. ts: epoch milliseconds."""

    ts: int
    direction: str
    message: Message
    label: str | None = None
    error: str | None = None
    id: UUID = msgspec.field(default_factory=new_uuid)


class DebugLog(Generic[E]):
    """Keeps the newest events that debugSettings ask for (§1.1)."""

    __slots__ = ("_all", "_events", "_failures", "_until_ms")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._events: deque[E] = deque(maxlen=EVENTS_MAX)
        self._failures = bool(settings.get("failuresEnabled"))
        self._all = bool(settings.get("allEnabled"))
        self._until_ms = settings.get("allEnabledUntil") or 0

    @classmethod
    def wanted(
        cls, settings: Mapping[str, Any] | None, old: DebugLog[E] | None
    ) -> DebugLog[E] | None:
        """The log for new settings, with the events seen so far; None when nothing is asked."""
        if not settings or not any(settings.values()):
            return None
        log = cls(settings)
        if old is not None:
            log._events.extend(old._events)
        return log

    def record(self, event: E) -> None:
        """Keep the event if the settings ask for it at its time."""
        if self._all or event.ts < self._until_ms or (self._failures and event.error is not None):
            self._events.append(event)

    def events(self) -> list[E]:
        """Oldest first."""
        return list(self._events)

    def clear(self, start_ms: int, end_ms: int) -> None:
        """Forget the events of an interval, both ends included."""
        kept = [event for event in self._events if not start_ms <= event.ts <= end_ms]
        self._events = deque(kept, maxlen=EVENTS_MAX)
