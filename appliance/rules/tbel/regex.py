r"""Java regular expressions on Python's engine.

The two agree on most of what scripts use, possessive and atomic forms included. What Python has
not, or means otherwise, is translated: quotations (`\Q…\E`), named groups, `\p{…}`, `\h`, `\v`,
`\R`, `\z`, octal and control characters, flags in the middle of a pattern, a look behind at
alternatives, `.`, `^` and `$` where lines end otherwise than with a line feed, and the sets of sets
that Python has not: `[a-z&&[^b]]` becomes a look at the one set in front of the other, `[a[bc]]` an
alternative. In replacements, `$1` and `${name}`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.regex_classes import members

_H, _V = r" \t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000", r"\n-\r\x85\u2028\u2029"
_ENDS = r"\r\x85\u2028\u2029"
_END = rf"(?:(?<!\r)(?=\n\Z)|(?=(?:\r\n|[{_ENDS}])?\Z))"
_LINE_END = rf"(?:(?<!\r)(?=\n)|(?=[{_ENDS}])|\Z)"
_LINE_START = r"(?:\A|(?<=[\n\x85\u2028\u2029])(?!\Z)|(?<=\r)(?!\n|\Z))"
_OUTSIDE = {
    "\\h": f"[{_H}]", "\\H": f"[^{_H}]", "\\v": f"[{_V}]", "\\V": f"[^{_V}]",
    "\\R": f"(?:\\r\\n|[{_V}])", "\\z": r"\Z", "\\Z": _END, "\\e": r"\x1b",
    "\\b": r"(?u:\b)", "\\B": r"(?u:\B)",
}  # fmt: skip
_INSIDE = {"\\h": _H, "\\v": _V, "\\e": r"\x1b", **{sign: f"\\{sign}" for sign in "[&|~"}}
_TOKEN = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)"
    r"|\\(?P<sign>[pP])(?:\{(?P<long>[\w=]+)\}|(?P<short>\w))"
    r"|\\k<(?P<again>\w+)>|\\(?P<number>[1-9]\d*)"
    r"|\\0(?P<octal>[0-3]?[0-7]{1,2})|\\x\{(?P<hex>[0-9a-fA-F]+)\}|\\c(?P<control>.)"
    r"|(?P<opens>\((?:\?(?:[:=!>]|<[=!]|<(?P<group>[a-zA-Z][a-zA-Z0-9]*)>"
    r"|(?P<flags>[a-zA-Z]*(?:-[a-zA-Z]+)?)(?P<ends>[:)])))?)"
    r"|(?P<repeats>\{\d+(?:,\d*)?\})|\\N\{[^}]*\}|\\.|.",
    re.DOTALL,
)
_FLAGS = {"i": "i", "s": "s", "x": "x", "u": "u", "U": "u", "m": "", "d": ""}
"""Java's to Python's; m and d are seen to here."""


@lru_cache(maxsize=256)
def java_pattern(text: str) -> re.Pattern[str]:
    """Compile a Java pattern.

    Raises:
        TbelError: it is no pattern.
    """
    try:
        return re.compile(_Translation(text).all(), re.ASCII)
    except (re.error, OverflowError) as error:
        raise TbelError(f"bad pattern {text!r}: {error}") from None


class _Translation:
    """Walks over a Java pattern, token by token. on: the flags that hold."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_TOKEN.finditer(text))
        self.at = 0
        self.groups = 0
        self.on: frozenset[str] = frozenset()

    def all(self) -> str:
        whole = "|".join(self._alternatives())
        if self.at < len(self.tokens):
            raise TbelError("Unmatched closing ')'")
        return whole

    def _alternatives(self) -> list[str]:
        """Up to the end of the group. A flag set on the way holds to that end, in the alternatives
        that follow, too."""
        before, flags, done, text = self.on, "", [], ""
        while self.at < len(self.tokens) and self.tokens[self.at].group() != ")":
            token = self.tokens[self.at]
            self.at += 1
            if token.group() == "|":
                done.append(text + ")" * flags.count("("))
                text = flags
            elif token["ends"] == ")":
                more = self._flagged(token["flags"])
                flags, text = flags + more, text + more
            else:
                text += self._one(token)
        self.on = before
        return [*done, text + ")" * flags.count("(")]

    def _flagged(self, flags: str) -> str:
        """The opening of a group in which the flags hold."""
        on, _, off = flags.partition("-")
        if not set(on + off) <= _FLAGS.keys():
            raise TbelError(f"Unknown inline modifier {flags!r}")
        self.on = (self.on | set(on)) - set(off)
        set_, cleared = ("".join(sorted({_FLAGS[flag] for flag in part})) for part in (on, off))
        cleared = cleared.replace("u", "")
        return f"(?{set_}{'-' if cleared else ''}{cleared}:"

    def _one(self, token: re.Match[str]) -> str:
        text = token.group()
        if text == "[":
            return self._set()
        if token["opens"]:
            return self._group(token)
        if token["number"]:
            return self._reference(token["number"])
        if token["sign"]:
            return f"[{'^' if token['sign'] == 'P' else ''}{_members(token)}]"
        if token["again"]:
            return f"(?P={token['again']})"
        if text == "{":
            raise TbelError("Illegal repetition")
        if text == "#" and "x" in self.on:
            return self._comment()
        if text in (".", "^", "$"):
            return self._line(text)
        literal = _literal(token)
        return _OUTSIDE.get(text, text) if literal is None else literal

    def _comment(self) -> str:
        while self.at < len(self.tokens) and not self._take("\n"):
            self.at += 1
        return ""

    def _line(self, sign: str) -> str:
        """`.`, `^`, `$`: what counts as the end of a line depends on flags."""
        only_feeds, multiline = "d" in self.on, "m" in self.on
        match sign:
            case ".":
                return "." if only_feeds or "s" in self.on else rf"[^\n{_ENDS}]"
            case "^":
                return "^" if not multiline else r"(?m:^)" if only_feeds else _LINE_START
        if only_feeds:
            return r"(?m:$)" if multiline else r"(?=\n?\Z)"
        return _LINE_END if multiline else _END

    def _group(self, token: re.Match[str]) -> str:
        opening, before = token["opens"], self.on
        if opening == "(" and self._is_next("?"):
            raise TbelError("Unknown group type")
        if opening == "(" or token["group"]:
            self.groups += 1
        if token["group"]:
            opening = f"(?P<{token['group']}>"
        elif token["ends"]:
            opening = self._flagged(token["flags"])
        inner = self._alternatives()
        self.on = before
        if not self._take(")"):
            raise TbelError("Unclosed group")
        if opening == "(?<!":
            return "".join(f"(?<!{one})" for one in inner)
        if opening == "(?<=" and len(inner) > 1:
            return f"(?:{'|'.join(f'(?<={one})' for one in inner)})"
        return f"{opening}{'|'.join(inner)})"

    def _reference(self, digits: str) -> str:
        """As many digits as there are groups for; a group that is not there yet never matches."""
        length = 1
        while length < len(digits) and int(digits[: length + 1]) <= self.groups:
            length += 1
        known = int(digits[:length]) <= self.groups
        return (rf"(?:\{digits[:length]})" if known else "(?!)") + digits[length:]

    def _set(self) -> str:
        """What follows a `[`: a pattern of one character."""
        negated = self._take("^")
        sets = [self._union(first=True)]
        while not self._take("]"):
            if self.at >= len(self.tokens):
                raise TbelError("Unclosed character class")
            self.at += 2
            sets.append(self._union(first=False))
        sets = [one for one in sets if one]
        if not sets:
            raise TbelError("Bad class syntax")
        *looked_at, last = sets
        if negated and not looked_at and last.startswith("["):
            return "[" + last[2:] if last.startswith("[^") else "[^" + last[1:]
        inner = "".join(f"(?={one})" for one in looked_at) + last
        return f"(?:(?!{inner})[\\s\\S])" if negated else f"(?:{inner})" if looked_at else inner

    def _union(self, *, first: bool) -> str:
        """Members up to the end of the set or an `&&`; empty if there are none."""
        chars, sets = "", []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            text = token.group()
            if (text == "]" and not first) or self._at_and():
                break
            self.at += 1
            first = False
            if text == "[":
                sets.append(self._set())
            elif token["sign"] == "P":
                sets.append(f"[^{_members(token)}]")
            elif token["sign"]:
                chars += _members(token)
            else:
                literal = _literal(token)
                chars += _INSIDE.get(text, text) if literal is None else literal
        if chars:
            sets.insert(0, f"[{chars}]")
        return f"(?:{'|'.join(sets)})" if len(sets) > 1 else "".join(sets)

    def _is_next(self, text: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].group() == text

    def _take(self, text: str) -> bool:
        taken = self._is_next(text)
        self.at += taken
        return taken

    def _at_and(self) -> bool:
        return [token.group() for token in self.tokens[self.at : self.at + 2]] == ["&", "&"]


