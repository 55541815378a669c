"""What a cell knows of its arguments: single values and rolling windows (spec §7).

A single value is replaced by one of the same or a later time, never by an older one. A default
stands in with the time at which the cell began, so it too is replaced only by newer values, except
in alarm rules. A rolling window is bound by the clock, not by the events: a point older than the
window is not there.
"""

from __future__ import annotations

import math
import re
from bisect import insort
from collections.abc import Mapping
from typing import Any

import msgspec

from appliance.fields.cell import FieldError
from appliance.fields.config import Argument
from appliance.fields.limits import DEFAULTS, FieldLimits
from appliance.fields.numbers import double_of
from appliance.model.telemetry import Value
from appliance.rules.values import encode_json

_PLAIN_NUMBER = re.compile(r"-?(\d+(\.\d+)?|\.\d+)")
NUMBER_BYTES, POINT_BYTES = 8, 18
"""What a number and a point of a window count against the limits, as the reference counts them."""


class Single(msgspec.Struct):
    """One value. is_default: nobody sent it."""

    ts: int
    value: Value
    is_default: bool = False


class Window:
    """Points of the last `window_ms`, at most `points_max`, one per time, oldest first."""

    __slots__ = ("_points_max", "_window_ms", "points")

    def __init__(self, argument: Argument, limits: FieldLimits) -> None:
        self._window_ms = argument.time_window or 0
        self._points_max = argument.points_max(limits)
        self.points: list[tuple[int, float]] = []

    def take(self, ts: int, value: Value) -> None:
        """Add a point, in place of one with the same time."""
        if not self.points or ts > self.points[-1][0]:
            self.points.append((ts, as_double(value)))
            return
        self.points = [point for point in self.points if point[0] != ts]
        insort(self.points, (ts, as_double(value)), key=lambda point: point[0])

    def trim(self, now_ms: int) -> None:
        """Forget what is too old or too much."""
        start, points = self.start_ms(now_ms), self.points
        if len(points) > self._points_max or (points and points[0][0] < start):
            self.points = [point for point in points if point[0] >= start][-self._points_max :]

    def start_ms(self, now_ms: int) -> int:
        """Where the window begins; a window without a length never forgets."""
        return now_ms - self._window_ms if self._window_ms else 0


class Arguments:
    """The values of one cell by argument name. defaults_yield: also to values older than they."""

    def __init__(
        self, specs: Mapping[str, Argument], since_ms: int, limits: FieldLimits = DEFAULTS
    ) -> None:
        self.specs = specs
        self.since_ms = since_ms
        self.singles: dict[str, Single] = {}
        self.defaults_yield = False
        self._limits = limits
        self.windows = {
            name: Window(spec, limits) for name, spec in specs.items() if spec.is_rolling
        }
        for name in specs:
            self._put_default(name, since_ms)

    def take(self, name: str, ts: int, value: Value) -> bool:
        """Take a value; False where it is too old to matter.

        Raises FieldError for one that is larger than the tenant profile allows.
        """
        window = self.windows.get(name)
        if window is not None:
            window.take(ts, value)
            return True
        old = self.singles.get(name)
        if old is not None and ts < old.ts and not (old.is_default and self.defaults_yield):
            return False
        most = self._limits.value_bytes_max
        if 0 < most < bytes_of(value):
            raise FieldError(f"Argument '{name}' is larger than {most} bytes")
        self.singles[name] = Single(ts, value)
        return True

    def forget(self, name: str, now_ms: int) -> bool:
        """The value was deleted: back to the default, or to nothing; whether that changes anything.

        An attribute without a default keeps its value, as on the reference. The default of one
        counts as sent.
        """
        if name in self.windows:
            self.windows[name].points = []
            return True
        if self.specs[name].ref_entity_key.type == "ATTRIBUTE":
            value = default_of(self.specs[name])
            if value is not None:
                self.singles[name] = Single(now_ms, value)
            return value is not None
        self.singles.pop(name, None)
        self._put_default(name, now_ms)
        return True

    def _put_default(self, name: str, ts: int) -> None:
        value = default_of(self.specs[name])
        if value is not None and name not in self.windows:
            self.singles[name] = Single(ts, value, True)

    def missing(self, now_ms: int) -> list[str]:
        """Arguments without a value, in their order."""
        for window in self.windows.values():
            window.trim(now_ms)
        return [
            name
            for name in self.specs
            if name not in self.singles and not (name in self.windows and self.windows[name].points)
        ]

    def latest_ts(self, now_ms: int) -> int:
        """The newest time of any value that was sent; that of the defaults where all are such."""
        times = [single.ts for single in self.singles.values() if not single.is_default]
        times += [window.points[-1][0] for window in self.windows.values() if window.points]
        return max(times or (single.ts for single in self.singles.values()), default=now_ms)

    @property
    def size_bytes(self) -> int:
        """What the values count against the limit of a state."""
        points = sum(len(window.points) for window in self.windows.values())
        return sum(bytes_of(one.value) for one in self.singles.values()) + points * POINT_BYTES

    def shown(self, now_ms: int) -> dict[str, Any]:
        """The values as debug events have them."""
        shown: dict[str, Any] = {
            name: {"type": "SINGLE_VALUE", "ts": single.ts, "value": single.value}
            for name, single in self.singles.items()
        }
        for name, window in self.windows.items():
            window.trim(now_ms)
            if window.points:
                shown[name] = {
                    "type": "TS_ROLLING",
                    "timeWindow": {"startTs": window.start_ms(now_ms), "endTs": now_ms},
                    "values": [{"ts": ts, "value": value} for ts, value in window.points],
                }
        return shown


def default_of(argument: Argument) -> Value | None:
    """An argument's default: a number, a boolean or text; blank text is none.

    Plain digits are a number here; what else a calculation can read as one stays text.
    """
    text = argument.default_value
    if text is None or not text.strip():
        return None
    if _PLAIN_NUMBER.fullmatch(text):
        return float(text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return text


def bytes_of(value: Value) -> int:
    """The size of a value."""
    return len(encode_json(value)) if isinstance(value, str | dict | list) else NUMBER_BYTES


def check_state(size_bytes: int, limits: FieldLimits) -> None:
    """Raises FieldError where a cell knows more than the tenant profile allows."""
    if 0 < limits.state_bytes_max < size_bytes:
        kilobytes = limits.state_bytes_max // 1024
        raise FieldError(f"Failed to init CF state. State size exceeds limit of {kilobytes}Kb!")


def as_double(value: Value) -> float:
    """A value as a rolling window keeps it: NaN for what is no number."""
    number = double_of(value)
    return math.nan if number is None else number
