"""Scripts that work here and fail on the reference server: one table, for the check and the docs.

A chain that is written on the edge may be copied to a server; the script check tells its author.
"""

from __future__ import annotations

import msgspec


class Family(msgspec.Struct, frozen=True):
    """id: stable name; sentence: what an author should know; example: a script of this family."""

    id: str
    sentence: str
    example: str


class Warning_(msgspec.Struct, frozen=True):
    """A place in a script that belongs to a family."""

    family: str
    sentence: str
    line: int
    column: int


FAMILIES = {
    family.id: family
    for family in (
        Family(
            "nested-brackets",
            "An index with brackets inside brackets does not compile on a server; "
            "put the inner value in a variable first.",
            "var a = [1,2]; var b = [1]; return a[b[0]];",
        ),
        Family(
            "indexed-compound",
            "`x[i] += y` fails on a server; write `x[i] = x[i] + y`.",
            "var a = [1]; a[0] += 1; return a;",
        ),
        Family(
            "property-increment",
            "`a.b++` fails on a server, only plain variables can be counted up; write `a.b += 1`.",
            "msg.count++; return msg.count;",
        ),
        Family(
            "typed-minus",
            "`int x = -y` fails on a server: after a type only a number may have a minus; "
            "write `var x = -y`.",
            "int x = -msg.count; return x;",
        ),
        Family(
            "switch-spacing",
            "On a server a `break;` needs two or more blanks or a line with indent before the next "
            "`case` or `default`.",
            "switch (msg.count) { case 7: msg.x = 1; break; default: msg.x = 2; } return msg.x;",
        ),
        Family(
            "switch-label",
            "A server takes a switch label up to the first blank or colon, and only literals and "
            "names; compare with `if` instead.",
            'switch (msg.name) { case "Sensor A": return 1; default: return 2; }',
        ),
        Family(
            "switch-braces",
            "A `case` with a block in braces does not compile on a server.",
            "switch (msg.count) { case 7: { return 1; } default: { return 2; } }",
        ),
        Family(
            "switch-end",
            "A switch whose last case ends with `return`, without `default` and with nothing after "
            "it, does not compile on a server.",
            "switch (msg.count) { case 7: return 1; }",
        ),
        Family(
            "string-bytes-literal",
            "stringToBytes with a literal fails on a server; put the text in a variable first.",
            'return stringToBytes("Hi");',
        ),
    )
}
