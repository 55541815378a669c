"""Names and patterns of dates for the locales that we know (CLDR as Java 17 has it).

Other locales that the reference knows are refused, not guessed; an unknown locale uses the root.
"""

from __future__ import annotations

import msgspec

from appliance.rules.tbel.errors import TbelError


class Locale(msgspec.Struct, frozen=True):
    """Patterns in the order full, long, medium, short; joints: between date and time, likewise."""

    months: tuple[str, ...]
    short_months: tuple[str, ...]
    days: tuple[str, ...]
    short_days: tuple[str, ...]
    dates: tuple[str, str, str, str]
    times: tuple[str, str, str, str]
    joints: tuple[str, str, str, str]
    halves: tuple[str, str] = ("AM", "PM")


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_EN_MONTHS = _names(
    "January February March April May June July August September October November December"
)
_EN_SHORT = tuple(name[:3] for name in _EN_MONTHS)
_EN_DAYS = _names("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_EN_SHORT_DAYS = tuple(name[:3] for name in _EN_DAYS)
_24H = ("HH:mm:ss zzzz", "HH:mm:ss z", "HH:mm:ss", "HH:mm")
_COMMAS = ("{1}, {0}", "{1}, {0}", "{1}, {0}", "{1}, {0}")

ROOT = Locale(
    months=_EN_SHORT, short_months=_EN_SHORT, days=_EN_SHORT_DAYS, short_days=_EN_SHORT_DAYS,
    dates=("y MMMM d, EEEE", "y MMMM d", "y MMM d", "y-MM-dd"), times=_24H,
    joints=("{1} {0}", "{1} {0}", "{1} {0}", "{1} {0}"),
)  # fmt: skip
_EN = Locale(
    months=_EN_MONTHS, short_months=_EN_SHORT, days=_EN_DAYS, short_days=_EN_SHORT_DAYS,
    dates=("EEEE, MMMM d, y", "MMMM d, y", "MMM d, y", "M/d/yy"),
    times=("h:mm:ss a zzzz", "h:mm:ss a z", "h:mm:ss a", "h:mm a"),
    joints=("{1} 'at' {0}", "{1} 'at' {0}", "{1}, {0}", "{1}, {0}"),
)  # fmt: skip
_LOCALES = {
    "en": _EN,
    "en-GB": Locale(
        months=_EN_MONTHS, short_months=(*_EN_SHORT[:8], "Sept", *_EN_SHORT[9:]), days=_EN_DAYS,
        short_days=_EN_SHORT_DAYS,
        dates=("EEEE, d MMMM y", "d MMMM y", "d MMM y", "dd/MM/y"), times=_24H,
        joints=("{1} 'at' {0}", "{1} 'at' {0}", "{1}, {0}", "{1}, {0}"), halves=("am", "pm"),
    ),
    "de": Locale(
        months=_names("Januar Februar März April Mai Juni Juli August September Oktober November "
                      "Dezember"),
        short_months=_names("Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez."),
        days=_names("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"),
        short_days=_names("Mo. Di. Mi. Do. Fr. Sa. So."),
        dates=("EEEE, d. MMMM y", "d. MMMM y", "dd.MM.y", "dd.MM.yy"), times=_24H,
        joints=("{1} 'um' {0}", "{1} 'um' {0}", "{1}, {0}", "{1}, {0}"),
    ),
    "fr": Locale(
        months=_names("janvier février mars avril mai juin juillet août septembre octobre novembre "
                      "décembre"),
        short_months=_names("janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc."),
        days=_names("lundi mardi mercredi jeudi vendredi samedi dimanche"),
        short_days=_names("lun. mar. mer. jeu. ven. sam. dim."),
        dates=("EEEE d MMMM y", "d MMMM y", "d MMM y", "dd/MM/y"), times=_24H,
        joints=("{1} 'à' {0}", "{1} 'à' {0}", "{1}, {0}", "{1} {0}"),
    ),
    "uk": Locale(
        months=_names("січня лютого березня квітня травня червня липня серпня вересня жовтня "
                      "листопада грудня"),
        short_months=_names("січ. лют. бер. квіт. трав. черв. лип. серп. вер. жовт. лист. груд."),
        days=_names("понеділок вівторок середа четвер пʼятниця субота неділя"),
        short_days=_names("пн вт ср чт пт сб нд"),
        dates=("EEEE, d MMMM y 'р'.", "d MMMM y 'р'.", "d MMM y 'р'.", "dd.MM.yy"), times=_24H,
        joints=("{1} 'о' {0}", "{1} 'о' {0}", "{1}, {0}", "{1}, {0}"), halves=("дп", "пп"),
    ),
    "es": Locale(
        months=_names("enero febrero marzo abril mayo junio julio agosto septiembre octubre "
                      "noviembre diciembre"),
        short_months=_names("ene feb mar abr may jun jul ago sept oct nov dic"),
        days=_names("lunes martes miércoles jueves viernes sábado domingo"),
        short_days=_names("lun mar mié jue vie sáb dom"),
        dates=("EEEE, d 'de' MMMM 'de' y", "d 'de' MMMM 'de' y", "d MMM y", "d/M/yy"),
        times=("H:mm:ss (zzzz)", "H:mm:ss z", "H:mm:ss", "H:mm"), joints=_COMMAS,
        halves=("a. m.", "p. m."),
    ),
    "it": Locale(
        months=_names("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre "
                      "novembre dicembre"),
        short_months=_names("gen feb mar apr mag giu lug ago set ott nov dic"),
        days=_names("lunedì martedì mercoledì giovedì venerdì sabato domenica"),
        short_days=_names("lun mar mer gio ven sab dom"),
        dates=("EEEE d MMMM y", "d MMMM y", "d MMM y", "dd/MM/yy"), times=_24H,
        joints=("{1} {0}", "{1} {0}", "{1}, {0}", "{1}, {0}"),
    ),
}  # fmt: skip
_KNOWN_ELSEWHERE = frozenset(_names(
    "af am ar az be bg bn bs ca cs cy da el et eu fa fi fil ga gl gu he hi hr hu hy id is ja ka kk "
    "km kn ko ky lo lt lv mk ml mn mr ms my nb ne nl no or pa pl pt ro ru si sk sl sq sr sv sw ta "
    "te th tr ur uz vi zh zu"
))  # fmt: skip


def locale_of(tag: str | None) -> Locale:
    """The locale of a language tag; English where there is none.

    Raises:
        TbelError: a locale that the reference knows and we do not.
    """
    if not tag:
        return _EN
    if tag in _LOCALES:
        return _LOCALES[tag]
    language = tag.replace("_", "-").split("-")[0].lower()
    if language in _LOCALES:
        return _LOCALES[language]
    if language in _KNOWN_ELSEWHERE:
        raise TbelError(f"dates in the locale {tag!r} are not available here")
    return ROOT


_ZONE_NAMES = {
    "UTC": "Coordinated Universal Time", "GMT": "Greenwich Mean Time",
    "BST": "British Summer Time", "CET": "Central European Standard Time",
    "CEST": "Central European Summer Time", "EET": "Eastern European Standard Time",
    "EEST": "Eastern European Summer Time", "WET": "Western European Standard Time",
    "EST": "Eastern Standard Time", "EDT": "Eastern Daylight Time",
    "CST": "Central Standard Time", "CDT": "Central Daylight Time",
    "MST": "Mountain Standard Time", "MDT": "Mountain Daylight Time",
    "PST": "Pacific Standard Time", "PDT": "Pacific Daylight Time",
    "JST": "Japan Standard Time", "IST": "India Standard Time", "MSK": "Moscow Standard Time",
}  # fmt: skip


def zone_name(short: str) -> str:
    """The long English name of a time zone by its abbreviation."""
    return _ZONE_NAMES.get(short, short)
