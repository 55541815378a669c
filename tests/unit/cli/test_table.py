"""Rows as a table, as CSV, as JSON lines."""

import io
from uuid import UUID

from appliance.cli.table import write_table

ROWS = [(1, None, b"text", UUID(int=1)), (22, "a,b\nc", "x" * 80, 1.5)]
COLUMNS = ["n", "note", "body", "id"]


def written(format):
    stream = io.StringIO()
    write_table(COLUMNS, ROWS, format, stream)
    return stream.getvalue().splitlines()


def test_a_table_is_aligned_and_cut():
    """One line a row, whatever is in it."""
    head, first, second = written("table")

    assert head.index("body") == first.index("text") == second.index("x")
    assert "…" in second


def test_csv_is_quoted_and_never_cut():
    """A line break inside a cell stays."""
    lines = written("csv")

    assert lines[1] == "1,,text,00000000-0000-0000-0000-000000000001"
    assert "x" * 80 in lines[3]


def test_json_keeps_numbers_and_nulls():
    """One object a line."""
    assert written("json")[0] == (
        '{"n":1,"note":null,"body":"text","id":"00000000-0000-0000-0000-000000000001"}'
    )
