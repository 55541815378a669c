"""The rule node of docs/plugins.md works as printed: loaded from outside, with its own tests."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from appliance.extension.external import load_external
from appliance.extension.registry import Registry

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"
TYPE = "com.example.rules.Smooth"


def printed() -> tuple[str, str]:
    """The plugin and its test, as the guide has them."""
    section = GUIDE.read_text("utf-8").partition("## A rule node in an afternoon")[2]
    plugin, test = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return plugin, test


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A plugin folder with what the guide prints."""
    plugin, test = printed()
    (tmp_path / "smooth_node").mkdir()
    (tmp_path / "smooth_node" / "__init__.py").write_text(plugin, "utf-8")
    (tmp_path / "smooth_node_test.py").write_text(test, "utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("smooth_node", "smooth_node_test"):
        sys.modules.pop(name, None)


def loaded(folder: Path) -> tuple[Registry, ModuleType]:
    registry = Registry()
    load_external(folder, registry)
    importlib.invalidate_caches()
    return registry, importlib.import_module("smooth_node_test")


async def test_the_printed_node_loads_and_passes_its_printed_tests(folder: Path) -> None:
    registry, tests = loaded(folder)
    assert registry.failures == []
    assert list(registry.rule_nodes) == [TYPE]
    functions = [f for name, f in vars(tests).items() if name.startswith("test_")]
    assert len(functions) == 2
    for function in functions:
        assert inspect.iscoroutinefunction(function)
        await function()


def test_a_wrong_weight_is_refused(folder: Path) -> None:
    from appliance.testing.rules import RuleBench

    registry, _ = loaded(folder)
    bench = RuleBench(registry.rule_nodes)
    node = bench.load_node(registry.rule_nodes[TYPE], {"weight": 0})
    assert node.refusal is not None and "weight" in node.refusal
