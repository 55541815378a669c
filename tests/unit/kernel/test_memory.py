"""What is asked of the C library."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, re, threading
from appliance.kernel.memory import use_one_arena
assert use_one_arena()
def take():
    held = [bytes(700) for _ in range(2000)]
    barrier.wait()
barrier = threading.Barrier(5)
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
libc = ctypes.CDLL(None)
libc.malloc_stats()
barrier.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has arenas")
def test_many_threads_share_one_arena() -> None:
    """Seen in what glibc says of itself."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Arena ") == 1
