"""The house's manners, as a test: sizes, banned calls, and what belongs where.

A number or a ban can be wrong in one place; then the place stands in a table here, with its
reason, and the test fails when the reason is gone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
TEST_LINES_MAX = 800
"""A test file may hold all cases of one subject; its tests are read one at a time."""
COLUMNS_MAX = 100
GENERATED = ("plugins/transport_grpc/generated/",)

LONG_FUNCTIONS: dict[str, str] = {}
LONG_MODULES: dict[str, str] = {}
LONG_LINES: dict[str, str] = {}

BANNED_CALLS = {
    "print": "emit an Event; only the command line prints",
    "time.sleep": "trio.sleep, which can be cancelled",
    "asyncio.create_task": "a nursery; nobody awaits a free task",
    "asyncio.ensure_future": "a nursery; nobody awaits a free task",
    "trio.lowlevel.spawn_system_task": "a nursery; a system task has no parent",
    "logging.getLogger": "emit an Event; it becomes a log line and a metric",
    "asyncio.run": "trio.run; asyncio lives in the transport's realm",
    "pickle.loads": "msgspec; pickle runs what it reads",
    "pickle.load": "msgspec; pickle runs what it reads",
    "eval": "a parser",
    "exec": "a parser",
    "os.system": "trio.run_process",
    "datetime.datetime.now": "a Clock passed in, so that tests own time",
    "datetime.datetime.utcnow": "a Clock passed in, so that tests own time",
    "uuid.uuid4": "model.ids.new_uuid: a server derives the creation time from the id",
    "uuid.uuid1": "model.ids.new_uuid: strictly increasing, and no MAC address",
}
MAY_CALL = {
    "print": {
        "appliance/cli/": "the command line is where printing belongs",
        "appliance/kernel/core.py": "the last words of a process that cannot end otherwise",
        "build/": "chores talk to whoever runs them",
    },
    "uuid.uuid4": {
        "appliance/access/tokens.py": "a session is no entity; its name is random on purpose",
        "appliance/rules/tbel/": "what a script calls UUID.randomUUID must be random",
        "appliance/cli/cloud.py": "a routing key is no entity; it must not be guessed",
    },
}
CATCHES_EVERYTHING = {
    "appliance/kernel/supervisor.py": "the supervisor is where everything is caught",
    "appliance/extension/registry.py": "code from outside; what it raises is told",
    "appliance/extension/external.py": "code from outside; what it raises is told",
    "appliance/cli/entry.py": "the last frame: every error becomes words and an exit code",
    "appliance/rules/compile.py": "a node that cannot be made is refused, its chain works",
    "appliance/fields/engine.py": "a field's fault is its own failure, as a node's is",
    "appliance/rules/run.py": "a node's fault is its Failure (rule-engine.md §2.4)",
    "appliance/web/connection.py": "one request must not end the listener",
    "plugins/ingest_mqtt/listener.py": "one connection must not end the others",
    "appliance/cli/selftest.py": "a check that fails is the answer, not the end",
}
USES_ASYNCIO = {
    "appliance/__init__.py": "imports trio_asyncio before anything can import grpclib",
    "appliance/cli/selfchecks.py": "compares one attribute to prove the import order",
    "plugins/transport_grpc/": "grpclib is asyncio; its session runs inside the realm",
}


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders or ("appliance", "plugins", "build", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(GENERATED) and not name.startswith("build/work/"):
                yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name_of(path)}:{node.name}", node


def excused(name: str, table: dict[str, str]) -> bool:
    return any(name == place or (place.endswith("/") and name.startswith(place)) for place in table)


def test_functions_fit_one_screen():
    """70 lines, the docstring included; the usual one has under 20."""
    long = {
        name: node.end_lineno - node.lineno + 1
        for path in sources()
        for name, node in functions(path)
        if node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    }

    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}
    assert set(LONG_FUNCTIONS) <= set(long), "an excuse that is no longer needed"


def test_modules_fit_one_head():
    """500 lines; the usual one has 80 to 250."""
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in sources()}
    long = {
        name: lines
        for name, lines in lengths.items()
        if lines > (TEST_LINES_MAX if name.startswith("tests/") else MODULE_LINES_MAX)
    }

    assert {name: lines for name, lines in long.items() if name not in LONG_MODULES} == {}
    assert set(LONG_MODULES) <= set(long), "an excuse that is no longer needed"


def test_lines_fit_two_files_side_by_side():
    """100 columns; a pragma with its reason may hang over."""
    pragma = re.compile(r"  # (?:noqa|type: ignore).*")
    long = [
        f"{name_of(path)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if len(pragma.sub("", line)) > COLUMNS_MAX
    ]

    assert [place for place in long if not excused(place.split(":")[0], LONG_LINES)] == []


def called(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Calls by full name, as far as imports in the module tell."""
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            yield node.lineno, full.get(first, first) + dot + rest


