"""JSON text to values, with the reference's tolerance: what follows the first value is ignored.

Only a number or a bare word must end before a blank or the end of the text.
"""

from __future__ import annotations

import json
from typing import Any

from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.kinds import from_json
from appliance.rules.tbel.values import BigInteger


def _refuse(name: str) -> Any:
    raise TbelError(f"Non-standard token '{name}'")


_DECODER = json.JSONDecoder(parse_constant=_refuse, strict=False)


def parse_json(text: str) -> Any:
    """Plain JSON values.

    Raises:
        TbelError: it is no JSON.
    """
    body = text.lstrip(" \t\r\n")
    if not body:
        raise TbelError("No content to map due to end-of-input")
    try:
        value, end = _DECODER.raw_decode(body)
    except (ValueError, RecursionError) as error:
        raise TbelError(f"not JSON: {error}") from None
    if body[0] not in '{["' and end < len(body) and not body[end].isspace():
        raise TbelError(f"not JSON: unexpected {body[end]!r} after the value")
    return value


def parse_top(text: str) -> Any:
    """JSON.parse: as a script sees it; a number that is too big for long stays text."""
    value = from_json(parse_json(text))
    return str(int(value)) if isinstance(value, BigInteger) else value
