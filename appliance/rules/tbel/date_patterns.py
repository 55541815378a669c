"""Patterns of java.time: writing a moment by a pattern, reading one back.

Letters: y u M L d H h k K m s S a E e z Z X x V O n D, quoted text, and optional parts in [ ].
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.rules.tbel.date_locales import Locale, zone_name
from appliance.rules.tbel.errors import TbelError

_PIECE = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|.", re.DOTALL)
_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2}):?(\d{2})?(?::?(\d{2}))?")


def zone(name: str) -> tzinfo:
    """A time zone by its name or offset.

    Raises:
        TbelError: there is none of that name.
    """
    if name in ("UTC", "GMT", "Z", "UT", "Etc/UTC"):
        return UTC
    match = _OFFSET.fullmatch(name)
    if match:
        return _offset(match)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise TbelError(f"Unknown time-zone ID: {name}") from None


def _offset(match: re.Match[str]) -> timezone:
    sign, hours, minutes, seconds = match.groups()
    delta = timedelta(hours=int(hours), minutes=int(minutes or 0), seconds=int(seconds or 0))
    return timezone(-delta if sign == "-" else delta)


def _pieces(pattern: str) -> Iterator[tuple[str, str]]:
    """Letters as ("y", "yyyy"), everything else as ("", text)."""
    for match in _PIECE.finditer(pattern):
        text = match.group()
        if match.group(1) is not None:
            yield "", match.group(1).replace("''", "'") or "'"
        elif match.group(2):
            yield match.group(2), text
        else:
            yield "", text


def write(moment: datetime, nanos: int, pattern: str, locale: Locale) -> str:
    """A moment by a pattern. nanos: of its second.

    Raises:
        TbelError: a letter that we do not know.
    """
    parts = []
    for letter, text in _pieces(pattern):
        if not letter:
            parts.append("" if text in "[]" else text)
        else:
            parts.append(_write_one(moment, nanos, letter, len(text), locale))
    return "".join(parts)


def _padded(value: int, width: int) -> str:
    return str(value).rjust(width, "0")


def _write_one(moment: datetime, nanos: int, letter: str, count: int, locale: Locale) -> str:
    if letter in "yu":
        return _padded(moment.year % 100, 2) if count == 2 else _padded(moment.year, count)
    if letter in "ML":
        if count >= 3:
            return (locale.short_months if count == 3 else locale.months)[moment.month - 1]
        return _padded(moment.month, count)
    if letter == "E" or (letter in "ec" and count >= 3):
        return (locale.days if count == 4 else locale.short_days)[moment.weekday()]
    if letter == "S":
        return _padded(nanos, 9)[:9].rjust(9, "0")[:count]
    if letter == "a":
        return locale.halves[moment.hour >= 12]
    if letter in "zZXxVO":
        return _write_zone(moment, letter, count)
    number = _number_of(moment, nanos, letter)
    if number is None:
        raise TbelError(f"Unknown pattern letter: {letter}")
    return _padded(number, count)


def _number_of(moment: datetime, nanos: int, letter: str) -> int | None:
    return {
        "d": moment.day, "H": moment.hour, "h": (moment.hour + 11) % 12 + 1,
        "k": moment.hour or 24, "K": moment.hour % 12, "m": moment.minute, "s": moment.second,
        "n": nanos, "D": moment.timetuple().tm_yday, "e": moment.isoweekday() % 7 + 1,
    }.get(letter)  # fmt: skip


def _write_zone(moment: datetime, letter: str, count: int) -> str:
    offset = moment.utcoffset() or timedelta()
    seconds = int(offset.total_seconds())
    sign, rest = ("-" if seconds < 0 else "+"), abs(seconds)
    hours, minutes = _padded(rest // 3600, 2), _padded(rest % 3600 // 60, 2)
    if letter == "V":
        return str(
            getattr(moment.tzinfo, "key", None) or ("UTC" if not seconds else moment.tzname())
        )
    if letter == "z":
        short = moment.tzname() or "UTC"
        return zone_name(short) if count == 4 else short
    if letter == "O" or (letter == "Z" and count == 4):
        if not seconds:
            return "GMT"
        short = f"{rest // 3600}" + (f":{minutes}" if minutes != "00" else "")
        return f"GMT{sign}{short if count == 1 else f'{hours}:{minutes}'}"
    if not seconds and (letter == "X" or (letter == "Z" and count == 5)):
        return "Z"
    if letter == "Z":
        return f"{sign}{hours}{':' if count == 5 else ''}{minutes}"
    if count == 1:
        return f"{sign}{hours}" + (minutes if minutes != "00" else "")
    return f"{sign}{hours}{':' if count in (3, 5) else ''}{minutes}"


_DIGITS = {
    "y": "year", "u": "year", "M": "month", "L": "month", "d": "day", "H": "hour", "h": "hour12",
    "k": "hour24", "K": "hour11", "m": "minute", "s": "second", "n": "nano",
}  # fmt: skip
_OFFSET_TEXT = r"[+-]\d{1,2}(?::?\d{2})?"
_ZONE_TEXT = (
    rf"(?:Z|{_OFFSET_TEXT}(?::?\d{{2}})?|[A-Za-z]+(?:[/_][A-Za-z_+\-0-9]+)*(?:{_OFFSET_TEXT})?)"
)


class Found:
    """What a pattern found in a text: fields by name, and the zone where there is one."""

    def __init__(self) -> None:
        self.fields: dict[str, int] = {}
        self.zone: tzinfo | None = None

    def moment(self, default: tzinfo | None) -> datetime | None:
        """The moment, or None where the date is not complete."""
        fields, tz = self.fields, self.zone or default
        if tz is None or not {"year", "month", "day"} <= fields.keys():
            return None
        hour = _hour(fields)
        if hour is None:
            return None
        try:
            minute, second = fields.get("minute", 0), fields.get("second", 0)
            day = fields["year"], fields["month"], fields["day"]
            base = datetime(*day, hour, minute, second, tzinfo=tz)
        except ValueError as error:
            raise TbelError(str(error)) from None
        return base + timedelta(microseconds=fields.get("nano", 0) // 1000)


def _hour(fields: dict[str, int]) -> int | None:
    if "hour" in fields:
        return fields["hour"]
    for name in ("hour12", "hour11"):
        if name in fields:
            return fields[name] % 12 + 12 * fields.get("half", 0)
    return fields["hour24"] % 24 if "hour24" in fields else None


def read(text: str, pattern: str, locale: Locale, *, lenient: bool = False) -> Found:
    """Find a pattern in a text.

    Args:
        lenient: numbers may be shorter than their letters, text may follow (SimpleDateFormat).

    Raises:
        TbelError: the text does not fit the pattern.
    """
    expression, names = "", list[tuple[str, str]]()
    for letter, piece in _pieces(pattern):
        if not letter:
            expression += {"[": "(?:", "]": ")?"}.get(piece, re.escape(piece))
            continue
        group, source = _read_one(letter, len(piece), locale, lenient)
        names.append((group, letter))
        expression += f"({source})"
    match = re.compile(expression, re.IGNORECASE if lenient else 0).match(text)
    if match is None or (not lenient and match.end() != len(text)):
        raise TbelError(f"Text '{text}' could not be parsed at index 0")
    found = Found()
    for (name, letter), value in zip(names, match.groups(), strict=True):
        if value is not None:
            _keep(found, name, letter, value, locale)
    return found


def _choice(names: tuple[str, ...]) -> str:
    return "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))


def _read_one(letter: str, count: int, locale: Locale, lenient: bool) -> tuple[str, str]:
    if letter in "ML" and count >= 3:
        if lenient:
            return "month name", _choice((*locale.months, *locale.short_months))
        return "month name", _choice(locale.short_months if count == 3 else locale.months)
    if letter == "E":
        return "day name", _choice(locale.days if count == 4 else locale.short_days)
    if letter == "a":
        return "half", _choice(locale.halves)
    if letter in "zZXxVO":
        return "zone", _ZONE_TEXT
    if letter == "S":
        return "fraction", rf"\d{{{count}}}" if not lenient else r"\d+"
    name = _DIGITS.get(letter)
    if name is None:
        raise TbelError(f"Unknown pattern letter: {letter}")
    if letter in "yu" and count == 2:
        return "year2", r"\d{2}" if not lenient else r"\d+"
    if lenient:
        return name, r"\d+"
    if letter in "yu":
        return name, rf"-?\d{{{max(count, 1)},{max(count, 9) if count < 4 else 4}}}"
    return name, r"\d{1,2}" if count == 1 else rf"\d{{{count}}}"


def _keep(found: Found, name: str, letter: str, value: str, locale: Locale) -> None:
    fields = found.fields
    if name == "month name":
        lowered = [n.lower() for n in locale.months]
        shorts = [n.lower() for n in locale.short_months]
        wanted = value.lower()
        fields["month"] = (lowered if wanted in lowered else shorts).index(wanted) + 1
    elif name == "half":
        fields["half"] = [h.lower() for h in locale.halves].index(value.lower())
    elif name == "zone":
        found.zone = zone(value)
    elif name == "fraction":
        fields["nano"] = int(value.ljust(9, "0")[:9])
    elif name == "year2":
        fields["year"] = 2000 + int(value) if len(value) == 2 else int(value)
    elif name != "day name":
        fields[name] = int(value)
