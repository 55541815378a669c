"""Events become log lines here, for people (console) or for machines (JSON), and never raise.

Limits: one kind of event writes at most LINES_MAX lines a minute, and so many a second at level
debug, where somebody is looking; what is beyond is counted and told in one line when that time is
over. A flood of refused devices, which a full disk may cause, writes 30 MB a day.
Lines go to one stream, one `write` each, from any thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import ClassVar, TextIO

import msgspec

from appliance.kernel.clock import Clock
from appliance.kernel.events import Emit, Event

LINES_MAX = 100
LEVELS = ("debug", "info", "warning", "error")

Format = Callable[[Event, int], str]


class LibraryLogged(Event, frozen=True):
    """A library below us wrote to Python's logging."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{logger}: {message}"
    counters: ClassVar[dict[str, str]] = {"library_log_lines": ""}
    logger: str
    message: str
    trace: str = ""


class LinesSuppressed(Event, frozen=True):
    """More lines of one kind than a minute, or at level debug a second, may have."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "{count} more {event} within {seconds} s"
    counters: ClassVar[dict[str, str]] = {"log_lines_suppressed": "count"}
    event: str
    count: int
    seconds: int


def console_line(event: Event, now_ms: int) -> str:
    """`2026-11-21 13:04:05.678 WARNING  grpc failed: … `, then a traceback if there is one."""
    when = datetime.fromtimestamp(now_ms / 1000).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    line = f"{when} {event.level.upper():<8} {message(event)}\n"
    return line + indented(getattr(event, "trace", ""))


def json_line(event: Event, now_ms: int) -> str:
    """One JSON object: ts, level, event, message, then the event's own fields."""
    when = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    known = {
        "ts": when.replace("+00:00", "Z"),
        "level": event.level,
        "event": type(event).__name__,
        "message": message(event),
    }
    return msgspec.json.encode(known | fields, enc_hook=str).decode() + "\n"


def message(event: Event) -> str:
    """The event in words: its text with its fields, or its name and fields where it has none."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    if event.text:
        return event.text.format(**fields)
    told = " ".join(f"{name}={value}" for name, value in fields.items())
    return f"{type(event).__name__} {told}".strip()


def indented(text: str) -> str:
    """A traceback set off from the line above it."""
    return "".join(f"    {line}\n" for line in text.splitlines())


FORMATS: dict[str, Format] = {"console": console_line, "json": json_line}


class LogWriter:
    """Writes events of a level and above to one stream. `LogWriter.write` is an Emit."""

    def __init__(self, stream: TextIO, format: str, level: str, clock: Clock) -> None:
        self._stream = stream
        self._format = FORMATS[format]
        self._lowest = LEVELS.index(level)
        self._clock = clock
        self._lock = threading.Lock()
        self._window_s = 1 if level == "debug" else 60
        self._window = 0
        self._lines: dict[type[Event], int] = {}

    def write(self, event: Event) -> None:
        """Log the event if it is of interest; a broken stream or event is not our caller's."""
        if event.level in LEVELS and LEVELS.index(event.level) < self._lowest:
            return
        with self._lock:
            now_ms = self._clock()
            self._write_all([*self._end_of_window(now_ms), *self._within_limit(event)], now_ms)

    def _within_limit(self, event: Event) -> Iterator[Event]:
        kind = type(event)
        self._lines[kind] = self._lines.get(kind, 0) + 1
        if self._lines[kind] <= LINES_MAX:
            yield event

    def _end_of_window(self, now_ms: int) -> Iterator[Event]:
        seconds = self._window_s
        window = now_ms // (seconds * 1000)
        if window == self._window:
            return
        for kind, count in self._lines.items():
            if count > LINES_MAX:
                more = count - LINES_MAX
                yield LinesSuppressed(event=kind.__name__, count=more, seconds=seconds)
        self._window = window
        self._lines.clear()

    def _write_all(self, events: list[Event], now_ms: int) -> None:
        for event in events:
            self._stream_write(self._safe_line(event, now_ms))

    def _safe_line(self, event: Event, now_ms: int) -> str:
        try:
            return self._format(event, now_ms)
        except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
            return f"{type(event).__name__} cannot be written: {error!r}\n"

    def _stream_write(self, line: str) -> None:
        try:
            self._stream.write(line)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # a closed pipe must not stop the house; counters still count


class _ToEvents(logging.Handler):
    """Carries Python's logging into events."""

    def __init__(self, emit: Emit) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        trace = ""
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
        said = record.getMessage()
        self._emit(LibraryLogged(logger=record.name, message=said, trace=trace))


def capture_library_logs(emit: Emit) -> None:
    """From now on, warnings and errors of libraries' loggers are events."""
    logging.basicConfig(level=logging.WARNING, handlers=[_ToEvents(emit)], force=True)


def fan_out(*emits: Emit) -> Emit:
    """One Emit for several."""

    def emit(event: Event) -> None:
        for each in emits:
            each(event)

    return emit
