"""Regular expressions that may not run for ever.

Some patterns take a time that doubles with each character of the text (`(a+)+$`). The engine of
the standard library cannot count its steps, but it looks for signals: so a call that might be one
of those runs under a timer of this process (SIGALRM), which ends it. All such calls of one run of
a script share `Limits.regex_s_max`. Here alone a limit is a time and not a count, so that whether
a script of this kind ends well can depend on the machine, as it does on the reference.

Signals reach the main thread only; a script that is tried in a worker thread hands the call over.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from types import FrameType
from typing import TypeVar

import trio

from appliance.rules.tbel.errors import LimitError
from appliance.rules.tbel.limits import Budget

T = TypeVar("T")
CHARS_SAFE = 12
"""Texts up to here are safe with any pattern: a few thousand steps."""
CHARS_SAFE_SIMPLE = 1_000
"""With one quantifier and no group, time grows with the square of the length: below 10 ms."""


def bounded(budget: Budget, pattern: re.Pattern[str], text: str, call: Callable[[], T]) -> T:
    """`call` applies the pattern to the text. Raises LimitError when it takes too long."""
    if len(text) <= CHARS_SAFE or (len(text) <= CHARS_SAFE_SIMPLE and _is_simple(pattern.pattern)):
        return call()
    if threading.current_thread() is threading.main_thread():
        return _timed(budget, call)
    try:
        return trio.from_thread.run_sync(_timed, budget, call)
    except RuntimeError:
        raise LimitError("a thread of somebody else cannot bound this pattern") from None


@lru_cache(maxsize=256)
def _is_simple(pattern: str) -> bool:
    quantifiers = sum(map(pattern.count, "*+?{"))
    return quantifiers == 0 or (quantifiers == 1 and "(" not in pattern)


class _Alarm:
    """The timer's one handler; it raises only while a call is being timed."""

    timing = False
    installed = False

    def ring(self, number: int, frame: FrameType | None) -> None:
        if self.timing:
            raise LimitError("Script timeout!")


_alarm = _Alarm()


def _timed(budget: Budget, call: Callable[[], T]) -> T:
    if budget.regex_s <= 0:
        raise LimitError("Script timeout!")
    if not _alarm.installed:
        signal.signal(signal.SIGALRM, _alarm.ring)
        _alarm.installed = True
    began = time.perf_counter()
    _alarm.timing = True
    try:
        signal.setitimer(signal.ITIMER_REAL, budget.regex_s)
        return call()
    finally:
        _alarm.timing = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        budget.regex_s -= time.perf_counter() - began
