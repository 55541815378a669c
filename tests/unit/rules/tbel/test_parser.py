"""The tree printed is the tree; random text makes no other error than a syntax error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.rules.tbel import TbelError, TbelSyntaxError, compile_script
from appliance.rules.tbel.parser import parse
from appliance.rules.tbel.printer import print_script

CORPUS = Path(__file__).parents[3] / "fixtures" / "corpus" / "tbel.json"
SCRIPTS = sorted({case["script"] for case in json.loads(CORPUS.read_text("utf-8"))})


def shape(node: Any) -> Any:
    """The tree without its offsets."""
    if isinstance(node, tuple):
        return tuple(map(shape, node))
    if not isinstance(node, msgspec.Struct):
        return node
    fields = [name for name in node.__struct_fields__ if name != "at"]
    return (type(node).__name__, *((name, shape(getattr(node, name))) for name in fields))


def check_round_trip(text: str) -> None:
    tree, _ = parse(text)
    printed = print_script(tree)
    assert shape(parse(printed)[0]) == shape(tree), printed


def test_every_script_of_the_corpus_survives_printing() -> None:
    for text in SCRIPTS:
        try:
            parse(text)
        except TbelSyntaxError:
            continue
        check_round_trip(text)


NAMES = st.sampled_from(["msg", "a", "b2", "metadata", "ts"])
ATOMS = st.one_of(
    NAMES,
    st.integers(0, 10**6).map(str),
    st.floats(0, 1e6, allow_nan=False).map(lambda v: f"{v:.3f}"),
    st.text("abc \"\\'é\n", max_size=5).map(json.dumps).filter(lambda s: "\\u" not in s),
    st.sampled_from(["true", "false", "null", "5L", "2.5f", "0x1F", "empty"]),
)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(
        ["+", "-", "*", "/", "%", "**", "==", "!=", "<", ">=", "&&", "||", "&", "<<", "or",
         "contains"]
    )  # fmt: skip
    return st.one_of(
        st.tuples(inner, operators, inner).map(" ".join),
        inner.map(lambda x: f"({x})"),
        st.tuples(NAMES, NAMES).map(lambda p: f"{p[0]}.{p[1]}"),
        st.tuples(NAMES, inner).map(lambda p: f"{p[0]}[{p[1]}]"),
        st.tuples(NAMES, st.lists(inner, max_size=3)).map(lambda p: f"{p[0]}({', '.join(p[1])})"),
        st.lists(ATOMS, max_size=3).map(lambda v: f"[{', '.join(v)}]"),
        st.tuples(NAMES, ATOMS).map(lambda p: f'{{"{p[0]}": {p[1]}}}'),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
    )


EXPRESSIONS = st.recursive(ATOMS, _compound, max_leaves=8)
STATEMENTS = st.one_of(
    EXPRESSIONS.map(lambda e: f"return {e};"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"var {p[0]} = {p[1]};"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(lambda p: f"if ({p[0]}) {{ {p[1]}; }} else {{ }}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda p: f"foreach ({p[0]} : {p[1]}) {{ break; }}"),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=4).map("\n".join))
def test_made_up_scripts_survive_printing(text: str) -> None:
    try:
        parse(text)
    except TbelSyntaxError:
        return
    check_round_trip(text)


PIECES = st.sampled_from(
    ["(", ")", "[", "]", "{", "}", '"', "'", ";", ",", ".", "+", "-", "if ", "foreach", "var ", "x",
     "1", "return ", "msg", "?", ":", "==", "&&", "switch", "case ", "function f", "new ", "(int)",
     "5L", "++", "=", "\\", "/*", "//", " in ", "\n", "default", "é", "\x00"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=25).map("".join)))
def test_random_text_compiles_or_is_a_syntax_error(text: str) -> None:
    try:
        script = compile_script(text)
    except TbelSyntaxError as error:
        assert error.line >= 1 and error.column >= 1
        return
    try:
        script.run({"x": 1}, {}, "T")
    except TbelError:
        pass


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SCRIPTS), st.integers(0, 500), st.integers(0, 9), PIECES)
def test_a_damaged_script_compiles_or_is_a_syntax_error(
    text: str, at: int, cut: int, piece: str
) -> None:
    damaged = text[:at] + piece + text[at + cut :]
    try:
        compile_script(damaged).run({"count": 7, "tags": ["a"]}, {}, "T")
    except (TbelSyntaxError, TbelError):
        pass
