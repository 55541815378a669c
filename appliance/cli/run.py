"""Run the edge until a signal: SIGTERM or Ctrl-C stops in order, a second one skips the drains."""

from __future__ import annotations

import argparse

from appliance.cli.house import House
from appliance.cli.serve import serve
from appliance.edge.role import run_edge


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside the shared ones, what an operator decides once."""
    parser.add_argument(
        "--adopt", action="store_true", help="take over a data folder of another edge"
    )


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    if arguments.adopt:
        arguments.set = [*arguments.set, "cloud.adopt=true"]
    return serve("edge", run_edge, arguments, house)
