"""Java's regular expressions: what java.util.regex of Java 17 finds, and what it refuses."""

from __future__ import annotations

import pytest

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.regex import java_pattern

ROWS: list[tuple[str, str, str | None]] = [
    (r"(?<n>a)\k<n>", "aab", "0-2"),
    (r"a*+a", "aaa", ""),
    (r"(?>a|ab)c", "abc", ""),
    (r"\Qa.b\E+", "a.ba.bb", "0-3 3-7"),
    (r"[\Qa-z\E]+", "a-z]", "0-3"),
    (r"\p{Lu}\p{Ll}*", "\u00c9a \u00dcb", "0-2 3-5"),
    (r"\p{Sc}\d", "$5 \u20ac6", "0-2 3-5"),
    (r"\P{IsAlphabetic}+", "\u00e91_\u00fc", "1-3"),
    (r"[^\p{L}\d]+", "\u00e9-1 _", "1-2 3-5"),
    (r"\p{IsLatin}+", "a\u00e9\u03b2", "0-2"),
    (r"\p{sc=Greek}+", "a\u03b1\u03b2", "1-3"),
    (r"\p{Graph}+", "a \u00e9b", "0-1 3-4"),
    (r"\p{javaUpperCase}", "a\u00c9", "1-2"),
    (r"a(?i)b|c", "aB C ab", "0-2 3-4 5-7"),
    (r"((?i)a)b", "Ab AB", "0-2"),
    (r"(?i:a)b", "Ab AB", "0-2"),
    (r"(?iu)É", "\u00e9\u00c9", "0-1 1-2"),
    (r"(?i)É", "\u00e9\u00c9", "1-2"),
    (r"(?-i)a", "A a", "2-3"),
    (r"(?x) a b # ) ", "ab", "0-2"),
    (r"(?s)a.b", "a\nb", "0-3"),
    (r".+", "a\r\nb\u2028c\u0085", "0-1 3-4 5-6"),
    (r"(?d).+", "a\r\nb", "0-2 3-4"),
    (r"a$", "a\r\n", "0-1"),
    (r"a$", "a\n\n", ""),
    (r"a\Z", "a\u2028", "0-1"),
    (r"(?m)^.$", "a\r\nb\rc\u0085d\n", "0-1 3-4 5-6 7-8"),
    (r"(?md)^b$", "a\rb\nb", "4-5"),
    (r"\b\w+\b", "\u00c9a b", "3-4"),
    (r"\h+", "a\u2003\tb", "1-3"),
    (r"\V+", "a\u000bb", "0-1 2-3"),
    (r"\R", "a\r\n\u2029", "1-3 3-4"),
    (r"\0101\cA", "A\u0001", "0-2"),
    (r"(a)\11", "aa1", "0-3"),
    (r"\1(a)", "aa", ""),
    (r"(?<=a|bc)d", "ad bcd cd", "1-2 5-6"),
    (r"(?<!a|bc)d", "ad bcd cd", "8-9"),
    (r"[&&a]", "&a", "1-2"),
    (r"[a-z&&[^b]]+", "abc", "0-1 2-3"),
    (r"[(?i){1}]+", "(?i){1}x", "0-7"),
    (r"[[:alpha:]]", "a:", "0-1 1-2"),
    (r"a{x}", "a", None),
    (r"{a}", "a", None),
    (r"(?P<n>x)", "x", None),
    (r"(?<a_b>x)", "x", None),
    (r"(?#c)a", "a", None),
    (r"[]a]", "]a", "0-1 1-2"),
    (r"(", "(", None),
    (r"a)", ")", None),
    (r"[a&&]", "a", "0-1"),
    (r"\y", "y", None),
    (r"(?k)a", "a", None),
]
"""Pattern, text, and from where to where it is found; None where it is no pattern."""


@pytest.mark.parametrize(("pattern", "text", "found"), ROWS)
def test_a_pattern_finds_what_it_finds_in_java(pattern: str, text: str, found: str | None) -> None:
    if found is None:
        with pytest.raises(TbelError):
            java_pattern(pattern)
        return
    matches = java_pattern(pattern).finditer(text)
    assert " ".join(f"{match.start()}-{match.end()}" for match in matches) == found
