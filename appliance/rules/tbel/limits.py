"""How much one run of a script may use.

The reference stops a script after 500 ms of wall time and 8 MB. We count instead of watching a
clock, so that a run either always fails or never does: a step is one turn of a loop or one call of
a script function (0.5 µs to 3 µs of work each), and memory is counted where it grows: text that is
joined, collections that get elements, arrays that are made. Regular expressions alone have a clock.
A text that grows (`s += x`) counts by what is added, because the old one goes. That it is copied
each time counts as steps, and so does what methods and helpers do with every element or character.
"""

from __future__ import annotations

import msgspec

from appliance.rules.tbel.errors import LimitError


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds for one script.

    steps_max: turns of loops plus calls of script functions in one run.
    memory_bytes_max: bytes that texts and collections made by the run may take together.
    depth_max: script functions inside one another; each takes about 8 of the 1000 frames that
        Python allows, and running out of those is the same error.
    nesting_max: brackets and blocks inside one another in the text.
    body_chars_max: length of the text, as on the reference.
    arguments_max: arguments of one method call, as on the reference.
    regex_s_max: time that regular expressions which may backtrack without end have in one run; see
        bounded.py.
    """

    steps_max: int = 400_000
    memory_bytes_max: int = 8 * 1024 * 1024
    depth_max: int = 100
    nesting_max: int = 40
    body_chars_max: int = 50_000
    arguments_max: int = 10
    regex_s_max: float = 0.5


DEFAULT = Limits()


class Budget:
    """What is left of the limits while a script runs; one per run."""

    __slots__ = ("depth", "memory", "regex_s", "steps")

    def __init__(self, limits: Limits) -> None:
        self.steps = limits.steps_max
        self.memory = limits.memory_bytes_max
        self.depth = limits.depth_max
        self.regex_s = limits.regex_s_max

    def step(self) -> None:
        """Count one turn of a loop or one call."""
        self.steps -= 1
        if self.steps < 0:
            raise LimitError("Script timeout!")

    def work(self, steps: int) -> None:
        """Count what takes the time of so many steps."""
        self.steps -= steps
        if self.steps < 0:
            raise LimitError("Script timeout!")

    def copy(self, size_bytes: int) -> None:
        """Count the time that copying takes: a step for 8 KiB."""
        self.work(size_bytes >> 13)

    def scan(self, count: int, *, plain: bool) -> None:
        """Count the time that looking through elements takes; for a plain one Python does it."""
        self.work(count >> 7 if plain else count)

    def grow(self, size_bytes: int) -> None:
        """Count memory that the script makes."""
        self.memory -= size_bytes
        if self.memory < 0:
            raise LimitError("Script memory overflow!")

    def enter(self) -> None:
        """Count a call of a script function; pair it with `leave`."""
        self.step()
        self.depth -= 1
        if self.depth < 0:
            raise LimitError("Script timeout!")

    def leave(self) -> None:
        """The call is over."""
        self.depth += 1
