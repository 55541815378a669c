"""Import order, where it matters, in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_grpclib_sees_the_asyncio_that_trio_asyncio_has_prepared():
    """On Python 3.12 and later every call fails when grpclib was imported first."""
    answer = run(
        "import appliance, asyncio, grpclib.utils as utils;"
        "assert utils._current_task is asyncio.current_task"
    )

    assert answer.returncode == 0, answer.stderr


def test_version_needs_neither_plugins_nor_database():
    """A quick verb stays quick."""
    answer = run(
        "import sys; from appliance.__main__ import main; sys.argv[1:] = ['version'];"
        "code = main();"
        "heavy = {'duckdb', 'grpclib', 'plugins', 'starlette', 'msgspec'} & set(sys.modules);"
        "assert not heavy, heavy; sys.exit(code)"
    )

    assert answer.returncode == 0, answer.stderr
