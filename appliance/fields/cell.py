"""A cell: one calculated field at one entity; what the engine asks of it and what it answers.

A cell is pure: it reads the state view it is given, is told the time, keeps what it must remember
in itself, and says what should happen as effects. `saved` and the constructor's `kept` carry its
memory over a restart. Values of history that it needs first are read by the engine, which asks
`latest_wanted` and `queries`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec

from appliance.extension.ports import SeriesQuery
from appliance.model.ids import EntityId
from appliance.model.telemetry import Scope, Value
from appliance.rules.alarms import Alarm
from appliance.state.view import StateView

Answers = Sequence[Mapping[str, Sequence[tuple[int, Value]]]]
"""What history says to a cell's queries, in their order."""


class FieldError(Exception):
    """Why a field gives no result; the text is shown to people."""


class NotYet(FieldError):
    """Something that the field needs has not come; nothing is wrong."""


class Reason(Enum):
    """Why a cell runs."""

    BEGIN = "began"
    CHANGED = "configuration or relations changed"
    RESTORED = "the process began"
    VALUES = "values came"
    CLOCK = "time passed"


class Moment(msgspec.Struct, frozen=True):
    """When and why a cell runs. changed: names of the arguments that are new.

    answers: to the cell's queries, where it was asked by the clock.
    """

    now_ms: int
    view: StateView
    reason: Reason
    changed: frozenset[str] = frozenset()
    answers: Answers = ()


class Change(msgspec.Struct, frozen=True):
    """Values of an entity, of a series (scope None) or a scope of attributes.

    points: (ts, values) in the order they came. deleted: keys that are gone.
    """

    entity: EntityId
    scope: Scope | None
    points: Sequence[tuple[int, Mapping[str, Value]]]
    deleted: Sequence[str] = ()


class Result(msgspec.Struct, frozen=True):
    """Values for an entity: an object, `{ts, values}`, or a list of either."""

    target: EntityId
    data: Any


class AlarmChange(msgspec.Struct, frozen=True):
    """An alarm that is new or other than it was. type: of the message that tells the chain."""

    alarm: Alarm
    type: str
    metadata: dict[str, str]


class RelationChange(msgspec.Struct, frozen=True):
    """A relation that shall be there, or no more."""

    source: EntityId
    target: EntityId
    type: str
    present: bool


Effect = Result | AlarmChange | RelationChange


class Cell(Protocol):
    """See the module."""

    def sources(self, view: StateView) -> set[EntityId]:
        """Entities whose values matter now."""
        ...

    def latest_wanted(self, view: StateView, reason: Reason) -> Mapping[EntityId, set[str]]:
        """Series whose newest values the cell wants before it begins for that reason."""
        ...

    def queries(self, view: StateView, now_ms: int, reason: Reason) -> list[SeriesQuery]:
        """What to ask history before a run with that reason."""
        ...

    def begin(
        self,
        latest: Mapping[EntityId, Mapping[str, tuple[int, Value]]],
        moment: Moment,
    ) -> None:
        """Take what history had; repeats are harmless. moment.answers: to the queries."""
        ...

    def feed(self, change: Change, moment: Moment) -> frozenset[str]:
        """Take values; the names of arguments that are new by them."""
        ...

    def run(self, moment: Moment) -> Iterable[Effect]:
        """Calculate. Raises FieldError where there is no result."""
        ...

    def due_ms(self, now_ms: int) -> int | None:
        """When to run by the clock, or None."""
        ...

    def saved(self) -> bytes:
        """What to remember over a restart."""
        ...

    def shown(self, moment: Moment) -> Any:
        """The arguments as debug events have them; None where there are none to show."""
        ...


Cells = Callable[[EntityId, int, bytes | None], Cell]
"""Makes the cell of an entity that begins at a time, from what it kept."""
