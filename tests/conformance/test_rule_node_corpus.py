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

TOGETHER = "history and latest value are one; neither is saved without the other"
LATE = "another chain or entity may arrive later, so it is looked for when it is needed"
LOOP = "a chain that calls itself fails the message; the server lets it circle for ever"
MAKES = "a rule node on an edge makes no other entities"
DIFFERENT: dict[tuple[str, str], str] = {
    ("TbMsgTimeseriesNode", "ADVANCED skip timeseries"): TOGETHER,
    ("TbMsgTimeseriesNode", "ADVANCED skip latest (history read by key)"): TOGETHER,
    ("TbMsgTimeseriesNode", "v0 skipLatestPersistence"): TOGETHER,
    ("TbMsgTimeseriesNode", "v0 skipLatestPersistence (history read by key)"): TOGETHER,
    ("TbRuleChainInputNode", "unknown chain id"): LATE,
    ("TbMsgGeneratorNode", "missing originator entity id"): LATE,
    ("TbRuleChainInputNode", "own chain = loop"): LOOP,
    (
        "TbRuleChainInputNode",
        "forwardMsgToDefaultRuleChain, profile has own chain (this one)",
    ): LOOP,
    ("TbCreateRelationNode", "not found, create device"): MAKES,
    ("TbAssignToCustomerNode", "not found, create"): MAKES,
    ("TbJsFilterNode", "JS let/const/arrow (ES6)"): "JavaScript is what QuickJS takes, ES2020",
    (
        "TbMsgDeduplicationNode",
        "interval 0",
    ): "an interval of 0 is refused; the server never gets out of its tick",
    (
        "TbDeviceProfileNode",
        "clear over REST between (ALARM_CLEAR message not shown to the node)",
    ): "a cleared alarm is not updated; the next true value makes a new one",
    ("TbMsgCountNode", "3 messages, 1 s"): "recorded in mid-run; see the node's unit test",
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
