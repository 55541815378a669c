"""Trying the script of a calculated field, as the "Test" button of its editor asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from appliance.fields.arguments import Arguments, Single, as_double
from appliance.fields.cell import FieldError
from appliance.fields.config import Argument, EntityKey
from appliance.fields.scripting import FieldScript
from appliance.rules.values import json_text


class TimeWindow(msgspec.Struct, frozen=True, rename="camel"):
    """Of a rolling argument; epoch milliseconds."""

    start_ts: int
    end_ts: int


class Point(msgspec.Struct, frozen=True):
    """Of a rolling argument."""

    ts: int
    value: Any


class GivenArgument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An argument of a test. ts, value: of a single one; values, time_window: of a window."""

    type: Literal["SINGLE_VALUE", "TS_ROLLING"]
    ts: int = 0
    value: Any = None
    time_window: TimeWindow | None = None
    values: list[Point] = []


class FieldTrial(msgspec.Struct, frozen=True):
    """A test: a TBEL script and its arguments by name."""

    expression: str
    arguments: dict[str, GivenArgument] = {}


def try_field_script(given: Any, now_ms: int) -> dict[str, str]:
    """`{output, error}` of a FieldTrial as parsed JSON. Raises msgspec.ValidationError."""
    trial = msgspec.convert(given, FieldTrial)
    arguments = _arguments(trial.arguments, now_ms)
    end_ms = max(
        (one.time_window.end_ts for one in trial.arguments.values() if one.time_window),
        default=now_ms,
    )
    try:
        result = FieldScript(trial.expression, trial.arguments).run(arguments, end_ms)
    except FieldError as error:
        return {"output": "", "error": str(error)}
    return {"output": json_text(result), "error": ""}


def _arguments(given: Mapping[str, GivenArgument], now_ms: int) -> Arguments:
    specs = {name: _spec(name, one) for name, one in given.items()}
    arguments = Arguments(specs, now_ms)
    for name, one in given.items():
        if one.type == "TS_ROLLING":
            points = [(point.ts, as_double(point.value)) for point in one.values]
            arguments.windows[name].points = sorted(points, key=lambda point: point[0])
        else:
            arguments.singles[name] = Single(one.ts, one.value)
    return arguments


def _spec(name: str, given: GivenArgument) -> Argument:
    if given.type == "SINGLE_VALUE":
        return Argument(ref_entity_key=EntityKey(key=name, type="TS_LATEST"))
    window = given.time_window
    length_ms = None if window is None else window.end_ts - window.start_ts
    return Argument(ref_entity_key=EntityKey(key=name, type="TS_ROLLING"), time_window=length_ms)
