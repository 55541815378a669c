"""Prove that this executable works on this machine: every library, disk, sockets, in seconds.

Nothing is read but a temporary folder; nothing is reached but this machine itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.selfchecks import CHECKS, Bench, Skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much to say."""
    parser.add_argument("--verbose", "-v", action="store_true", help="a line for each check")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module. The last line tells the result."""
    began = time.monotonic()
    failed: list[str] = []
    skipped = 0
    with tempfile.TemporaryDirectory(prefix="appliance-selftest-") as folder:
        bench = Bench(house, Path(folder))
        for check in CHECKS:
            name = check.__name__.removeprefix("check_").replace("_", " ")
            try:
                said = check(bench)
            except Skip as reason:
                skipped += 1
                said = f"skipped: {reason}"
            except Exception as error:  # noqa: BLE001 - a failed check is the answer, not an end
                said = f"FAILED: {error}"
                if not failed:  # the first is usually why the others failed
                    traceback.print_exception(error)
                failed.append(name)
            if arguments.verbose or said.startswith("FAILED"):
                print(f"{name}: {said}", file=sys.stderr)
    took = f"{time.monotonic() - began:.1f} s"
    if failed:
        print(f"selftest FAILED after {took}: {', '.join(failed)}")
        return exits.FATAL
    passed = len(CHECKS) - skipped
    print(f"selftest passed: {passed} checks in {took}" + f", {skipped} skipped" * bool(skipped))
    return exits.DONE
