"""Print the version of the appliance and of what it is made of."""

from __future__ import annotations

import argparse
import platform
import sys

from appliance import __version__
from appliance.cli import exits
from appliance.cli.house import House

PROTOCOL = "ThingsBoard edge protocol 4.3 (EdgeVersion 13)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but itself."""


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    frozen = "frozen" if getattr(sys, "frozen", False) else "from source"
    python = f"Python {platform.python_version()}"
    print(f"appliance {__version__} ({frozen}, {python}, {platform.machine()}); {PROTOCOL}")
    return exits.DONE
