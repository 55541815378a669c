"""List what is plugged in: built-in plugins, those from outside, and those that failed."""

from __future__ import annotations

import argparse

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.table import FORMATS, write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How to print."""
    parser.add_argument("--format", choices=sorted(FORMATS), default="table")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module. A failed plugin from outside is an answer, not an error."""
    registry = house.plugins(arguments)
    rows: list[tuple[str, ...]] = [
        (each.name, "loaded", each.origin, each.version, ", ".join(each.offers))
        for each in sorted(registry.plugins, key=lambda each: each.name)
    ]
    rows += [(each.name, "failed", each.origin, "", each.reason) for each in registry.failures]
    write_table(["plugin", "state", "origin", "version", "offers"], rows, arguments.format)
    return exits.DONE
