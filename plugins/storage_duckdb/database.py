"""DuckDB: one connection, one caller at a time, never on the way of an acknowledgement. Blocking.

Each transaction stores the sequence it covers, so whatever is applied twice is applied once.
A checkpoint is explicit: DuckDB's own write-ahead log takes over 60 bytes a point, the file less
than 10, so it is folded in every few megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from appliance.model.unit import Lane
from plugins.storage_duckdb.folders import free_bytes
from plugins.storage_duckdb.format import LaneFigures, Record
from plugins.storage_duckdb.ledger import Position
from plugins.storage_duckdb.records import UNIT, QuarantineNote, decode_note, decode_unit
from plugins.storage_duckdb.schema import TABLES, VERSION, VIEWS
from plugins.storage_duckdb.staging import Numbers, Staging, quarantine_row

FILE = "appliance.duckdb"
_CHECKPOINT_ROOM = 1 << 20
_PIECE_ROWS = 4000
"""Rows given to DuckDB at once: it makes values of a kilobyte a row of them all."""
ROW_GROUP = 122_880
"""Rows that DuckDB stores together."""

_INSERT_POINTS = """
INSERT INTO store.history
SELECT entity, key, ts, seq, idx, committed_ms,
    CASE kind WHEN 0 THEN long <> 0 END, CASE kind WHEN 1 THEN long END,
    CASE kind WHEN 2 THEN double END, NULL, NULL, ttl_s
FROM points
"""
_INSERT_TEXTS = """
INSERT INTO store.history
SELECT entity, key, ts, seq, idx, ms, NULL, NULL, NULL,
    CASE kind WHEN 3 THEN text END, CASE kind WHEN 4 THEN text END, ttl
FROM (SELECT unnest($1) entity, unnest($2) key, unnest($3) ts, unnest($4) seq, unnest($5) idx,
    unnest($6) ms, unnest($7) kind, unnest($8) text, unnest($9) ttl)
"""
_INSERT_EVENTS = """
INSERT INTO store.event
SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7),
    unnest($8), unnest($9)::UUID, unnest($10), unnest($11::VARCHAR[])::UUID
"""
_INSERT_ATTRIBUTES = """
INSERT INTO store.attribute
SELECT a.* EXCLUDE (cut) FROM staged_attribute a
WHERE ts IS NOT NULL AND NOT EXISTS (FROM store.attribute t
    WHERE t.entity_type = a.entity_type AND t.entity_id = a.entity_id
    AND t.scope = a.scope AND t.key = a.key)
"""
_DELETE_ATTRIBUTES = """
DELETE FROM store.attribute t USING staged_attribute a
WHERE t.entity_type = a.entity_type AND t.entity_id = a.entity_id AND t.scope = a.scope
    AND t.key = a.key AND t.ts <= a.cut
"""
_STAGE_ATTRIBUTES = """
CREATE OR REPLACE TEMP TABLE staged_attribute AS
SELECT unnest($1) entity_type, unnest($2)::UUID entity_id, unnest($3) scope, unnest($4) key,
    unnest($5::BIGINT[]) ts, unnest($6) AS value, unnest($7::BIGINT[]) cut
