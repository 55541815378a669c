"""Where values come from: file, environment, flags, merged in that order with their origin."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from appliance.config.environment import KNOWN, general_path
from appliance.model.errors import ConfigError

Where = tuple[str, ...]
"""A place in the configuration: ("cloud", "port")."""


class Given(msgspec.Struct, frozen=True):
    """A value and its origin. textual: it was written as text (environment, flag)."""

    value: Any
    source: str
    textual: bool = False


class Sources(msgspec.Struct, frozen=True):
    """All given values by place, the later source winning. notes: remarks for the operator."""

    given: dict[Where, Given]
    tables: dict[Where, str]
    """Tables that appear in the file, with their origin."""
    notes: list[str]

    def below(self, where: Where) -> dict[str, Given]:
        """Values directly or deeper below a place, by the rest of their names."""
        depth = len(where)
        return {
            ".".join(place[depth:]): given
            for place, given in self.given.items()
            if len(place) > depth and place[:depth] == where
        }


def read_sources(
    file: Path | None, environ: Mapping[str, str], flags: Iterable[str], tables: Iterable[Where]
) -> Sources:
    """Merge the three.

    Args:
        file: TOML file, or None.
        flags: `section.field=value` texts.
        tables: the places that are tables with fields of their own; everything below a field is
            that field's value.

    Raises:
        ConfigError: the file cannot be read or is not TOML, a flag has no "=".
    """
    sources = Sources({}, {}, [])
    if file is not None:
        _read_file(file, sources, frozenset(tables))
    _read_environment(environ, sources)
    for flag in flags:
        name, equals, text = flag.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set {flag}: expected section.field=value")
        place = tuple(name.strip().split("."))
        sources.given[place] = Given(text, f"flag --set {name.strip()}", textual=True)
    return sources


def _read_environment(environ: Mapping[str, str], sources: Sources) -> None:
    general = {name: path for name in sorted(environ) if (path := general_path(name))}
    for name, path in general.items():
        if environ[name]:
            sources.given[path] = Given(environ[name], f"environment {name}", textual=True)
    for variable in KNOWN:
        text = environ.get(variable.name, "")
        switched_on = not variable.switch or environ.get(variable.switch, "").lower() == "true"
        if text and switched_on:
            value, note = variable.read(text)
            source = f"environment {variable.name}"
            sources.given[variable.path] = Given(value, source, textual=True)
            if note:
                sources.notes.append(f"{variable.name}: {note}")


def _read_file(file: Path, sources: Sources, tables: frozenset[Where]) -> None:
    try:
        text = file.read_text("utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    lines = _line_numbers(text)

    def origin(place: Where) -> str:
        line = lines.get(place)
        return f"{file} line {line}" if line else str(file)

    def walk(place: Where, table: dict[str, Any]) -> None:
        for key, value in table.items():
            here = (*place, key)
            if isinstance(value, dict) and (here in tables or not place):
                sources.tables[here] = origin(here)
                walk(here, value)
            else:
                sources.given[here] = Given(value, origin(here))

    walk((), tree)


_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*")(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""")


def _line_numbers(text: str) -> dict[Where, int]:
    """Line of each table and key. A guess that is right for files that people write."""
    lines: dict[Where, int] = {}
    table: Where = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.match(line):
            table = _names(found[1])
            lines.setdefault(table, number)
        elif found := _KEY.match(line):
            lines.setdefault((*table, *_names(found[1])), number)
    return lines


def _names(dotted: str) -> Where:
    return tuple(part.strip().strip('"') for part in dotted.split("."))
