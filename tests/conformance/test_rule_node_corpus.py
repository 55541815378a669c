"""Every recorded case of a real server's rule nodes, asked of ours.

A case is one node with its configuration, the state before, and the messages in; the real engine
runs it over real state. What must agree: labels, types, data, metadata, originator, message
identity, side messages and effects. Error texts are ours. What differs on purpose is in
`DIFFERENT`, with its reason; docs/compatibility.md is made from that table.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.rule_node_case import Case, run_case
from tests.conftest import FIXTURES

CASES: list[dict[str, Any]] = [
    case
    for case in json.loads((FIXTURES / "corpus" / "rule-nodes.json").read_text())
    if case["node"] != "(ingress)"  # what a post becomes is the gate's part
]

LENIENT = "unknown keys of a configuration are ignored: a newer server may send some"
DIFFERENT: dict[tuple[str, str], str] = {
    ("TbTransformMsgNode", "unknown extra key in the configuration"): LENIENT,
}


def _name(raw: dict[str, Any]) -> str:
    return f"{raw['node'].rpartition('.')[2]}: {raw['name']}"


@pytest.mark.parametrize("raw", CASES, ids=map(_name, CASES))
async def test_a_recorded_case_comes_out_the_same(raw: dict[str, Any]) -> None:
    case = Case(raw)
    reason = DIFFERENT.get((case.short, raw["name"]))
    problems = await run_case(case)
    if reason is not None:
        assert problems, f"agrees by now, take it out of the table: {reason}"
    else:
        assert not problems, "\n".join(problems)
