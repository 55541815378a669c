"""Patterns of java.time: writing a moment by a pattern, reading one back.

Letters: G y u Y Q M L w F d H h k K m s S A N a E e z Z X x V O n D, quoted text, and optional
parts in [ ].
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.rules.tbel.date_locales import Locale, zone_names
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
    if int(hours) > 18:
        raise TbelError(f"Zone offset hours not in valid range: {hours}")
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


def _week(moment: datetime, locale: Locale) -> tuple[int, int]:
    """The year that a moment's week belongs to, and the number of the week in it."""
    first, needed = locale.week
    for year in (moment.year + 1, moment.year, moment.year - 1):
        start = datetime(year, 1, 1, tzinfo=moment.tzinfo)
        back = (start.isoweekday() - first) % 7
        start -= timedelta(days=back if 7 - back >= needed else back - 7)
        if moment >= start:
            return year, (moment - start).days // 7 + 1
    raise AssertionError("a moment belongs to a week of the year before, its own, or the next")


def _padded(value: int, width: int) -> str:
    return str(value).rjust(width, "0")


def _write_one(moment: datetime, nanos: int, letter: str, count: int, locale: Locale) -> str:
    if letter in "yu":
        return _padded(moment.year % 100, 2) if count == 2 else _padded(moment.year, count)
    if letter in "ML":
        return _padded(moment.month, count) if count < 3 else _month(moment, letter, count, locale)
    if letter == "E" or (letter in "ec" and count >= 3):
        names = {4: locale.days, 5: locale.day_letters}.get(count, locale.short_days)
        return names[moment.weekday()]
    if letter == "G":
        return locale.eras[count == 4]
    if letter in "Qq" and count <= 4:
        quarter = str((moment.month + 2) // 3)
        return _padded(int(quarter), count) if count < 3 else _quarter(quarter, count, locale)
    if letter in "Yw":
        year, week = _week(moment, locale)
        if letter == "w":
            return _padded(week, count)
        return _padded(year % 100, 2) if count == 2 else _padded(year, count)
    if letter in "ec":
        return _padded((moment.isoweekday() - locale.week[0]) % 7 + 1, count)
    if letter == "S":
        return _padded(nanos, 9)[:9].rjust(9, "0")[:count]
    if letter == "a":
        return locale.halves[moment.hour >= 12]
    if letter in "zZXxVO":
        return _write_zone(moment, letter, count, locale)
    number = _number_of(moment, nanos, letter)
    if number is None:
        raise TbelError(f"Unknown pattern letter: {letter}")
    return _padded(number, count)


def _month(moment: datetime, letter: str, count: int, locale: Locale) -> str:
    if count == 5:
        return locale.letters[moment.month - 1]
    if letter == "L":
        return (locale.short_alone if count == 3 else locale.alone)[moment.month - 1]
    return (locale.short_months if count == 3 else locale.months)[moment.month - 1]


def _quarter(number: str, count: int, locale: Locale) -> str:
    first = locale.quarters[count == 4]
    if count == 4 and first.startswith("1st"):
        return {"1": "1st", "2": "2nd", "3": "3rd"}.get(number, f"{number}th") + first[3:]
    return first.replace("1", number)


def _number_of(moment: datetime, nanos: int, letter: str) -> int | None:
    return {
        "d": moment.day, "H": moment.hour, "h": (moment.hour + 11) % 12 + 1,
        "k": moment.hour or 24, "K": moment.hour % 12, "m": moment.minute, "s": moment.second,
        "n": nanos, "N": _nano_of_day(moment, nanos), "A": _nano_of_day(moment, nanos) // 1_000_000,
        "D": moment.timetuple().tm_yday,
        "F": (moment.day - 1) % 7 + 1,
    }.get(letter)  # fmt: skip


def _nano_of_day(moment: datetime, nanos: int) -> int:
    return (moment.hour * 3600 + moment.minute * 60 + moment.second) * 1_000_000_000 + nanos


def _zone_id(moment: datetime) -> str:
    key = getattr(moment.tzinfo, "key", None)
    return str(key or moment.tzname() or "UTC")


def _zone_text(moment: datetime, count: int, locale: Locale) -> str:
    names = zone_names(locale, _zone_id(moment), bool(moment.dst()))
    if names is not None:
        return names[count < 4]
    if _zone_id(moment)[0] in "+-":
        return _zone_id(moment)
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    return "GMT" if not seconds else f"GMT{_clock_offset(seconds, ':')}"


def _clock_offset(seconds: int, separator: str) -> str:
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}{separator}{minutes:02d}"


def _write_zone(moment: datetime, letter: str, count: int, locale: Locale) -> str:
    offset = moment.utcoffset() or timedelta()
    seconds = int(offset.total_seconds())
    sign, rest = ("-" if seconds < 0 else "+"), abs(seconds)
    hours, minutes = _padded(rest // 3600, 2), _padded(rest % 3600 // 60, 2)
    if letter == "V":
        return str(
            getattr(moment.tzinfo, "key", None) or ("UTC" if not seconds else moment.tzname())
        )
    if letter == "z":
        return _zone_text(moment, count, locale)
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
    "k": "hour24", "K": "hour11", "m": "minute", "s": "second", "n": "nano", "D": "day of year",
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
    pieces = list(_pieces(pattern))
    optional = {} if lenient else {"[": "(?:", "]": ")?"}
    for (letter, piece), (follower, _) in zip(pieces, [*pieces[1:], ("", "")], strict=True):
        if not letter:
            expression += optional.get(piece, re.escape(piece))
            continue
        group, source = _read_one(letter, len(piece), locale, lenient)
        if lenient and source == r"\d+" and follower:
            source = rf"\d{{{len(piece)}}}"
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
        return ("millis", r"\d+") if lenient else ("fraction", rf"\d{{{count}}}")
    name = _DIGITS.get(letter)
    if name is None or (lenient and letter == "n"):
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
    elif name == "millis":
        fields["millis"] = int(value)
    elif name == "year2":
        fields["year"] = 2000 + int(value) if len(value) == 2 else int(value)
    elif name != "day name":
        fields[name] = int(value)
