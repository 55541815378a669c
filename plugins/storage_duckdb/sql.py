"""Reading with SQL, and only reading.

Three locks, each enough on its own for what it stops: the parser must see exactly one statement
of a reading kind; the statement runs inside a transaction that is rolled back; and the connection
was opened with access to other files switched off.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import duckdb

from appliance.model.errors import ConfigError, Permanent
from plugins.storage_duckdb.database import FILE, connect
from plugins.storage_duckdb.folders import FolderLock, Folders

_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.RELATION}
_READING_WORDS = ("select", "with", "from", "describe", "show", "summarize", "values")


def select(
    connection: duckdb.DuckDBPyConnection, statement: str, rows_max: int, timeout_s: float
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows); rows beyond rows_max are left out.

    Raises Permanent for a statement that is wrong, not reading, or takes too long.
    """
    try:
        parsed = duckdb.extract_statements(statement)
    except duckdb.Error as error:
        raise Permanent(f"this is not SQL: {error}") from error
    first_word = statement.lstrip(" \t\r\n(").split(None, 1)[0].lower() if parsed else ""
    if len(parsed) != 1 or parsed[0].type not in _READING or first_word not in _READING_WORDS:
        raise Permanent("only one reading statement is allowed", hint="SELECT, DESCRIBE, SHOW")
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.start()
    try:
        connection.execute("BEGIN")
        result = connection.execute(parsed[0])
        names = [column[0] for column in result.description or ()]
        return names, result.fetchmany(rows_max)
    except duckdb.InterruptException as error:
        raise Permanent(f"the statement took longer than {timeout_s:g} s") from error
    except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException):
        raise  # this is about the file, not about the statement
    except duckdb.Error as error:
        raise Permanent(str(error)) from error
    finally:
        timer.cancel()
        try:
            connection.execute("ROLLBACK")
        except duckdb.Error:
            pass  # the failed statement ended the transaction itself


def read_only_sql(
    data_dir: Path, statement: str, *, rows_max: int = 100_000, timeout_s: float = 60.0
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Ask the tables of an appliance that is not running: (column names, rows).

    What was committed in the last moments before a crash shows after the next start.

    Raises: ConfigError when the folder is in use or has no database; Permanent as `select`.
    """
    folders = Folders(data_dir)
    path = folders.root / FILE
    if not path.exists():
        raise ConfigError(f"{path} does not exist", hint="name a data folder")
    lock = FolderLock(data_dir)
    lock.acquire()
    try:
        connection = connect(path, 256 << 20, 2, folders.temp, read_only=True)
        try:
            return select(connection, statement, rows_max, timeout_s)
        finally:
            connection.close()
    except duckdb.Error as error:
        raise Permanent(f"the database cannot be read: {error}", hint="appliance fsck") from error
    finally:
        lock.release()
