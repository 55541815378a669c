"""List what is plugged in: built-in plugins, those from outside, and those that failed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.table import FORMATS, write_table

NAMED_MAX = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How to print."""
    parser.add_argument("--format", choices=sorted(FORMATS), default="table")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module. A failed plugin from outside is an answer, not an error."""
    registry = house.plugins(arguments)
    rows: list[tuple[str, ...]] = [
        (each.name, "loaded", each.origin, each.version, told(each.offers))
        for each in sorted(registry.plugins, key=lambda each: each.name)
    ]
    rows += [(each.name, "failed", each.origin, "", each.reason) for each in registry.failures]
    write_table(["plugin", "state", "origin", "version", "offers"], rows, arguments.format)
    return exits.DONE


def told(offers: Sequence[str]) -> str:
    """What a plugin offers, in short: many of a kind are counted."""
    by_port: dict[str, list[str]] = {}
    for offer in offers:
        port, _, name = offer.rpartition(" ")
        by_port.setdefault(port, []).append(name)
    return ", ".join(
        f"{len(names)} {port}s" if len(names) > NAMED_MAX else f"{port} {' '.join(names)}"
        for port, names in by_port.items()
    )
