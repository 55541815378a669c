"""Our TBEL against what a real server answered, case by case.

A case that gives a value there gives the same value here. A case that fails there fails here, or
its script belongs to a family that the script check reports ("works here, fails on the server").
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from appliance.rules.tbel import compile_script
from appliance.rules.testscript import test_script as try_script

CORPUS = Path(__file__).parents[1] / "fixtures" / "corpus" / "tbel.json"
ARGUMENTS = ("msg", "metadata", "msgType")

REFUSED_HERE = {
    "return msg..a;": "two points are a slip; the reference answers null, whatever msg.a is",
    "var [a] = [1];": "destructuring is not TBEL; the reference assigns nothing and goes on",
}


def _cases() -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in json.loads(CORPUS.read_text("utf-8")):
        groups[case["group"]].append(case)
    return groups


GROUPS = _cases()


def _numbers_as_text(text: str) -> Any:
    """JSON whose numbers keep their spelling: 1 is not 1.0, 1.0E7 is not 10000000.0."""
    return json.loads(text, parse_float=lambda s: ("float", s), parse_int=lambda s: ("int", s))


def _same_output(ours: str | None, theirs: str | None, script_type: str) -> bool:
    if ours is None or theirs is None or script_type == "string":
        return ours == theirs
    left, right = _numbers_as_text(ours), _numbers_as_text(theirs)
    if script_type == "switch":
        return sorted(left) == sorted(right)
    return bool(left == right)


def _verdict(case: dict[str, Any]) -> str:
    """What is wrong with our answer, or nothing."""
    names = tuple(case.get("argNames", ARGUMENTS))
    output, error = try_script(
        case["script"], "TBEL", case["scriptType"], case["msg"], case["metadata"], case["msgType"],
        names,
    )  # fmt: skip
    if case["error"]:
        if error or compile_script(case["script"], names).warnings:
            return ""
        return f"gives {output}, fails there with {case['error'][:120]}"
    if error:
        return "" if case["script"] in REFUSED_HERE else f"fails with {error}"
    if _same_output(output, case["output"], case["scriptType"]):
        return ""
    return f"gives {output}, there {case['output']}"


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_answers_as_the_server_did(group: str) -> None:
    wrong = [(case["name"], case["script"][:200], _verdict(case)) for case in GROUPS[group]]
    assert [entry for entry in wrong if entry[2]] == []


def test_the_corpus_is_all_there() -> None:
    assert sum(map(len, GROUPS.values())) == 4054


def test_what_we_refuse_is_refused() -> None:
    """An exception that is no exception any more must leave the list."""
    for script in REFUSED_HERE:
        assert try_script(script, "TBEL", "json", "{}", {}, "T")[1]
