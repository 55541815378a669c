"""Events become lines, for people or machines, and nothing of it raises."""

import io
import json
import logging
from typing import ClassVar

import pytest

from appliance.kernel.events import Event
from appliance.kernel.logs import (
    LINES_MAX,
    LibraryLogged,
    LogWriter,
    capture_library_logs,
)


class PackRefused(Event, frozen=True):
    """A pack was refused."""

    level: ClassVar[str] = "warning"
    text: ClassVar[str] = "pack {id} refused: {reason}"
    id: int
    reason: str


class Untold(Event, frozen=True):
    """An event without a text."""

    size: int


class Broken(Event, frozen=True):
    """An event whose text names a field it does not have."""

    text: ClassVar[str] = "{nothing}"


class FakeTime:
    def __init__(self):
        self.now_ms = 1_000_000

    def __call__(self):
        return self.now_ms


@pytest.fixture
def log():
    stream, clock = io.StringIO(), FakeTime()

    def make(format="json", level="debug"):
        return LogWriter(stream, format, level, clock).write

    return make, stream, clock


def test_a_json_line_has_the_message_and_every_field(log):
    """One object a line, time in UTC."""
    make, stream, _ = log
    make()(PackRefused(id=7, reason="too big"))

    assert json.loads(stream.getvalue()) == {
        "ts": "1970-01-01T00:16:40.000Z",
        "level": "warning",
        "event": "PackRefused",
        "message": "pack 7 refused: too big",
        "id": 7,
        "reason": "too big",
    }


def test_a_console_line_ends_with_the_message_and_a_traceback_follows(log):
    """People read left to right: when, how bad, what."""
    make, stream, _ = log
    make("console")(LibraryLogged(logger="h2", message="odd", trace="Traceback:\n  here"))

    head, *rest = stream.getvalue().splitlines()
    assert head.endswith("WARNING  h2: odd")
    assert rest == ["    Traceback:", "      here"]


def test_an_event_without_a_text_is_told_by_name_and_fields(log):
    """Nothing is invisible."""
    make, stream, _ = log
    make("console")(Untold(size=3))

    assert stream.getvalue().endswith("Untold size=3\n")


def test_what_is_below_the_level_is_not_written(log):
    """warning hides info."""
    make, stream, _ = log
    write = make(level="warning")
    write(Untold(size=3))
    write(PackRefused(id=1, reason=""))

    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize(("level", "seconds"), [("info", 60), ("debug", 1)])
def test_a_flood_is_cut_and_the_rest_is_counted(log, level, seconds):
    """The count comes with the first line of the next minute, or second where somebody looks."""
    make, stream, clock = log
    write = make(level=level)
    for number in range(LINES_MAX + 5):
        write(Untold(size=number))
    clock.now_ms += seconds * 1000
    write(PackRefused(id=1, reason=""))

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == LINES_MAX + 2
    assert lines[-2]["message"] == f"5 more Untold within {seconds} s"


def test_a_broken_event_is_a_line_about_itself(log):
    """Logging never raises into the caller."""
    make, stream, _ = log
    make("console")(Broken())

    assert "Broken cannot be written: KeyError" in stream.getvalue()


def test_a_closed_stream_is_not_the_callers_problem(log):
    """A broken pipe must not stop the house."""
    make, stream, _ = log
    stream.close()

    make()(Untold(size=1))


def test_warnings_of_libraries_become_events():
    """Python's logging is routed into events, below-warning is not."""
    root, events = logging.getLogger(), []
    before = root.handlers[:], root.level
    try:
        capture_library_logs(events.append)
        logging.getLogger("h2").warning("odd %s", "frame")
        logging.getLogger("h2").info("hush")
    finally:
        root.handlers[:], root.level = before

    assert [LibraryLogged(logger="h2", message="odd frame")] == events
