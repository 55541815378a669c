"""How many files a process may have open."""

import resource
import subprocess
import sys

import pytest

CODE = """
import resource
from appliance.kernel.files import FILES_MAX, open_as_many_files_as_allowed

hard = {hard}
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
open_as_many_files_as_allowed()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, FILES_MAX), hard)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
open_as_many_files_as_allowed()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
"""


@pytest.mark.parametrize("part", [1, 2])
def test_a_process_may_open_what_the_system_lets_it(part):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    hard = (100_000 if hard == resource.RLIM_INFINITY else hard) // part
    subprocess.run([sys.executable, "-c", CODE.format(hard=hard)], check=True)
