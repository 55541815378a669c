"""Ask the outbox and the history with one reading SQL statement.

The appliance may run or not.

Tables: cloud_event (or edge_event), ts_kv, attribute_kv, entity, quarantine; see docs/storage.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from appliance.cli import exits
from appliance.cli.house import House
from appliance.cli.storage import ask_storage, chosen_storage
from appliance.cli.table import FORMATS, write_table
from appliance.config.loader import Settings
from appliance.extension.hookspecs import Rows, StorageSpec
from appliance.kernel.data_dir import held
from appliance.model.errors import ConfigError, Retryable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The statement and where its answer goes."""
    parser.add_argument("statement", help="for example: SELECT * FROM cloud_event LIMIT 5")
    parser.add_argument("--format", choices=[*sorted(FORMATS), "parquet"], default="table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there; parquet needs it")


def run(arguments: argparse.Namespace, house: House) -> int:
    """See the module."""
    parquet = arguments.format == "parquet"
    if parquet and arguments.output is None:
        print("appliance sql: --format parquet needs --output FILE", file=sys.stderr)
        return exits.USAGE
    settings, spec = chosen_storage(arguments, house)
    if parquet and spec.write_parquet is None:
        raise ConfigError(f"the storage {spec.name} cannot write Parquet")
    columns, rows = _ask(settings, spec, arguments.statement)
    if spec.write_parquet is not None and parquet:
        spec.write_parquet(columns, rows, arguments.output)
    elif arguments.output is not None:
        with arguments.output.open("w", encoding="utf-8") as stream:
            write_table(columns, rows, arguments.format, stream)
    else:
        write_table(columns, rows, arguments.format)
    return exits.DONE


def _ask(settings: Settings, spec: StorageSpec, statement: str) -> Rows:
    if spec.sql is not None:
        try:
            with held(settings.data_dir):
                return spec.sql(settings.data_dir, statement)
        except Retryable:
            pass  # it is in use; its owner is asked
    return ask_storage(settings, spec, lambda storage: storage.sql(statement))
