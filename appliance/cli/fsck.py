"""Look over every file of the data folder, while the appliance is stopped.

Ends with 0 when everything is sound or repaired, with 70 when damage remains.
"""

from __future__ import annotations

import argparse

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.storage import chosen_storage
from appliance.kernel.data_dir import held
from appliance.model.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether to repair."""
    parser.add_argument(
        "--repair", action="store_true", help="put aside or rebuild what is damaged"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    settings, spec = chosen_storage(arguments, house)
    if spec.fsck is None:
        raise ConfigError(f"the storage {spec.name} has no check of its folder")
    with held(settings.data_dir):
        report = spec.fsck(settings.data_dir, arguments.repair)
    print(report.to_json() if arguments.json else report.to_text())
    return exits.FATAL if report.exit_code else exits.DONE
