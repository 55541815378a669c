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
RUNS = [case for case in CASES if case.get("kind") != "validation"]

TOGETHER = "history and latest value are one; neither is saved without the other"
LONG = "0 decimals give a 64-bit integer; the server's wraps around at 32 bits"
DIFFERENT: dict[tuple[str, str], str] = {
    ("SIMPLE", "output IMMEDIATE latest only"): TOGETHER,
    ("SIMPLE", "decimals 0 over int range"): LONG,
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


def _print_rates() -> None:
    agree: Counter[str] = Counter()
    for raw in RUNS:
        agree[raw["type"]] += not trio.run(Case(raw).run)
    for type, total in Counter(raw["type"] for raw in RUNS).items():
        print(f"{type}: {agree[type]} of {total}")


if __name__ == "__main__":
    _print_rates()
