"""Who lives in the house and how they are: one board, read by pages, checks and tests."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar

import msgspec

from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit, Event
from appliance.kernel.metrics_model import Sample
from appliance.model.errors import ApplianceError


class State(StrEnum):
    """A component's life as the supervisor sees it."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It failed and will be started again."""
    ISOLATED = "isolated"
    """It failed and is left out."""
    FINISHED = "finished"
    STOPPED = "stopped"


class ComponentStatus(msgspec.Struct, frozen=True):
    """One line of the board. since_ms: epoch ms of the last change; failures: since start."""

    name: str
    state: State
    since_ms: int
    failures: int = 0
    error: str = ""


class ComponentStarted(Event, frozen=True):
    """A component is up."""

    text: ClassVar[str] = "{component} is up"
    component: str


class ComponentFailed(Event, frozen=True):
    """A component failed and will be tried again."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{component} failed: {error}; again in {after_s:.1f} s"
    counters: ClassVar[dict[str, str]] = {"component_failures": ""}
    labels: ClassVar[tuple[str, ...]] = ("component",)
    component: str
    error: str
    after_s: float
    trace: str = ""


class ComponentIsolated(Event, frozen=True):
    """A component is left out; the rest goes on."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "{component} is left out: {reason}: {error}"
    counters: ClassVar[dict[str, str]] = {"component_isolations": ""}
    labels: ClassVar[tuple[str, ...]] = ("component",)
    component: str
    reason: str
    error: str
    trace: str = ""


class ComponentEscalated(Event, frozen=True):
    """A component failed that the appliance cannot live without."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "{component} ends the appliance: {reason}: {error}"
    component: str
    reason: str
    error: str
    trace: str = ""


class ComponentEnded(Event, frozen=True):
    """A component has stopped or finished."""

    level: ClassVar[str] = "debug"
    text: ClassVar[str] = "{component} has {how}"
    component: str
    how: str


class CleanupFailed(Event, frozen=True):
    """A component was stopped and failed while cleaning up."""

    level: ClassVar[str] = "error"
    text: ClassVar[str] = "{component} failed while stopping: {error}"
    component: str
    error: str
    trace: str = ""


class StatusBoard:
    """Keeps the newest status of each component and says what changed. Trio thread only."""

    def __init__(self, clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._lines: dict[str, ComponentStatus] = {}

    def starting(self, name: str) -> None:
        """It is being started, for the first time or again."""
        self._set(name, State.STARTING)

    def running(self, name: str) -> None:
        """It said `started()`."""
        self._set(name, State.RUNNING)
        self._emit(ComponentStarted(component=name))

    def waiting(self, name: str, error: BaseException, after_s: float) -> None:
        """It failed and will be started again after a wait."""
        self._fail(name, State.WAITING, error)
        self._emit(
            ComponentFailed(component=name, after_s=after_s, error=told(error), trace=trace(error))
        )

    def isolated(self, name: str, error: BaseException, reason: str) -> None:
        """It failed and is left out."""
        self._fail(name, State.ISOLATED, error)
        self._emit(
            ComponentIsolated(component=name, reason=reason, error=told(error), trace=trace(error))
        )

    def escalated(self, name: str, error: BaseException, reason: str) -> None:
        """It failed and the appliance ends for it."""
        self._fail(name, State.ISOLATED, error)
        self._emit(
            ComponentEscalated(component=name, reason=reason, error=told(error), trace=trace(error))
        )

    def finished(self, name: str) -> None:
        """It ended by itself, as it may."""
        self._set(name, State.FINISHED)
        self._emit(ComponentEnded(component=name, how="finished"))

    def stopped(self, name: str, error: BaseException | None) -> None:
        """It was cancelled; error is what it raised while cleaning up."""
        self._set(name, State.STOPPED)
        self._emit(ComponentEnded(component=name, how="stopped"))
        if error is not None:
            self._emit(CleanupFailed(component=name, error=told(error), trace=trace(error)))

    def drain_failed(self, name: str, error: BaseException) -> None:
        """It could not finish what waited; it is cancelled next."""
        self._emit(CleanupFailed(component=name, error=told(error), trace=trace(error)))

    def lines(self) -> list[ComponentStatus]:
        """The board, in order of first start."""
        return list(self._lines.values())

    def troubled(self) -> list[ComponentStatus]:
        """Those that are not as they should be."""
        return [line for line in self.lines() if line.state in (State.WAITING, State.ISOLATED)]

    def samples(self) -> Iterable[Sample]:
        """Gauge per component: 1 when running."""
        for line in self.lines():
            up = float(line.state in (State.RUNNING, State.FINISHED))
            labels = {"component": line.name}
            yield Sample("appliance_component_up", labels, up, "gauge", "1 when running.")

    def _set(self, name: str, state: State) -> None:
        failures = self._lines[name].failures if name in self._lines else 0
        self._lines[name] = ComponentStatus(name, state, self._clock(), failures)

    def _fail(self, name: str, state: State, error: BaseException) -> None:
        failures = self._lines[name].failures + 1 if name in self._lines else 1
        self._lines[name] = ComponentStatus(name, state, self._clock(), failures, told(error))


def leaves(error: BaseException) -> list[BaseException]:
    """The errors inside nested groups, in order."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


def told(error: BaseException) -> str:
    """An error in words: ours as they read, others with their type in front."""
    return "; ".join(
        str(leaf) if isinstance(leaf, ApplianceError) else f"{type(leaf).__name__}: {leaf}"
        for leaf in leaves(error)
    )


def trace(error: BaseException) -> str:
    """Where unexpected errors came from; empty when all are ours and speak for themselves."""
    unexpected = [leaf for leaf in leaves(error) if not isinstance(leaf, ApplianceError)]
    return "".join("".join(traceback.format_exception(leaf)) for leaf in unexpected)
