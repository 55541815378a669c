"""Our TBEL against the reference library, on scripts of our own around those of the corpus."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from appliance.rules.tbel import TbelSyntaxError, compile_script
from appliance.rules.testscript import test_script as try_script

FILE = Path(__file__).parents[1] / "fixtures" / "neighbours" / "tbel.json"
CORPUS: dict[str, Any] = json.loads(FILE.read_text("utf-8"))


def _groups() -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in CORPUS["cases"]:
        groups[case["group"]].append(case)
    return groups


GROUPS = _groups()


def _numbers_as_text(text: str) -> Any:
    return json.loads(text, parse_float=lambda s: ("float", s), parse_int=lambda s: ("int", s))


def _warned(script: str) -> bool:
    try:
        return bool(compile_script(script).warnings)
    except TbelSyntaxError:
        return False


def _verdict(case: dict[str, Any]) -> str:
    """What is wrong with our answer, or nothing."""
    script = case["script"] + (CORPUS["kind"] if case.get("kind") else "")
    msg = case.get("msg", CORPUS["msg"])
    output, error = try_script(script, "TBEL", "json", msg, CORPUS["metadata"], "T")
    if case.get("fails"):
        return "" if error or _warned(script) else f"gives {output}, fails there"
    if error:
        return f"fails with {error}, there {case['output']}"
    if output == case["output"]:
        return ""
    if output is None or case["output"] is None:
        return f"gives {output}, there {case['output']}"
    same = _numbers_as_text(output) == _numbers_as_text(case["output"])
    return "" if same else f"gives {output}, there {case['output']}"


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_answers_as_the_library_does(group: str) -> None:
    wrong = [(case["script"][:200], _verdict(case)) for case in GROUPS[group]]
    assert [entry for entry in wrong if entry[1]] == []
