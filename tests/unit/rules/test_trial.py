"""Trying a JavaScript body: what each kind of node makes of what it returns."""

from __future__ import annotations

import pytest

from appliance.rules.trial import Trial, try_script

MSG = '{"t":21.5,"n":null}'


def answer(script: str, kind: str, msg: str = MSG) -> tuple[str | None, str]:
    trial = Trial(
        script=script,
        script_type=kind,
        script_lang="JS",
        msg=msg,
        metadata={"deviceName": "D", "n": 5},
        msg_type="POST_TELEMETRY_REQUEST",
    )
    given = try_script(trial)
    assert given.warnings == ()
    return given.output, given.error


@pytest.mark.parametrize(
    ("script", "kind", "output"),
    [
        ("return msg.t > 20;", "filter", "true"),
        ("return 'A';", "switch", '["A"]'),
        ("return ['A', 'B', 'A'];", "switch", '["A","B"]'),
        ("return msg;", "json", MSG),
        ("return 1e21;", "json", "1.0E21"),
        ("return null;", "json", "null"),
        ("return metadata.n + metadata.deviceName;", "string", "5D"),
        (
            "return {msg: null};",
            "update",
            '{"msg":null,"metadata":{"deviceName":"D","n":"5"},"msgType":"POST_TELEMETRY_REQUEST"}',
        ),
        (
            "return [{msg: 1, metadata: {}}, {msg: 2, metadata: {a: 1.5}, msgType: 'X'}];",
            "update",
            '[{"msg":1,"metadata":{},"msgType":"POST_TELEMETRY_REQUEST"},'
            '{"msg":2,"metadata":{"a":"1.5"},"msgType":"X"}]',
        ),
        (
            "return {msg: {a: 1}, metadata: null, msgType: ''};",
            "generate",
            '{"msg":{"a":1},"metadata":{"deviceName":"D","n":"5"},'
            '"msgType":"POST_TELEMETRY_REQUEST"}',
        ),
    ],
)
def test_a_body_gives_its_output(script: str, kind: str, output: str) -> None:
    assert answer(script, kind) == (output, "")


@pytest.mark.parametrize(
    ("script", "kind", "error"),
    [
        ("return 1;", "filter", "Wrong result type: NUMBER"),
        ("return ['A', 1];", "switch", "Wrong result type: NUMBER"),
        ("return {};", "string", "Wrong result type: OBJECT"),
        ("return 'x';", "update", "Wrong result type: STRING"),
        ("return [];", "update", "Index 0 out of bounds for length 0"),
        ("return [{}];", "generate", "Wrong result type: ARRAY"),
        ("return {metadata: {a: [1]}};", "update", "metadata values must be texts"),
        ("return true;", "other", "Unsupported script type: other"),
        ("return nobody;", "filter", "nobody"),
        ("return (;", "filter", "does not compile"),
    ],
)
def test_a_body_that_fails_says_why(script: str, kind: str, error: str) -> None:
    output, said = answer(script, kind)
    assert output == "" and error in said


def test_a_message_that_is_no_json_is_an_error() -> None:
    assert "not JSON" in answer("return true;", "filter", "{")[1]


def test_a_tbel_body_carries_its_warnings() -> None:
    trial = Trial(script="msg.t++; return msg.t;", script_type="json", msg='{"t":1}')
    given = try_script(trial)
    assert (given.output, given.error) == ("2", "")
    assert [warning.family for warning in given.warnings] == ["property-increment"]
