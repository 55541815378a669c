"""Print the configuration's shape: JSON Schema, an example file, or the reference page."""

from __future__ import annotations

import argparse

import msgspec

from appliance.cli import exits
from appliance.cli.house import House
from appliance.config import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to print."""
    parser.add_argument(
        "--format", choices=("json", "toml", "markdown"), default="json",
        help="json: JSON Schema; toml: every setting with its default; markdown: the reference",
    )  # fmt: skip  # one call, two thoughts


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    sections = house.plugins(arguments).sections()
    if arguments.format == "toml":
        print(describe.example(sections), end="")
    elif arguments.format == "markdown":
        print(describe.reference(sections), end="")
    else:
        written = msgspec.json.encode(describe.schema(sections), enc_hook=str)
        print(msgspec.json.format(written, indent=2).decode())
    return exits.DONE
