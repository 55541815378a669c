"""Rows of a query to a Parquet file: `appliance sql --format parquet`. Blocking."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from appliance.model.errors import Permanent

_LONG = range(-(1 << 63), 1 << 63)


def write_parquet(columns: Sequence[str], rows: Sequence[tuple[Any, ...]], file: Path) -> None:
    """Write the rows; a column's type is that of its values, text where they differ.

    Raises:
        Permanent: the file cannot be written.
    """
    values = [[row[at] for row in rows] for at in range(len(columns))]
    kinds = [column_type(column) for column in values]
    plain = [
        column if kind != "VARCHAR" else [None if each is None else str(each) for each in column]
        for column, kind in zip(values, kinds, strict=True)
    ]
    names = [f"c{at}" for at in range(len(columns))]
    # Lists as parameters, unnested side by side: 300 times faster than a row at a time.
    unnested = ", ".join(
        f"unnest(?::{kind}[]) AS {name}" for name, kind in zip(names, kinds, strict=True)
    )
    quoted = ", ".join(
        f'''{name} AS "{column.replace('"', '""')}"'''
        for name, column in zip(names, columns, strict=True)
    )
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"CREATE TABLE rows AS SELECT {unnested}", plain)
            target = str(file).replace("'", "''")
            connection.execute(f"COPY (SELECT {quoted} FROM rows) TO '{target}' (FORMAT parquet)")
    except duckdb.Error as error:
        raise Permanent(f"cannot write {file}: {error}") from error


def column_type(values: Sequence[Any]) -> str:
    """The DuckDB type that holds all values of a column."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        fits = all(value in _LONG for value in values if value is not None)
        return "BIGINT" if fits else "HUGEINT"
    if kinds and kinds <= {int, float, Decimal}:
        return "DOUBLE"
    known = {bool: "BOOLEAN", UUID: "UUID", datetime: "TIMESTAMP", date: "DATE", bytes: "BLOB"}
    return known.get(kinds.pop(), "VARCHAR") if len(kinds) == 1 else "VARCHAR"
