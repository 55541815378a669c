"""Show it: a cloud, an edge and twenty simulated devices on this machine, and a cut line.

Everything runs in a temporary folder on free local ports and leaves nothing behind. Ctrl-C ends
it with a count of what arrived; the exit code is 1 when anything was lost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from appliance.cli import exits
from appliance.cli.house import House
from appliance.demo.scene import Report, summary
from appliance.demo.screen import Screen
from appliance.demo.story import Story

LOST = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long, how drawn, and where."""
    parser.add_argument("--once", action="store_true", help="end by itself, after half a minute")
    parser.add_argument("--plain", action="store_true", help="lines instead of a picture")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep data and logs there")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    screen = Screen(sys.stdout, plain=arguments.plain)
    with folder(arguments.keep) as chosen:
        try:
            report = trio.run(_play, chosen, screen, arguments.once)
        finally:
            screen.close()
        screen.write(summary(report, screen.style))
        if arguments.keep:
            print(f"  data and logs: {chosen}\n")
    good = report.verdict.clean and report.verdict.expected > 0
    return exits.DONE if good else LOST


async def _play(chosen: Path, screen: Screen, once: bool) -> Report:
    return await Story(chosen, screen).play(once=once)


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """The folder asked for, or a temporary one."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="appliance-demo-") as made:
        yield Path(made)
