"""Reading with SQL, and only reading.

Three locks, each enough on its own for what it stops: the parser must see exactly one statement
of a reading kind; the statement runs inside a transaction that is rolled back; and the connection
was opened with access to other files switched off.
"""

from __future__ import annotations

from typing import Any

import duckdb

from appliance.model.errors import Permanent

_READING = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.RELATION,
}
_READING_WORDS = ("select", "with", "from", "describe", "show", "summarize", "explain", "values")


def select(
    connection: duckdb.DuckDBPyConnection, statement: str, rows_max: int
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows). Raises Permanent for a statement that is wrong or not reading."""
    try:
        parsed = duckdb.extract_statements(statement)
    except duckdb.Error as error:
        raise Permanent(f"this is not SQL: {error}") from error
    first_word = statement.lstrip(" \t\r\n(").split(None, 1)[0].lower() if parsed else ""
    if len(parsed) != 1 or parsed[0].type not in _READING or first_word not in _READING_WORDS:
        raise Permanent("only one reading statement is allowed", hint="SELECT, DESCRIBE, SHOW")
    try:
        connection.execute("BEGIN")
        result = connection.execute(parsed[0])
        names = [column[0] for column in result.description or ()]
        return names, result.fetchmany(rows_max)
    except duckdb.Error as error:
        raise Permanent(str(error)) from error
    finally:
        try:
            connection.execute("ROLLBACK")
        except duckdb.Error:
            pass  # the failed statement ended the transaction itself
