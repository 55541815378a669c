"""The contract of script nodes, as the test endpoint of a server shows it."""

from __future__ import annotations

import json

from appliance.rules.testscript import test_script as try_script

MSG = '{"temperature": 22.5, "nul": null, "big": 12345678901234567890}'


def answer(script: str, script_type: str) -> tuple[str | None, str]:
    return try_script(script, "TBEL", script_type, MSG, {"ts": "1"}, "T")


def test_a_filter_decides() -> None:
    assert answer("return msg.temperature > 20;", "filter") == ("true", "")
    assert answer("return 1;", "filter")[1].startswith("Wrong result type: Integer")


def test_a_switch_names_each_label_once() -> None:
    assert answer('return ["A", "B", "A"];', "switch") == ('["A","B"]', "")
    assert answer("return [1];", "switch")[1] != ""


def test_an_update_keeps_what_the_script_does_not_give() -> None:
    output, error = answer('return {msgType: "N"};', "update")
    assert error == ""
    made = json.loads(output or "")
    assert made["msg"] == {"temperature": 22.5, "nul": None, "big": 12345678901234567890}
    assert made["metadata"] == {"ts": "1"} and made["msgType"] == "N"


def test_metadata_becomes_text() -> None:
    output, _ = answer('return {metadata: {"a": 1.50, "b": [1, 2], "c": null}};', "update")
    assert json.loads(output or "")["metadata"] == {"a": "1.5", "b": "[1, 2]"}


def test_javascript_goes_to_whoever_runs_it() -> None:
    def evaluate(script: str, script_type: str, *rest: object) -> tuple[str, str]:
        return f"{script_type}:{script}", ""

    assert try_script("x", "JS", "filter", "{}", {}, "T", evaluate_js=evaluate) == ("filter:x", "")
    assert try_script("x", "JS", "filter", "{}", {}, "T")[1] != ""


def test_a_message_that_is_no_json_is_an_error() -> None:
    assert try_script("return 1;", "TBEL", "json", "not json", {}, "T")[1] != ""
