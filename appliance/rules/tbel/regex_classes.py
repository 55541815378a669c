"""Java's named character classes, as members of a Python set.

POSIX names are ASCII. Unicode's are general categories, scripts (by the first word of a
character's name, which is how Unicode names them) and a few properties; they are looked for up to
U+1FFFF, where all that people write ends.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from appliance.rules.tbel.errors import TbelError

CHARS_MAX = 0x20000
_ASCII = {
    "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9", "Upper": "A-Z", "Lower": "a-z",
    "Punct": r"!-/:-@\[-`{-~", "Graph": "!-~", "Print": " -~", "Space": r" \t-\r",
    "XDigit": "0-9a-fA-F", "Blank": r" \t", "ASCII": r"\x00-\x7f", "Cntrl": r"\x00-\x1f\x7f",
}  # fmt: skip
_PROPERTIES = {
    "alphabetic": "L|Nl|Mn|Mc", "letter": "L", "digit": "Nd", "uppercase": "Lu", "lowercase": "Ll",
    "titlecase": "Lt", "punctuation": "P", "control": "Cc", "whitespace": "Z|Cc",
    "white_space": "Z|Cc",
}  # fmt: skip
_SCRIPTS = {"HAN": "CJK"}
_KEYED = re.compile(r"(?:general_category|gc|(script|sc))=(\w+)", re.IGNORECASE)


@cache
def members(name: str) -> str:
    """What stands between the brackets for `\\p{name}`. Raises TbelError for an unknown name."""
    if name in _ASCII:
        return _ASCII[name]
    found = _named(name)
    if not found:
        raise TbelError(f"unknown character class {name!r}")
    return found


def _named(name: str) -> str:
    if keyed := _KEYED.fullmatch(name):
        return _of_script(keyed[2]) if keyed[1] else _of_categories(keyed[2])
    plain = name.removeprefix("Is")
    if plain != name and plain.lower() in _PROPERTIES:
        text = _of_categories(_PROPERTIES[plain.lower()])
        return r" \t-\r\x85" + text if "space" in plain.lower() else text
    if name.startswith("java"):
        wanted = _PROPERTIES.get(name[4:].replace("Case", "case").lower())
        return _of_categories(wanted) if wanted else ""
    return _of_categories(plain) or (_of_script(plain) if plain != name else "")


def _of_categories(wanted: str) -> str:
    prefixes = tuple(category for category in wanted.split("|") if category != "Cc")
    return _ranges(
        [n for n in range(CHARS_MAX) if unicodedata.category(chr(n)).startswith(prefixes)]
    )


def _of_script(name: str) -> str:
    first = _SCRIPTS.get(name.upper(), name.upper()) + " "
    return _ranges([n for n in range(CHARS_MAX) if unicodedata.name(chr(n), "").startswith(first)])


def _ranges(numbers: list[int]) -> str:
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in parts)
