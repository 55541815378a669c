"""Try scripts; draw, trace, test and rehearse rule chains, of a running appliance or a stopped one.

- eval: answer script tests from standard input: one JSON case a line (script, scriptLang,
  scriptType, msg, metadata, msgType, argNames), one {"output", "error"} a line; where a TBEL script
  works here and fails on a server, the answer has "warnings" too
- list: the chains of the data folder
- show: draw a chain
- trace: run a message through a chain: every node on its way, with the time it took
- test: as trace, with every message that a node changed and all that the message would cause; the
  exit code is 1 when the message failed
- dry-run: run the history of devices through the chains of today and again with this chain in
  their place: events and bytes that would go up, per device

CHAIN is a file (exported by ThingsBoard, or its metadata), or the name or id of a chain in the
data folder; without it, the root chain. A chain from a file meets an empty edge, or, with
--data-dir, the devices, attributes, calculated fields and history of that folder; an appliance that
uses it is asked for them. Nothing is written and nobody is called: nodes that speak with other
systems are passed over unless --outside lets them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.rules_place import Place, with_place
from appliance.cli.table import write_table

MESSAGE_FAILED = 1
COMPARED = [
    "device", "messages", "events_before", "events_after", "bytes_before", "bytes_after",
    "failed_before", "failed_after",
]  # fmt: skip  # pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, with which chain and which message."""
    actions = ("eval", "list", "show", "trace", "test", "dry-run")
    parser.add_argument("action", choices=actions, metavar="ACTION", help=", ".join(actions))
    parser.add_argument("chain", nargs="?", metavar="CHAIN", help="a file, a name or an id")
    parser.add_argument(
        "--message", metavar="FILE",
        help='for trace and test: {"msg", "metadata", "msgType", "originator"}; - reads it from '
        "standard input",
    )  # fmt: skip  # one call, two thoughts
    parser.add_argument(
        "--wait", default="0s", metavar="TIME", help="let this much time pass for delays and timers"
    )
    parser.add_argument(
        "--since", default="24h", metavar="TIME", help="for dry-run: how far back, as 90s, 24h, 7d"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--outside", action="store_true", help="let nodes call other systems")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    if arguments.action == "eval":
        return evaluate()
    if arguments.action in ("trace", "test") and arguments.message is None:
        print(f"appliance rules {arguments.action}: it needs --message FILE", file=sys.stderr)
        return exits.USAGE
    if arguments.action == "dry-run" and arguments.chain is None:
        print("appliance rules dry-run: it needs a chain", file=sys.stderr)
        return exits.USAGE
    verbs: dict[str, Callable[[argparse.Namespace, Place], Awaitable[int]]] = {
        "list": list_chains,
        "show": show,
        "trace": partial(send, whole=False),
        "test": partial(send, whole=True),
        "dry-run": dry_run,
    }
    return with_place(arguments, house, partial(verbs[arguments.action], arguments))


def evaluate() -> int:
    """Answer script tests line by line; a line that is no case is answered with an error."""
    from appliance.rules.trial import TrialAnswer, answer_text, read_trial, try_script

    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            answer = try_script(read_trial(line))
        except (ValueError, msgspec.ValidationError) as error:
            answer = TrialAnswer("", f"not a script test: {error}")
        print(answer_text(answer), flush=True)
    return exits.DONE


async def list_chains(arguments: argparse.Namespace, place: Place) -> int:
    """A line a chain."""
    rehearsal = await place.rehearsal()
    rows = []
    for chain in rehearsal.engine.chains():
        root = chain.id == rehearsal.engine.root_id
        refused = sum(node.refusal is not None for node in chain.nodes)
        rows.append((chain.name, str(chain.id), "root" if root else "", len(chain.nodes), refused))
    columns = ["name", "id", "root", "nodes", "refused"]
    write_table(columns, rows, "json" if arguments.json else "table")
    return exits.DONE


async def show(arguments: argparse.Namespace, place: Place) -> int:
    """The picture, or the nodes with their links."""
    from appliance.rules.drawing import branches, draw_chain

    rehearsal = await place.rehearsal()
    chain = place.chosen(rehearsal)
    if not arguments.json:
        for line in draw_chain(chain, root=chain.id == rehearsal.engine.root_id):
            print(line)
        return exits.DONE
    for node in chain.nodes:
        links = [{"relation": label, "to": target.name} for label, target in branches(node)]
        _print_json(
            {
                "name": node.name,
                "type": node.spec.type,
                "first": node is chain.first,
                "refusal": node.refusal,
                "links": links,
            }
        )
    return exits.DONE


async def send(arguments: argparse.Namespace, place: Place, *, whole: bool) -> int:
    """Run a message and print its way; whole: with messages and effects."""
    from appliance.rules.tracing import (
        Trace,
        effects_of,
        message_json,
        shown,
        trace_json,
        trace_text,
    )

    rehearsal = await place.rehearsal()
    message = place.message(arguments.message, rehearsal)
    trace = Trace(rehearsal.engine)
    if arguments.chain is None:
        works = await rehearsal.play(message)
    else:
        works = await rehearsal.play_in(place.chosen(rehearsal), message)
    works += await rehearsal.pass_to(rehearsal.now_ms + milliseconds(arguments.wait))
    effects = effects_of(works, rehearsal.services.effects)
    failure = next((work.failure for work in works if work.failure is not None), None)
    if arguments.json:
        told: dict[str, Any] = {"message": message_json(message), "steps": trace_json(trace)}
        _print_json(told | {"effects": effects, "failure": failure})
    else:
        print(shown(message))
        for line in trace_text(trace, bodies=whole):
            print(line)
        for effect in effects if whole else ():
            print(f"{effect.kind}: {effect.text}")
        if failure is not None:
            print(f"failed: {failure}")
    return MESSAGE_FAILED if failure is not None and whole else exits.DONE


async def dry_run(arguments: argparse.Namespace, place: Place) -> int:
    """Events and bytes per device, before and after."""
    from appliance.edge.dry_run import compare

    assert place.storage is not None, "dry-run opens a data folder"
    start_ms = place.now_ms - milliseconds(arguments.since)
    comparison = await compare(
        place.storage,
        start_ms,
        place.now_ms,
        before=await place.line(start_ms, with_file=False),
        after=await place.line(start_ms, with_file=True),
    )
    write_table(COMPARED, comparison.rows(), "json" if arguments.json else "table")
    return exits.DONE


def milliseconds(text: str) -> int:
    """A time such as 90s, 30m, 24h or 7d.

    Raises:
        ConfigError: it is none.
    """
    from appliance.model.errors import ConfigError

    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit():
        raise ConfigError(f"{text!r} is no time", hint="write 90s, 30m, 24h or 7d")
    return int(number) * units[unit] * 1000


def _print_json(value: Any) -> None:
    print(msgspec.json.encode(value).decode())
