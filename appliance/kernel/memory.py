"""How glibc keeps memory for us.

For every thread that allocates while another does, glibc opens an arena of its own, up to eight a
core, and gives none of them back. Our threads take turns (the interpreter's lock, one thread for
the journal, one for DuckDB, which brings its own allocator for what is large), so more than one
arena brings no speed and cost 10 to 20 MB in a sync of 10,000 devices.
"""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8


def use_one_arena() -> bool:
    """Tell the C library, before there are threads; whether it heard. For Linux only."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, 1))
