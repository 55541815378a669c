"""What the process tells allocator and collector."""

import gc
import subprocess
import sys

from appliance.kernel.memory import YOUNG_MAX, loading

FREED = """
import ctypes, gc, os, sys
from appliance.kernel.memory import DUCKDB_ALLOCATOR, give_memory_back, settled

assert give_memory_back() == hasattr(ctypes.CDLL(None), "mallopt")
assert os.environ[DUCKDB_ALLOCATOR[0]]
settled()
assert gc.get_threshold()[0] == {young_max}
assert gc.get_freeze_count() > 0
"""


def test_the_collector_rests_while_modules_are_loaded_and_works_again_after_that():
    assert gc.isenabled()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_rested_before_goes_on_resting():
    with loading():
        with loading():
            pass
        assert not gc.isenabled()


def test_a_process_sets_its_allocator_and_looks_no_more_at_what_stays():
    code = FREED.format(young_max=YOUNG_MAX)
    subprocess.run([sys.executable, "-c", code], check=True)
