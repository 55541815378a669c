"""JavaScript: values across the border, limits, and the way of a slow script."""

from __future__ import annotations

import pytest

from appliance.model.errors import ConfigError
from appliance.rules import js
from appliance.rules.js import ScriptTooLong, compile_js
from appliance.rules.node import NodeError
from appliance.rules.scripts import Script

ARGUMENTS = ("msg", "metadata", "msgType")


def test_values_cross_as_json() -> None:
    script = compile_js("return [msg.a + 1, metadata.k, msgType, msg.n, undefined];", ARGUMENTS)
    assert script.run({"a": 1.5, "n": None}, {"k": "ü"}, "T") == [2.5, "ü", "T", None, None]


def test_a_script_cannot_change_its_arguments() -> None:
    data = {"a": 1}
    compile_js("msg.a = 2; return true;", ARGUMENTS).run(data, {}, "T")
    assert data == {"a": 1}


def test_nothing_returned_is_none() -> None:
    assert compile_js("var a = 1;", ARGUMENTS).run({}, {}, "T") is None


def test_a_body_that_does_not_parse_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="SyntaxError"):
        compile_js("return (;", ARGUMENTS)


def test_a_comment_at_the_end_does_not_swallow_the_wrapper() -> None:
    assert compile_js("return 1; // done", ARGUMENTS).run({}, {}, "T") == 1


def test_an_error_of_the_script_fails_with_its_text() -> None:
    with pytest.raises(NodeError, match="boom"):
        compile_js("throw new Error('boom');", ARGUMENTS).run({}, {}, "T")


def test_an_endless_script_is_stopped_and_called_slow() -> None:
    script = compile_js("while (true) {}", ARGUMENTS)
    with pytest.raises(ScriptTooLong):
        script.run({}, {}, "T")
    assert script.slow


@pytest.mark.parametrize(
    "body",
    [
        "return /(a+)+$/.test('a'.repeat(40) + 'b');",
        "return ('x'.repeat(100000) + '1').replace(/(x*)*y/g, '');",
    ],
)
def test_a_regular_expression_without_end_is_stopped(body: str) -> None:
    script = compile_js(body, ARGUMENTS)
    with pytest.raises(ScriptTooLong):
        script.run({}, {}, "T")


@pytest.mark.parametrize(
    "call",
    ["a.join()", "String(a)", "a.sort()", "a.slice(1)", "[1].concat(a)", "a.indexOf(1)", "[...a]"],
)
def test_an_array_of_four_billion_empty_places_is_an_error(call: str) -> None:
    script = compile_js(f"var a = []; a.length = 4294967295; return {call};", ARGUMENTS)
    with pytest.raises(NodeError):
        script.run({}, {}, "T")


def test_the_bound_of_arrays_is_not_seen_by_scripts() -> None:
    body = """var keys = []; for (var k in msg.a) keys.push(k);
    return [msg.a.concat([4], 5).sort().reverse().slice(1).join("-"), keys, [[1], [2]].flat()];"""
    result = compile_js(body, ARGUMENTS).run({"a": [3, 1]}, {}, "T")
    assert result == ["4-3-1", ["0", "1"], [1, 2]]


def test_memory_is_limited_and_the_neighbours_go_on() -> None:
    greedy = compile_js("var a = []; while (true) a.push(new Array(1e6).fill(1));", ARGUMENTS)
    neighbour = compile_js("return 1;", ARGUMENTS)
    with pytest.raises(NodeError):
        greedy.run({}, {}, "T")
    assert neighbour.run({}, {}, "T") == 1


def test_deep_recursion_is_an_error_not_a_crash() -> None:
    with pytest.raises(NodeError):
        compile_js("function f() { return f() + 1; } return f();", ARGUMENTS).run({}, {}, "T")


async def test_a_slow_script_goes_on_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(js, "INLINE_S", 0.001)
    body = "var n = 0; for (var i = 0; i < 1e6; i++) { n += i; } return msg.a;"
    script = Script("JS", body, ARGUMENTS)
    results: list[object] = []
    for _ in range(2):
        rest = script.then(({"a": 7}, {}, "T"), results.append)
        assert rest is not None, "it must not hold up the loop"
        await rest
    assert results == [7, 7]
