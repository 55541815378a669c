"""Puts scenes on a terminal, or lines into whatever standard output is."""

from __future__ import annotations

from collections.abc import Sequence
from io import TextIOWrapper
from typing import TextIO

import trio

from appliance.demo.scene import Scene, Style, line, page

_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
LINE_S = 1.0
"""A line that often where there is no terminal."""


class Screen:
    """Draws over itself on a terminal; `close` gives the terminal back.

    Args:
        out: where to; a terminal if it says so and `plain` is not asked for.
    """

    def __init__(self, out: TextIO, *, plain: bool = False) -> None:
        if isinstance(out, TextIOWrapper):
            out.reconfigure(errors="replace")  # a terminal without these letters shows "?"
        self._out = out
        self._draws = out.isatty() and not plain
        self.style = Style(self._draws)
        self._next_line_s = 0.0
        self._title = ""
        if self._draws:
            out.write(_ENTER)

    def show(self, scene: Scene) -> None:
        """Draw the scene; without a terminal a line a second, and each new chapter."""
        if self._draws:
            rows = "".join(f"{row}{_CLEAR_LINE}\n" for row in page(scene, self.style))
            self._out.write(_HOME + rows + _CLEAR_BELOW)
        elif scene.title != self._title:
            self._title = scene.title
            self._out.write(f"-- {scene.title}: {' '.join(scene.text.split())}\n")
        elif trio.current_time() >= self._next_line_s:
            self._next_line_s = trio.current_time() + LINE_S
            self._out.write(line(scene) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Leave the picture; what is written afterwards stays."""
        if self._draws:
            self._out.write(_LEAVE)
            self._out.flush()

    def write(self, rows: Sequence[str]) -> None:
        """Write lines that stay."""
        self._out.write("\n".join(rows) + "\n")
        self._out.flush()
