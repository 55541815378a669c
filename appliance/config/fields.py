"""The types of configuration fields: bounds, units and words, shared by core and plugins.

A field's name ends in its unit (`_ms`, `_s`, `_bytes`); its description says what it does and
what another value would mean. A description may stand in the field's Meta or, as
`name: what it does`, in the struct's docstring.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65_535)]
"""A TCP port to listen on; 0 takes a free one."""
RemotePort = Annotated[int, Meta(ge=1, le=65_535)]
"""A TCP port to connect to."""
Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
"""A duration of at most a day."""
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
"""A duration of at most a day."""
Bytes = Annotated[int, Meta(ge=1, le=1 << 40)]
"""A size of at most a terabyte."""
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
"""How many, at least one."""


class Secret:
    """Text that prints as ***; `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "***" if self._text else "''"


def decode_hook(kind: type, value: Any) -> Any:
    """msgspec's dec_hook for the types above that are not its own."""
    if kind in (Secret, Path) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def encode_hook(value: Any) -> Any:
    """msgspec's enc_hook: paths as text, secrets hidden."""
    return str(value)


def schema_hook(kind: type) -> dict[str, Any]:
    """JSON Schema of the types above."""
    if kind is Secret:
        return {"type": "string", "format": "password"}
    return {"type": "string"}
