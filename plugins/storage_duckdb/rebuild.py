"""Opening the database, whatever state it is in. Blocking.

DuckDB's log is never read: the file stands at its last checkpoint and the journal has everything
since. It is the safer source, too: 512 zeroed bytes in the log opened without a word, as 64 wrong
values. What the journal lost since the checkpoint is lost to the tables as well, and told.
Damage to the file costs what the journal no longer has and cannot be read any more: a new file
takes every readable stretch of the old tables, the last snapshot fills the gaps of the state, and
the journal is applied again from its first living record. Old history behind that record is copied
only where the journal lost it; the rest the journal will bring again, so nothing is there twice.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from appliance.model.errors import Fatal
from plugins.storage_duckdb import snapshot
from plugins.storage_duckdb.config import DuckdbStorageConfig
from plugins.storage_duckdb.damage import DamageReport
from plugins.storage_duckdb.database import FILE, ROW_GROUP, Database
from plugins.storage_duckdb.folders import Folders
from plugins.storage_duckdb.journal import Journal
from plugins.storage_duckdb.schema import GROWING_TABLES, KEYED_TABLES

_SLICE = 2_048 * 4
_NOT_IN_SNAPSHOTS = (*GROWING_TABLES, "the database")
_DAMAGE = (
    duckdb.IOException, duckdb.SerializationException, duckdb.InternalException,
    duckdb.FatalException,
)  # fmt: skip
_ABOUT_DATA = (
    duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException,
    duckdb.ConstraintException, duckdb.InvalidTypeException, duckdb.TypeMismatchException,
)  # fmt: skip
_NOT_DAMAGE = (
    "could not set lock", "permission denied", "no space left", "file too large", "out of memory",
    "too many open files", "disk quota", "interrupted",
)  # fmt: skip


class DatabaseOpener:
    """Opens the database of a folder and, when it must, builds it anew.

    Args:
        journal: what the database is held against, and filled from.
    """

    def __init__(
        self,
        folders: Folders,
        config: DuckdbStorageConfig,
        report: DamageReport,
        journal: Journal,
    ) -> None:
        self._folders = folders
        self._config = config
        self._report = report
        self._journal = journal
        self._path = folders.root / FILE
        self._fresh = folders.root / f"{FILE}.rebuild"

    def open(self) -> Database:
        """The database, current at least to where the journal begins."""
        self._drop_log()
        try:
            return self._open_current()
        except duckdb.Error as error:
            _raise_unless_damage(error)
            return self.rebuild(error)

    def _open_current(self) -> Database:
        first_seq = self._journal.first_seq
        if not self._path.exists() and first_seq > 1:
            return self.rebuild(None)
        database = self._database(self._path)
        try:
            if database.applied_seq < first_seq - 1:
                raise duckdb.IOException(f"the database ends at {database.applied_seq}")
            self._show_cursors(database)
        except BaseException:
            database.close()
            raise
        return database

    def _show_cursors(self, database: Database) -> None:
        try:
            database.set_lanes(self._journal.ledger.figures())
        except duckdb.Error as error:
            if is_damage(error):
                raise
            # A full disk: the status column of `cloud_event` is old until it can be written.

    def _database(self, path: Path, *, external_access: bool = False) -> Database:
        config, temp = self._config, self._folders.temp
        return Database(
            path, config.memory_bytes, config.threads, temp, external_access=external_access
        )

    def rebuild(self, error: Exception | None) -> Database:
        """A new database from everything that is intact; the old file is put aside."""
        first_seq = self._journal.first_seq
        self._drop_log()
        self._remove_fresh()
        fresh = self._database(self._fresh, external_access=True)
        lost = self._restore(fresh, self._salvage(fresh, first_seq))
        fresh.name_unknown_numbers()
        fresh.set_lanes(self._journal.ledger.figures())
        fresh.connection.execute("UPDATE store.meta SET applied_seq = ?", [first_seq - 1])
        fresh.checkpoint()
        fresh.close()
        if self._path.exists():
            self._report.keep(self._path, move=True)
        self._fresh.replace(self._path)
        self._report.add(
            f"database rebuilt ({_first_line(error) if error else 'the file was gone'})",
            "; ".join(lost) or "nothing, every row could be read or is in the journal",
        )
        return self._database(self._path)

    def _drop_log(self) -> None:
        """With what an interrupted checkpoint leaves: `.wal.checkpoint`, `.wal.recovery`."""
        for path in self._folders.root.glob(f"{FILE}.wal*"):
            path.unlink()

    def _remove_fresh(self) -> None:
        self._fresh.unlink(missing_ok=True)
        self._fresh.with_name(self._fresh.name + ".wal").unlink(missing_ok=True)

    def _salvage(self, fresh: Database, first_seq: int) -> list[str]:
        """Copy what can be read; returns what could not."""
        if not self._path.exists():
            return [_all_old(first_seq)] if first_seq > 1 else []
        try:
            fresh.connection.execute(f"ATTACH '{_quoted(self._path)}' AS old (READ_ONLY)")
        except duckdb.Error:
            return [_all_old(first_seq)]
        lost = []
        only_there = [f"seq < {first_seq}"]
        only_there += [f"seq BETWEEN {first} AND {last}" for first, last in self._journal.lost()]
        try:
            for table in (*KEYED_TABLES, *GROWING_TABLES):
                limit = f"AND ({' OR '.join(only_there)})" if table in GROWING_TABLES else ""
                lost += _copy_table(fresh, table, limit)
        finally:
            fresh.connection.execute("DETACH old")
        return lost

    def _restore(self, fresh: Database, lost: list[str]) -> list[str]:
        """Fill the state from the snapshots where the old tables could not be read whole.

        Returns what is still lost: a whole snapshot together with the journal is whole state.
        """
        if not lost and self._path.exists():
            return []
        current = snapshot.read(self._folders.snapshot / snapshot.CURRENT)
        if current is not None:
            snapshot.restore(fresh, current)
        if current is not None and current.complete:
            return [words for words in lost if words.endswith(_NOT_IN_SNAPSHOTS)]
        previous = snapshot.read(self._folders.snapshot / snapshot.PREVIOUS)
        if previous is not None:
            snapshot.restore(fresh, previous)
        if current is not None:
            lost = [*lost, "state that only the damaged snapshot had"]
        return lost


def is_damage(error: Exception) -> bool:
    """Whether DuckDB speaks of the file rather than of its surroundings."""
    words = str(error).lower()
    # A checksum that does not match comes as the bare base class.
    speaks_of_file = isinstance(error, _DAMAGE) or "corrupt" in words
    return speaks_of_file and not any(phrase in words for phrase in _NOT_DAMAGE)


def is_dead(error: Exception) -> bool:
    """Whether the connection is of no more use, whatever the reason; the file may be well."""
    return isinstance(error, duckdb.FatalException | duckdb.ConnectionException)


def is_about_data(error: Exception) -> bool:
    """Whether a record itself cannot be stored, so that trying again would never help."""
    if not isinstance(error, duckdb.Error):
        return isinstance(error, ValueError | TypeError | OverflowError | LookupError)
    return isinstance(error, _ABOUT_DATA)


def _raise_unless_damage(error: duckdb.Error) -> None:
    if not is_damage(error):
        raise Fatal(
            f"the database cannot be opened: {error}",
            hint="another program may have it open, or memory or permissions are missing",
        ) from error


def _all_old(first_seq: int) -> str:
    return f"history and events before sequence {first_seq}, which were only in the database"


def _copy_table(fresh: Database, table: str, limit: str) -> list[str]:
    try:
        ((last,),) = fresh.rows(f"SELECT max(rowid) FROM old.store.{table}")
    except duckdb.Error:
        return [f"all that the journal does not have of {table}"]
    lost = 0
    for start in range(0, (-1 if last is None else last) + 1, ROW_GROUP):
        if not _copy_rows(fresh, table, limit, start, start + ROW_GROUP):
            for at in range(start, min(start + ROW_GROUP, last + 1), _SLICE):
                if not _copy_rows(fresh, table, limit, at, at + _SLICE):
                    lost += min(_SLICE, last + 1 - at)
    return [f"up to {lost} rows of {table}"] if lost else []


def _copy_rows(fresh: Database, table: str, limit: str, start: int, end: int) -> bool:
    try:
        fresh.connection.execute(
            f"INSERT INTO store.{table} SELECT * FROM old.store.{table}"
            f" WHERE rowid >= {start} AND rowid < {end} {limit}"
        )
    except duckdb.Error:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
