"""A script that wants too much is stopped, with an error of its own."""

from __future__ import annotations

import pytest
import trio

from appliance.rules.tbel import LimitError, Limits, TbelError, TbelSyntaxError, compile_script


@pytest.mark.parametrize(
    "text",
    [
        "while (true) { }",
        "until (false) { }",
        "for (var i = 0; i < 1; i = 0) { msg.x = i; }",
        "foreach (x : 2147483646) { msg.x = x; }",
        "function f(n) { return f(n + 1); } return f(0);",
        "function f() { return g(); } function g() { return f(); } return f();",
        'var s = "0123456789"; while (true) { s = s + s; }',
        'var s = "x".repeat(4000000); var t = s.replace("x", s);',
        'return "x".repeat(2000000000);',
        'return padStart("x", 2000000000, "0");',
        "return new int[2000000000];",
        'var l = ["x"]; while (true) { l.addAll(l); }',
        'var l = ["x"]; while (true) { l = l.concat(l); }',
        'return String.format("%2000000000d", 1);',
        "var m = {}; m.m = m; return m;",
        "var l = []; l.push(l); return JSON.stringify(l);",
    ],
)
def test_a_bomb_is_an_error(text: str) -> None:
    with pytest.raises(TbelError):
        compile_script(text).run({}, {}, "T")


def test_an_endless_loop_is_a_limit_error() -> None:
    with pytest.raises(LimitError):
        compile_script("while (true) { }", limits=Limits(steps_max=1000)).run({}, {}, "T")


def test_work_within_the_limits_is_done() -> None:
    text = "var s = 0; for (var i = 0; i < 1000; i++) { s += i; } return s;"
    assert compile_script(text, limits=Limits(steps_max=1000)).run({}, {}, "T") == 499500


@pytest.mark.parametrize(
    "text",
    [
        'var s = ""; for (var i = 0; i < 5000; i++) { s += "0123456789"; } return s.length();',
        'var s = ""; for (var i = 0; i < 5000; i++) { s = s + "01234" + "5678" + 9; }'
        " return s.length();",
        'function f(n) { var s = ""; for (var i = 0; i < n; i++) { s += "0123456789"; }'
        " return s.length(); } return f(5000);",
        'function f(n) { var s = ""; for (var i = 0; i < n; i++) { s = s + "01234567" + 8 + 9; }'
        " return s.length(); } return f(5000);",
    ],
)
def test_a_text_that_grows_counts_by_what_is_added(text: str) -> None:
    assert compile_script(text).run({}, {}, "T") == 50_000


@pytest.mark.parametrize(
    "text",
    [
        'var l = []; var s = "x".repeat(9000); while (true) { s += "y"; l.push([s]); }',
        'var m = {}; var s = ""; for (var i = 0; i < 9000; i++) { s += "0123456789"; m[s] = 1; }',
        "function f(s, n) { return n == 0 ? s : f(s + s, n - 1); } return f('0123456789', 90);",
        'var s = "x".repeat(1000000); '
        + " ".join(f"var v{i} = s; s = s + 1; var w{i} = s;" for i in range(9)),
        'var s = "x".repeat(1000000); '
        + " ".join(f"var v{i} = s; s += 1; var w{i} = s;" for i in range(9)),
    ],
)
def test_texts_that_are_kept_count_whole(text: str) -> None:
    with pytest.raises(TbelError, match="overflow"):
        compile_script(text).run({}, {}, "T")


def test_copying_a_long_text_takes_steps() -> None:
    text = 'var s = "x".repeat(4000000); for (var i = 0; i < 5000; i++) { s += "y"; }'
    with pytest.raises(LimitError, match="timeout"):
        compile_script(text).run({}, {}, "T")


def test_recursion_of_a_sane_depth_works() -> None:
    text = "function f(n) { if (n == 0) { return 0; } return 1 + f(n - 1); } return f(50);"
    assert compile_script(text).run({}, {}, "T") == 50


