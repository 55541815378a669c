"""Every recorded case of a real server's calculated fields, asked of ours.

What differs on purpose is in `DIFFERENT`, with its reason; docs/compatibility.md is made from that
table. `python -m tests.conformance.test_calculated_field_corpus` prints how many cases of each
type agree.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import trio

from tests.conformance.field_case import Case
from tests.conftest import FIXTURES

CASES: list[dict[str, Any]] = json.loads(
    (FIXTURES / "corpus" / "calculated-fields.json").read_text()
)
SAVES = [case for case in CASES if case.get("kind") == "validation"]
OWN_WORDS = {"no type"}
"""Refused as by a server, in words of ours, where the server's are those of its libraries."""
RUNS = [case for case in CASES if case.get("kind") != "validation"]

TOGETHER = "history and latest value are one; neither is saved without the other"
LONG = "0 decimals give a 64-bit integer; the server's wraps around at 32 bits"
MAXIMUM = "MAX of negative values is the greatest; the server says 4.9E-324, as text"
UNIQUE = "COUNT_UNIQUE counts; on the server it ends the whole calculation"
COUNT = "COUNT counts every value; the server counts texts alone where there is one"
STORED = "an interval's result is stored as an attribute too; the server computes it for nothing"
RELATED, INTERVAL = "RELATED_ENTITIES_AGGREGATION", "ENTITY_AGGREGATION"
DIFFERENT: dict[tuple[str, str], str] = {
    ("SIMPLE", "output IMMEDIATE latest only"): TOGETHER,
    ("SIMPLE", "decimals 0 over int range"): LONG,
    (RELATED, "negative values all functions"): MAXIMUM,
    (RELATED, "negative values, children have data before"): MAXIMUM,
    (INTERVAL, "five functions, negative values"): MAXIMUM,
    (INTERVAL, "six functions over 60 s"): UNIQUE,
    (INTERVAL, "non-numeric and boolean points"): UNIQUE,
    (INTERVAL, "boolean and text points, SUM and COUNT"): COUNT,
    (INTERVAL, "decimals 1, output attribute"): STORED,
    (INTERVAL, "output attribute without decimals"): STORED,
}


def _name(raw: dict[str, Any]) -> str:
    return f"{raw['type']}: {raw['name']}"


@pytest.mark.parametrize("raw", RUNS, ids=map(_name, RUNS))
async def test_a_recorded_case_comes_out_the_same(raw: dict[str, Any]) -> None:
    reason = DIFFERENT.get((raw["type"], raw["name"]))
    problems = await Case(raw).run()
    if reason is not None:
        assert problems, f"agrees by now, take it out of the table: {reason}"
    else:
        assert not problems, "\n".join(problems)


SAME = [raw for raw in RUNS if (raw["type"], raw["name"]) not in DIFFERENT]


@pytest.mark.parametrize("raw", SAME, ids=map(_name, SAME))
async def test_a_recorded_case_comes_out_the_same_with_a_restart_after_each_send(
    raw: dict[str, Any],
) -> None:
    problems = await Case(raw, restarts=True).run()
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("raw", SAVES, ids=map(_name, SAVES))
async def test_a_configuration_is_refused_where_a_server_refuses_it(raw: dict[str, Any]) -> None:
    case = Case(raw)
    for step in raw["setup"]:
        await case.set_up(step)
    reason = case.refusal()
    if raw["saved"]["status"] == 200:
        assert reason is None
        return
    assert reason, raw["saved"]["message"]
    if raw["saved"]["status"] == 400 and raw["name"] not in OWN_WORDS:
        assert reason == case.said(raw["saved"]["message"])


@pytest.mark.parametrize("reason", sorted(set(DIFFERENT.values())))
def test_every_difference_is_told(reason: str) -> None:
    page = (FIXTURES.parents[1] / "docs" / "compatibility.md").read_text()
    assert f"- {reason}\n" in page


def _print_rates() -> None:
    agree: Counter[str] = Counter()
    for raw in RUNS:
        agree[raw["type"]] += not trio.run(Case(raw).run)
    for type, total in Counter(raw["type"] for raw in RUNS).items():
        print(f"{type}: {agree[type]} of {total}")


if __name__ == "__main__":
    _print_rates()
