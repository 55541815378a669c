"""Names and patterns of dates by locale: CLDR as Java 17 has it (Unicode licence).

`date_locales.json` holds for each language what differs from the root locale, for each region what
differs from its language, and names of time zones under one zone of each group that shares them.
Languages that the reference knows and the table has not are refused, not guessed; a tag that is no
language uses the root.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from appliance.rules.tbel.errors import TbelError

_KNOWN_ELSEWHERE = re.compile(
    "af|am|ar|az|bn|bs|cy|eu|fa|fil|ga|gl|gu|hy|is|km|kn|ky|lo|mk|ml|mn|mr|ms|my|ne|or|pa|si|sq|sw"
    "|ta|te|th|ur|uz|zu"
)
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


class Locale(msgspec.Struct, frozen=True):
    """Names from January and from Monday; patterns in the order full, long, medium, short.

    joints: between date and time, likewise. alone: months that stand for themselves (L).
    week: its first day (Monday is 1) and the days that the first week of a year needs.
    zones: long names in winter and summer, then short ones; of two, both halves of the year alike.
    """

    months: tuple[str, ...]
    short_months: tuple[str, ...]
    letters: tuple[str, ...]
    alone: tuple[str, ...]
    short_alone: tuple[str, ...]
    days: tuple[str, ...]
    short_days: tuple[str, ...]
    day_letters: tuple[str, ...]
    halves: tuple[str, str]
    eras: tuple[str, str]
    quarters: tuple[str, str]
    dates: tuple[str, str, str, str]
    times: tuple[str, str, str, str]
    joints: tuple[str, str, str, str]
    week: tuple[int, int]
    zones: dict[str, list[str]]


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        files(__package__).joinpath("date_locales.json").read_text("utf-8")
    )
    return found


def _merged(tags: tuple[str, ...]) -> Locale:
    fields: dict[str, Any] = {}
    for tag in tags:
        own = _table()["locales"][tag]
        zones = {**fields.get("zones", {}), **own.get("zones", {})}
        fields = {**fields, **own, "zones": zones}
    return msgspec.convert(fields, Locale)


@lru_cache(maxsize=32)
def locale_of(tag: str | None) -> Locale:
    """The locale of a language tag; English where there is none.

    Raises:
        TbelError: a locale that the reference knows and we do not.
    """
    tag = tag or "en"
    if _TAG.fullmatch(tag) is None:
        return _merged(("und",))
    language, *rest = tag.split("-")
    language = language.lower()
    region = next((part.upper() for part in rest if len(part) == 2), "")
    known = _table()["locales"]
    if _KNOWN_ELSEWHERE.fullmatch(language):
        raise TbelError(f"dates in the locale {tag!r} are not available here")
    if language not in known:
        return _merged(("und",))
    own = f"{language}-{region}"
    return _merged(("und", language, own) if own in known else ("und", language))


def zone_names(locale: Locale, zone_id: str, summer: bool) -> tuple[str, str] | None:
    """The long and the short name of a time zone, or None where the table has none."""
    names = locale.zones.get(_table()["zone_groups"].get(zone_id, zone_id))
    if names is None:
        return None
    if len(names) == 2:
        return names[0], names[1]
    return names[int(summer)], names[2 + int(summer)]
