"""The state outside DuckDB: what must survive the loss of the database file. Blocking.

Entities, attributes, states, dictionaries and what is put aside, written before journal segments
that changed them are deleted; together with the living segments it gives the whole state back.
One file, replaced as a whole, and its predecessor:

    frame*   u32 length, u32 crc, msgpack [table, rows]
    the last frame is ["end", [[applied_seq]]]

A frame proves itself; a damaged one costs its 2,000 rows, which the predecessor may still have.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from plugins.storage_duckdb.database import Database
from plugins.storage_duckdb.format import crc32c
from plugins.storage_duckdb.schema import KEYED_TABLES
from plugins.storage_duckdb.segments import read_file, sync_folder, write_durably

CURRENT = "current.snapshot"
PREVIOUS = "previous.snapshot"
_FRAME = struct.Struct("<II")
_FRAME_BYTES_MAX = 1 << 30
_ROWS = 2000


class Snapshot(msgspec.Struct):
    """A snapshot that was read. complete: every frame and the end were intact."""

    applied_seq: int
    complete: bool
    tables: dict[str, list[list[Any]]]


def take(database: Database, folder: Path) -> int:
    """Write a snapshot of the tables as they are; returns the sequence it covers.

    Raises OSError; then the former snapshot is still in place.
    """
    temporary = folder / "new.snapshot"
    write_durably(temporary, _all_frames(database))
    current = folder / CURRENT
    if current.exists():
        current.replace(folder / PREVIOUS)
    temporary.replace(current)
    sync_folder(folder)
    return database.applied_seq


def read(path: Path) -> Snapshot | None:
    """What is intact in a snapshot; None if there is no file."""
    try:
        data = read_file(path)
    except FileNotFoundError:
        return None
    found = Snapshot(0, True, {})
    ended = False
    for frame in _frames(data):
        if frame is None:
            found.complete = False
            continue
        table, rows = msgspec.msgpack.decode(frame)
        if table == "end":
            found.applied_seq, ended = rows[0][0], True
        elif table in KEYED_TABLES:
            found.tables.setdefault(table, []).extend(rows)
    found.complete = found.complete and ended
    return found


def restore(database: Database, snapshot: Snapshot) -> None:
    """Add the rows whose keys the tables do not have yet."""
    for table, rows in snapshot.tables.items():
        keys, columns = KEYED_TABLES[table]
        values = [list(column) for column in zip(*rows, strict=True)]
        staged = ", ".join(
            f"unnest(${number}::{_array_type(kind)}[])::{kind} AS {name}"
            for number, (name, kind) in enumerate(columns.items(), 1)
        )
        match = " AND ".join(f"t.{key} = s.{key}" for key in keys)
        database.connection.execute(
            f"INSERT INTO store.{table} SELECT * FROM (SELECT {staged}) s"
            f" WHERE NOT EXISTS (FROM store.{table} t WHERE {match})",
            values,
        )


def _array_type(kind: str) -> str:
    return "VARCHAR" if kind == "UUID" else kind


def _all_frames(database: Database) -> Iterator[bytes]:
    """One after the other, so that no more than one is in memory."""
    for table, rows in _rows(database):
        yield _frame(table, rows)
    yield _frame("end", [[database.applied_seq]])


def _rows(database: Database) -> Iterator[tuple[str, list[list[Any]]]]:
    for table, (_, columns) in KEYED_TABLES.items():
        names = ", ".join(
            f"{name}::VARCHAR" if kind == "UUID" else name for name, kind in columns.items()
        )
        for rows in database.chunks(f"SELECT {names} FROM store.{table}", _ROWS):
            yield table, [list(row) for row in rows]


def _frame(table: str, rows: list[list[Any]]) -> bytes:
    body = msgspec.msgpack.encode([table, rows])
    return _FRAME.pack(len(body), crc32c(body)) + body


def _frames(data: bytes) -> Iterator[bytes | None]:
    """Intact frames; None for each one that is not."""
    at = 0
    while len(data) - at >= _FRAME.size:
        length, crc = _FRAME.unpack_from(data, at)
        body = data[at + _FRAME.size : at + _FRAME.size + length]
        if length > _FRAME_BYTES_MAX or len(body) < length:
            yield None
            return
        yield body if body and crc32c(body) == crc else None  # zeros prove themselves
        at += _FRAME.size + length
    if at < len(data):
        yield None
