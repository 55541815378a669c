"""What edges older than this cloud are shown."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.cloud.versions import EDGE_VERSIONS, NEWEST, UNRECOGNIZED, fitting, version_of
from appliance.rules.default_chain import default_root_chain
from appliance.rules.node import PACKAGE


def test_versions_compare_by_the_numbers_in_their_names() -> None:
    names = ("V_3_9_0", "V_4_2_0", "V_4_2_1_2", "V_4_2_2", "V_4_3_0", "V_4_3_0_1", "V_4_4_0")
    versions = [version_of(name) for name in names]
    assert versions == sorted(versions)
    for name in (UNRECOGNIZED, "V_LATEST", None):
        assert version_of(name) == NEWEST
    assert EDGE_VERSIONS[12] == "V_4_2_0"


@pytest.mark.parametrize(
    ("kind", "body", "since"),
    [
        ("DOMAIN", {}, (3, 8)),
        ("OAUTH2_CLIENT", {}, (3, 8)),
        ("CALCULATED_FIELD", {"type": "ALARM"}, (4, 3)),
        ("CALCULATED_FIELD", {"type": "SIMPLE"}, (3, 7)),
        ("DEVICE", {"name": "D"}, (3, 7)),
    ],
)
def test_what_an_edge_does_not_know_is_not_shown(
    kind: str, body: dict[str, Any], since: tuple[int, ...]
) -> None:
    for version in ((3, 7), (3, 8), (4, 2, 2), (4, 3), NEWEST):
        assert (fitting(kind, body, version) is not None) is (version >= since)


def chain() -> dict[str, Any]:
    types = ("telemetry.TbMsgTimeseriesNode", "telemetry.TbCalculatedFieldsNode",
             "ai.TbAiNode", "filter.TbMsgTypeSwitchNode")  # fmt: skip
    nodes = [
        {"type": PACKAGE + type, "configuration": {"processingSettings": {}, "x": 1}}
        for type in types
    ]
    links = [(3, 0), (3, 1), (0, 2), (3, 2)]
    return {
        "firstNodeIndex": 3,
        "nodes": nodes,
        "connections": [{"fromIndex": a, "toIndex": b, "type": "x"} for a, b in links],
    }


@pytest.mark.parametrize(
    ("version", "count", "first", "links", "settings"),
    [
        ((3, 9, 0), 2, 1, [(1, 0)], False),
        ((4, 1, 0), 3, 2, [(2, 0), (2, 1)], True),
        ((4, 2, 0), 4, 3, [(3, 0), (3, 1), (0, 2), (3, 2)], True),
    ],
)
def test_a_chain_without_nodes_that_an_edge_does_not_know_stays_whole(
    version: tuple[int, ...], count: int, first: int, links: list[Any], settings: bool
) -> None:
    shown = fitting("RULE_CHAIN_METADATA", chain(), version)
    assert shown is not None
    assert (len(shown["nodes"]), shown["firstNodeIndex"]) == (count, first)
    assert [(c["fromIndex"], c["toIndex"]) for c in shown["connections"]] == links
    assert ("processingSettings" in shown["nodes"][0]["configuration"]) is settings


def test_the_default_chain_goes_to_every_edge_with_all_that_it_needs() -> None:
    _, metadata = default_root_chain()
    old = fitting("RULE_CHAIN_METADATA", metadata, (3, 9, 0))
    assert old is not None
    for connection in old["connections"]:
        assert max(connection["fromIndex"], connection["toIndex"]) < len(old["nodes"])
    assert "processingSettings" not in str(old)
    assert fitting("RULE_CHAIN_METADATA", metadata, (4, 3, 0)) == metadata
