"""Send a device's history to the cloud again, from a running edge, behind its live values.

What the cloud had already stays as it is. Ctrl-C stops; what was sent by then stays sent.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import trio

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.storage import ask_running, chosen_storage
from appliance.kernel.clock import wall_clock_ms

if TYPE_CHECKING:
    from appliance.control import DistantStorage

PAUSE_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which device, which time, which keys."""
    parser.add_argument("--device", required=True, help="its name or its id")
    parser.add_argument("--from", dest="start", required=True, type=moment, metavar="TIME",
                        help="first moment: epoch milliseconds, or ISO 8601")  # fmt: skip
    parser.add_argument("--to", dest="end", type=moment, metavar="TIME",
                        help="moment behind the last one; now, if left out")  # fmt: skip
    parser.add_argument("--keys", default="", metavar="A,B", help="only these; all if left out")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    settings, _ = chosen_storage(arguments, house)
    end = wall_clock_ms() if arguments.end is None else arguments.end
    keys = [key for key in arguments.keys.split(",") if key]

    async def resend(owner: DistantStorage) -> tuple[int, int]:
        return await send(owner, arguments.device, arguments.start, end, keys)

    moments, values = ask_running(settings, resend)
    print(f"{moments} moments with {values} values will be sent again")
    return exits.DONE


async def send(
    owner: DistantStorage, device: str, start_ms: int, end_ms: int, keys: list[str]
) -> tuple[int, int]:
    """Ask for one part after the other; (moments, values) sent."""
    moments = values = 0
    at_ms: int | None = start_ms
    while at_ms is not None and at_ms < end_ms:
        asked = {"device": device, "from_ms": at_ms, "to_ms": end_ms, "keys": keys}
        sent = await owner.do("resend", asked)
        moments, values = moments + sent["moments"], values + sent["values"]
        if sent["next_ms"] == at_ms:
            await trio.sleep(PAUSE_S)  # the lane is full; live values go first
        at_ms = sent["next_ms"]
        if sys.stderr.isatty() and at_ms is not None:
            share = (at_ms - start_ms) / (end_ms - start_ms)
            print(f"\r{share:6.1%}  {moments} moments", end="", file=sys.stderr)
    return moments, values


def moment(text: str) -> int:
    """Epoch milliseconds of a time on the command line. Raises ValueError."""
    if text.lstrip("-").isdigit():
        return int(text)
    return round(datetime.fromisoformat(text).timestamp() * 1000)