@pytest.mark.parametrize("opening", ["(", "[", "{", "-(", "!("])
def test_text_that_is_nested_too_deeply_does_not_compile(opening: str) -> None:
    with pytest.raises(TbelSyntaxError):
        compile_script("return " + opening * 5000 + ";")
    closing = {"(": ")", "[": "]", "{": "}"}[opening[-1]]
    with pytest.raises(TbelSyntaxError):
        compile_script("return " + opening * 2000 + "1" + closing * 2000 + ";")


def test_a_body_that_is_too_long_does_not_compile() -> None:
    with pytest.raises(TbelSyntaxError):
        compile_script("return 1;" + " " * 50_000)


CATASTROPHE = '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"'


@pytest.mark.parametrize(
    "text",
    [
        f'var s = {CATASTROPHE}; return s.matches("(a+)+");',
        f'var s = {CATASTROPHE}; return s ~= "(a|aa)+";',
        f'var s = {CATASTROPHE}; return s.split("(a*)*c");',
        f'var s = {CATASTROPHE}; return s.replaceAll("(a?){{30}}a{{30}}c", "x");',
        f'var s = {CATASTROPHE}; return s.replaceFirst("(a+)+c", "x");',
        'var s = "a".repeat(100000); return s.matches(".*.*.*c");',
        f'var s = {CATASTROPHE}; for (var n = 0; n < 100000; n++) {{ s.matches("a*a*a*c"); }}',
    ],
)
def test_a_pattern_that_would_run_for_ever_is_stopped(text: str) -> None:
    with pytest.raises(LimitError, match="timeout"):
        compile_script(text, limits=Limits(regex_s_max=0.02)).run({}, {}, "T")
    assert compile_script('return "a,b".split(",").length;').run({}, {}, "T") == 2


async def test_a_pattern_that_is_tried_in_a_worker_thread_is_stopped_too() -> None:
    script = compile_script(f'var s = {CATASTROPHE}; return s.matches("(a+)+");')
    with pytest.raises(LimitError, match="timeout"):
        await trio.to_thread.run_sync(script.run, {}, {}, "T")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('var s = "1,22,333,4444,55555,666666"; return s.matches("(\\\\d+,)+\\\\d+");', True),
        ('var s = "a  b\\tc   d     e        f"; return s.split("\\\\s+").length;', 6),
        ('var s = "2024-01-02T03:04:05Z"; return s ~= "\\\\d{4}-\\\\d{2}-\\\\d{2}T.*Z";', True),
    ],
)
def test_a_pattern_that_only_looks_dangerous_works(text: str, value: object) -> None:
    assert compile_script(text).run({}, {}, "T") == value


@pytest.mark.parametrize(
    "text",
    [
        "var s = newSet(); for (var i = 0; i < 30000; i++) { s.add(i); s.add('k' + i); }"
        " return s.size();",
        "var l = []; for (var i = 0; i < 60000; i++) { l.push(i); } return toSet(l).size();",
        "var l = []; for (var i = 0; i < 60000; i++) { l.push(i); } var m = l.clone();"
        " l.removeAll(m); return l.size() + m.size();",
    ],
)
def test_large_sets_take_no_longer_than_they_are_large(text: str) -> None:
    assert compile_script(text).run({}, {}, "T") == 60_000


@pytest.mark.parametrize(
    "work",
    [
        "l.contains(-1)", "l.sort()", "l.toSorted()", "l.fill(1)", "l.hashCode()", "toSet(l)",
        "m.sortByValue()", "m.entrySet()", "toFlatMap(m)", "m.toInverted()", "m.containsValue(-1)",
        "s.hashCode()", "s.getBytes()", "encodeURI(s)",
    ],
)  # fmt: skip
def test_going_through_all_of_much_takes_steps(work: str) -> None:
    text = f"""var l = []; var m = {{}}; var s = "abcdefgh".repeat(1000);
        for (var i = 0; i < 1000; i++) {{ l.push(i); m["k" + i] = i; }}
        for (var i = 0; i < 10000; i++) {{ {work}; }}"""
    with pytest.raises(LimitError, match="timeout"):
        compile_script(text, limits=Limits(steps_max=12_000)).run({}, {}, "T")