def _literal(token: re.Match[str]) -> str | None:
    """What stands for itself, or for one character by its number; None for anything else."""
    if token["octal"]:
        return re.escape(chr(int(token["octal"], 8)))
    if token["hex"]:
        return re.escape(chr(int(token["hex"], 16)))
    if token["control"]:
        return re.escape(chr(ord(token["control"]) ^ 64))
    text = token["quoted"] if token["quoted"] is not None else token["opens"]
    return None if text is None else re.escape(text)


def _members(token: re.Match[str]) -> str:
    return members(token["long"] or token["short"])


_REFERENCE = re.compile(r"\\(.)|\$(\d)|\$\{(\w+)\}|\$", re.DOTALL)


def java_replacement(pattern: re.Pattern[str], text: str) -> str:
    """A Java replacement text ($1, ${name}, \\x) as a Python one."""

    def translate(match: re.Match[str]) -> str:
        escaped, number, name = match.groups()
        if escaped is not None:
            return escaped.replace("\\", r"\\")
        if number is not None:
            if int(number) > pattern.groups:
                raise TbelError(f"No group {number}")
            return rf"\g<{number}>"
        if name is not None:
            if name not in pattern.groupindex:
                raise TbelError(f"No group with name {{{name}}}")
            return rf"\g<{name}>"
        raise TbelError("Illegal group reference")

    parts, last = [], 0
    for match in _REFERENCE.finditer(text):
        parts += [text[last : match.start()].replace("\\", r"\\"), translate(match)]
        last = match.end()
    parts.append(text[last:].replace("\\", r"\\"))
    return "".join(parts)
