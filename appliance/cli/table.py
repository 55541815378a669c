"""Rows to standard output: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

WIDTH_MAX = 60
"""Characters of a cell in a table; CSV and JSON are never cut."""


def write_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    format: str,
    stream: TextIO | None = None,
) -> None:
    """Write the rows in one of FORMATS."""
    FORMATS[format](columns, rows, stream or sys.stdout)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], stream: TextIO) -> None:
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        stream.write(line.rstrip() + "\n")


def _cell(value: Any) -> str:
    text = _text(value).replace("\n", " ")
    return text if len(text) <= WIDTH_MAX else text[: WIDTH_MAX - 1] + "…"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]], stream: TextIO) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(value) for value in row] for row in rows)


def _json(columns: Sequence[str], rows: Sequence[Sequence[Any]], stream: TextIO) -> None:
    for row in rows:
        # Bytes are text here; msgspec would write them as base64.
        values = (_text(value) if isinstance(value, bytes) else value for value in row)
        line = msgspec.json.encode(dict(zip(columns, values, strict=True)), enc_hook=_text)
        stream.write(line.decode() + "\n")


FORMATS = {"table": _table, "csv": _csv, "json": _json}
"""json: one object a line, so that a long answer can be read as it comes."""