"""


class Database:
    """The tables behind one file.

    Args:
        path: of the database file; made if missing.
        memory_bytes: DuckDB's own limit. threads: for queries. temp: where it may spill.
        external_access: may attach another file, which only a rebuild does.
    """

    def __init__(
        self,
        path: Path,
        memory_bytes: int,
        threads: int,
        temp: Path,
        *,
        external_access: bool = False,
    ) -> None:
        self.path = path
        self.applied_seq = 0
        self.state_seq = 0
        """Up to there entities, attributes and states are current, if that is further."""
        self.watched: set[int] = set()
        self.connection = connect(
            path, memory_bytes, threads, temp, external_access=external_access
        )
        try:
            self._prepare()
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self) -> None:
        if not self._is_current():
            self.connection.execute(TABLES)
            self.connection.execute(VIEWS)
            if not self.rows("FROM store.meta"):
                self.connection.execute("INSERT INTO store.meta VALUES (?, 0)", [VERSION])
        ((self.applied_seq,),) = self.rows("SELECT applied_seq FROM store.meta")
        self.checkpointed_seq = 0
        entities = self.rows("SELECT entity_type, entity_id, number FROM store.entity_dictionary")
        self.entities = Numbers({(kind, id): number for kind, id, number in entities})
        self.keys = Numbers(dict(self.rows("SELECT key, number FROM store.key_dictionary")))
        self.dictionary_seq = self.applied_seq

    def _is_current(self) -> bool:
        """Whether the tables are there: then opening writes nothing, which a full disk needs."""
        try:
            return self.rows("SELECT version FROM store.meta") == [(VERSION,)]
        except duckdb.CatalogException:
            return False

    def rows(self, statement: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return self.connection.execute(statement, arguments).fetchall()

    def chunks(self, statement: str, size: int = 2000) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement in chunks; no other statement may run in between."""
        result = self.connection.execute(statement)
        while rows := result.fetchmany(size):
            yield rows

    def close(self) -> None:
        """Close without a checkpoint."""
        self.connection.close()

    # applying ------------------------------------------------------------------------------------
    def apply(self, records: Sequence[Record]) -> Staging:
        """Store the records in one transaction, leaving out what is already applied.

        Returns what was stored. Raises duckdb.Error, then nothing was.
        """
        staging = Staging(self.entities, self.keys, self.watched, self.state_seq)
        try:
            for record in records:
                if record.seq > self.applied_seq:
                    staging.add(record)
        except BaseException:
            self._forget_fresh()
            raise
        if not staging.last_seq:
            return staging
        had_fresh = bool(self.entities.fresh or self.keys.fresh)
        self._transaction(staging)
        self.entities.fresh.clear()
        self.keys.fresh.clear()
        self.applied_seq = staging.last_seq
        if had_fresh:
            self.dictionary_seq = staging.last_seq
        return staging

    def apply_state(self, records: Sequence[Record]) -> None:
        """Store only what the records say of the state, ahead of all else, in one transaction.

        Raises duckdb.Error, then nothing was stored; ValueError for a record that cannot be read.
        """
        staging = Staging(self.entities, self.keys)
        for record in records:
            if record.kind == UNIT and record.seq > self.state_seq:
                staging.add_state(decode_unit(record.kind, record.payload)[0])
        self._in_transaction(lambda: self._store_state(staging))
        self.state_seq = records[-1].seq

    def step_over(self, seq: int) -> None:
        """Count a record as applied although it cannot be."""
        self.connection.execute("UPDATE store.meta SET applied_seq = ?", [seq])
        self.applied_seq = seq

    def _transaction(self, staging: Staging) -> None:
        def store() -> None:
            self._store(staging)
            self.connection.execute("UPDATE store.meta SET applied_seq = ?", [staging.last_seq])

        try:
            self._in_transaction(store)
        except BaseException:
            self._forget_fresh()
            raise

    def _in_transaction(self, work: Callable[[], None]) -> None:
        execute = self.connection.execute
        try:
            execute("BEGIN")
            work()
            execute("COMMIT")
        except BaseException:
            try:
                execute("ROLLBACK")
            except duckdb.Error:
                pass  # the failed statement ended the transaction itself
            raise

    def _forget_fresh(self) -> None:
        self.entities.forget_fresh()
        self.keys.forget_fresh()

    def _store(self, staging: Staging) -> None:
        self._store_dictionaries()
        self._store_points(staging)
        if staging.events:
            self._execute(_INSERT_EVENTS, staging.events)
        self._store_state(staging)
        self._store_lanes(staging)
        self._store_exceptions(staging)
        self._delete_series(staging)

    def _store_dictionaries(self) -> None:
        if self.entities.fresh:
            rows = [(number, kind, str(id)) for number, (kind, id) in self.entities.fresh]
            self._execute(
                "INSERT INTO store.entity_dictionary"
                " SELECT unnest($1), unnest($2), unnest($3)::UUID",
                rows,
            )
        if self.keys.fresh:
            self.connection.execute(
                "INSERT INTO store.key_dictionary SELECT unnest($1), unnest($2)",
                _columns(self.keys.fresh),
            )

    def _store_points(self, staging: Staging) -> None:
        if staging.points["ts"]:
            # By registration: scanning a Python variable by name is external access, which is off.
            self.connection.register("points", staging.arrow())
            try:
                self.connection.execute(_INSERT_POINTS)
            finally:
                self.connection.unregister("points")
        if staging.texts:
            self._execute(_INSERT_TEXTS, staging.texts)

    def _store_state(self, staging: Staging) -> None:
        self._store_entities(staging)
        self._store_attributes(staging)
        self._store_states(staging)

    def _store_entities(self, staging: Staging) -> None:
        writes = staging.entity_writes
        if not writes:
            return
        keys = [(kind, str(id)) for kind, id in writes]
        self._execute(
            "DELETE FROM store.entity t USING (SELECT unnest($1) kind, unnest($2)::UUID id) d"
            " WHERE t.kind = d.kind AND t.id = d.id",
            keys,
        )
        rows = [(kind, str(id), body) for (kind, id), body in writes.items() if body is not None]
        self._execute(
            "INSERT INTO store.entity SELECT unnest($1), unnest($2)::UUID, unnest($3::BLOB[])",
            rows,
        )

    def _store_attributes(self, staging: Staging) -> None:
        if not staging.attributes:
            return
        rows = [
            (kind, str(id), scope, key, ts, value, cut)
            for (kind, id, scope, key), (cut, ts, value) in staging.attributes.items()
        ]
        for piece in _pieces(rows):
            self.connection.execute(_STAGE_ATTRIBUTES, _columns(piece))
            self.connection.execute(_DELETE_ATTRIBUTES)
            self.connection.execute(_INSERT_ATTRIBUTES)

    def _execute(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Once for every piece of the rows, each of their columns being one argument."""
        for piece in _pieces(rows):
            self.connection.execute(statement, _columns(piece))

    def _store_states(self, staging: Staging) -> None:
        if not staging.states:
            return
        self.connection.execute(
            "DELETE FROM store.state t USING (SELECT unnest($1) AS owner, unnest($2) AS key) d"
            " WHERE t.owner = d.owner AND t.key = d.key",
            _columns(list(staging.states)),
        )
        rows = [(*place, body) for place, body in staging.states.items() if body is not None]
        if rows:
            self.connection.execute(
                "INSERT INTO store.state SELECT unnest($1), unnest($2), unnest($3::BLOB[])",
                _columns(rows),
            )

    def _store_lanes(self, staging: Staging) -> None:
        for (outbox, lane), figures in staging.lanes.items():
            place = [outbox, int(lane)]
            self.connection.execute("DELETE FROM store.lane WHERE outbox = ? AND lane = ?", place)
            self.connection.execute(
                "INSERT INTO store.lane VALUES (?, ?, ?, ?)", [*place, *figures.cursor]
            )
            self.connection.execute("DELETE FROM store.done WHERE outbox = ? AND lane = ?", place)
            if figures.done:
                self.connection.execute(
                    "INSERT INTO store.done SELECT ?, ?, unnest(?), unnest(?)",
                    [*place, *_columns(list(figures.done))],
                )

    def _store_exceptions(self, staging: Staging) -> None:
        for note in staging.quarantines:
            self.insert_quarantine(note)
        for release in staging.releases:
            self.connection.execute(
                "DELETE FROM store.quarantine"
                " WHERE outbox = ? AND lane = ? AND seq = ? AND idx = ?",
                [release.outbox, int(release.lane), *release.position],
            )
        for gap in staging.gaps:
            self.connection.execute(
                "INSERT INTO store.gap VALUES (?, ?, ?, ?, ?, ?, ?)",
                [gap.outbox, int(gap.lane), *gap.first, *gap.last, gap.reason],
            )

    def insert_quarantine(self, note: QuarantineNote) -> None:
        """Keep one quarantined event."""
        self.connection.execute(
            "INSERT INTO store.quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            quarantine_row(note),
        )

    def _delete_series(self, staging: Staging) -> None:
        for seq, note in staging.deletes:
            entity = self.entities.find((note.type, note.id))
            keys = [number for key in note.keys if (number := self.keys.find(key)) is not None]
            if entity is not None and keys:
                self.connection.execute(
                    "DELETE FROM store.history WHERE entity = ? AND key IN (SELECT unnest(?))"
                    " AND ts >= ? AND ts < ? AND seq < ?",
                    [entity, keys, note.start_ms, note.end_ms, seq],
                )

    def set_lanes(self, lanes: Sequence[LaneFigures]) -> None:
        """Make the cursors what the journal says: it may have them only in its accounts."""
        stored = {
            (outbox, lane): (seq, idx) for outbox, lane, seq, idx in self.rows("FROM store.lane")
        }
        staging = Staging(self.entities, self.keys)
        staging.lanes = {
            (figures.outbox, Lane(figures.lane)): figures
            for figures in lanes
            if figures.done or stored.get((figures.outbox, figures.lane)) != tuple(figures.cursor)
        }
        self._store_lanes(staging)

    def name_unknown_numbers(self) -> None:
        """After a rebuild: a number in history whose name is lost must not be given again."""
        self.connection.execute(
            "INSERT INTO store.key_dictionary"
            " SELECT DISTINCT key, 'lost-' || key FROM store.history"
            " WHERE key NOT IN (SELECT number FROM store.key_dictionary)"
        )
        self.connection.execute(
            "INSERT INTO store.entity_dictionary"
            " SELECT DISTINCT entity, 'LOST', md5(entity::VARCHAR)::UUID FROM store.history"
            " WHERE entity NOT IN (SELECT number FROM store.entity_dictionary)"
        )

    # upkeep --------------------------------------------------------------------------------------
    def wal_bytes(self) -> int:
        """Size of DuckDB's own log."""
        return _size(self.path.with_name(self.path.name + ".wal"))

    def file_bytes(self) -> int:
        """Size of the database with its log."""
        return _size(self.path) + self.wal_bytes()

    def used_bytes(self) -> int:
        """Size of the database without the blocks that wait to be used again."""
        ((block, used),) = self.rows("SELECT block_size, used_blocks FROM pragma_database_size()")
        return int(block) * int(used)

    def has_room(self) -> bool:
        """Whether a checkpoint may be tried: one that meets a full disk ends the connection."""
        return free_bytes(self.path.parent) > self.wal_bytes() + _CHECKPOINT_ROOM

    def checkpoint(self) -> None:
        """Fold the log into the file. Raises duckdb.Error."""
        self.connection.execute("CHECKPOINT")
        self.checkpointed_seq = self.applied_seq

    def read_rows(self, table: str, start: int) -> int | None:
        """Read a row group's worth of rows; returns where to go on, None at the end."""
        end = start + ROW_GROUP
        (row,) = self.rows(
            f"SELECT max(rowid), bit_xor(hash(t)) FROM store.{table} t"
            f" WHERE rowid >= {start} AND rowid < {end}"
        )
        ((last,),) = self.rows(f"SELECT max(rowid) FROM store.{table}")
        return end if last is not None and last >= end and row is not None else None

    def quarantine_notes(self) -> list[tuple[Position, QuarantineNote]]:
        """Everything put aside."""
        found = []
        for seq, idx, kind_note in self.rows(
            "SELECT seq, idx, note FROM store.quarantine ORDER BY at_ms, seq, idx"
        ):
            note = decode_note(4, bytes(kind_note))
            if isinstance(note, QuarantineNote):
                found.append(((seq, idx), note))
        return found


def connect(
    path: Path,
    memory_bytes: int,
    threads: int,
    temp: Path,
    *,
    read_only: bool = False,
    external_access: bool = False,
) -> duckdb.DuckDBPyConnection:
    """A connection that never takes more than it is given and reads no other file."""
    connection = duckdb.connect(
        str(path),
        read_only=read_only,
        config={
            "memory_limit": f"{memory_bytes >> 10}KiB",
            "threads": threads,
            "temp_directory": str(temp),
            "max_temp_directory_size": "1GiB",
            "checkpoint_threshold": "1TB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    if not external_access:
        connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _pieces(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    for start in range(0, len(rows), _PIECE_ROWS):
        yield rows[start : start + _PIECE_ROWS]


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
