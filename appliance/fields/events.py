"""What happens to calculated fields, as events."""

from __future__ import annotations

from typing import ClassVar

from appliance.kernel.events import Event


class FieldLoaded(Event, frozen=True, kw_only=True):
    """A field was read; it runs at so many entities."""

    text: ClassVar[str] = "calculated field {name} ({type}) runs at {entities} entities"

    name: str
    type: str
    entities: int


class FieldRefused(Event, frozen=True, kw_only=True):
    """A field cannot run here; it is kept as it came."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "calculated field {name} does not run: {reason}"
    counters: ClassVar[dict[str, str]] = {"calculated_fields_refused": ""}

    name: str
    reason: str


class FieldCalculated(Event, frozen=True, kw_only=True):
    """A field gave results."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "calculated field {name} at {entity}: {results} results"
    counters: ClassVar[dict[str, str]] = {"calculations": ""}
    labels: ClassVar[tuple[str, ...]] = ("type",)

    name: str
    type: str
    entity: str
    results: int


class FieldWaited(Event, frozen=True, kw_only=True):
    """A field gave no result because something that it needs has not come."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "calculated field {name} at {entity}: {error}"

    name: str
    type: str
    entity: str
    error: str


class FieldFailed(Event, frozen=True, kw_only=True):
    """A field gave no result; counted each time."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "calculated field {name} at {entity} failed: {error}"
    counters: ClassVar[dict[str, str]] = {"calculations_failed": ""}
    labels: ClassVar[tuple[str, ...]] = ("type",)

    name: str
    type: str
    entity: str
    error: str


class FieldBroke(FieldFailed, frozen=True, kw_only=True):
    """A field gave no result for a reason that it did not have the last time."""

    level: ClassVar[str] = "warning"
