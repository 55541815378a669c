"""How this process keeps its memory: what the allocator holds and what the collector looks at.

glibc keeps an arena for each thread that ever allocates and raises its own thresholds with the
largest block it has seen freed, so that after a burst a process holds far more than it uses. One
arena is enough where the interpreter lets one thread run at a time. DuckDB brings an allocator of
its own, which keeps for ten seconds what was freed: 8 MB more at the height of a full sync.

Python's collector looks at every object again and again, and of 120,000 objects of a started
appliance not one is garbage: that took a third of the start and 40 % of the processor time at
5,000 messages a second. So modules are loaded without it, what stands after the start is never
looked at again, and a message's objects, which form no cycles, go by themselves.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

ARENAS = 1
MMAP_BYTES = 64 * 1024
"""Blocks from here on are pages of their own and go back to the system when they are freed.
A batch for DuckDB is some megabytes, small objects are far below."""
TRIM_BYTES = 128 * 1024
"""So much may lie unused at the heap's end."""
DUCKDB_ALLOCATOR = ("DUCKDB_JE_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
"""A variable of the environment, read when DuckDB is loaded; what the operator says there wins."""
YOUNG_MAX = 20_000
"""New containers before the collector looks at them: those of 1,000 messages under way, 2 MB."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def give_memory_back() -> bool:
    """Set the allocators so, before threads are started; whether the C library's can be."""
    os.environ.setdefault(*DUCKDB_ALLOCATOR)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False  # not glibc
    settings = {_M_ARENA_MAX: ARENAS, _M_MMAP_THRESHOLD: MMAP_BYTES, _M_TRIM_THRESHOLD: TRIM_BYTES}
    taken = [mallopt(option, value) == 1 for option, value in settings.items()]
    return all(taken)


@contextmanager
def loading() -> Iterator[None]:
    """Load modules inside: the collector rests."""
    worked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if worked:
            gc.enable()


def settled() -> None:
    """Everything that stays is here: look only at what comes from now on, and rarely."""
    gc.set_threshold(YOUNG_MAX, 10, 10)
    gc.freeze()


def unsettled() -> None:
    """All is over: what stayed may go. Else DuckDB's library, which counts its objects at the exit,
    fills the operator's screen with what it takes for leaks."""
    gc.unfreeze()
