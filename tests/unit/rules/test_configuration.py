"""What counts as a node's configuration."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from appliance.model.errors import ConfigError
from appliance.rules.configuration import read_configuration
from appliance.rules.node import NodeConfig


class Part(NodeConfig, frozen=True, kw_only=True):
    key: str = "k"
    limit: int | None = None


class Whole(NodeConfig, frozen=True, kw_only=True):
    text: str = "t"
    count: int = 7
    share: float | None = None
    flag: bool = True
    id: UUID | None = None
    part: Part = Part()
    parts: list[Part] = []
    headers: dict[str, str] = {}


@pytest.mark.parametrize(
    ("given", "same_as"),
    [
        ({"text": 32, "part": {"key": 1.5}}, {"text": "32", "part": {"key": "1.5"}}),
        ({"text": True, "headers": {"a": 1}}, {"text": "true", "headers": {"a": "1"}}),
        ({"parts": [{"key": 2, "limit": 2.9}]}, {"parts": [{"key": "2", "limit": 2}]}),
        (
            {"count": "5", "share": "1.5", "flag": "false"},
            {"count": 5, "share": 1.5, "flag": False},
        ),
        ({"count": "", "share": "", "id": "", "flag": ""}, {}),
        ({"text": None, "part": {"key": None}, "headers": {"a": None}, "unknown": 1}, {}),
        ({"text": ""}, {"text": ""}),
    ],
)
def test_a_server_reads_the_same(given: dict[str, Any], same_as: dict[str, Any]) -> None:
    strictly = read_configuration(same_as, Whole)
    assert read_configuration(given, Whole) == strictly


@pytest.mark.parametrize("given", [{"count": "x"}, {"parts": {}}, {"text": [1]}, {"part": 5}])
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="bad configuration"):
        read_configuration(given, Whole)


class AnyKey(NodeConfig, frozen=True, kw_only=True):
    ignores_unknown = True

    part: Part = Part()


@pytest.mark.parametrize(
    ("given", "unknown"),
    [
        ({"txt": 1}, "txt"),
        ({"part": {"key": "k", "x": None}}, "part.x"),
        ({"parts": [{}, {"Key": "k"}]}, "parts.Key"),
    ],
)
def test_a_key_that_nobody_knows_is_named(given: dict[str, Any], unknown: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown key {unknown}$"):
        read_configuration(given, Whole, whole=True)
    read_configuration(given, Whole)


def test_some_take_any_key_and_what_has_no_settings_reads_none() -> None:
    read_configuration({"x": 1, "part": {"limit": 1}}, AnyKey, whole=True)
    read_configuration({"x": 1}, NodeConfig, whole=True)
    with pytest.raises(ConfigError, match=r"part\.x"):
        read_configuration({"part": {"x": 1}}, AnyKey, whole=True)
