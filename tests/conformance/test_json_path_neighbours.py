"""JSON paths beyond the recorded cases, as the reference's library reads them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.rule_node_site import FAILURE, REFUSED, SUCCESS, Site

DATA = {
    "a": 1,
    "l": [3, 1.5, 2],
    "n": None,
    "s": "txt",
    "o": {"x": {"a": 2, "b": 3}, "y": {"a": 4}},
    "p": [{"a": 1, "t": "x"}, {"a": 2, "t": "Yes"}, {"a": "2"}, {"t": True, "e": []}],
}
PATHS: list[tuple[str, Any]] = [
    ("a", 1),
    (" $['a'] ", 1),
    ("$['a','n','zz']", {"a": 1, "n": None}),
    ("$['o','zz']['x'].b", [3]),
    ("$.n", None),
    ("$.n.a", FAILURE),
    ("$.l[-1]", 2),
    ("$.l[-9]", None),
    ("$.l[9].a", FAILURE),
    ("$.l[0,9]", [3, None]),
    ("$.l[1:]", [1.5, 2]),
    ("$.l[-2:]", [1.5, 2]),
    ("$.l[:-1]", [3, 1.5]),
    ("$.l[1:-1]", []),
    ("$.l[1:9]", [1.5, 2]),
    ("$.a[0]", FAILURE),
    ("$.s[0:1]", FAILURE),
    ("$.s[*]", []),
    ("$.zz[*]", FAILURE),
    ("$.s[?(@.a)]", FAILURE),
    ("$.o.*.b", [3]),
    ("$.o.*.b.c", []),
    ("$..b", [3]),
    ("$..x.a", [2]),
    ("$..[?(@.b)]", [{"a": 2, "b": 3}]),
    ("$..p[?(@.t == 'x')].a", [1]),
    ("$.p[?(@.a == 2)].t", ["Yes"]),
    ("$.p[?(@.a === 2)]", [{"a": 2, "t": "Yes"}]),
    ("$.p[?(@.a > 1)].a", [2]),
    ("$.p[?(@.a >= $.a)].a", [1, 2]),
    ("$.p[?(@.t == true)].e", [[]]),
    ("$.p[?(@.t == 1)]", []),
    ("$.p[?(!@.t)].a", ["2"]),
    ("$.p[?(@.t && !(@.a == 1 || @.a == 2))].t", [True]),
    ("$.p[?(@.t =~ /y.*/i)].a", [2]),
    ("$.p[?(@.t in ['x', 'Yes'])].a", [1, 2]),
    ("$.p[?(@.t nin ['x', 'Yes'])].a", ["2"]),
    ("$.p[?(@.t contains 'e')].a", [2]),
    ("$.p[?(@.e empty true)].t", [True]),
    ("$.p[?(@.t size 1)].a", [1]),
    ("$[?(@.s == 'a || b')]", []),
    ("$.l[?(@ > 1.5)]", [3, 2]),
    ("$.l.length()", 3),
    ("$.o.size()", 2),
    ("$.s.length()", None),
    ("$.o.keys()", ["x", "y"]),
    ("$.l.max()", 3.0),
    ("$.l.avg()", 6.5 / 3),
    ("$.l.sum()", 6.5),
    ("$.l.first()", 3),
    ("$.l.index(-2)", 1.5),
    ("$.o.*.length()", [2, 1]),
    ("$..a.length()", 6),
    ("$.s.max()", FAILURE),
    ("$.", REFUSED),
    ("$.a b", REFUSED),
    ("$.l[1:2:1]", REFUSED),
    ("$.p[?(@.a == )]", REFUSED),
    ("$.p[?(@.t =~ /(/)]", REFUSED),
    (r"$.p[?(@.t =~ /(?<n>Y).*/i)].a", [2]),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
async def test_a_json_path(path: str, expected: Any) -> None:
    outcome = await Site("transform.TbJsonPathNode", {"jsonPath": path}).outcome(DATA, {})
    if expected in (FAILURE, REFUSED):
        assert (outcome if outcome is REFUSED else outcome[0]) == expected
    else:
        assert (outcome[0], repr(outcome[1])) == (SUCCESS, repr(expected))
