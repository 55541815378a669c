"""Ask the running edge for a full sync: everything that its server has for it comes again.

What the server does not assign to the edge any more is then treated as `cloud.unassigned` says.
"""

from __future__ import annotations

import argparse

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.storage import ask_running, chosen_storage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The shared arguments suffice."""


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    settings, _ = chosen_storage(arguments, house)
    print(ask_running(settings, lambda owner: owner.do("sync", {})))
    return exits.DONE