def test_banned_calls_are_not_made():
    """Each ban names what to use instead."""
    found = [
        f"{name_of(path)}:{line}: {call}: use {BANNED_CALLS[call]}"
        for path in sources("appliance", "plugins", "build")
        for line, call in called(parsed(path))
        if call in BANNED_CALLS and not excused(name_of(path), MAY_CALL.get(call, {}))
    ]

    assert found == []


def catches_everything(node: ast.ExceptHandler) -> bool:
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    names = {each.id for each in caught if isinstance(each, ast.Name)}
    reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
    return (node.type is None or bool(names & {"Exception", "BaseException"})) and not reraises


def test_only_the_supervisor_and_the_excused_catch_exception_at_large():
    """Whoever catches everything hides what nobody thought of; re-raising is fine."""
    found = {
        name_of(path)
        for path in sources("appliance", "plugins")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    }

    assert {name for name in found if not excused(name, CATCHES_EVERYTHING)} == set()
    assert set(CATCHES_EVERYTHING) <= found, "an excuse that is no longer needed"


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_asyncio_lives_in_one_room():
    """grpclib needs it; nothing else may."""
    users = [
        name_of(path)
        for path in sources("appliance", "plugins")
        if {"asyncio", "trio_asyncio"} & imported(path)
    ]

    assert [name for name in users if not excused(name, USES_ASYNCIO)] == []


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("duckdb", "plugins/storage_duckdb/"),
        ("nanoarrow", "plugins/storage_duckdb/"),
        ("grpclib", "plugins/transport_grpc/"),
        ("betterproto2", "plugins/transport_grpc/"),
    ],
)
def test_a_library_stays_in_its_plugin(library, home):
    """So that it can be replaced by replacing one folder."""
    strangers = [
        name_of(path)
        for path in sources("appliance", "plugins")
        if library in imported(path) and not name_of(path).startswith(home)
    ]

    assert strangers == []


def test_unfinished_work_is_not_committed():
    """A missing part is missing; it does not pretend."""
    marks = ("TO" + "DO", "FIX" + "ME", "# XX" + "X", "NotImplemented" + "Error")
    found = [
        f"{name_of(path)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if any(mark in line for mark in marks)
    ]

    assert found == []


def test_every_silenced_warning_has_its_reason_beside_it():
    """`# noqa: CODE - reason`, `# type: ignore[code]  # reason`."""
    allowed = re.compile(r"# (?:noqa: [A-Z]+\d+|type: ignore\[[\w, -]+\])\s+[-#]\s+\S.{5,}")
    marks = re.compile(r"# (?:noqa|type: ignore)(?!`)")
    bare = [
        f"{name_of(path)}:{number}"
        for path in sources("appliance", "plugins", "build")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if marks.search(line) and not allowed.search(line)
    ]

    assert bare == []


def test_every_module_says_what_it_is_for():
    """A docstring at the head; an empty __init__ needs none."""
    silent = [
        name_of(path)
        for path in sources("appliance", "plugins", "build")
        if path.read_text("utf-8").strip() and ast.get_docstring(parsed(path)) is None
    ]

    assert silent == []


def plugin_folders() -> list[Path]:
    return [path.parent for path in sorted((ROOT / "plugins").glob("*/__init__.py"))]


def test_every_plugin_folder_has_a_readme_and_a_line_in_the_list():
    """What was forgotten is named."""
    listed = (ROOT / "plugins" / "__init__.py").read_text("utf-8")
    written = [folder for folder in plugin_folders() if (folder / "__init__.py").stat().st_size]

    assert [f.name for f in written if not (f / "README.md").is_file()] == []
    assert [f.name for f in written if f"    {f.name},\n" not in listed] == []


def test_documents_begin_with_a_title():
    """One `# ` line first."""
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "plugins").rglob("*.md")]

    assert [name_of(page) for page in pages if not page.read_text("utf-8").startswith("# ")] == []


def test_no_file_speaks_of_the_machine_it_was_written_on():
    """No path of a home or workshop in code or pages."""
    traces = ("/root/", "/home/", "/tmp/")
    pages = [*sources(), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    found = [
        f"{name_of(page)}: {trace}"
        for page in pages
        for trace in traces
        if trace in page.read_text("utf-8") and page != Path(__file__)
    ]

    assert found == []
