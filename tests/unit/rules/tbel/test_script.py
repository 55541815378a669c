"""Scripts from outside: arguments, results, errors with their place."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.rules.tbel import TbelError, TbelSyntaxError, compile_script
from appliance.rules.testscript import test_script as try_script


def run(text: str, msg: Any = None) -> Any:
    return compile_script(text).run({} if msg is None else msg, {"prev": "20"}, "T")


def test_the_arguments_are_copies() -> None:
    msg = {"a": {"b": 1}, "l": [1]}
    assert run("msg.a.b = 2; msg.l.push(5); return msg;", msg) == {"a": {"b": 2}, "l": [1, 5]}
    assert msg == {"a": {"b": 1}, "l": [1]}


def test_results_are_plain_json_values() -> None:
    result = run('return {"l": 5L, "f": 1.1f, "b": hexToBytesArray("01FF"), "c": "x".charAt(0)};')
    assert result == {"l": 5, "f": 1.1, "b": [1, -1], "c": "x"}
    assert [type(v) for v in result.values()] == [int, float, list, str]


def test_runs_share_nothing() -> None:
    script = compile_script("var l = []; l.push(1); return l;")
    assert script.run({}, {}, "T") == [1]
    assert script.run({}, {}, "T") == [1]


def test_a_script_without_a_value_gives_none() -> None:
    for text in ("", ";", "// nothing", "/* open"):
        assert run(text) is None


def test_a_syntax_error_says_where() -> None:
    with pytest.raises(TbelSyntaxError) as caught:
        compile_script("var a = 1;\nvar b = (2;\nreturn b;")
    assert (caught.value.line, caught.value.column) == (2, 9)
    assert "line 2, column 9" in str(caught.value)


def test_a_runtime_error_says_which_statement() -> None:
    with pytest.raises(TbelError) as caught:
        run("var a = 1;\nif (true) {\n  msg.missing.x = 1;\n}")
    assert (caught.value.line, caught.value.column) == (3, 3)


def test_a_wrong_number_of_arguments_is_an_error() -> None:
    with pytest.raises(TbelError):
        compile_script("return 1;").run({})


@pytest.mark.parametrize(
    "text",
    [
        "const a = 1;",
        "let a = 1;",
        "try { } catch (e) { }",
        "return a => 1;",
        "for (;;) { }",
        "if (1) { }",
        "return 1 2;",
        "return `a`;",
        "return 08;",
        "return 08L;",
        "return new HashMap();",
    ],
)
def test_what_we_do_not_understand_does_not_start(text: str) -> None:
    with pytest.raises(TbelSyntaxError):
        compile_script(text)


def test_classes_of_the_host_are_out_of_reach() -> None:
    for text in (
        'Runtime.getRuntime().exec("x")',
        'Class.forName("x")',
        "System.exit(0)",
        '"".getClass()',
        "java.lang.System.nanoTime()",
        "msg.__class__.__mro__",
    ):
        with pytest.raises((TbelError, TbelSyntaxError)):
            run(f"return {text};")


@pytest.mark.parametrize(
    ("text", "months", "expected"),
    [("9999-12-31", 0, "9999-12-31"), ("2024-01-31", 1, "2024-02-29"), ("1970-01-01", -36_000, "")],
)
def test_months_are_added_as_far_as_there_is_a_calendar(
    text: str, months: int, expected: str
) -> None:
    script = f'var d = new Date("{text}T00:00:00Z"); d.addMonths({months}); return d.toISOString();'
    output, error = try_script(script, "TBEL", "json", "{}", {}, "T")
    assert expected in (output or "")
    assert error.startswith("the date is out of range") is (expected == "")
