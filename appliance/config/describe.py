"""The configuration in words: rows for people, an example file, a reference page, a JSON Schema.

All of it comes from the structs that validate, so it cannot disagree with them.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from appliance.config.environment import KNOWN, general_name
from appliance.config.fields import Secret, schema_hook
from appliance.config.loader import CHOSEN_BY, DATA_DIR, SWITCH, Kind, PluginSections
from appliance.config.sections import SECTIONS
from appliance.config.sources import Where

_KNOWN_BY_PATH = {variable.path: variable.name for variable in KNOWN}


class Row(msgspec.Struct, frozen=True):
    """One field: its place, kind and bounds, default as TOML, variable and description."""

    place: Where
    kind: str
    default: str
    variable: str
    description: str


def sections(plugins: PluginSections) -> Iterator[tuple[Where, Kind]]:
    """Every section with its struct, in the order of the documentation."""
    yield from (((name,), kind) for name, kind in SECTIONS.items())
    for port, kinds in (("storage", plugins.storage), ("transport", plugins.transport)):
        yield from (((port,), kind) for kind in list(kinds.values())[:1])
    yield from ((("ingest", name), kind) for name, kind in plugins.ingest.items())
    yield from ((("process", name), kind) for name, kind in plugins.process.items())


def rows(place: Where, kind: Kind) -> list[Row]:
    """The fields of one section."""
    described = field_descriptions(kind)
    return [
        _row((*place, field.encode_name), field, described.get(field.name, ""))
        for field in msgspec.structs.fields(kind)
    ]


def summary(kind: Kind) -> str:
    """What a section is about: the first sentence of its struct's docstring."""
    return " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())


def field_descriptions(kind: Kind) -> dict[str, str]:
    """Descriptions by field, from Meta or from `name: words` in the struct's docstring."""
    names = [field.name for field in msgspec.structs.fields(kind)]
    found = _from_docstring(kind, names)
    for inner in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]  # StructType
        extra = getattr(inner.type, "extra_json_schema", None) or {}
        if "description" in extra:
            found[inner.name] = extra["description"]
    return found


