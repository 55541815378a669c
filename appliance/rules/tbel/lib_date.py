"""TBEL's Date: months from 1, days of the week from Monday, times in UTC where no zone is given.

The reference uses the server's zone; its servers run in UTC, so we do.
"""

from __future__ import annotations

import json
import re
import time
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, TypeVar

from appliance.rules.tbel.date_locales import Locale, locale_of
from appliance.rules.tbel.date_patterns import read, write, zone
from appliance.rules.tbel.errors import TbelError
from appliance.rules.tbel.signatures import java
from appliance.rules.tbel.values import Long

Function = TypeVar("Function", bound=Callable[..., Any])
_OLD_ZONES = {
    "PST": "America/Los_Angeles", "CST": "America/Chicago", "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo", "AET": "Australia/Sydney", "ACT": "Australia/Darwin",
    "ECT": "Europe/Paris", "CTT": "Asia/Shanghai", "BST": "Asia/Dhaka", "ART": "Africa/Cairo",
}  # fmt: skip
_OLD_OFFSETS = {
    name: timezone(timedelta(hours=hours), f"-{-hours:02d}:00")
    for name, hours in (("EST", -5), ("MST", -7), ("HST", -10))
}
_GMT = timezone(timedelta(), "GMT")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS = 1_000_000_000
_ISO_OFFSET = re.compile(
    r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}(?::?\d{2})?)"
)
_ISO_LOCAL = re.compile(
    r"(\d{4}-\d{2}-\d{2}) ?T?(\d{2}:\d{2})(?::(\d{2})(?:\.(\d{3}))?)? ?"
    r"(Z|[+-]\d{2}:?\d{2}|[A-Za-z][\w/+:-]*)?"
)
_RFC_1123 = re.compile(
    r"(?:(Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?(\d{1,2}) (\w{3}) (\d{4}) (\d{2}):(\d{2})(?::(\d{2}))? "
    r"(GMT|[+-]\d{4})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class TbDate:
    """A moment. seconds, nanos: since 1970, nanos of the second; it can be changed."""

    java_name = "Date"
    storable = True
    __slots__ = ("nanos", "seconds")

    def __init__(self, seconds: int, nanos: int = 0) -> None:
        self.set(seconds, nanos)

    def set(self, seconds: int, nanos: int = 0) -> None:
        """Make it another moment."""
        extra, self.nanos = divmod(nanos, _NANOS)
        self.seconds = seconds + extra

    def at(self, tz: tzinfo = UTC) -> datetime:
        """The calendar fields in a zone."""
        try:
            return (_EPOCH + timedelta(seconds=self.seconds)).astimezone(tz)
        except (OverflowError, ValueError):
            raise TbelError("the date is out of range") from None

    def millis(self) -> Long:
        """Milliseconds since 1970."""
        return Long(self.seconds * 1000 + self.nanos // 1_000_000)

    def __str__(self) -> str:
        return _styled(self, "en", None, 0, 0)


def _of_datetime(moment: datetime, nanos: int) -> TbDate:
    delta = moment - _EPOCH
    return TbDate(delta.days * 86400 + delta.seconds, nanos)


def _of_millis(millis: int) -> TbDate:
    seconds, rest = divmod(int(millis), 1000)
    return TbDate(seconds, rest * 1_000_000)


# construction


@java("Date", "static Date <init>()")
def _new_now() -> TbDate:
    return _of_millis(time.time_ns() // 1_000_000)


@java("Date", "static Date <init>(String)")
def _new_text(text: str | None) -> TbDate:
    if text is None:
        raise TbelError("null pointer")
    found = _iso(text) if text[:1].isdigit() else _rfc_1123(text)
    if found is None:
        raise TbelError(f"Cannot parse value [{text}] as instant")
    return found


java("Date", "static Date <init>(long)")(_of_millis)


@java("Date", "static Date <init>(String,String)", "static Date <init>(String,String,String)",
      "static Date <init>(String,String,String,String)")  # fmt: skip
def _new_pattern(
    text: str, pattern: str, locale: str | None = None, zone_id: str | None = None
) -> TbDate:
    found = read(text, pattern, locale_of(locale))
    if zone_id is not None:
        found.zone = zone(zone_id)
    moment = found.moment(UTC)
    if moment is None:
        raise TbelError("Unsupported field: InstantSeconds")
    return _of_datetime(moment, found.fields.get("nano", 0))


@java("Date", *(f"static Date <init>(int,int,int{',int' * n}{tz})"
                for n in (0, 2, 3, 4) for tz in ("", ",String")))  # fmt: skip
def _new_fields(year: int, month: int, day: int, *rest: Any) -> TbDate:
    zone_id = rest[-1] if rest and isinstance(rest[-1], str) else None
    hour, minute, second, milli = (*[v for v in rest if type(v) is int], 0, 0, 0, 0)[:4]
    tz = zone(zone_id) if zone_id else UTC
    return _fields(year, month, day, hour, minute, second, milli * 1_000_000, tz)


def _range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise TbelError(f"Invalid value for {name} (valid values {low} - {high}): {value}")


def _fields(
    year: int, month: int, day: int, hour: int, minute: int, second: int, nanos: int, tz: tzinfo
) -> TbDate:
    year = 2000 + year if year < 70 else 1900 + year if year <= 99 else year
    return _of_datetime(_datetime(year, month, day, hour, minute, second, nanos, tz), nanos)


def _datetime(
    year: int, month: int, day: int, hour: int, minute: int, second: int, nanos: int, tz: tzinfo
) -> datetime:
    _range("MonthOfYear", month, 1, 12)
    _range("DayOfMonth", day, 1, 31)
    _range("HourOfDay", hour, 0, 23)
    _range("MinuteOfHour", minute, 0, 59)
    _range("SecondOfMinute", second, 0, 59)
    _range("NanoOfSecond", nanos, 0, _NANOS - 1)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=tz)
    except ValueError:
        raise TbelError(f"Invalid date '{month} {day}'") from None


def _iso(text: str) -> TbDate | None:
    match = _ISO_OFFSET.fullmatch(text)
    try:
        return _iso_moment(match, 0) if match else _iso_local(text)
    except TbelError:
        return _iso_local(text)


def _iso_local(text: str) -> TbDate | None:
    """The laxer form: days that a month has not become its last, 24:00 is the next day."""
    match = _ISO_LOCAL.fullmatch(text)
    if match is None:
        return None
    year, month, day = map(int, match.group(1).split("-"))
    _range("MonthOfYear", month, 1, 12)
    _range("DayOfMonth", day, 1, 31)
    spare = max(0, day - monthrange(max(1, year), month)[1])
    if match.group(2) == "24:00" and not int(match.group(3) or 0) + int(match.group(4) or 0):
        start = _ISO_LOCAL.fullmatch(text.replace("24:00", "00:00", 1))
        assert start is not None
        moved = _iso_moment(start, spare)
        moved.set(moved.seconds + 86400)
        return moved
    return _iso_moment(match, spare)


def _iso_moment(match: re.Match[str], spare_days: int) -> TbDate:
    day, clock, second, fraction, offset = match.groups()
    year, month, date = map(int, day.split("-"))
    hour, minute = map(int, clock.split(":"))
    nanos = int((fraction or "").ljust(9, "0") or 0)
    tz = zone(offset) if offset else UTC
    rest = hour, minute, int(second or 0), nanos, tz
    return _of_datetime(_datetime(year, month, date - spare_days, *rest), nanos)


def _rfc_1123(text: str) -> TbDate | None:
    match = _RFC_1123.fullmatch(text)
    if match is None:
        return None
    weekday, day, month, year, hour, minute, second, offset = match.groups()
    if month not in _MONTHS:
        return None
    tz = UTC if offset == "GMT" else zone(offset)
    date = int(year), _MONTHS.index(month) + 1, int(day)
    moment = _datetime(*date, int(hour), int(minute), int(second or 0), 0, tz)
    if weekday and _DAYS[moment.weekday()] != weekday:
        return None
    return _of_datetime(moment, 0)


@java("Date", "static long parse(String)")
def _parse(text: str | None) -> Long:
    try:
        found = None if text is None else _iso_local(text)
    except TbelError:
        found = None
    return Long(-1) if found is None else found.millis()


@java("Date", "static long parse(String,String)")
def _parse_pattern(text: str | None, pattern: str) -> Long:
    try:
        found = read(text or "", pattern, locale_of("en"), lenient=True)
        fields = {"month": 1, "day": found.fields.get("day of year", 1), "year": 1970}
        fields |= found.fields
        millis = fields.get("millis", 0)
        start = datetime(fields.pop("year"), 1, 1, tzinfo=found.zone or UTC)
        moment = _roll(start, fields) + timedelta(milliseconds=millis)
    except (TbelError, ValueError, OverflowError):
        return Long(-1)
    return _of_datetime(moment, millis % 1000 * 1_000_000).millis()


def _roll(start: datetime, fields: dict[str, int]) -> datetime:
    """Fields beyond their range carry over, as SimpleDateFormat does."""
    years, month = divmod(fields["month"] - 1, 12)
    moment = start.replace(year=start.year + years, month=month + 1)
    hour = fields.get("hour", fields.get("hour24", 0) % 24)
    if "hour12" in fields or "hour11" in fields:
        hour = fields.get("hour12", fields.get("hour11", 0)) % 12 + 12 * fields.get("half", 0)
    return moment + timedelta(
        days=fields["day"] - 1, hours=hour, minutes=fields.get("minute", 0),
        seconds=fields.get("second", 0),
    )  # fmt: skip


@java("Date", "static long now()")
def _now() -> Long:
    return Long(time.time_ns() // 1_000_000)


@java("Date", *(f"static long UTC(int{',int' * n})" for n in range(7)))
def _utc(year: int, month: int = 0, day: int = 0, *rest: int) -> Long:
    hour, minute, second, milli = (*rest, 0, 0, 0, 0)[:4]
    return _fields(
        year or 1899, month or 12, day or 31, hour, minute, second, milli * 1_000_000, UTC
    ).millis()


# reading


java("Date", "long getTime()", "long valueOf()", "long parseSecondMilli()")(TbDate.millis)
java("Date", "long parseSecond()")(lambda date: Long(date.seconds))
for _utc_part in ("", "UTC"):
    java("Date", f"int get{_utc_part}FullYear()")(lambda date: date.at().year)
    java("Date", f"int get{_utc_part}Month()")(lambda date: date.at().month)
    java("Date", f"int get{_utc_part}Date()")(lambda date: date.at().day)
    java("Date", f"int get{_utc_part}Day()")(lambda date: date.at().isoweekday())
    java("Date", f"int get{_utc_part}Hours()")(lambda date: date.at().hour)
    java("Date", f"int get{_utc_part}Minutes()")(lambda date: date.at().minute)
    java("Date", f"int get{_utc_part}Seconds()")(lambda date: date.at().second)
    java("Date", f"int get{_utc_part}Milliseconds()")(lambda date: date.nanos // 1_000_000)


@java("Date", "Object getInstant()", "Object getLocalDateTime()", "Object getUTCDateTime()",
      "Object getZonedDateTime()")  # fmt: skip
def _no_java_time(date: TbDate) -> Any:
    raise TbelError("Unsupported value type: class java.time.Instant")


@java("Date", "String toISOString()", "String toJSON()")
def _to_iso(date: TbDate) -> str:
    fraction = f"{date.nanos:09d}"
    if date.nanos == 0:
        fraction = ""
    elif date.nanos % 1_000_000 == 0:
        fraction = "." + fraction[:3]
    else:
        fraction = "." + (fraction[:6] if date.nanos % 1000 == 0 else fraction)
    return date.at().replace(microsecond=0, tzinfo=None).isoformat() + fraction + "Z"


# writing


_STYLES = {"FULL": 0, "LONG": 1, "MEDIUM": 2, "SHORT": 3}


def _options(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        options = json.loads(text)
    except ValueError:
        return {"timeZone": text}
    if not isinstance(options, dict):
        return {"timeZone": text}
    unknown = options.keys() - {"timeZone", "dateStyle", "timeStyle", "pattern"}
    return {"timeZone": text} if unknown else options


def _style(options: dict[str, Any], name: str, default: int) -> int:
    return _STYLES.get(str(options.get(name) or "").upper(), default)


def _styled(
    date: TbDate, tag: str | None, option_text: str | None, day: int | None, clock: int | None
) -> str:
    """The text in a locale. day, clock: styles (0 full … 3 short), None: without that part."""
    locale, options = locale_of(tag), _options(option_text)
    moment = date.at(_named_zone(options.get("timeZone")))
    pattern = options.get("pattern") or _pattern(locale, day, clock)
    return write(moment, date.nanos, pattern, locale)


def _named_zone(name: str | None) -> tzinfo:
    """TimeZone.getTimeZone: an unknown name is GMT, and an offset needs GMT before it."""
    if not name:
        return UTC
    try:
        bare = name[0] in "+-" or (name[:2] == "UT" and any(sign in name for sign in "+-"))
        if bare or name in ("GMT", "Z"):
            return _GMT
        return _OLD_OFFSETS.get(name) or zone(_OLD_ZONES.get(name, name))
    except TbelError:
        return _GMT


def _pattern(locale: Locale, day: int | None, clock: int | None) -> str:
    if clock is None:
        return locale.dates[day or 0]
    if day is None:
        return locale.times[clock]
    joint = locale.joints[max(day, clock)]
    return joint.replace("{1}", locale.dates[day]).replace("{0}", locale.times[clock])


def _texts(name: str) -> Callable[[Function], Function]:
    return java(
        "Date", f"String {name}()", f"String {name}(String)", f"String {name}(String,String)"
    )


@_texts("toString")
def _to_string(date: TbDate, locale: str = "en", options: str | None = None) -> str:
    return _styled(date, locale, options, 0, 0)


@_texts("toDateString")
def _to_date_string(date: TbDate, locale: str = "utc", options: str | None = None) -> str:
    return _styled(date, locale, options, 0, None)


@_texts("toTimeString")
def _to_time_string(date: TbDate, locale: str = "en", options: str | None = None) -> str:
    return _styled(date, locale, options, None, 0)


@java("Date", "String toUTCString()", "String toUTCString(String)")
def _to_utc_string(date: TbDate, locale: str = "utc") -> str:
    return _styled(date, locale, None, 0, 2)


@_texts("toLocaleString")
def _to_locale_string(date: TbDate, locale: str = "utc", options: str | None = None) -> str:
    chosen = _options(options)
    return _styled(
        date, locale, options, _style(chosen, "dateStyle", 3), _style(chosen, "timeStyle", 2)
    )


@java("Date", "String toLocaleDateString()", "String toLocaleDateString(String)")
def _to_locale_date_string(date: TbDate, locale: str = "utc") -> str:
    return _styled(date, locale, None, 0, None)


@java("Date", "String toLocaleDateString(String,String)")
def _to_locale_date(date: TbDate, locale: str, options: str) -> str:
    return _styled(date, locale, options, _style(_options(options), "dateStyle", 3), None)


@_texts("toLocaleTimeString")
def _to_locale_time_string(date: TbDate, locale: str = "en", options: str | None = None) -> str:
    return _styled(date, locale, options, None, _style(_options(options), "timeStyle", 2))


# changing


def _change(date: TbDate, **fields: int) -> None:
    now = date.at()
    values = {
        "year": now.year, "month": now.month, "day": now.day, "hour": now.hour,
        "minute": now.minute, "second": now.second, "nanos": date.nanos, **fields,
    }  # fmt: skip
    moment = _datetime(**values, tz=UTC)
    moved = _of_datetime(moment, values["nanos"])
    date.set(moved.seconds, moved.nanos)


def _clamp_free(date: TbDate, **fields: int) -> None:
    """Years and months keep the distance from the first of the month where the day is late."""
    day = date.at().day
    if day <= 28:
        _change(date, **fields)
        return
    _change(date, **fields, day=1)
    date.set(date.seconds + (day - 1) * 86400, date.nanos // 1_000_000 * 1_000_000)


for _utc_part in ("", "UTC"):
    java("Date", f"void set{_utc_part}FullYear(int)")(lambda d, y: _clamp_free(d, year=y))
    java("Date", f"void set{_utc_part}FullYear(int,int)")(
        lambda d, y, m: _clamp_free(d, year=y, month=m)
    )
    java("Date", f"void set{_utc_part}FullYear(int,int,int)")(
        lambda d, y, m, day: _change(d, year=y, month=m, day=day)
    )
    java("Date", f"void set{_utc_part}Month(int)")(lambda d, m: _clamp_free(d, month=m))
    java("Date", f"void set{_utc_part}Month(int,int)")(
        lambda d, m, day: _change(d, month=m, day=day)
    )
    java("Date", f"void set{_utc_part}Date(int)")(lambda d, day: _change(d, day=day))
    java("Date", *(f"void set{_utc_part}Hours(int{',int' * n})" for n in range(4)))(
        lambda d, *v: _change(d, **_clock(("hour", "minute", "second", "nanos"), v))
    )
    java("Date", *(f"void set{_utc_part}Minutes(int{',int' * n})" for n in range(3)))(
        lambda d, *v: _change(d, **_clock(("minute", "second", "nanos"), v))
    )
    java("Date", *(f"void set{_utc_part}Seconds(int{',int' * n})" for n in range(2)))(
        lambda d, *v: _change(d, **_clock(("second", "nanos"), v))
    )
    java("Date", f"void set{_utc_part}Milliseconds(int)")(
        lambda d, ms: _change(d, nanos=ms * 1_000_000)
    )


def _clock(names: tuple[str, ...], values: tuple[int, ...]) -> dict[str, int]:
    return {
        name: value * 1_000_000 if name == "nanos" else value
        for name, value in zip(names, values, strict=False)
    }


@java("Date", "void setTime(long)")
def _set_time(date: TbDate, millis: int) -> None:
    moved = _of_millis(millis)
    date.set(moved.seconds, moved.nanos)


def _add_months(date: TbDate, months: int) -> None:
    now = date.at()
    years, month = divmod(now.month - 1 + months, 12)
    if not 1 <= now.year + years <= 9999:
        raise TbelError("the date is out of range")
    year, days = now.year + years, monthrange(now.year + years, month + 1)[1]
    _change(date, year=year, month=month + 1, day=min(now.day, days))


java("Date", "void addMonths(int)")(_add_months)
java("Date", "void addYears(int)")(lambda d, n: _add_months(d, 12 * n))
for _name, _seconds in (
    ("Weeks", 604800), ("Days", 86400), ("Hours", 3600), ("Minutes", 60), ("Seconds", 1),
):  # fmt: skip
    java("Date", f"void add{_name}(int)", f"void add{_name}(long)")(
        lambda d, n, seconds=_seconds: d.set(d.seconds + int(n) * seconds, d.nanos)
    )
java("Date", "void addNanos(long)", "void addNanos(int)")(
    lambda d, n: d.set(d.seconds, d.nanos + int(n))
)
