"""asyncio lives in one room, and it is furnished in the right order."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "asyncio": {"appliance/cli/selfchecks.py"},  # compares one name, runs nothing
    "trio_asyncio": {
        "appliance/__init__.py",  # the order of imports
        "plugins/transport_grpc/session.py",
    },
}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_nobody_else_imports_asyncio() -> None:
    strangers = [
        f"{name} imports {module}"
        for folder in ("appliance", "plugins")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for module in _imports(path)
        if (name := path.relative_to(ROOT).as_posix()) not in MAY_IMPORT.get(module, {name})
    ]
    assert strangers == []


def test_grpclib_asks_the_asyncio_that_trio_asyncio_has_prepared() -> None:
    # In a fresh process: here some other test may have imported grpclib first.
    program = (
        "import plugins.transport_grpc, asyncio, grpclib.utils\n"
        "assert grpclib.utils._current_task is asyncio.current_task"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