def _from_docstring(kind: Kind, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    text = " ".join((kind.__doc__ or "").split())
    name = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    label = re.compile(rf"(?<![\w.])((?:{name})(?:, (?:{name}))*): ")
    parts = label.split(text)[1:]
    return {
        each: words.strip()
        for labels, words in zip(parts[::2], parts[1::2], strict=True)
        for each in labels.split(", ")
    }


def _row(place: Where, field: msgspec.structs.FieldInfo, description: str) -> Row:
    default = "" if field.required else _toml(_default(field))
    variable = _KNOWN_BY_PATH.get(place) or general_name(place)
    return Row(place, _kind(field.type), default, variable, description)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _toml(value: Any) -> str:
    if isinstance(value, Secret):
        return '""'
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if value is None:
        return ""
    plain = msgspec.to_builtins(value, enc_hook=str)
    return msgspec.json.encode(plain).decode()


def _kind(type_: Any) -> str:
    info = msgspec.inspect.type_info(type_)
    if isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    if isinstance(info, msgspec.inspect.LiteralType):
        return " or ".join(str(value) for value in info.values)
    if isinstance(info, msgspec.inspect.CustomType):
        return {"Secret": "secret", "Path": "path"}.get(info.cls.__name__, info.cls.__name__)
    name = type(info).__name__.removesuffix("Type").lower()
    bounds = [
        f"{sign} {getattr(info, bound)}"
        for bound, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if getattr(info, bound, None) is not None
    ]
    return " ".join([{"str": "text"}.get(name, name), ", ".join(bounds)]).strip()


def example(plugins: PluginSections) -> str:
    """A TOML file with every field at its default, commented out."""
    lines = [
        "# Every setting with its default. Remove the # in front of a line to change it.",
        "# TOML < environment < flags: see docs/configuration.md for the variables.",
        "",
        "# The data folder; everything the appliance keeps is in it.",
        f'#data_dir = "{DATA_DIR}"',
    ]
    for place, kind in sections(plugins):
        lines += ["", f"# {summary(kind)}", f"[{'.'.join(place)}]"]
        for row in rows(place, kind):
            lines.append(f"# {row.place[-1]}: {row.description or row.kind}")
            lines.append(f"#{row.place[-1]} = {row.default}")
    return "\n".join(lines) + "\n"


def reference(plugins: PluginSections) -> str:
    """The page docs/configuration.md."""
    parts = [_REFERENCE_HEAD]
    for place, kind in sections(plugins):
        parts.append(f"\n## [{'.'.join(place)}]\n\n{summary(kind)}\n\n{_TABLE_HEAD}")
        for row in rows(place, kind):
            cells = (f"`{row.place[-1]}`", row.kind, f"`{row.default}`" if row.default else "",
                     f"`{row.variable}`", row.description)  # fmt: skip  # the columns in order
            parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(parts)


def schema(plugins: PluginSections) -> dict[str, Any]:
    """JSON Schema of the whole file."""
    ports = {"storage": plugins.storage, "transport": plugins.transport}
    composed: list[tuple[str, Any, Any]] = [("data_dir", str, str(DATA_DIR))]
    composed += [(name, _plain(kind) | None, None) for name, kind in SECTIONS.items()]
    for port, kinds in ports.items():
        composed += [(port, _plain(kind, (CHOSEN_BY, str, "")) | None, None)
                     for kind in list(kinds.values())[:1]]  # fmt: skip  # one thought on two lines
    for port, kinds in (("ingest", plugins.ingest), ("process", plugins.process)):
        inner = [(name, _plain(kind, (SWITCH, bool, True)) | None, None)
                 for name, kind in kinds.items()]  # fmt: skip  # one thought on two lines
        composed.append((port, _struct(port.capitalize(), inner) | None, None))
    return msgspec.json.schema(_struct("Appliance", composed), schema_hook=schema_hook)


def _struct(name: str, fields: list[tuple[str, Any, Any]]) -> Any:
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _plain(kind: Kind, *extra: tuple[str, Any, Any]) -> Any:
    """The struct as its section may be written, with the keys that the loader itself reads.

    Rebuilt field by field, because msgspec cannot write a Path or a Secret as a default.
    """
    own = {field.encode_name for field in msgspec.structs.fields(kind)}
    fields: list[Any] = [field for field in extra if field[0] not in own]
    for field in msgspec.structs.fields(kind):
        default = None if field.required else _default(field)
        if field.required:
            fields.append((field.encode_name, field.type))
        elif isinstance(default, bool | int | float | str):
            fields.append((field.encode_name, field.type, default))
        else:
            lazy = msgspec.field(default_factory=functools.partial(copy.copy, default))
            fields.append((field.encode_name, field.type, lazy))
    return msgspec.defstruct(
        kind.__name__,
        fields,
        namespace={"__doc__": summary(kind)},
        kw_only=True,
        forbid_unknown_fields=True,
    )


_REFERENCE_HEAD = """\
# Configuration

Generated from the structs that validate it (`make docs`); `appliance schema` prints the same as
JSON Schema, and [appliance.example.toml](appliance.example.toml) is a file with every default.

Values come from the TOML file (`--config`, `APPLIANCE_CONFIG`, or `appliance.toml` in the current
folder), then from environment variables, then from flags (`--set section.field=value`); the later
one wins. Names that do not exist are refused. A variable that is set but empty counts as not set.
Lists and tables in variables and flags are written as JSON.

Variables without the `APPLIANCE_` prefix are those of a ThingsBoard Edge installation and work as
written there. `CLOUD_RPC_TIMEOUT` is in milliseconds; a number below 1000 is read as seconds,
because seconds is what the original has there, and the log says so. The `CLOUD_RPC_PROXY_…`
variables count only where `CLOUD_RPC_PROXY_ENABLED` is `true`, as in the original.

`[storage]` and `[transport]` take `plugin = "name"` where more than one is installed. Every
`[ingest.…]` and `[process.…]` takes `enabled = false`. A plugin from outside runs when its
section is there.

| top level | kind | default | variable |
| --- | --- | --- | --- |
| `data_dir` | path | `data` | `APPLIANCE_DATA_DIR` |
"""
_TABLE_HEAD = """\
| field | kind | default | variable | description |
| --- | --- | --- | --- | --- |
"""
