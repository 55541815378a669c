"""Write the pages that come from code, or tell which of them have drifted.

python build/docs.py            write docs/configuration.md, docs/appliance.example.toml,
                                docs/cli.md, docs/rule-nodes.md, docs/tbel.md, docs/sync.md
python build/docs.py --check    compare only; ends with 1 when one is old
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from appliance.__main__ import built_in
from appliance.cli import entry, exits
from appliance.cli.house import House
from appliance.config import describe
from appliance.rules.support import support_markdown
from appliance.rules.tbel.families import FAMILIES
from tests.kit.sync_down import DOWN as ROWS_DOWN
from tests.kit.sync_rows import markdown
from tests.kit.sync_up import UP as ROWS_UP

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    registry = House(built_in, {}).built_in()
    sections = registry.sections()
    return {
        DOCS / "rule-nodes.md": RULE_NODES + support_markdown(registry.rule_nodes),
        DOCS / "tbel.md": "".join(tbel_families()),
        DOCS / "configuration.md": describe.reference(sections),
        DOCS / "appliance.example.toml": describe.example(sections),
        DOCS / "cli.md": "".join(command_line()),
        DOCS / "sync.md": SYNC.format(down=markdown(ROWS_DOWN.rows), up=markdown(ROWS_UP.rows)),
    }


SYNC = """\
# What travels between edge and cloud

Generated (`make docs`) from the rows that `tests/integration/test_sync_table.py` plays: each is
sent over a socket between the two roles, and its effect is read on the other side. *used*: read by
something here beyond the sync itself; *kept*: stored by id as it came, shown and handed on, and
counted in the status under `kept`. A field or a kind that is not in these tables is acknowledged
and counted the same way; it never fails a message.

## Down: from the cloud to the edge

{down}
## Up: from the edge to the cloud

{up}"""


RULE_NODES = """\
# Rule nodes

Generated from the nodes themselves (`make docs`). A chain with a node that does not run here
loads; a message that reaches the node fails visibly, the rest of the chain works.

"""


def tbel_families() -> Iterator[str]:
    """The page docs/tbel.md."""
    yield "# TBEL: what works here and fails on a server\n\nGenerated (`make docs`). A script that"
    yield " gives a value on a server gives the same value here.\nThese do more here; the script"
    yield " check warns their author, since the chain may be copied to a server.\n\n"
    yield "| family | what to know | example |\n| --- | --- | --- |\n"
    for family in FAMILIES.values():
        example = family.example.replace("|", "\\|").replace("\n", " ")
        sentence = family.sentence.replace("|", "\\|")
        yield f"| {family.id} | {sentence} | `{example}` |\n"


def command_line() -> Iterator[str]:
    """The page docs/cli.md; written out here because argparse's own layout changes by version."""
    yield "# The command line\n\nGenerated from the command line itself (`make docs`).\n"
    yield "\n| exit code | meaning |\n| --- | --- |\n"
    yield from (f"| {code} | {text} |\n" for code, text in exits.MEANING.items())
    yield "\nA verb that a plugin adds has its own codes; 130 is an interrupted verb.\n"
    parser = entry.make_parser(entry.VERBS)
    for verb in entry.VERBS:
        module = importlib.import_module(f"appliance.cli.{verb}")
        made = entry.add_verb(parser, verb, module)
        yield f"\n## appliance {verb}\n\n{(module.__doc__ or '').strip()}\n"
        yield from arguments(made)


def arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A verb's arguments as a table."""
    actions = [each for each in parser._actions if each.dest != "help"]
    if actions:
        yield "\n| argument | meaning |\n| --- | --- |\n"
    for action in actions:
        name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        value = "" if action.nargs == 0 or not action.option_strings else _value(action)
        yield f"| `{name}{value}` | {action.help or ''} |\n"


def _value(action: argparse.Action) -> str:
    if action.choices:
        return " " + "|".join(map(str, action.choices)).replace("|", "\\|")
    return f" {action.metavar or action.dest.upper()}"


def main() -> int:
    """The command line."""
    written = pages()
    if "--check" not in sys.argv[1:]:
        for page, text in written.items():
            page.parent.mkdir(exist_ok=True)
            page.write_text(text, "utf-8")
        return 0
    old = [page for page, text in written.items() if not same(page, text)]
    for page in old:
        print(f"{page.relative_to(ROOT)} is older than the code; run `make docs`")
    return 1 if old else 0


def same(page: Path, text: str) -> bool:
    """Whether the page has just this text."""
    return page.is_file() and page.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
