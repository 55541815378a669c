"""From argv to an exit code: parse, run one verb, say errors in the operator's words."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from appliance.cli import exits
from appliance.cli.house import BuiltIn, House
from appliance.kernel.memory import loading

VERBS = {
    "demo": "show it: a cloud, an edge and twenty devices on this machine",
    "run": "run the edge",
    "cloud": "run the cloud role, or make an edge for it",
    "check": "validate the configuration; with --probe also what it points to",
    "fsck": "look over the data folder, and repair it on request",
    "sql": "ask the outbox and the history, read-only",
    "rules": "try scripts; draw, trace, test and rehearse rule chains",
    "quarantine": "list, retry or export what was put aside",
    "sync": "ask the server for everything again",
    "resend": "send a device's history to the cloud again",
    "plugins": "list what is plugged in",
    "schema": "print the JSON Schema of the configuration",
    "selftest": "prove that this executable works on this machine",
    "version": "print the version",
}
"""Verb -> summary. The verb's module has the same name and is imported only when it is used;
appliance.spec carries all of appliance.cli into the binary."""
WITHOUT_CONFIGURATION = frozenset({"demo", "selftest", "version"})


def enter(argv: Sequence[str], built_in: BuiltIn, environ: Mapping[str, str]) -> int:
    """Run the command line; the result is the process's exit code."""
    house = House(built_in, environ)
    verb = next((word for word in argv if not word.startswith("-")), "")
    added = {} if verb in VERBS else commands(house, environ)
    if verb in added:
        return guarded(lambda: added[verb].run(list(argv[argv.index(verb) + 1 :])))
    summaries = VERBS | {name: command.summary for name, command in added.items()}
    parser = make_parser(summaries)
    if verb in VERBS:
        with loading():
            module = importlib.import_module(f"appliance.cli.{verb}")
        add_verb(parser, verb, module)
        arguments = parser.parse_args(argv)
        return guarded(lambda: int(module.run(arguments, house)))
    if verb:
        close = difflib.get_close_matches(verb, list(summaries), 1)
        hint = f"did you mean {close[0]}?" if close else "`appliance --help` lists the verbs"
        print(f"appliance: there is no verb {verb}; {hint}", file=sys.stderr)
        return exits.USAGE
    parser.parse_args(argv)  # --help and --version leave from here
    parser.print_help(sys.stderr)
    return exits.USAGE


def make_parser(summaries: Mapping[str, str]) -> argparse.ArgumentParser:
    """The parser of the whole command line, its verbs still without arguments."""
    listing = "\n".join(f"  {name:<11} {text}" for name, text in summaries.items())
    codes = "\n".join(f"  {code:>3}  {text}" for code, text in exits.MEANING.items())
    parser = argparse.ArgumentParser(
        prog="appliance",
        usage="appliance VERB [options]",
        description="A ThingsBoard edge in one executable.",
        epilog=f"verbs:\n{listing}\n\nappliance VERB --help tells more.\n\nexit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    choices = parser.add_subparsers(dest="verb", metavar="VERB", help=argparse.SUPPRESS)
    parser.set_defaults(choices=choices)
    return parser


def add_verb(parser: argparse.ArgumentParser, verb: str, module: Any) -> argparse.ArgumentParser:
    """Give a verb its arguments; what all verbs share comes first."""
    choices = parser.get_default("choices")
    made: argparse.ArgumentParser = choices.add_parser(
        verb, prog=f"appliance {verb}", help=VERBS[verb], description=module.__doc__.strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip  # one call, two thoughts
    if verb not in WITHOUT_CONFIGURATION:
        made.add_argument("--config", type=Path, metavar="FILE", help="TOML file to read")
        made.add_argument("--data-dir", metavar="DIR", help="the data folder")
        made.add_argument(
            "--set", action="append", default=[], metavar="SECTION.FIELD=VALUE",
            help="one setting; may be repeated, wins over file and environment",
        )  # fmt: skip  # one call, two thoughts
    module.add_arguments(made)
    return made


def commands(house: House, environ: Mapping[str, str]) -> dict[str, Any]:
    """Verbs that plugins add; none when the configuration does not even say where they are."""
    arguments = argparse.Namespace(config=None, data_dir=None, set=[])
    try:
        return dict(house.plugins(arguments).commands)
    except Exception as error:  # noqa: BLE001 - --help must work with any configuration
        print(f"plugins' verbs are not listed: {error}", file=sys.stderr)
        return {}


def guarded(call: Callable[[], int]) -> int:
    """Run a verb; turn what it raises into words on standard error and a code."""
    try:
        return call()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has had enough; Python would complain at exit otherwise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.DONE
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        return told(error)


def told(error: BaseException) -> int:
    """Say the error and give its code; a surprise is told with its traceback."""
    from appliance.kernel.status import leaves
    from appliance.model.errors import ApplianceError, ConfigError, Fatal, Permanent, Retryable

    found = leaves(error)
    for leaf in found:
        if isinstance(leaf, ApplianceError):
            for line in str(leaf).splitlines():
                print(f"{_heading(leaf)}: {line}", file=sys.stderr)
        else:
            traceback.print_exception(leaf)
    if any(isinstance(leaf, ConfigError) for leaf in found):
        return exits.CONFIGURATION
    if any(isinstance(leaf, Fatal | Permanent) for leaf in found):
        return exits.FATAL
    return exits.TRY_AGAIN if all(isinstance(leaf, Retryable) for leaf in found) else exits.FATAL


def _heading(error: Exception) -> str:
    names = {"ConfigError": "configuration", "Retryable": "try again", "Fatal": "fatal"}
    return names.get(type(error).__name__, "error")


def _version() -> str:
    from appliance import __version__

    return f"appliance {__version__}"
