"""List, retry or export the events that were put aside; the appliance may run or not.

A position is what `list` shows in its first column. `retry` puts events at the end of their lane,
as if they had just happened; without positions it takes all of them.
"""

from __future__ import annotations

import argparse
import base64
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.storage import Asked, ask_storage, chosen_storage
from appliance.cli.table import FORMATS, write_table
from appliance.extension.ports import Quarantined

COLUMNS = ["position", "outbox", "lane", "type", "action", "entity", "size", "at_ms", "reason"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which."""
    parser.add_argument("action", choices=("list", "retry", "export"))
    parser.add_argument("positions", nargs="*", metavar="POSITION", help="for example 4711.0")
    parser.add_argument("--outbox", help="only of this outbox (cloud, or an edge's id)")
    parser.add_argument("--format", choices=sorted(FORMATS), default="table", help="of list")
    parser.add_argument("--output", type=Path, metavar="FILE", help="of export; JSON lines")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    settings, spec = chosen_storage(arguments, house)
    chosen = Choice(arguments.outbox, frozenset(arguments.positions))
    if arguments.action == "retry":
        count = ask_storage(settings, spec, chosen.retry)
        print(f"{count} events will be sent again")
        return exits.DONE
    found = ask_storage(settings, spec, chosen.found)
    if arguments.action == "list":
        write_table(COLUMNS, [row(each) for each in found], arguments.format)
        return exits.DONE
    lines = b"".join(msgspec.json.encode(exported(each)) + b"\n" for each in found)
    if arguments.output is None:
        print(lines.decode(), end="")
    else:
        arguments.output.write_bytes(lines)
    return exits.DONE


class Choice(msgspec.Struct, frozen=True):
    """Which events: of one outbox or all, at these positions or all."""

    outbox: str | None
    positions: frozenset[str]

    async def found(self, storage: Asked) -> list[Quarantined]:
        """Those put aside that are chosen."""
        return [
            each
            for each in storage.quarantined(self.outbox)
            if not self.positions or position(each) in self.positions
        ]

    async def retry(self, storage: Asked) -> int:
        """Put them back; how many."""
        by_outbox: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for each in await self.found(storage):
            by_outbox[each.event.event.outbox].append(each.event.position)
        counts = [await storage.retry_quarantined(*item) for item in by_outbox.items()]
        return sum(counts)


def position(each: Quarantined) -> str:
    """`seq.index`, unique in a data folder."""
    return f"{each.event.seq}.{each.event.index}"


def row(each: Quarantined) -> Sequence[Any]:
    """A line of the list."""
    event = each.event.event
    return [
        position(each), event.outbox, event.lane.name.lower(), event.type, event.action,
        str(event.entity), each.size, each.at_ms, each.reason,
    ]  # fmt: skip  # the columns in order


def exported(each: Quarantined) -> dict[str, Any]:
    """A line of the export, body included: as text where it is text, else base64."""
    line = dict(zip(COLUMNS, row(each), strict=True))
    body = each.event.event.body
    try:
        return line | {"body": body.decode("utf-8")}
    except UnicodeDecodeError:
        return line | {"body_base64": base64.b64encode(body).decode("ascii")}
